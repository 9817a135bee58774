"""Templates and substitution, on crystals whose answer is known by hand."""

import dataclasses

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from unimat.crystal_table import from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure, reduced_formula, to_structure
from unimat.materials.search import calibration
from unimat.materials.search import templates as library
from unimat.materials.search.calibration import calibrated, fitted
from unimat.materials.search.exchange import Chance, Exchange, shipped
from unimat.materials.search.substitution import Candidate, Substitution
from unimat.materials.search.templates import Templates, permutations_of, reduced_counts
from unimat.periodic_table import ATOMIC_NUMBER as Z

ROCK_SALT, CAESIUM_CHLORIDE, FLUORITE, PEROVSKITE = 225, 221, 225, 221


def rock_salt(cation, anion, a):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


def caesium_chloride(cation, anion, a):
    return Structure.from_spacegroup("Pm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


def perovskite(a_site, b_site, a):
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
    return Structure.from_spacegroup("Pm-3m", Lattice.cubic(a), [a_site, b_site, "O"], sites)


def fluorite(cation, a):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [cation, "F"], [[0, 0, 0], [0.25, 0.25, 0.25]])


KNOWN = {
    "NaCl": rock_salt("Na", "Cl", 5.64),
    "KBr": rock_salt("K", "Br", 6.60),
    "MgO": rock_salt("Mg", "O", 4.21),
    "CsCl": caesium_chloride("Cs", "Cl", 4.12),
    "SrTiO3": perovskite("Sr", "Ti", 3.905),
    "KTaO3": perovskite("K", "Ta", 3.99),
    "CaF2": fluorite("Ca", 5.46),
}


@pytest.fixture(scope="module")
def known():
    table = from_crystals([from_structure(structure, name) for name, structure in KNOWN.items()])
    return Templates(library.index(table)[0])


def counts(**symbols):
    return {Z[symbol]: n for symbol, n in symbols.items()}


def test_templates_are_primitive_cells_with_their_symmetry(known):
    table = known.table
    assert table.n_atoms.tolist() == [2, 2, 2, 2, 5, 5, 3]
    groups = [ROCK_SALT] * 3 + [CAESIUM_CHLORIDE] + [PEROVSKITE] * 2 + [FLUORITE]
    assert table.column("space_group").tolist() == groups
    titanate = table[4].properties["sites"]  # by rising atomic number: O, Ti, Sr
    assert titanate == ["3:4/mm.m", "1:m-3m", "1:m-3m"]


def test_one_of_each_kind_stays():
    twice = [from_structure(KNOWN["NaCl"], "a"), from_structure(KNOWN["NaCl"].get_primitive_structure(), "b")]
    other = from_structure(caesium_chloride("Na", "Cl", 3.5), "c")
    table, rejected = library.index(from_crystals([*twice, other]))
    assert (table.material_ids, rejected) == (["a", "c"], [])


def test_a_crystal_that_is_none_is_rejected_with_a_reason():
    bad = from_structure(Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.001, 0, 0]]), "bad")
    table, rejected = library.index(from_crystals([bad, from_structure(KNOWN["NaCl"], "good")]))
    assert table.material_ids == ["good"]
    assert [(each.material_id, each.reason) for each in rejected] == [("bad", "overlapping_atoms")]


def test_an_empty_library_says_what_is_missing():
    with pytest.raises(UserError, match="holds no usable crystal"):
        Templates(library.index(from_crystals([]))[0], "empty.parquet")
    with pytest.raises(UserError, match="no column 'space_group'; `unimat templates` makes"):
        Templates(from_crystals([from_structure(KNOWN["NaCl"], "a")]), "raw.parquet")


def test_elements_go_where_the_nearest_ones_lie(known):
    """BaZrO3: Ba takes the place of Sr, Zr that of Ti; not the other way round, and O stays."""
    substitution = Substitution(known)
    first = substitution.candidates(counts(Ba=1, Zr=1, O=3), 5)[0]
    assert known.material_ids[first.row] == "SrTiO3"
    assert first.moves == {Z["Sr"]: Z["Ba"], Z["Ti"]: Z["Zr"], Z["O"]: Z["O"]}
    crystal = substitution.crystal(first, "x")
    assert reduced_formula(crystal.atomic_numbers) == "BaZrO3"
    assert np.allclose(crystal.frac_coords, known.table[first.row].frac_coords)
    # 4.19 Å by experiment
    assert to_structure(crystal).lattice.a == pytest.approx(4.19, rel=0.02)


def test_distance_is_the_sum_over_elements_by_their_shares(known):
    vectors = np.zeros((119, 1))
    vectors[[Z["K"], Z["Rb"], Z["Br"], Z["I"]], 0] = 0, 1, 0, 3
    found = Substitution(known, Exchange(vectors, np.ones(119), share=2.0, units=0.0, known=0.0))
    distances = {known.material_ids[each.row]: each.distance for each in found.candidates(counts(Rb=1, I=1), 9)}
    assert distances["KBr"] == pytest.approx(2.0 * 1 + 2.0 * 3)  # 1 + 2 * 1/2 for either


def test_kinds_come_in_turn_by_their_votes(known):
    """Of NaCl's and CsCl's kind one each, then the rest; shares of the two kinds sum to one."""
    found = Substitution(known).candidates(counts(Na=1, F=1), 9, without={"KBr"})
    groups = known.space_groups[[each.row for each in found]].tolist()
    assert groups[:2] == [ROCK_SALT, CAESIUM_CHLORIDE]
    assert found[0].share + found[1].share == pytest.approx(1)
    assert found[0].alike == 4  # NaCl and MgO, either way round


def test_other_formula_units_serve_where_there_is_none_of_those_asked_for(known):
    double = Substitution(known).candidates(counts(Na=2, Br=2), 1)[0]
    single = Substitution(known).candidates(counts(Na=1, Br=1), 1)[0]
    assert (double.units, double.distance) == (1, pytest.approx(single.distance))


def test_no_template_is_no_candidate(known):
    assert Substitution(known).candidates(counts(Na=1, Cl=7), 3) == []


def test_a_known_crystal_is_at_distance_zero_and_weighs_less_than_its_neighbours(known):
    """Who looks for SrTiO3 among known crystals has it already; another structure is what is to be found."""
    found = Substitution(known).candidates(counts(Sr=1, Ti=1, O=3), 4)
    ids = [known.material_ids[each.row] for each in found]
    assert ids[0] == "KTaO3"
    assert [each.distance for each in found].count(0) == 1
    assert shipped().known < -found[0].distance


def test_permutations_exchange_equal_counts_alone():
    assert permutations_of((1, 1, 3)).tolist() == [[0, 1, 2], [1, 0, 2]]
    key, elements, units = reduced_counts(counts(O=6, Sr=2, Ti=2))
    assert (key, elements.tolist(), units) == ((1, 1, 3), [Z["Ti"], Z["Sr"], Z["O"]], 2)


def test_shipped_distances_know_chemistry():
    d = shipped().distances
    near, far = [("Na", "K"), ("Cl", "Br"), ("La", "Nd"), ("Zr", "Hf")], [("Na", "Cl"), ("Fe", "O"), ("Cs", "F")]
    assert max(d[Z[a], Z[b]] for a, b in near) < min(d[Z[a], Z[b]] for a, b in far)
    assert np.allclose(d, d.T)
    assert np.all(np.diag(d) == 0)


def test_chance_by_hand():
    """Even odds at distance 0 say what the constant does; each nat and each factor e of the odds by its weight."""
    chance = Chance(constant=0.0, odds=1.0, nearness=2.0)
    assert chance.of(0.5, 0.0, 10) == 0.5
    assert chance.of(0.75, 0.0, 10) == pytest.approx(0.75)
    assert chance.of(0.5, 1.0, 10) == pytest.approx(1 / (1 + np.exp(2)))
    assert chance.of(1.0, 0.0, 10) < 1
    # Of one template all votes say nothing; of e templates they say what the weight of the product does.
    assert dataclasses.replace(chance, odds=0.0, odds_templates=1.0).of(0.9, 0.0, 1) == 0.5
    assert dataclasses.replace(chance, templates=3.0).of(0.5, 0.0, 2) == pytest.approx(8 / 9)


def test_chances_are_fitted_to_what_was_right():
    """Of two shares one is right in 9 of 10 cases, the other in 2 of 10."""

    def candidate(share):
        return Candidate(row=0, moves={}, distance=1.0, share=share, alike=1, units=1, among=7)

    right = [True] * 9 + [False], [True] * 2 + [False] * 8
    judged = [
        calibration.Judged(candidate(share), True, each)
        for share, rights in zip((0.8, 0.3), right, strict=True)
        for each in rights
    ]
    found = fitted(judged)
    assert found.of(0.8, 1.0, 7) == pytest.approx(0.9, abs=1e-3)
    assert found.of(0.3, 1.0, 7) == pytest.approx(0.2, abs=1e-3)
    assert calibration.calibration_error(found, judged) == pytest.approx(0, abs=1e-3)
    # Half of what is said to be right in 9 of 10 cases: off by 0.4.
    wrong = [*judged[:5], *(dataclasses.replace(each, right=False) for each in judged[5:10])]
    assert calibration.calibration_error(found, wrong) == pytest.approx(0.4, abs=1e-3)


def test_the_first_candidate_has_a_chance_and_a_known_crystal_none(known):
    found = Substitution(known).candidates(counts(Sr=1, Ti=1, O=3), 4)
    assert 0 < found[0].chance < 1
    assert [each.chance is None for each in found] == [each.distance == 0 for each in found]
    far = [each.chance for each in Substitution(known).candidates(counts(H=1, O=1), 9)]
    assert far[0] == max(far)


def test_chances_come_from_crystals_that_are_left_out(known, monkeypatch):
    """Each of the library in turn: CaF2 is alone with its amounts; the first candidates of six others are judged."""
    judged = []
    monkeypatch.setattr(calibration, "fitted", lambda found: judged.append(found) or Chance(0, 1, 0))
    found = calibrated(shipped(), [known], known.table, n=7)
    first = judged[0]
    names = [known.material_ids[each.candidate.row] for each in first]
    assert len(first) == 6
    assert [first[at].right for at, name in enumerate(names) if name in ("SrTiO3", "KTaO3")] == [True, True]
    assert found.chance == found.later_chance == Chance(0, 1, 0)
    assert np.array_equal(found.vectors, shipped().vectors)
