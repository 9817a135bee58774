"""Properties against pymatgen, Wasserstein distances against closed forms."""

import numpy as np
import pytest

from unimat import crystal_table
from unimat.crystal_table import Crystal
from unimat.materials.crystals.structures import to_structure
from unimat.materials.metrics.distributions import GEOMETRIC, distances, draw, properties


def random_table(n, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, n)
    return crystal_table.from_crystals(
        Crystal(f"r{i}", np.eye(3) * 4 + rng.normal(0, 0.5, (3, 3)), rng.integers(1, 84, k), rng.random((k, 3)))
        for i, k in enumerate(sizes)
    )


def constant(value, n):
    return {name: np.full(n, value) for name in GEOMETRIC}


def test_properties_are_pymatgens():
    table = random_table(20)
    found = properties(table)
    structures = [to_structure(crystal) for crystal in table]
    np.testing.assert_allclose(found["density"], [float(each.density) for each in structures], rtol=1e-6)
    assert found["n_elements"].tolist() == [len(each.composition) for each in structures]
    assert found["n_atoms"].tolist() == [len(each) for each in structures]
    np.testing.assert_allclose(found["volume_per_atom"], [each.volume / len(each) for each in structures])


def test_density_of_diamond():
    """Eight atoms of 12.011 u in a cube of 3.567 Å: 3.516 g/cm^3 (CRC Handbook: 3.513 at 25 °C)."""
    fcc = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    diamond = Crystal("diamond", 3.567 * fcc, np.array([6, 6]), np.array([[0, 0, 0], [0.25, 0.25, 0.25]]))
    assert properties(crystal_table.from_crystals([diamond]))["density"][0] == pytest.approx(3.516, abs=1e-3)


def test_distance_of_shifted_samples_is_the_shift():
    ours = {name: np.arange(50.0) for name in GEOMETRIC}
    theirs = {name: np.arange(50.0) + 2.5 for name in GEOMETRIC}
    found = distances(ours, theirs)
    assert {name: each["wasserstein"] for name, each in found.items()} == pytest.approx(dict.fromkeys(GEOMETRIC, 2.5))
    assert found["density"] | {"wasserstein": 2.5} == {
        "wasserstein": 2.5,
        "low": None,
        "high": None,
        "unit": "g/cm^3",
        "n_generated": 50,
        "n_valid": 50,
        "n_reference": 50,
        "n_without_value": {"generated": 0, "reference": 0},
    }


def test_values_that_are_missing_or_infinite_are_left_out_and_counted():
    ours = constant(0.0, 3) | {"density": np.array([0.0, np.inf, np.nan])}
    found = distances(ours, constant(1.0, 2))["density"]
    assert found["wasserstein"] == 1
    assert found["n_without_value"] == {"generated": 2, "reference": 0}
    assert (found["n_generated"], found["n_valid"]) == (1, 3)


def test_distance_of_two_weights_is_the_mass_moved():
    """A quarter of the mass moves by 4."""
    ours = {name: np.array([0.0, 0, 0, 4]) for name in GEOMETRIC}
    assert distances(ours, constant(0.0, 3))["n_atoms"]["wasserstein"] == pytest.approx(1)


def test_draw_is_seeded_and_counted():
    ours = {name: np.arange(100.0) for name in GEOMETRIC}
    drawn = [distances(ours, constant(0.0, 1), take=10, seed=seed)["density"] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0]["wasserstein"] != drawn[2]["wasserstein"]
    assert (drawn[0]["n_generated"], drawn[0]["n_valid"]) == (10, 100)


def test_draw_has_no_repeats_and_takes_all_when_asked_for_more():
    assert len(set(draw(1000, 400, seed=3).tolist())) == 400
    assert draw(5, 9, seed=0).tolist() == draw(5, None, seed=0).tolist() == [0, 1, 2, 3, 4]


def test_nothing_valid_has_no_distance():
    empty = properties(crystal_table.from_crystals([]))
    assert distances(empty, constant(1.0, 4))["density"]["wasserstein"] is None
