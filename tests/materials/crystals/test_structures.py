"""Structures against pymatgen and closed forms."""

import numpy as np
import pytest
from pymatgen.core import Composition, DummySpecies, Lattice, Species, Structure

from unimat.crystal_table import Crystal
from unimat.errors import REJECTION_REASONS, CrystalRejected
from unimat.materials.crystals.structures import (
    check_crystal,
    chemical_system,
    from_structure,
    reduced_formula,
    space_group_number,
    to_structure,
)
from unimat.periodic_table import ATOMIC_NUMBER

ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def crystal(lattice, coords, numbers=None):
    coords = np.atleast_2d(np.asarray(coords, float))
    return Crystal("x", np.asarray(lattice, float), np.array(numbers or [6] * len(coords)), coords)


def skewed(structure, seed):
    """The same crystal in another cell of the same lattice."""
    matrix = np.array([[1, 0, 0], [3, 1, 0], [-2, 5, 1]])
    frac_coords = structure.frac_coords @ np.linalg.inv(matrix) + np.random.default_rng(seed).integers(-2, 3, (1, 3))
    return Structure(matrix @ structure.lattice.matrix, structure.species, frac_coords)


def rejection(call, *args):
    with pytest.raises(CrystalRejected) as error:
        call(*args)
    assert error.value.reason in REJECTION_REASONS
    return error.value.reason


def test_structure_comes_back_with_its_matrix_and_order():
    back = to_structure(from_structure(ROCK_SALT, "nacl", band_gap=5.0))
    np.testing.assert_array_equal(back.lattice.matrix, ROCK_SALT.lattice.matrix)
    np.testing.assert_array_equal(back.frac_coords, ROCK_SALT.frac_coords)
    assert [site.specie.symbol for site in back] == [site.specie.symbol for site in ROCK_SALT]


def test_oxidation_states_are_dropped():
    charged = Structure(Lattice.cubic(3), [Species("Na", 1), Species("Cl", -1)], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert from_structure(charged, "x").atomic_numbers.tolist() == [11, 17]


@pytest.mark.parametrize(
    ("species", "reason"),
    [
        ({"Na": 0.5, "K": 0.5}, "partial_occupancy"),
        ({"Na": 0.9}, "partial_occupancy"),
        ("D", "not_an_element"),
        ("T", "not_an_element"),
        (DummySpecies("X"), "not_an_element"),
    ],
)
def test_what_is_no_ordered_crystal_of_elements_is_rejected(species, reason):
    assert rejection(from_structure, Structure(Lattice.cubic(3), [species], [[0, 0, 0]]), "x") == reason


@pytest.mark.parametrize(
    ("lattice", "coords", "numbers", "reason"),
    [
        (np.diag([3, 3, 3]), [[0, 0, 0], [0.1, 0, 0]], None, "overlapping_atoms"),
        (np.diag([3, 3, 3]), [[0.01, 0, 0], [0.99, 0, 0]], None, "overlapping_atoms"),
        (np.diag([0.4, 9, 9]), [[0, 0, 0]], None, "overlapping_atoms"),
        (np.diag([3, 3, 0]), [[0, 0, 0]], None, "degenerate_lattice"),
        (np.diag([3, 3, np.nan]), [[0, 0, 0]], None, "degenerate_lattice"),
        (np.diag([3, 3, 3]), [[0, 0, np.inf]], None, "degenerate_lattice"),
        (np.diag([3, 3, 3]), [[0, 0, 0]], [0], "not_an_element"),
        (np.diag([3, 3, 3]), [[0, 0, 0]], [119], "not_an_element"),
        (np.diag([3, 3, 3]), np.zeros((0, 3)), None, "no_atoms"),
    ],
)
def test_unusable_crystals_are_rejected(lattice, coords, numbers, reason):
    assert rejection(check_crystal, crystal(lattice, coords, numbers)) == reason


def test_distance_at_the_limit_is_accepted():
    check_crystal(crystal(np.diag([4, 4, 4]), [[0, 0, 0], [0.125, 0, 0]]), min_distance=0.5)


def test_space_groups_of_known_crystals():
    diamond = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.567), ["C"], [[0, 0, 0]])
    assert space_group_number(from_structure(ROCK_SALT, "x")) == 225
    assert space_group_number(from_structure(diamond, "x")) == 227


@pytest.mark.parametrize("formula", ["SiO2", "C", "Fe4O6", "LiFePO4", "He2", "H12O6"])
def test_formulas_are_pymatgens(formula):
    composition = Composition(formula)
    numbers = [ATOMIC_NUMBER[str(element)] for element, count in composition.items() for _ in range(int(count))]
    assert reduced_formula(np.array(numbers)) == composition.reduced_formula
    assert chemical_system(np.array(numbers)) == composition.chemical_system
