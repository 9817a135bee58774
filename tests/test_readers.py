"""Files and folders of every readable form, against pymatgen and ASE."""

import gzip
import json
import sys
import zipfile

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp.inputs import Poscar

from unimat import crystal_table
from unimat.crystal_table import from_crystals
from unimat.errors import CrystalRejected, UserError
from unimat.materials.readers import records_of
from unimat.materials.readers.records import Columns, Record
from unimat.materials.readers.texts import crystal_of
from unimat.materials.structures import from_structure, to_structure

EXACT = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-5, stol=1e-4, angle_tol=1e-3)
ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
SILICON = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]])
CIFS = {"nacl": str(CifWriter(ROCK_SALT)), "si": str(CifWriter(SILICON, symprec=0.01))}


def read(path, **columns):
    return {record.material_id: crystal_of(record) for record in records_of(path, Columns(**columns))}


def assert_both(crystals, names=("nacl", "si")):
    assert list(crystals) == list(names)
    for name, structure in zip(names, (ROCK_SALT, SILICON), strict=True):
        assert EXACT.fit(to_structure(crystals[name]), structure)


def test_missing_text_is_rejected_and_not_fatal():
    for content in (None, "", "  \n"):
        with pytest.raises(CrystalRejected, match="the structure is missing"):
            crystal_of(Record("x", "a:0", content))


def test_folder_is_read_recursively_by_relative_path(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "nacl.cif").write_text(CIFS["nacl"])
    (tmp_path / "POSCAR").write_text(str(Poscar(SILICON)))
    (tmp_path / "notes.txt").write_text("no crystal")
    assert_both(dict(reversed(read(tmp_path).items())), ("deep/nacl", "POSCAR"))


def test_folder_without_crystals_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no CIF or POSCAR file"):
        list(records_of(tmp_path))


def test_single_files_and_cifs_of_several_structures(tmp_path):
    (tmp_path / "both.cif").write_text(CIFS["nacl"] + CIFS["si"])
    assert_both(read(tmp_path / "both.cif"), ("both/NaCl", "both/Si"))
    (tmp_path / "CONTCAR").write_text(str(Poscar(SILICON)))
    assert list(read(tmp_path / "CONTCAR")) == ["CONTCAR"]


def test_zip_of_cifs(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("si", "nacl"):
            archive.writestr(f"run/{name}.cif", CIFS[name])
        archive.writestr("run/readme.md", "")
    assert_both(read(tmp_path / "set.zip"), ("run/nacl", "run/si"))


@pytest.mark.parametrize("packed", [False, True])
def test_json_of_poscars_by_split_with_literal_newlines(tmp_path, packed):
    texts = {"nacl": str(Poscar(ROCK_SALT)), "si": str(Poscar(SILICON))}
    literal = {key: text.replace("\n", "\\n") for key, text in texts.items()}
    data = json.dumps({"train": {"nacl": literal["nacl"]}, "val": {"si": literal["si"]}, "test": {}})
    path = tmp_path / ("d.json.zip" if packed else "d.json")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("d.json", data)
    else:
        path.write_text(data)
    assert_both(read(path))
    assert [record.split for record in records_of(path)] == ["train", "val"]


FRAME = pd.DataFrame(
    {
        "material_id": ["007", "si"],
        "cif": [CIFS["nacl"], CIFS["si"]],
        "band_gap": [0.1 + 0.2, np.nan],
        "group": [225, 227],
        "split": ["train", "test"],
    }
)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.feather", "t.parquet"])
def test_tables_with_a_text_column(tmp_path, name):
    path = tmp_path / name
    write = {".feather": FRAME.to_feather, ".parquet": FRAME.to_parquet}
    write.get(path.suffix, lambda p: FRAME.to_csv(p, index=False))(path)
    assert_both(read(path), ("007", "si"))
    records = list(records_of(path, Columns(properties=("band_gap", "group"))))
    assert [dict(record.properties) for record in records] == [
        {"band_gap": 0.30000000000000004, "group": 225},
        {"band_gap": None, "group": 227},
    ]
    assert [record.split for record in records] == ["train", "test"]


def test_columns_by_name_and_missing_columns_are_told(tmp_path):
    path = tmp_path / "t.csv"
    FRAME.rename(columns={"cif": "relaxed", "material_id": "key"}).to_csv(path, index=False)
    assert_both(read(path, structure="relaxed", material_id="key"), ("007", "si"))
    assert list(read(path, structure="relaxed")) == ["t-0", "t-1"]
    with pytest.raises(UserError, match=r"no structure column among key, relaxed.*structure_column"):
        list(records_of(path))
    with pytest.raises(UserError, match=r"no column 'what' \(id_column\)"):
        list(records_of(path, Columns("what", "relaxed")))
    with pytest.raises(UserError, match="no column 'energy'"):
        list(records_of(path, Columns(None, "relaxed", ("energy",))))


def test_missing_structures_are_rows_to_reject(tmp_path):
    FRAME.assign(cif=[CIFS["nacl"], None]).to_csv(tmp_path / "t.csv", index=False)
    records = list(records_of(tmp_path / "t.csv"))
    assert records[1].content is None
    assert records[1].origin == "t.csv:1"


def test_crystal_table_keeps_its_columns(tmp_path):
    made = from_crystals([from_structure(ROCK_SALT, "nacl", energy=1.5), from_structure(SILICON, "si")])
    crystal_table.write(made, tmp_path / "t.parquet")
    crystals = read(tmp_path / "t.parquet")
    assert_both(crystals)
    assert [crystal.properties["energy"] for crystal in crystals.values()] == [1.5, None]


def test_extxyz_agrees_with_ase(tmp_path):
    atoms = [bulk("NaCl", "rocksalt", a=5.64, cubic=True), bulk("Si", cubic=True, a=5.43)]
    atoms[0].positions += 7.0
    for name, each in zip(("nacl", "si"), atoms, strict=True):
        each.info["material_id"] = name
    ase.io.write(tmp_path / "s.extxyz", atoms)
    crystals = read(tmp_path / "s.extxyz")
    assert_both(crystals)
    positions = crystals["nacl"].frac_coords @ crystals["nacl"].lattice
    np.testing.assert_allclose(positions, atoms[0].positions, atol=1e-7)


def tensors(torch, n_evaluations=None):
    structures = (ROCK_SALT, SILICON)
    content = {
        "frac_coords": torch.tensor(np.concatenate([s.frac_coords for s in structures]), dtype=torch.float32),
        "atom_types": torch.tensor([site.specie.Z for s in structures for site in s]),
        "num_atoms": torch.tensor([len(s) for s in structures]),
        "lengths": torch.tensor([s.lattice.abc for s in structures]),
        "angles": torch.tensor([s.lattice.angles for s in structures]),
    }
    return {k: v if n_evaluations is None else torch.stack([v] * n_evaluations) for k, v in content.items()}


def test_tensors_of_cdvae_and_diffcsp(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(tensors(torch), tmp_path / "gen.pt")
    crystals = read(tmp_path / "gen.pt")
    assert list(crystals) == ["gen-0", "gen-1"]
    np.testing.assert_allclose(crystals["gen-0"].frac_coords, ROCK_SALT.frac_coords, atol=1e-7)
    np.testing.assert_allclose(crystals["gen-1"].lattice, SILICON.lattice.matrix, atol=1e-5)
    torch.save(tensors(torch, 2), tmp_path / "gen.pt")
    assert list(read(tmp_path / "gen.pt")) == ["gen-0-0", "gen-0-1", "gen-1-0", "gen-1-1"]


def test_tensors_that_are_not_plain_or_not_whole_are_told(tmp_path):
    torch = pytest.importorskip("torch")
    content = tensors(torch)
    torch.save({**content, "lengths": content["lengths"], "num_atoms": content["num_atoms"] + 1}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="num_atoms sum to 18, but there are 16 atoms"):
        list(records_of(tmp_path / "a.pt"))
    torch.save({"frac_coords": content["frac_coords"]}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="no tensor 'num_atoms'"):
        list(records_of(tmp_path / "a.pt"))
    torch.save(ROCK_SALT, tmp_path / "a.pt")
    with pytest.raises(UserError, match="not readable as plain tensors"):
        list(records_of(tmp_path / "a.pt"))


def test_tensors_without_torch_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pt").touch()
    with pytest.raises(UserError, match=r"needs torch; pip install 'unimat\[chgnet\]'"):
        list(records_of(tmp_path / "a.pt"))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.feather", "t.parquet", "t.zip", "t.json", "t.json.zip"])
def test_broken_files_are_told_in_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"material_id,cif\n" * 99)[:-9] if name.endswith("gz") else b"")
    with pytest.raises(UserError, match=name) as error:
        list(records_of(path))
    assert "\n" not in str(error.value)


def test_unknown_forms_and_missing_paths_are_told(tmp_path):
    (tmp_path / "a.docx").touch()
    with pytest.raises(UserError, match=r"a\.docx is of no form that can be read; readable: a folder"):
        records_of(tmp_path / "a.docx")
    with pytest.raises(UserError, match="does not exist"):
        records_of(tmp_path / "b.csv")


@pytest.mark.published
def test_both_published_forms_of_carbon_24_agree(published_data):
    folder = published_data / "carbon_24"
    packed = {r.material_id: r for r in records_of(folder / "carbon24_energy_per_atom.json.zip") if r.split == "test"}
    matcher = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-4, stol=1e-3, angle_tol=1e-2)
    for index, record in enumerate(records_of(folder / "test.csv")):
        if index % 200 == 0:
            assert matcher.fit(to_structure(crystal_of(record)), to_structure(crystal_of(packed[record.material_id])))
    assert len(packed) == 2030


@pytest.mark.published
def test_published_generated_crystals_are_read(published_data):
    pytest.importorskip("torch")
    records = records_of(published_data / "generated" / "diffcsp_mp_20" / "DiffCSP_mp_20.pt")
    n_atoms = [len(record.content.atomic_numbers) for record in records]
    assert (len(n_atoms), sum(n_atoms)) == (10_000, 104_337)
    cdvae = list(records_of(published_data / "generated" / "cdvae" / "CDVAE_cifs.zip"))
    assert len(cdvae) == 478
    assert crystal_of(cdvae[0]).material_id == cdvae[0].material_id
