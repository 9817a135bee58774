"""Symmetry of templates, against spglib and by hand."""

import numpy as np
import pytest
import spglib
from pymatgen.core import Lattice, Structure

from unimat.model.compact.symmetry import operations
from unimat.model.representation import lattice as lattice_forms

STRUCTURES = {
    "rock salt": Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "wurtzite": Structure.from_spacegroup(
        "P6_3mc", Lattice.hexagonal(3.25, 5.2), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.38]]
    ),
    "perovskite": Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
    ),
}


@pytest.fixture(params=STRUCTURES)
def structure(request):
    return STRUCTURES[request.param].get_primitive_structure().get_reduced_structure()


def of(structure):
    return np.array(structure.lattice.matrix), structure.frac_coords, np.array(structure.atomic_numbers)


def test_operations_are_those_of_spglib(structure):
    found = operations(*of(structure))
    wanted = spglib.get_symmetry(of(structure), symprec=0.1)["rotations"]
    # spglib turns columns of coordinates, these are rows.
    rows = sorted(each.T.ravel().tolist() for each in wanted)
    assert sorted(each.ravel().tolist() for each in found.rotations) == rows


def test_what_is_averaged_keeps_the_space_group(structure):
    matrix, coords, numbers = of(structure)
    rng = np.random.default_rng(0)
    found = operations(matrix, coords, numbers)
    moved = found.displacements(rng.normal(0, 0.01, coords.shape))
    parameters = lattice_forms.to_parameters(matrix[None])[0] * (1 + rng.normal(0, 0.02, 6))
    lattice = lattice_forms.to_matrices(found.parameters(parameters))
    group = [
        spglib.get_symmetry_dataset((m, c, numbers), symprec=1e-3).number
        for m, c in ((matrix, coords), (lattice, coords + moved))
    ]
    assert group[0] == group[1]
    np.testing.assert_allclose(found.displacements(moved), moved, atol=1e-12)  # averaged once, always the same


def test_atoms_on_special_positions_stay_there_and_others_move_along_their_axis():
    moved = np.full((2, 3), 0.01)
    for name, free in (("rock salt", False), ("wurtzite", True)):
        structure = STRUCTURES[name].get_primitive_structure().get_reduced_structure()
        matrix, coords, numbers = of(structure)
        each = np.where(numbers[:, None] == numbers.max(), moved[:1], -moved[:1])
        cartesian = operations(matrix, coords, numbers).displacements(each) @ matrix
        if not free:
            np.testing.assert_allclose(cartesian, 0, atol=1e-12)
            continue
        axis = matrix[np.argmax(np.linalg.norm(matrix, axis=1))]  # c, the polar axis
        along = cartesian @ axis / np.linalg.norm(axis)
        np.testing.assert_allclose(np.linalg.norm(cartesian, axis=1), np.abs(along), atol=1e-9)
        assert np.abs(along).min() > 0.02
