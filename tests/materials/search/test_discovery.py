"""New compositions by substitution, on libraries small enough to list by hand what may come of them."""

import collections

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from unimat.crystal_table import from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure, reduced_formula, to_structure
from unimat.materials.search import templates as library
from unimat.materials.search.discovery import HALVES, Discovery, doubled
from unimat.materials.search.exchange import Exchange
from unimat.materials.search.settings import SubstitutionSettings
from unimat.materials.search.templates import Templates
from unimat.periodic_table import ATOMIC_NUMBER as Z
from unimat.settings import load_settings

ROCK_SALT, SPINEL = 225, 227


def rock_salt(cation, anion, a):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


STRONTIUM_TITANATE = Structure.from_spacegroup(
    "Pm-3m", Lattice.cubic(3.905), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
)
# Fe on 8a, in tetrahedra, and on 16d, in octahedra.
MAGNETITE = Structure.from_spacegroup(
    "Fd-3m", Lattice.cubic(8.394), ["Fe", "Fe", "O"], [[0] * 3, [5 / 8] * 3, [0.3799] * 3]
)
FLUORITE = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.46), ["Ca", "F"], [[0, 0, 0], [1 / 4] * 3])


def templates(**structures):
    return Templates(library.index(table(**structures))[0], "the library")


def table(**structures):
    return from_crystals([from_structure(structure, name) for name, structure in structures.items()])


def discover(known, exchange=None, others=(), **settings):
    return Discovery(known, SubstitutionSettings(**settings), others, exchange).crystals()


def formulas(found):
    return [reduced_formula(crystal.atomic_numbers) for crystal in found]


@pytest.fixture(scope="module")
def salt():
    return templates(NaCl=rock_salt("Na", "Cl", 5.64))


@pytest.fixture(scope="module")
def few():
    return templates(NaCl=rock_salt("Na", "Cl", 5.64), CaF2=FLUORITE, SrTiO3=STRONTIUM_TITANATE)


def test_only_allowed_and_new_compositions_come_each_once(salt):
    """Of two alkalis and two halogens, all six pairs less the known one: SMACT lets alloys and BrCl pass."""
    allowed = ("Na", "K", "Cl", "Br")
    found, rejected = discover(salt, n=7, elements=allowed, max_distance=None, partial=0.0)
    assert sorted(formulas(found)) == ["BrCl", "KBr", "KCl", "KNa", "NaBr"]
    assert {each.reason for each in rejected} == {"no_new_composition"}
    assert len(rejected) == 2
    assert found.material_ids[:2] == ["discovery-000000", "discovery-000001"]
    assert set(found.column("template")) == {"NaCl"}
    assert {library.symmetry_of(crystal).space_group for crystal in found} == {ROCK_SALT}


def test_compositions_of_given_tables_are_not_new(salt):
    others = [table(KCl=rock_salt("K", "Cl", 6.3)), table(KBr=rock_salt("K", "Br", 6.6))]
    allowed = ("Na", "K", "Cl", "Br")
    found, _ = discover(salt, others=others, n=4, elements=allowed, max_distance=None, partial=0.0)
    assert sorted(formulas(found)) == ["BrCl", "KNa", "NaBr"]


def test_a_chemical_system_is_filled_whole(few):
    found, rejected = discover(few, n=2, chemical_system="Ba-Zr-O", max_distance=None)
    assert (formulas(found), len(rejected)) == (["BaZrO3"], 1)
    assert found[0].properties["moves"] in ("Ti->Zr Sr->Ba", "Ti->Ba Sr->Zr")


def test_moves_and_distance_are_those_of_the_exchange(salt):
    vectors = np.zeros((119, 1))
    vectors[[Z["Na"], Z["K"], Z["Cl"], Z["Br"]], 0] = 0, 0.3, 5, 5.2
    exchange = Exchange(vectors, np.ones(119), share=2.0, units=0.0, known=0.0)
    found, _ = discover(salt, exchange, n=5, elements=("Na", "K", "Cl", "Br"), max_distance=None, partial=0.0)
    distances = {crystal.properties["formula"]: crystal.properties for crystal in found}
    assert distances["KCl"]["distance"] == pytest.approx(0.3 * 2)  # 1 + 2 * 1/2
    assert distances["KBr"]["distance"] == pytest.approx(0.3 * 2 + 0.2 * 2)
    assert distances["KBr"]["moves"] == "Na->K Cl->Br"
    near, _ = discover(salt, exchange, n=3, elements=("Na", "K", "Cl", "Br"), max_distance=0.7, partial=0.0)
    assert sorted(formulas(near)) == ["KCl", "NaBr"]


def test_elements_come_with_the_probability_of_their_distance(salt):
    """K at a distance of 1 from Na, Rb at 2: of those that are exchanged, K takes e/(1 + e) = 0.731."""
    vectors = np.full((119, 1), 50.0)
    vectors[[Z["Na"], Z["K"], Z["Rb"]], 0] = 0, 1, -2
    exchange = Exchange(vectors, np.ones(119), share=0.0, units=0.0, known=0.0)
    settings = {"n": 1, "elements": ("Na", "K", "Rb", "Cl"), "max_distance": None, "partial": 0.0}
    taken = collections.Counter(formulas(discover(salt, exchange, seed=seed, **settings)[0])[0] for seed in range(400))
    assert sum(taken.values()) == 400
    assert taken["KCl"] / 400 == pytest.approx(0.731, abs=0.07)  # three standard deviations
    assert taken["RbCl"] == 400 - taken["KCl"]


def test_templates_count_by_how_likely_the_allowed_elements_are_in_them():
    """The allowed are K and Cl. Cl for Cl is certain; K for Na, at 1, has e^-1 / (1 + e^-1 + e^-3) of the sum over Na,
    K and Li, K for Li, at 2, e^-2 / (1 + e^-2 + e^-3)."""
    known = templates(NaCl=rock_salt("Na", "Cl", 5.64), LiCl=rock_salt("Li", "Cl", 5.1))
    vectors = np.full((119, 1), 90.0)
    vectors[[Z["Na"], Z["K"], Z["Li"]], 0] = 0, 1, 3
    settings = SubstitutionSettings(elements=("K", "Cl"))
    discovery = Discovery(known, settings, exchange=Exchange(vectors, np.ones(119), share=0.0, units=0.0, known=0.0))
    e = np.exp
    expected = {"NaCl": e(-1) / (1 + e(-1) + e(-3)), "LiCl": e(-2) / (1 + e(-2) + e(-3))}
    weights = np.diff(discovery.cumulative, prepend=0)
    found = {known.material_ids[row]: weight for row, weight in zip(discovery.whole, weights, strict=True)}
    assert found == pytest.approx(expected)


def test_charges_are_asked_for_unless_switched_off(salt):
    settings = {"n": 1, "elements": ("La", "Cl"), "max_distance": None, "partial": 0.0}
    assert len(discover(salt, **settings)[0]) == 0
    assert formulas(discover(salt, valid_only=False, **settings)[0]) == ["LaCl"]


def test_a_part_is_one_orbit():
    """Of magnetite's iron, zinc takes the tetrahedra or the octahedra; both are spinels."""
    known = templates(Fe3O4=MAGNETITE)
    settings = {"elements": ("Fe", "O", "Zn"), "partial": 1.0, "max_atoms": 14, "max_distance": None}
    found, _ = discover(known, n=3, valid_only=False, **settings)
    by_formula = {crystal.properties["formula"]: crystal for crystal in found}
    assert {"Zn(FeO2)2", "Zn2FeO4"} <= by_formula.keys()
    assert by_formula["Zn(FeO2)2"].properties["moves"] == "Fe->Zn (2 of 6)"
    assert by_formula["Zn2FeO4"].properties["moves"] == "Fe->Zn (4 of 6)"
    structure = to_structure(by_formula["Zn(FeO2)2"])
    assert SpacegroupAnalyzer(structure, 0.01).get_space_group_number() == SPINEL
    zinc = next(site for site in structure if site.specie.symbol == "Zn")
    assert len(structure.get_neighbors(zinc, 2.3)) == 4


def test_every_other_cell_gives_the_orders_of_double_perovskites():
    """Rock salt, columns and layers of B: Fm-3m for one of the seven sublattices, P4/mmm for three and three."""
    primitive = from_structure(STRONTIUM_TITANATE, "a")
    groups = []
    for basis, other in HALVES:
        assert round(abs(np.linalg.det(basis))) == 2
        cell = doubled(primitive, basis, other)
        assert StructureMatcher(primitive_cell=True).fit(to_structure(cell), STRONTIUM_TITANATE)
        species = cell.atomic_numbers.copy()
        species[1] = Z["Zr"]
        ordered = Structure(Lattice(cell.lattice), species, cell.frac_coords)
        groups.append(SpacegroupAnalyzer(ordered, 0.01).get_space_group_number())
    assert sorted(groups) == [123] * 6 + [225]


def test_a_part_of_a_perovskite_makes_a_double_perovskite():
    known = templates(SrTiO3=STRONTIUM_TITANATE)
    settings = {"elements": ("Sr", "Ti", "O", "Zr"), "partial": 1.0, "max_distance": None}
    found, _ = discover(known, n=1, max_atoms=10, **settings)
    assert formulas(found) == ["Sr2ZrTiO6"] == found.column("formula").tolist()
    assert found[0].properties["moves"] == "Ti->Zr (1 of 2)"
    with pytest.raises(UserError, match="no template of at most 4 atoms"):
        discover(known, n=1, max_atoms=4, **settings)


def test_a_seed_gives_the_same_crystals_and_fewer_are_the_beginning_of_more(few):
    settings = {"max_distance": None, "partial": 0.5, "valid_only": False}
    first, again = discover(few, n=8, **settings)[0], discover(few, n=8, **settings)[0]
    assert first.arrow.equals(again.arrow, check_metadata=True)
    assert discover(few, n=3, **settings)[0].arrow.equals(first.arrow.slice(0, 3))
    other = discover(few, n=8, seed=1, **settings)[0]
    assert formulas(other) != formulas(first)


def test_no_two_atoms_lie_closer_than_radii_allow(few):
    """Volumes follow the elements: lengths of bonds stay within a tenth of the radii's sum of the template's."""
    found, _ = discover(few, n=20, max_distance=None, partial=0.0)
    for crystal in found:
        structure = to_structure(crystal)
        assert min(structure.distance_matrix[~np.eye(len(structure), dtype=bool)]) > 1.2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 0}, "substitution: n is a number of crystals from 1, found 0"),
        ({"partial": 1.5}, "substitution: partial is a share from 0 to 1, found 1.5"),
        ({"elements": ["Na", "Xx"]}, "substitution: elements: 'Xx' is no element"),
        ({"chemical_system": "Li-O", "elements": ["Li"]}, "substitution: chemical_system has O, which is not among"),
        ({"max_distance": 0.0}, "substitution: max_distance must be positive, found 0.0"),
        ({"n": 3, "compositions": ["NaCl"]}, "substitution: n asks for new compositions and `compositions` for given"),
    ],
)
def test_settings_that_make_no_sense_are_told_in_one_line(settings, message):
    with pytest.raises(UserError, match="^" + message):
        load_settings(SubstitutionSettings, settings, "substitution")


def test_no_template_for_a_system_is_an_error(few):
    with pytest.raises(UserError, match="the library: no template of at most 20 atoms for Li-Fe-P-O; allow"):
        discover(few, chemical_system="Li-Fe-P-O")
