"""AIRSS's .res files, against values written by hand and against pymatgen and ASE."""

import gzip
import zipfile

import ase.io
import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.res import AirssProvider, ResWriter

from tests.materials.datasets.readers.test_readers import CIFS, EXACT, ROCK_SALT, SILICON, assert_both, read
from tests.materials.datasets.readers.test_readers_bad_input import outcome
from unimat.errors import CrystalRejected
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.records import Columns
from unimat.materials.datasets.readers.res import Title, crystal_of_res, properties_of_res, title_of

# Diamond in its primitive cell: 3.567 Å cubic, so a / sqrt(2) = 2.52225 Å, 60 degrees, and a**3 / 4 = 11.3462 Å^3.
DIAMOND = """TITL C-8123-1-1 0.01 11.3462 -310.41 0.5 1.5 2 (Fd-3m) n - 7
REM
REM Run started: Mon, 12 Jan 2015 12:00:00 +0000
REM AIRSS Version 0.9.1
CELL 1.54180    2.52225    2.52225    2.52225   60.00000   60.00000   60.00000
LATT -1
SFAC C
C      1  0.0000000000000  0.0000000000000  0.0000000000000 1.0
C      1  0.2500000000000  0.2500000000000  0.2500000000000 1.0
END
"""
SALT = """TITL NaCl-b -0.00 179.4062 -5000.5 0.0 0.0 8 (Fm-3m) n - 1
CELL 1.54180 5.64 5.64 5.64 90 90 90
LATT -1
SFAC Na Cl
Na 1 0.0 0.0 0.0 1.0
Na 1 0.0 0.5 0.5 1.0
Na 1 0.5 0.0 0.5 1.0
Na 1 0.5 0.5 0.0 1.0
Cl 2 0.5 0.5 0.5 1.0
Cl 2 0.5 0.0 0.0 1.0
Cl 2 0.0 0.5 0.0 1.0
Cl 2 0.0 0.0 0.5 1.0
END
"""


def test_a_file_by_values_written_by_hand():
    crystal = crystal_of_res(DIAMOND, "diamond")
    assert crystal.atomic_numbers.tolist() == [6, 6]
    np.testing.assert_array_equal(crystal.frac_coords, [[0, 0, 0], [0.25, 0.25, 0.25]])
    np.testing.assert_allclose(np.linalg.norm(crystal.lattice, axis=1), 2.52225)
    np.testing.assert_allclose(crystal.lattice @ crystal.lattice.T / 2.52225**2, (np.eye(3) + 1) / 2, atol=1e-12)
    assert title_of(DIAMOND) == Title("C-8123-1-1", 0.01, 11.3462, -310.41, 0.5, 1.5, 2, "Fd-3m", 7)
    found = properties_of_res(DIAMOND, ("enthalpy", "enthalpy_per_atom", "pressure", "space_group", "unknown"))
    assert found == {
        "enthalpy": -310.41,
        "enthalpy_per_atom": -155.205,
        "pressure": 0.01,
        "space_group": "Fd-3m",
        "unknown": None,
    }


@pytest.mark.parametrize("text", [DIAMOND, SALT])
def test_files_agree_with_pymatgen(text):
    theirs, crystal, title = AirssProvider.from_str(text), crystal_of_res(text, "x"), title_of(text)
    assert EXACT.fit(to_structure(crystal), theirs.structure)
    assert (title.name, title.pressure, title.volume, title.enthalpy) == (
        theirs.seed,
        theirs.pressure,
        theirs.volume,
        theirs.energy,
    )
    assert (title.spin, title.abs_spin, title.space_group, title.appearances) == (
        theirs.integrated_spin_density,
        theirs.integrated_absolute_spin_density,
        theirs.spacegroup_label,
        theirs.appearances,
    )


@pytest.mark.parametrize(
    "structure", [ROCK_SALT, SILICON, Structure(Lattice.hexagonal(3, 5), ["Zr"], [[0.1, -0.2, 1.3]])]
)
def test_what_pymatgen_and_ase_write_is_read(tmp_path, structure):
    entry = ComputedStructureEntry(structure, -12.5, data={"seed": "seed-1"})
    for text in (str(ResWriter(entry)), str(ResWriter(structure))):
        crystal = crystal_of_res(text, "x")
        np.testing.assert_allclose(crystal.frac_coords, structure.frac_coords, atol=1e-8)
        np.testing.assert_allclose(crystal.lattice @ crystal.lattice.T, structure.lattice.metric_tensor, atol=1e-3)
    assert title_of(str(ResWriter(entry))).enthalpy == -12.5
    # pymatgen's titles have no number of atoms
    assert properties_of_res(str(ResWriter(entry)), ("enthalpy_per_atom",)) == {
        "enthalpy_per_atom": -12.5 / len(structure)
    }
    ase.io.write(tmp_path / "a.res", structure.to_ase_atoms())
    np.testing.assert_allclose(
        crystal_of_res((tmp_path / "a.res").read_text(), "x").frac_coords % 1, structure.frac_coords % 1, atol=1e-6
    )


FLUORITE = """TITL CaF2 in Fm-3m
CELL 0.71073 5.463 5.463 5.463 90 90 90
ZERR 4 0.001 0.001 0.001 0 0 0
LATT 4
SYMM Y, Z, X
SYMM Z, X, Y
SYMM -X, -Y, Z
SYMM -X, Y, -Z
SYMM X, -Y, -Z
SYMM -Y, -Z, X
SYMM -Y, Z, -X
SYMM Y, -Z, -X
SYMM -Z, -X, Y
SYMM -Z, X, -Y
SYMM Z, -X, -Y
SFAC CA F
UNIT 4 8
CA1 1 0.0 0.0 0.0 {ca}
F1 2 0.25 0.25 0.25 {f}
END
"""


@pytest.mark.parametrize(("ca", "f"), [("1.0", "1.0"), ("10.041667", "10.083333")])
def test_symmetry_and_the_occupancies_of_special_positions(ca, f):
    """Of 96 operations (Fm-3) calcium has 4 images and fluorine 8, so that SHELX's occupancies are 1/24 and 1/12."""
    fluorite = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.463), ["Ca", "F"], [[0, 0, 0], [0.25] * 3])
    assert EXACT.fit(to_structure(crystal_of_res(FLUORITE.format(ca=ca, f=f), "x")), fluorite)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("ca", "10.5"), "partial_occupancy"),
        (("LATT 4", "LATT 1"), "contradicts_source: UNIT is 4 8; what was read is 1 8"),
        (("SYMM Y, Z, X\n", ""), "symmetry_unclear: the operations of LATT and SYMM form no group"),
        (("SYMM Y, Z, X", "SYMM Y, Z, X+0.5"), "symmetry_unclear"),
        (("5.463 90", "6.463 90"), "symmetry_unclear: the operations of LATT and SYMM do not fit the cell"),
        (("UNIT 4 8", "UNIT 4 4"), "contradicts_source: UNIT is 4 4; what was read is 4 8"),
        (("TITL CaF2 in Fm-3m\n", ""), None),
        (("LATT 4\n", ""), "symmetry_unclear: LATT is missing"),
    ],
)
def test_symmetry_that_is_not_as_it_should_be(change, reason):
    old, new = change
    text = FLUORITE.format(ca=new if old == "ca" else "1.0", f="1.0").replace(old, new)
    if reason is None:
        assert len(crystal_of_res(text, "x").atomic_numbers) == 12
        return
    with pytest.raises(CrystalRejected) as error:
        crystal_of_res(text, "x")
    assert str(error.value).startswith(reason)


def test_folders_archives_and_packed_files(tmp_path):
    (tmp_path / "run" / "deep").mkdir(parents=True)
    (tmp_path / "run" / "a.res").write_text(DIAMOND)
    (tmp_path / "run" / "deep" / "b.res.gz").write_bytes(gzip.compress(SALT.encode()))
    (tmp_path / "run" / "all.res").write_text(DIAMOND + SALT + SALT.replace("5.64", "5.70").replace("179.4", "185.2"))
    wanted = {"properties": ("enthalpy", "appearances")}
    records = {each.material_id: each for each in records_of(tmp_path / "run", Columns(**wanted))}
    assert list(records) == ["a", "all/C-8123-1-1", "all/NaCl-b", "all/NaCl-b-2", "deep/b"]
    assert [outcome(each) for each in records.values()] == [2, 2, 8, 8, 8]
    assert records["all/NaCl-b"].properties == {"enthalpy": -5000.5, "appearances": 1}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("si.cif", CIFS["si"])
        archive.writestr("nacl.res", SALT)
    assert_both(read(tmp_path / "a.zip"))
    assert list(read(tmp_path / "run" / "all.res")) == ["all/C-8123-1-1", "all/NaCl-b", "all/NaCl-b-2"]
    assert list(read(tmp_path / "run" / "a.res")) == ["a"]


def test_a_column_of_a_table(tmp_path):
    (tmp_path / "a.csv").write_text(f'id,structure\na,"{DIAMOND}"\nb,"{DIAMOND}{SALT}"\n')
    found = {record.material_id: str(outcome(record)) for record in records_of(tmp_path / "a.csv")}
    assert found == {"a": "2", "b": "unreadable: 2 structures in one .res text, expected one"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("1.0\nEND", "1.0 0.25\nEND", 2),  # a spin
        ("1.0\nEND", "11.0\nEND", 2),  # SHELX: ten and the value is the value, not refined
        ("TITL C-8123-1-1 0.01 11.3462 -310.41 0.5 1.5 2 (Fd-3m) n - 7", "TITL something else", 2),
        ("11.3462 -310.41", "0.0 0.0", 2),  # AIRSS writes a zero for what it does not know
        ("\n", "\r\n", 2),
        ("SFAC C", "sfac c", 2),
        ("1.0\nEND", "0.5\nEND", "partial_occupancy: atom C has occupancy 0.5"),
        ("1.0\nEND", "10.5\nEND", "partial_occupancy: atom C has occupancy 10.5"),
        ("1.5 2 (Fd", "1.5 4 (Fd", "contradicts_source: TITL has 4 atoms; what was read is 2 atoms"),
        ("11.3462", "22.6924", "contradicts_source: TITL has 22.6924 Å^3; what was read is 11.3462 Å^3"),
        ("C      1  0.25", "Si     1  0.25", "contradicts_source: atom Si is of species 1, which is C"),
        ("C      1  0.25", "C      2  0.25", "unreadable: .res: atom C is of species 2, and SFAC has 1"),
        ("SFAC C", "SFAC D", "not_an_element: species 'D'"),
        ("LATT -1", "LATT 1", "contradicts_source: TITL has 2 atoms; what was read is 3 atoms"),
        ("LATT -1", "LATT 9", "symmetry_unclear: LATT 9 is not known to SHELX"),
        ("LATT -1\n", "", 2),  # the title has as many atoms as there are lines
        ("LATT -1", "LATT -1\nSYMM X+0.25,Y,Z", "symmetry_unclear: the operations of LATT and SYMM form no group"),
        ("LATT -1", "LATT -1\nSYMM -X,Y,Z", "symmetry_unclear: the operations of LATT and SYMM do not fit the cell"),
        ("LATT -1", "LATT -1\nSYMM who knows", "unreadable: SYMM"),
        ("LATT -1", "LATT -1\nFVAR 0.5", "unreadable: .res: the line 'FVAR 0.5' is none that AIRSS or CASTEP writes"),
        ("END\n", "", "unreadable: .res: no END (truncated?)"),
        ("CELL", "REM", "unreadable: .res: no CELL"),
        ("60.00000\nLATT", "nan\nLATT", "degenerate_lattice"),
        ("0.2500000000000 1.0", "1e999 1.0", "unreadable: .res: a coordinate is not finite"),
        ("CELL 1.54180    2.52225", "CELL 1.54180    1e999", "degenerate_lattice"),
        ("60.00000\nLATT", "x\nLATT", "unreadable: .res: could not convert"),
    ],
)
def test_what_is_not_as_it_should_be(tmp_path, old, new, expected):
    assert old in DIAMOND
    try:
        found = len(crystal_of_res(DIAMOND.replace(old, new), "x").atomic_numbers)
    except CrystalRejected as rejection:
        found = str(rejection)
    assert found == expected or str(found).startswith(str(expected))
