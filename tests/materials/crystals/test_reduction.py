"""Reduced cells, against pymatgen's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from unimat.materials.crystals import reduction
from unimat.materials.crystals.lattices import angles_of, lengths_of
from unimat.materials.crystals.reduction import niggli_lattices
from unimat.materials.crystals.structures import from_structure, space_group_number, to_structure

ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
QUARTZ = Structure.from_spacegroup(
    "P3_221", Lattice.hexagonal(4.913, 5.405), ["Si", "O"], [[0.4697, 0, 2 / 3], [0.4133, 0.2672, 0.7858]]
)
DIAMOND = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.567), ["C"], [[0, 0, 0]])
MATCHER = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-3, stol=1e-3, angle_tol=0.01)
SKEW = [[1, 2, 0], [0, 1, 0], [-1, 3, 1]]


def reduced(crystal, kind):
    return reduction.reduced([crystal], kind)[0]


def parameters(lattice):
    return np.concatenate([lengths_of(lattice), angles_of(lattice)])


@pytest.mark.parametrize("structure", [ROCK_SALT, QUARTZ, DIAMOND.get_primitive_structure()])
def test_niggli_cell_is_pymatgens_and_the_same_crystal(structure):
    found = reduced(from_structure(structure.make_supercell(SKEW, in_place=False), "x"), "niggli")
    expected = structure.get_reduced_structure("niggli").lattice.parameters
    np.testing.assert_allclose(parameters(found.lattice), expected, atol=1e-6)
    assert ((found.frac_coords >= 0) & (found.frac_coords < 1)).all()
    assert MATCHER.fit(to_structure(found), structure)


def test_the_hand_is_kept():
    # Quartz of the other hand has the other space group; the reduction must not mirror it.
    right = Structure.from_spacegroup(
        "P3_121", Lattice.hexagonal(4.913, 5.405), ["Si", "O"], [[0.4697, 0, 1 / 3], [0.4133, 0.2672, 0.2142]]
    )
    skewed = from_structure(right.make_supercell([[0, 1, 0], [1, 0, 0], [2, 0, 1]], in_place=False), "x")
    assert np.linalg.det(skewed.lattice) < 0
    assert space_group_number(reduced(skewed, "niggli")) == 152


@pytest.mark.parametrize(
    "cell",
    [
        (5.9675, 5.9916, 8.4527, 90.208, 89.804, 89.780),  # pymatgen mixes obtuse and acute within 1 degree
        (4.765784, 6.53175564, 6.53175564, 97.17786128, 111.39628807, 68.60371193),  # two cells of equal lengths
        (5.49607574, 5.49607841, 5.83102096, 117.09505236, 94.51853381, 115.6626744),  # a and b nearly equal
        (5.1, 5.1002, 20.7, 90.0, 90.0, 119.95),
    ],
)
def test_where_there_is_a_choice_it_is_pymatgens(cell):
    lattice = Lattice.from_parameters(*cell)
    expected = lattice.get_niggli_reduced_lattice().parameters
    np.testing.assert_allclose(parameters(niggli_lattices(np.array([lattice.matrix]))[0]), expected, atol=1e-5)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2, 1.0]))
def test_niggli_parameters_are_pymatgens_near_symmetry_and_far_from_it(seed, strain):
    generator = np.random.default_rng(seed)
    kinds = [
        Lattice.cubic(4.1),
        Lattice.hexagonal(3.2, 5.1),
        Lattice.tetragonal(3.9, 6.0),
        Lattice.rhombohedral(4.3, 60),
    ]
    lattice = np.array(kinds[seed % 4].matrix) + strain * generator.normal(0, 1, (3, 3))
    if abs(np.linalg.det(lattice)) < 5:
        return
    expected = Lattice(lattice).get_niggli_reduced_lattice().parameters
    np.testing.assert_allclose(parameters(niggli_lattices(lattice[None])[0]), expected, atol=1e-4)


def test_primitive_and_conventional_cells_have_the_atoms_they_must():
    conventional = from_structure(DIAMOND, "x")
    primitive = reduced(conventional, "primitive")
    assert len(primitive.atomic_numbers) == 2
    np.testing.assert_allclose(parameters(primitive.lattice), [3.567 / 2**0.5] * 3 + [60] * 3, atol=1e-6)
    back = reduced(primitive, "conventional")
    assert len(back.atomic_numbers) == 8
    np.testing.assert_allclose(parameters(back.lattice), [3.567] * 3 + [90] * 3, atol=1e-6)
    for each in (primitive, back):
        assert StructureMatcher(scale=False).fit(to_structure(each), DIAMOND)
    assert reduced(conventional, "none") is conventional


def test_without_symmetry_the_cell_stays():
    generator = np.random.default_rng(0)
    structure = Structure(Lattice.from_parameters(4, 5, 6, 80, 85, 95), ["Si"] * 3, generator.uniform(size=(3, 3)))
    for kind in ("primitive", "conventional"):
        found = reduced(from_structure(structure, "x"), kind)
        assert len(found.atomic_numbers) == 3
        assert abs(np.linalg.det(found.lattice)) == pytest.approx(structure.volume)
