"""Average minimum distances against values by hand, against a plain list of neighbours, and as an invariant."""

import dataclasses

import numpy as np
import pytest

from unimat.crystal_table import Crystal
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.matching import average_minimum_distance as amd

CUBIC = Crystal("cubic", 2 * np.eye(3), np.array([84]), np.zeros((1, 3)))
ROCK_SALT = Crystal(
    "rock-salt",
    4 * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    np.array([11, 17]),
    np.array([[0, 0, 0], [0.5] * 3]),
)


def random_crystal(seed, n_atoms=7, elements=(6, 14, 8)):
    rng = np.random.default_rng(seed)
    lattice = np.diag(rng.uniform(3, 8, 3)) + rng.normal(0, 0.8, (3, 3))
    return Crystal(str(seed), lattice, rng.choice(elements, n_atoms), rng.random((n_atoms, 3)))


def test_simple_cubic_and_rock_salt_by_hand():
    """Shells of the simple cubic lattice: 6, 12, 8, 6 and 24 neighbours at 1, √2, √3, 2 and √5 edges."""
    shells = np.repeat(2 * np.sqrt([1, 2, 3, 4, 5]), [6, 12, 8, 6, 24])
    assert amd.average_minimum_distance(CUBIC, 56) == pytest.approx(shells, abs=1e-12)
    # The atoms of rock salt, elements aside, stand on a simple cubic lattice of half the edge.
    assert amd.average_minimum_distance(ROCK_SALT, 56) == pytest.approx(shells, abs=1e-12)


def test_atoms_are_averaged():
    """Two atoms of three in a row touch one side: a chain with gaps 1, 1 and 2 in a wide cell."""
    chain = Crystal(
        "chain", np.diag([4.0, 50, 50]), np.array([6] * 3), np.array([[0, 0, 0], [0.25, 0, 0], [0.5, 0, 0]])
    )
    # Sorted distances: ends 1, 2, 2; middle 1, 1, 3.
    assert amd.average_minimum_distance(chain, 3) == pytest.approx([1, 5 / 3, 7 / 3])


@pytest.mark.parametrize("seed", range(5))
def test_as_from_a_plain_list_of_neighbours(seed):
    crystal = random_crystal(seed, n_atoms=1 + 2 * seed)
    structure = to_structure(crystal)
    lists = [sorted(site.nn_distance for site in structure.get_neighbors(each, 25))[:100] for each in structure]
    assert amd.average_minimum_distance(crystal) == pytest.approx(np.mean(lists, axis=0), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_it_depends_on_no_choice_of_cell(seed):
    crystal = random_crystal(seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    turned = dataclasses.replace(crystal, lattice=crystal.lattice @ rotation, frac_coords=crystal.frac_coords + 0.37)
    larger = from_structure(to_structure(crystal) * [[1, 1, 0], [0, 2, 0], [0, 0, 1]], "larger")
    rows = amd.average_minimum_distances([crystal, turned, larger])
    assert rows[1:] == pytest.approx(np.stack([rows[0]] * 2), abs=1e-9)


def test_moving_atoms_moves_it_at_most_twice_as_far():
    crystal, rng = random_crystal(4), np.random.default_rng(0)
    for step in (1e-3, 1e-2, 0.1):
        moves = rng.normal(size=crystal.frac_coords.shape)
        moves *= step / np.linalg.norm(moves, axis=1, keepdims=True)
        moved = dataclasses.replace(crystal, frac_coords=crystal.frac_coords + moves @ np.linalg.inv(crystal.lattice))
        rows = amd.average_minimum_distances([crystal, moved])
        assert 0 < np.abs(rows[0] - rows[1]).max() <= 2 * step


def test_nearest_of_the_same_composition_and_of_any():
    larger = dataclasses.replace(CUBIC, lattice=CUBIC.lattice * 1.05)
    known = [larger, dataclasses.replace(CUBIC, atomic_numbers=np.array([11]))]
    crystals = [CUBIC, ROCK_SALT]
    rows, known_rows = amd.average_minimum_distances(crystals), amd.average_minimum_distances(known)
    # The hundredth neighbour of the simple cubic lattice stands at 2√2... of the shells 6, 12, 8, 6, 24, 24, 12, 30: 3.
    assert amd.nearest(crystals, rows, known, known_rows) == pytest.approx([0.05 * 2 * 3, np.nan], nan_ok=True)
    assert amd.nearest(crystals, rows, known, known_rows, same_composition=False) == pytest.approx([0, 0], abs=1e-9)
    copies = [CUBIC, larger, CUBIC, ROCK_SALT]
    rows = amd.average_minimum_distances(copies)
    assert amd.nearest_in_set(copies, rows) == pytest.approx([0, 0.3, 0, np.nan], nan_ok=True)


def test_columns_and_the_cache(tmp_path, monkeypatch):
    crystals, known = [random_crystal(seed, 4, (6,)) for seed in range(6)], [random_crystal(9, 4, (6,)), ROCK_SALT]
    columns = amd.nearest_distances([*crystals, ROCK_SALT], known, cache=tmp_path)
    assert columns.keys() == {"amd_nearest_in_set", "amd_nearest_known"}
    assert columns["amd_nearest_known"][-1] == 0
    assert np.isnan(columns["amd_nearest_in_set"][-1])
    monkeypatch.setattr(amd, "average_minimum_distance", lambda *_: pytest.fail("computed again"))
    again = amd.nearest_distances([*crystals, ROCK_SALT], known, cache=tmp_path)
    assert all(np.array_equal(again[name], columns[name], equal_nan=True) for name in columns)
    assert amd.nearest_distances([*crystals], cache=tmp_path).keys() == {"amd_nearest_in_set"}


def test_chunks_do_not_show(monkeypatch):
    crystals = [random_crystal(seed, 4, (6,)) for seed in range(20)]
    rows = amd.average_minimum_distances(crystals, k=10)
    plain = np.abs(rows[:, None] - rows).max(-1) + np.diag(np.full(20, np.inf))
    monkeypatch.setattr(amd, "_ROWS", 7)
    assert amd.nearest_in_set(crystals, rows) == pytest.approx(plain.min(1))
    assert amd.nearest(crystals[:5], rows[:5], crystals[5:], rows[5:]) == pytest.approx(plain[:5, 5:].min(1))


def test_crystals_without_volume_have_none_and_do_no_harm():
    flat = dataclasses.replace(CUBIC, lattice=np.diag([2.0, 2.0, 0.0]))
    needle = dataclasses.replace(CUBIC, lattice=np.diag([1e-4, 1.0, 1e5]))
    broken = dataclasses.replace(CUBIC, frac_coords=np.full((1, 3), np.nan))
    rows = amd.average_minimum_distances([flat, CUBIC, needle, broken])
    assert np.isnan(rows).all(1).tolist() == [True, False, True, True]
    crystals = [flat, CUBIC, CUBIC]
    found = amd.nearest_in_set(crystals, rows[[0, 1, 1]])
    assert found == pytest.approx([np.nan, 0, 0], nan_ok=True)
    assert len(amd.average_minimum_distances([])) == 0
