"""CIF and POSCAR texts, against pymatgen and by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifParser, CifWriter
from pymatgen.io.vasp.inputs import Poscar

from unimat.crystal_table import Crystal
from unimat.errors import REJECTION_REASONS, CrystalRejected
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.accept import Checks, accepted
from unimat.materials.datasets.readers.cif import crystal_of_cif
from unimat.materials.datasets.readers.poscar import crystal_of_poscar
from unimat.materials.datasets.readers.records import Record

SYMMETRIC = {
    "rock salt": ("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]], 8),
    "quartz": (
        "P3_221",
        Lattice.hexagonal(4.913, 5.405),
        ["Si", "O"],
        [[0.4697, 0, 2 / 3], [0.4133, 0.2672, 0.7858]],
        9,
    ),
    "spinel": ("Fd-3m", Lattice.cubic(8.083), ["Mg", "Al", "O"], [[1 / 8] * 3, [0.5] * 3, [0.2624] * 3], 56),
    "wurtzite": ("P6_3mc", Lattice.hexagonal(3.25, 5.207), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.3819]], 4),
    "corundum": ("R-3c", Lattice.hexagonal(4.759, 12.991), ["Al", "O"], [[0, 0, 0.3522], [0.3063, 0, 0.25]], 30),
}
ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
DAMAGED = {
    "P1": str(CifWriter(ROCK_SALT)),
    "symmetry": str(CifWriter(ROCK_SALT, symprec=1e-3)),
    "POSCAR": str(Poscar(ROCK_SALT)),
}
PIECES = st.sampled_from(
    ["?", ".", "'", '"', ";", "#", "nan", "inf", "-", "1e9", "0", "9", "Xx", "loop_", "data_", "_a "]
)
EXACT = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-5, stol=1e-4, angle_tol=1e-3)

P1 = """data_test
_cell_length_a   4.0
_cell_length_b   5.0(2)
_cell_length_c   6.0
_cell_angle_alpha   90
_cell_angle_beta   90
_cell_angle_gamma   90
{extra}
loop_
 _atom_site_type_symbol
 _atom_site_label
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
{rows}
"""


def cif(*rows, extra=""):
    return P1.format(rows="\n".join(rows), extra=extra)


def by_pymatgen(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CifParser.from_str(text).parse_structures(primitive=False)[0]


def rejection(text, parse=crystal_of_cif):
    with pytest.raises(CrystalRejected) as error:
        parse(text, "x")
    assert error.value.reason in REJECTION_REASONS
    return error.value.reason, error.value.detail


@pytest.fixture(params=SYMMETRIC)
def symmetric(request):
    group, lattice, species, coords, n_atoms = SYMMETRIC[request.param]
    structure = Structure.from_spacegroup(group, lattice, species, coords)
    assert len(structure) == n_atoms
    return structure


@pytest.mark.parametrize("symprec", [None, 1e-3], ids=["P1", "symmetry"])
def test_cif_agrees_with_pymatgen(symmetric, symprec):
    text = str(CifWriter(symmetric, symprec=symprec))
    ours = to_structure(crystal_of_cif(text, "x"))
    theirs = by_pymatgen(text)
    assert len(ours) == len(theirs) == len(symmetric)
    np.testing.assert_allclose(ours.lattice.matrix, theirs.lattice.matrix, atol=1e-9)
    assert EXACT.fit(ours, theirs)


@pytest.mark.parametrize("named_by", ["_symmetry_space_group_name_H-M 'F m -3 m'", "_symmetry_Int_Tables_number 225"])
def test_symmetry_is_found_by_the_groups_name_or_number(named_by):
    rows = ("Na Na 0 0 0 1", "Cl Cl 0.5 0.5 0.5 1")
    text = cif(*rows, extra=named_by).replace("5.0(2)", "4.0").replace("6.0", "4.0")
    assert sorted(crystal_of_cif(text, "x").atomic_numbers.tolist()) == [11] * 4 + [17] * 4


def test_coordinates_stay_as_the_file_has_them():
    crystal = crystal_of_cif(cif("Na1+ Na1 -0.12345678 1.5 0.3333(1) 1"), "x")
    assert crystal.frac_coords.tolist() == [[-0.12345678, 1.5, 0.3333]]
    assert crystal.atomic_numbers.tolist() == [11]
    np.testing.assert_allclose(crystal.lattice, np.diag([4.0, 5.0, 6.0]), atol=1e-12)


def test_three_digits_on_a_special_position_are_one_atom():
    threefold = "loop_\n _symmetry_equiv_pos_as_xyz\n 'x,y,z'\n '-y,x-y,z'\n '-x+y,-x,z'"
    text = cif("Zn Zn 0.333 0.667 0 1", extra=threefold).replace("5.0(2)", "4.0").replace("gamma   90", "gamma   120")
    assert len(crystal_of_cif(text, "x").atomic_numbers) == 1


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (("Na Na1 0 0 0 0.5", "K K1 0 0 0 0.5"), "partial_occupancy"),
        (("Na Na1 0 0 0 0.97",), "partial_occupancy"),
        (("D D1 0 0 0 1",), "not_an_element"),
        (("T T1 0 0 0 1",), "not_an_element"),
        (("X X1 0 0 0 1",), "not_an_element"),
        (("Vac Vac 0 0 0 1",), "not_an_element"),
        (("Na Na1 0 0 what 1",), "unreadable"),
    ],
)
def test_what_is_no_crystal_of_elements_is_rejected(rows, reason):
    assert rejection(cif(*rows))[0] == reason


@pytest.mark.parametrize("text", ["data_x\n_cell_length_a 4", "data_x\nloop_\n_atom_site_fract_x", "loop_ loop_", "{}"])
def test_broken_cif_is_rejected_with_a_detail(text):
    reason, detail = rejection(text)
    assert reason == "unreadable"
    assert detail
    assert "\n" not in detail


def test_impossible_cells_are_rejected():
    text = cif("Na Na 0 0 0 1")
    assert (
        rejection(text.replace("alpha   90", "alpha   10").replace("beta   90", "beta   100"))[0]
        == "degenerate_lattice"
    )
    assert rejection(text.replace("4.0", "-4.0", 1))[0] == "degenerate_lattice"


def test_unstated_occupancy_is_full_and_labels_name_elements():
    text = cif("Na Na1 0 0 0 ?").replace(" _atom_site_type_symbol\n", "").replace("Na Na1", "Na1")
    assert crystal_of_cif(text, "x").atomic_numbers.tolist() == [11]


def test_cif_that_gemmi_refuses_is_read_by_pymatgen():
    text = str(CifWriter(Structure(Lattice.cubic(3), ["Po"], [[0, 0, 0]])))
    broken = text + "_oops_without_value\n"
    assert crystal_of_cif(broken, "x").atomic_numbers.tolist() == [84]


def test_poscar_agrees_with_pymatgen(symmetric):
    crystal = crystal_of_poscar(Poscar(symmetric).get_str(significant_figures=16), "x")
    np.testing.assert_allclose(crystal.lattice, symmetric.lattice.matrix, atol=1e-12)
    np.testing.assert_allclose(crystal.frac_coords, symmetric.frac_coords, atol=1e-12)
    assert crystal.atomic_numbers.tolist() == [site.specie.Z for site in symmetric]


def test_poscar_scale_and_cartesian_coordinates_by_hand():
    text = "x\n2.0\n1 0 0\n0 2 0\n0 0 3\nSi C\n1 1\nSelective dynamics\nCartesian\n0 0 0 T T F\n0.5 1 1.5 T T T\n"
    crystal = crystal_of_poscar(text, "x")
    np.testing.assert_allclose(crystal.lattice, np.diag([2, 4, 6]))
    np.testing.assert_allclose(crystal.frac_coords, [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.mark.parametrize("text", ["", "x\n1.0\n", "x\n1\n3 0 0\n0 3 0\n0 0 3\n1 1\ndirect\n0 0 0\n.5 .5 .5\n"])
def test_poscar_that_names_no_elements_is_rejected(text):
    assert rejection(text, crystal_of_poscar)[0] == "unreadable"


MUTATIONS = st.lists(
    st.tuples(st.sampled_from(["delete", "double", "cut", "put"]), st.integers(0, 99), st.integers(0, 60), PIECES),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(form=st.sampled_from(["P1", "symmetry", "POSCAR"]), mutations=MUTATIONS)
def test_damaged_text_is_read_or_rejected_but_never_fatal(form, mutations):
    lines = DAMAGED[form].split("\n")
    for kind, at, column, piece in mutations:
        index = at % len(lines)
        if kind == "put":
            lines[index] = lines[index][:column] + piece + lines[index][column + len(piece) :]
        else:
            lines[index:] = {"delete": [], "double": 2 * lines[index : index + 1], "cut": []}[kind] + (
                [] if kind == "cut" else lines[index + 1 :]
            )
        lines = lines or [""]
    record = Record("x", "here", "\n".join(lines))
    (found,) = accepted([record], Checks(0.5, reduction="niggli"))
    assert isinstance(found, Crystal) or found.reason in REJECTION_REASONS


@pytest.mark.published
def test_published_cifs_read_as_pymatgen_reads_them(published_data):
    frame = pd.read_feather(published_data / "mp_20" / "val.feather")
    for text in frame["cif"].iloc[::600]:
        ours, theirs = crystal_of_cif(text, "x"), by_pymatgen(text)
        np.testing.assert_allclose(ours.lattice, theirs.lattice.matrix, atol=1e-9)
        # pymatgen snaps 0.333333 to 1/3; ours stays.
        np.testing.assert_allclose(ours.frac_coords % 1, theirs.frac_coords % 1, atol=1e-4)
        assert ours.atomic_numbers.tolist() == [site.specie.Z for site in theirs]
