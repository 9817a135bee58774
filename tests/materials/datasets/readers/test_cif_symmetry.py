"""The symmetry that CIF files state in other ways than one plain list of operations, with cells counted by hand."""

import warnings

import gemmi
import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifParser, CifWriter

from tests.materials.datasets.readers.cif_helpers import cif, operations, read, why
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.readers.cif import crystal_of_cif
from unimat.materials.datasets.readers.cif.groups import settings_of_symbol
from unimat.materials.datasets.readers.cif.operations import operations_of, operations_of_group

SALT = ("5.64 5.64 5.64 90 90 90", "Na1 Na 0 0 0\nCl1 Cl .5 .5 .5")
DIAMOND = ("5.431 5.431 5.431 90 90 90", "Si1 Si .125 .125 .125")
ANATASE = ("3.785 3.785 9.514 90 90 90", "Ti1 Ti 0 0 0\nO1 O 0 0 .2081")
CALCITE_R = ("6.36 6.36 6.36 46.1 46.1 46.1", "Ca1 Ca 0 0 0\nC1 C .25 .25 .25\nO1 O .507 -.007 .25")
CALCITE_H = ("4.99 4.99 17.06 90 90 120", "Ca1 Ca 0 0 0\nC1 C 0 0 .25\nO1 O .257 0 .25")
RUTILE = ("4.594 4.594 2.959 90 90 90", "Ti1 Ti 0 0 0\nO1 O .305 .305 0")
BETA = ("5.1 5.2 5.3 90 99 90", "Zr1 Zr .275 .04 .208\nO1 O .07 .332 .345\nO2 O .45 .758 .479")
GAMMA = ("5.3 5.1 5.2 90 90 99", "Zr1 Zr .208 .275 .04\nO1 O .345 .07 .332\nO2 O .479 .45 .758")
IDENTITY = operations("x, y, z")
HM, NUMBER = "_symmetry_space_group_name_H-M", "_symmetry_Int_Tables_number"
HALL, ALT = "_space_group_name_Hall", "_space_group_name_H-M_alt"


@pytest.mark.parametrize(
    ("crystal", "said", "found"),
    [
        # A group by its name, its number, its Hall symbol.
        (SALT, [f"{HM} 'F m -3 m'"], "Cl4 Na4"),
        (SALT, [f"{HM} Fm3m"], "Cl4 Na4"),
        (SALT, [f"{HM} 'F 4/m -3 2/m'"], "Cl4 Na4"),
        (SALT, [f"{NUMBER} 225"], "Cl4 Na4"),
        (SALT, [f"{HALL} '-F 4 2 3'"], "Cl4 Na4"),
        (SALT, ["_space_group.name_H-M_alt 'F m -3 m'"], "Cl4 Na4"),
        (SALT, ["_SYMMETRY_SPACE_GROUP_NAME_H-M 'F m -3 m'"], "Cl4 Na4"),
        (SALT, [], "Cl1 Na1"),
        (SALT, [f"{HM} 'P 1'", f"{NUMBER} 1", IDENTITY], "Cl1 Na1"),
        # Named beside the identity alone: the number of formulas tells.
        (SALT, [IDENTITY, f"{HM} 'F m -3 m'", "_chemical_formula_sum 'Na Cl'", "_cell_formula_units_Z 4"], "Cl4 Na4"),
        (SALT, [IDENTITY, f"{NUMBER} 225", "_chemical_formula_sum 'Na4 Cl4'"], "Cl4 Na4"),
        (SALT, [IDENTITY, f"{NUMBER} 225", "_exptl_crystal_density_diffrn 2.163"], "Cl4 Na4"),
        (SALT, [IDENTITY, f"{HM} 'P m -3 m'"], "Cl1 Na1"),
        (SALT, [IDENTITY, f"{HM} 'F m -3 m'"], "symmetry_unclear"),
        (SALT, [IDENTITY, f"{HM} 'F m -3 m'", "_chemical_formula_sum 'Na Cl'"], "symmetry_unclear"),
        (SALT, [IDENTITY, f"{HM} 'F m -3 m'", "_chemical_formula_sum 'Na Cl'", "_cell_formula_units_Z 1"], "Cl1 Na1"),
        (
            SALT,
            [IDENTITY, f"{HM} 'F m -3 m'", "_chemical_formula_sum 'Na Cl'", "_cell_formula_units_Z 3"],
            "symmetry_unclear",
        ),
        (SALT, [IDENTITY, f"{HM} 'F m -3 x'"], "symmetry_unclear"),
        # Suffixes, of the tables and of the ICSD.
        (CALCITE_R, [f"{HM} 'R -3 c:R'"], "C2 Ca2 O6"),
        (CALCITE_R, [f"{HM} 'R -3 c RS'"], "C2 Ca2 O6"),
        (CALCITE_R, [f"{HM} 'R -3 c'"], "C2 Ca2 O6"),
        (CALCITE_R, [f"{NUMBER} 167"], "C2 Ca2 O6"),
        (CALCITE_R, [f"{HM} 'R -3 c H'"], "symmetry_unclear"),
        (CALCITE_R, [f"{HM} 'R -3 c Q'"], "symmetry_unclear"),
        (CALCITE_H, [f"{HM} 'R -3 c'"], "C6 Ca6 O18"),
        (CALCITE_H, [f"{HM} 'R -3 c :H'"], "C6 Ca6 O18"),
        (CALCITE_H, [f"{HM} 'R -3 c :R'"], "symmetry_unclear"),
        (ANATASE, [f"{HM} 'I 41/a m d S'"], "O8 Ti4"),
        (ANATASE, [f"{HM} 'I 41/a m d :1'"], "O8 Ti4"),
        (ANATASE, [f"{HM} 'I 41/a m d'", "_space_group_IT_coordinate_system_code 1"], "O8 Ti4"),
        (ANATASE, [f"{HM} 'I 41/a m d'", "_chemical_formula_sum 'Ti4 O8'"], "O8 Ti4"),
        (ANATASE, [f"{HM} 'I 41/a m d'", "_chemical_formula_sum 'Ti O2'", "_cell_formula_units_Z 4"], "O8 Ti4"),
        (ANATASE, [f"{HM} 'I 41/a m d'", "_chemical_formula_sum 'Ti O2'"], "symmetry_unclear"),
        (ANATASE, [f"{HM} 'I 41/a m d'"], "symmetry_unclear"),
        (ANATASE, [f"{HM} 'I 41/a m d :3'"], "symmetry_unclear"),
        (ANATASE, [f"{HM} 'I 41/a m d X'"], "symmetry_unclear"),
        (DIAMOND, [f"{HM} 'F d -3 m Z'"], "Si8"),
        (DIAMOND, [f"{HM} 'F d -3 m :2'"], "Si8"),
        (DIAMOND, [f"{HM} 'F d -3 m S'"], "Si16"),
        (DIAMOND, [f"{HM} 'F d -3 m'", "_chemical_formula_sum Si8"], "Si8"),
        (DIAMOND, [f"{HM} 'F d -3 m'", f"{HALL} '-F 4vw 2vw 3'"], "Si8"),
        # Axes that the symbol alone does not tell, but the cell.
        (BETA, [f"{HM} 'P 21/c'"], "O8 Zr4"),
        (GAMMA, [f"{HM} 'P 1 1 21/a'"], "O8 Zr4"),
        (GAMMA, [f"{HM} 'P 21/a'"], "O8 Zr4"),
        (GAMMA, [f"{HM} 'P 21/c'"], "symmetry_unclear"),
        (GAMMA, [f"{NUMBER} 14"], "symmetry_unclear"),
        (GAMMA, [f"{HM} 'P 21'"], "O4 Zr2"),
        (GAMMA, [f"{HM} 'P 1 21 1'"], "symmetry_unclear"),
        # Names that are not understood, or contradict each other.
        (RUTILE, [f"{HM} 'Q 99 x'"], "symmetry_unclear"),
        (RUTILE, [f"{HM} 'Q 99 x'", f"{NUMBER} 136"], "symmetry_unclear"),
        (
            RUTILE,
            [f"{HM} 'Q 99 x'", f"{NUMBER} 136", "_chemical_formula_sum 'Ti O2'", "_cell_formula_units_Z 2"],
            "O4 Ti2",
        ),
        (RUTILE, [f"{HM} 'P 42/m n m'", f"{NUMBER} 1"], "symmetry_unclear"),
        (
            RUTILE,
            [f"{HM} 'P 42/m n m'", f"{NUMBER} 1", "_chemical_formula_sum 'Ti O2'", "_cell_formula_units_Z 2"],
            "O4 Ti2",
        ),
        (RUTILE, [f"{HALL} 'nonsense'"], "symmetry_unclear"),
        (RUTILE, [f"{HALL} 'nonsense'", f"{HM} 'P 42/m n m'"], "O4 Ti2"),
        (RUTILE, ["_space_group_name_Schoenflies 'D4h^14'"], "symmetry_unclear"),
        (RUTILE, ["_parent_space_group.IT_number 136"], "symmetry_unclear"),
        (RUTILE, ["_space_group_magn.number_BNS 136.499"], "symmetry_unclear"),
        (RUTILE, ["_magnetic_space_group_standard_name_BNS 'P4_2/mnm'"], "symmetry_unclear"),
        (RUTILE, ["_space_group_name_HM 'P 42/m n m'"], "O4 Ti2"),
        (RUTILE, [f"{HM} 'P 42/m n m (136)'"], "O4 Ti2"),
        (RUTILE, [f"{HM} 'P 42/m n m (137)'"], "symmetry_unclear"),
        (RUTILE, [operations("x,y,z", "-x,-y,z", tag="_magnetic_symop_xyz")], "symmetry_unclear"),
        (RUTILE, ["_symmetry_equiv_pos_as_xyz ?", f"{HM} 'P 42/m n m'"], "O4 Ti2"),
        (RUTILE, ["_space_group_symop_magn_operation.xyz ?", f"{HM} 'P 42/m n m'"], "O4 Ti2"),
        (
            RUTILE,
            [operations("x,y,z", "-x,-y,z"), operations("x,y,z", tag="_space_group_symop_operation_xyz")],
            "symmetry_unclear",
        ),
        (RUTILE, [operations("x,y,z,+1", "x,y,z+1/2,-1", tag="_space_group_symop_magn_centering.xyz")], "O2 Ti2"),
        # No symmetry at all, and a formula that says there is some.
        (RUTILE, ["_chemical_formula_sum 'Ti2 O4'"], "contradicts_source"),
        (RUTILE, ["_chemical_formula_sum 'Ti O'", "_cell_formula_units_Z 2"], "contradicts_source"),
    ],
)
def test_a_group_is_what_the_file_bears_out(crystal, said, found):
    assert read(cif(*crystal, *said)) == found


def test_a_rejection_names_what_is_said():
    assert "'Q 99 x'" in why(cif(*RUTILE, f"{HM} 'Q 99 x'"))
    both = why(cif(*RUTILE, f"{HM} 'P 42/m n m'", f"{NUMBER} 229"))
    assert "'P 42/m n m'" in both
    assert "'229'" in both
    origins = why(cif(*ANATASE, f"{HM} 'I 41/a m d'"))
    assert "I 41/a m d:1 or I 41/a m d:2" in origins
    formulas = why(cif(*RUTILE, "_chemical_formula_sum 'Ti2 O4'"))
    assert "O1 Ti1" in formulas
    assert "Ti2 O4" in formulas


def test_a_whole_cell_beside_a_groups_name_is_not_expanded():
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    for named in (f"{HM} 'F m -3 m'", f"{NUMBER} 225", f"{HM} 'F m -3 m'\n{NUMBER} 1"):
        text = str(CifWriter(structure)).replace("_symmetry_space_group_name_H-M   'P 1'", named)
        text = text.replace("_symmetry_Int_Tables_number   1", "")
        assert read(text) == "Cl4 Na4"
    without = text[: text.index("loop_")] + text[text.index("loop_\n _atom_site") :]
    assert read(without) == "Cl4 Na4"


def test_a_whole_cell_beside_its_groups_operations_is_not_multiplied():
    group = operations(*(each.triplet() for each in gemmi.find_spacegroup_by_name("F m -3 m").operations()))
    places = {"Na": ["0 0 0", ".5 .5 0", ".5 0 .5", "0 .5 .5"], "Cl": [".5 .5 .5", "0 0 .5", "0 .5 0", ".5 0 0"]}
    rows = [f"{symbol}{n} {symbol} {place}" for symbol in places for n, place in enumerate(places[symbol])]
    assert read(cif(SALT[0], "\n".join(rows), group, f"{HM} 'F m -3 m'")) == "Cl4 Na4"
    assert read(cif(SALT[0], "\n".join(rows), group)) == "Cl4 Na4"
    assert read(cif(SALT[0], "\n".join(rows[1:]), group)) == "overlapping_atoms"


MAGNETIC = ["x,y,z,+1", "-x,-y,z,+1", "-x+1/2,y+1/2,-z+1/2,+1", "x+1/2,-y+1/2,-z+1/2,+1", "y,x,-z,-1", "-y,-x,-z,-1"]
MAGNETIC += ["-y+1/2,x+1/2,z+1/2,-1", "y+1/2,-x+1/2,z+1/2,-1"]


@pytest.mark.parametrize(
    ("tag", "centring"),
    [
        ("_space_group_symop_magn_operation.xyz", "_space_group_symop_magn_centering.xyz"),
        ("_space_group_symop_magn_operation_xyz", "_space_group_symop_magn_centering_xyz"),
        ("_space_group_symop.magn_operation_xyz", "_space_group_symop.magn_centering_xyz"),
    ],
)
def test_magnetic_operations_move_atoms_whatever_they_do_to_time(tag, centring):
    named = ["_parent_space_group.IT_number 136", "_space_group_magn.number_BNS 136.499"]
    sites = "Mn1 Mn 0 0 0\nF1 F .3049 .3049 0"
    text = cif("4.87 4.87 3.3 90 90 90", sites, *named, operations(*MAGNETIC, tag=tag))
    assert read(text) == "F4 Mn2"
    doubled = operations("x,y,z,+1", "x,y,z+1/2,-1", tag=centring)
    half = "Mn1 Mn 0 0 0\nF1 F .3049 .3049 0"
    text = cif("4.87 4.87 6.6 90 90 90", half, operations("x,y,z,+1", tag=tag), doubled)
    crystal = crystal_of_cif(text, "x")
    assert crystal.atomic_numbers.tolist() == [25, 25, 9, 9]
    np.testing.assert_allclose(crystal.frac_coords[1], [0, 0, 0.5])
    part = operations(*MAGNETIC[:3], tag=tag)
    assert read(cif("4.87 4.87 3.3 90 90 90", sites, *named, part)) == "symmetry_unclear"
    fifths = operations(*(f"x,y,z+{n}/5,{'+-'[n % 2]}1" for n in range(5)), tag=centring)
    assert read(cif("4 4 15 90 90 90", "Mn1 Mn 0 0 0", operations("x,y,z,+1", tag=tag), fifths)) == "Mn5"


@pytest.mark.parametrize(
    "line",
    [
        "_cell_modulation_dimension 1",
        "_space_group_ssg_name 'Pnma(0b0)s00'",
        operations("x1,x2,x3,x4", tag="_space_group_symop_ssg_operation_algebraic"),
        operations("x1,x2,x3,x4,+1", tag="_space_group_symop_magn_ssg_operation.algebraic"),
        "loop_\n_cell_wave_vector_seq_id\n_cell_wave_vector_x\n1 0.1",
    ],
)
def test_modulated_structures_are_refused(line):
    assert "modulated" in why(cif(*SALT, line))
    assert read(cif(*SALT, "_cell_modulation_dimension 0")) == "Cl1 Na1"


GENERATORS = ["x,y,z", "-y,x,z", "z,x,y", "y,x,-z", "-x,-y,-z"]  # of P m -3 m


def test_lists_that_are_no_group_are_completed_or_refused():
    edge = ("5.64 5.64 5.64 90 90 90", "Na1 Na 0 0 0\nCl1 Cl .5 0 0")
    listed = operations(*GENERATORS)
    assert read(cif(*edge, listed, f"{HM} 'P m -3 m'")) == "Cl3 Na1"
    assert read(cif(*edge, listed)) == "symmetry_unclear"
    assert read(cif(*edge, listed, "_chemical_formula_sum 'Na Cl3'", "_cell_formula_units_Z 1")) == "Cl3 Na1"
    centred = [f"{HM} 'F m -3 m'", "_chemical_formula_sum 'Na Cl'", "_cell_formula_units_Z 4"]
    assert read(cif(*SALT, listed, *centred)) == "Cl4 Na4"
    assert read(cif(*SALT, listed, centred[0])) == "symmetry_unclear"


def test_whole_lists_of_another_group_than_the_named_one():
    primitive = operations(*(each.triplet() for each in gemmi.find_spacegroup_by_name("P m -3 m").operations()))
    counted = ["_chemical_formula_sum 'Na Cl'", "_cell_formula_units_Z 4"]
    assert read(cif(*SALT, primitive, f"{HM} 'F m -3 m'", *counted)) == "Cl4 Na4"
    assert read(cif(*SALT, primitive, f"{HM} 'F m -3 m'")) == "symmetry_unclear"
    assert read(cif(*SALT, primitive, f"{HM} 'Q 99 x'")) == "Cl1 Na1"
    assert read(cif(*SALT, primitive, f"{HM} 'P m 3 m'", f"{NUMBER} 225")) == "Cl1 Na1"
    # The same group in another setting than the symbol's is no contradiction: the operations say which.
    other = operations(*(each.triplet() for each in gemmi.find_spacegroup_by_name("P 1 21/n 1").operations()))
    assert read(cif(*BETA, other, f"{HM} 'P 21/c'", f"{NUMBER} 14")) == "O8 Zr4"


@pytest.mark.parametrize(
    ("cell", "group"),
    [
        ("6.36 6.36 6.36 46.1 46.1 46.1", "R -3 c:H"),
        ("4.99 4.99 17.06 90 90 120", "R -3 c:R"),
        ("5 5 6 90 90 120", "P 4/m m m"),
        ("5 5.2 5 90 90 90", "F m -3 m"),
        ("5 6 7 90 90 99", "P 1 21/c 1"),
        ("5 6 7 91 90 90", "P n m a"),
    ],
)
def test_operations_that_do_not_fit_the_cell_are_refused(cell, group):
    listed = [each.triplet() for each in gemmi.find_spacegroup_by_name(group).operations()]
    assert read(cif(cell, "Na1 Na .1 .2 .3", operations(*listed))) == "symmetry_unclear"


@pytest.mark.parametrize("triplet", ["x,y", "x,y,q", "x/2,y,z", "x,y,0", "x+0.137,y,z", "hello", "x,y,z,w,v"])
def test_operations_that_are_none_are_refused(triplet):
    assert read(cif(*SALT, operations("x,y,z", triplet))) == "unreadable"


def test_shifts_are_the_fractions_that_they_mean():
    written = operations_of(("x,y,z", "-x+499/999,y+500/999,-z+1/1000", "x+1/5,y,z+0.3333", "x+0.143,y+6/7,z"))
    assert written.translations.tolist() == [[0, 0, 0], [0.5, 0.5, 0], [0.2, 0, 1 / 3], [1 / 7, 6 / 7, 0]]


def test_every_setting_is_found_by_its_symbol_and_has_its_number():
    for setting in gemmi.spacegroup_table():
        for symbol in (setting.xhm(), setting.hm, setting.hm.replace(" ", "")):
            settings = [each for option in settings_of_symbol(symbol) for each in option]
            assert setting.xhm() in [each.xhm() for each in settings]
            assert {each.number for each in settings} == {setting.number}
        operations = operations_of_group(setting.operations())
        assert operations.group_number == setting.number
        assert operations.completed is operations


def test_a_group_is_completed_from_any_of_its_operations():
    group = operations_of_group(gemmi.find_spacegroup_by_name("I a -3 d").operations())
    made = operations_of(("x,y,z", "-y+1/4,x+3/4,z+1/4", "z,x,y", "-x,-y,-z", "x+1/2,y+1/2,z+1/2")).completed
    assert len(made) == len(group) == 96
    assert made.are(group)


@pytest.mark.parametrize("refined", [True, False])
@pytest.mark.parametrize("group", ["Pnma", "P2_1/c", "R-3m", "Fd-3m", "P6_3/mmc", "I4_1/amd", "Fmmm", "P3_121"])
def test_symmetric_cifs_of_pymatgen_in_whatever_setting(group, refined):
    lattices = {"P2_1/c": Lattice.monoclinic(5, 6, 7, 100), "R-3m": Lattice.hexagonal(5, 12)}
    lattices |= {"P6_3/mmc": Lattice.hexagonal(5, 8), "P3_121": Lattice.hexagonal(5, 8), "Fd-3m": Lattice.cubic(9)}
    lattice = lattices.get(group, Lattice.orthorhombic(5, 6, 7) if group[0] in "PF" else Lattice.tetragonal(5, 9))
    sites = [[0.03, 0.26, 0.12], [0.31, 0.42, 0.21]] if group[0] == "P" else [[0, 0, 0], [0, 0, 0.4]]
    structure = Structure.from_spacegroup(group, lattice, ["Na", "Cl"], sites)
    for each in (structure, structure.get_primitive_structure()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = str(CifWriter(each, symprec=1e-3, refine_struct=refined))
            theirs = CifParser.from_str(text).parse_structures(primitive=False)[0]
        ours = to_structure(crystal_of_cif(text, "x"))
        assert len(ours) == len(theirs)
        assert StructureMatcher(primitive_cell=False, scale=False).fit(ours, theirs)
