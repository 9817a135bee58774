"""Lattice matrices and distances, against pymatgen and values written by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from unimat.errors import CrystalRejected
from unimat.materials.crystals.lattices import (
    angles_of,
    come_closer_than,
    lattice_matrices,
    lattice_matrix,
    lengths_of,
    shortest_distance,
)


@pytest.mark.parametrize("parameters", [(3, 4, 5, 70, 80, 100), (4, 4, 4, 90, 90, 90), (3, 3, 7, 90, 90, 120)])
def test_matrix_is_pymatgens_and_gives_its_parameters_back(parameters):
    matrix = lattice_matrix(parameters[:3], parameters[3:])
    np.testing.assert_allclose(matrix, Lattice.from_parameters(*parameters).matrix, atol=1e-12)
    np.testing.assert_allclose(
        lattice_matrices(np.array([parameters[:3]] * 2), np.array([parameters[3:]] * 2))[1], matrix
    )
    np.testing.assert_allclose([*lengths_of(matrix), *angles_of(matrix)], parameters, atol=1e-10)


def test_impossible_angles_are_rejected():
    with pytest.raises(CrystalRejected, match="no cell has the angles"):
        lattice_matrix([3, 4, 5], [60, 60, 150])


def test_negative_length_is_refused():
    with pytest.raises(CrystalRejected, match="a negative length among 3, -4, 5 Å"):
        lattice_matrix([3, -4, 5], [90, 90, 90])


def test_shortest_distances_by_hand():
    rock_salt = np.array([[0, 0, 0], [0.5, 0, 0]])
    assert shortest_distance(np.eye(3) * 5.64, rock_salt) == pytest.approx(5.64 / 2)
    assert shortest_distance(np.diag([3.0, 4.0, 0.3]), np.zeros((1, 3))) == pytest.approx(0.3)
    across = np.array([[0.01, 0, 0], [0.99, 0, 0]])
    assert shortest_distance(np.eye(3) * 3, across) == pytest.approx(0.06)


def test_shortest_distance_is_pymatgens_in_any_cell_of_the_crystal():
    structure = Structure(Lattice.from_parameters(3.1, 4.3, 5.2, 71, 83, 64), ["C", "C"], [[0, 0, 0], [0.4, 0.45, 0.3]])
    nearest = min(neighbor.nn_distance for neighbor in structure.get_neighbors(structure[0], 4))
    for transformation in ([[1, 3, 0], [0, 1, 0], [0, -2, 1]], [[1, 0, 0], [-4, 1, 0], [2, 2, 1]]):
        skewed = structure.make_supercell(transformation, in_place=False)
        found = shortest_distance(np.array(skewed.lattice.matrix), np.array(skewed.frac_coords))
        assert found == pytest.approx(nearest, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(0.2, 3.0), st.booleans())
def test_the_quick_test_agrees_with_the_exact_distance(seed, n, distance, flat):
    """In flat cells and thick ones, so that either way through the function is taken."""
    generator = np.random.default_rng(seed)
    lattice = np.eye(3) * generator.uniform(2, 6, 3) + generator.normal(0, 1, (3, 3))
    if flat:
        lattice[2] = lattice[0] + lattice[1] + 0.3 * lattice[2]
    if abs(np.linalg.det(lattice)) < 1:
        return
    coords = generator.uniform(-1, 2, (n, 3))
    exact = shortest_distance(lattice, coords)
    if abs(exact - distance) > 1e-9:
        assert come_closer_than(distance, [lattice, lattice], [coords, coords[:1]])[0] == (exact < distance)
