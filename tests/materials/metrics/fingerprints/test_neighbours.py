"""Voronoi cells against closed forms and scipy's tessellation, coordination numbers against pymatgen's CrystalNN."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.core.local_env import CrystalNN, VoronoiNN

from unimat.materials.metrics.fingerprints.neighbours import SEARCH_RADIUS, near_neighbours, shells
from unimat.materials.metrics.fingerprints.voronoi import voronoi_faces

SIMPLE, BODY, FACE = [[0, 0, 0]], [[0, 0, 0], [0.5] * 3], [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
ELEMENTS = [1, 3, 6, 8, 11, 14, 18, 26, 38, 56, 74, 82]  # argon has no electronegativity


def faces(lattice, frac_coords, radius=SEARCH_RADIUS):
    return voronoi_faces(np.array(lattice, float), np.array(frac_coords, float), radius)


def random_crystal(seed):
    """Of 1 to 6 atoms, at 4 to 20 Å^3 per atom; some are wild."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    lattice = Lattice.from_parameters(*rng.uniform(2, 5, 3), *rng.uniform(70, 110, 3))
    lattice = lattice.scale(n * rng.uniform(4, 20))
    return Structure(lattice, rng.choice(ELEMENTS, n).tolist(), rng.random((n, 3)))


def arrays(structure):
    return structure.lattice.matrix, np.array(structure.atomic_numbers), structure.frac_coords


@pytest.mark.parametrize(
    ("frac_coords", "areas"),
    [
        (SIMPLE, [1.0] * 6),
        (BODY, [np.sqrt(3) * 3 / 16] * 8 + [1 / 8] * 6),  # truncated octahedron: hexagons and squares
        (FACE, [np.sqrt(2) / 8] * 12),  # rhombic dodecahedron
    ],
)
def test_cells_of_the_cubic_lattices(frac_coords, areas):
    found = faces(4 * np.eye(3), frac_coords)
    assert found.closed.all()
    first = found.atom == 0
    np.testing.assert_allclose(np.sort(found.area[first]), np.sort(16 * np.array(areas)), rtol=1e-12)
    assert found.solid_angle[first].sum() == pytest.approx(4 * np.pi)
    if len(set(areas)) == 1:
        np.testing.assert_allclose(found.solid_angle[first], 4 * np.pi / len(areas), rtol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_cells_fill_the_crystal(seed):
    structure = random_crystal(seed)
    found = faces(structure.lattice.matrix, structure.frac_coords, radius=14.0)
    assume(found.closed.all())
    volume = (found.area * np.linalg.norm(found.vector, axis=1)).sum() / 6
    assert volume == pytest.approx(structure.volume, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_faces_are_those_of_a_voronoi_tessellation(seed):
    structure = random_crystal(seed)
    found = faces(structure.lattice.matrix, structure.frac_coords)
    for atom in range(len(structure)):
        theirs = VoronoiNN(cutoff=SEARCH_RADIUS).get_voronoi_polyhedra(structure, atom).values()
        theirs = sorted((face["solid_angle"], face["area"]) for face in theirs if face["solid_angle"] > 1e-8)
        here = (found.atom == atom) & (found.solid_angle > 1e-8)
        ours = sorted(zip(found.solid_angle[here], found.area[here], strict=True))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_atoms_beyond_the_farthest_corner_twice_over_change_nothing():
    structure = random_crystal(0)
    nearer, farther = (faces(structure.lattice.matrix, structure.frac_coords, radius) for radius in (9.0, 13.0))
    np.testing.assert_array_equal(nearer.atom, farther.atom)
    np.testing.assert_allclose(*(each.solid_angle[np.lexsort((each.area, each.atom))] for each in (nearer, farther)))


@pytest.mark.parametrize(
    ("lattice", "frac_coords"),
    [
        (np.diag([2.0, 30, 30]), [[0, 0, 0]]),  # a chain
        (np.diag([3.0, 3, 30]), [[0, 0, 0]]),  # a sheet
        (20 * np.eye(3), [[0, 0, 0]]),  # nobody near
        (np.diag([3.0, 3, 40]), [[0, 0, 0], [0.5, 0.5, 0.05]]),  # two sheets: open on one side
    ],
)
def test_open_cells_are_told(lattice, frac_coords):
    assert not faces(lattice, frac_coords).closed.any()


@pytest.mark.parametrize("apart", [0.0, 1e-9, 1e-5])
def test_two_atoms_in_one_place_are_told(apart):
    assert not faces(4 * np.eye(3), [[0, 0, 0], [apart, 0, 0]]).closed.any()


@pytest.mark.filterwarnings("ignore")
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_coordination_numbers_are_crystal_nns(seed):
    structure = random_crystal(seed)
    neighbours = near_neighbours(*arrays(structure))
    found = shells(neighbours)
    for atom in np.flatnonzero(~neighbours.uncertain).tolist():
        theirs = CrystalNN().get_nn_data(structure, atom)
        here = found.atom == atom
        ours = dict(zip(found.number[here].tolist(), found.weight[here].tolist(), strict=True))
        assert ours == pytest.approx({number: w for number, w in theirs.cn_weights.items() if number}, abs=1e-12)
        for number, first in zip(found.number[here], found.first[here], strict=True):
            far = np.linalg.norm(neighbours.vector[first : first + number], axis=1)
            theirs_far = [structure[atom].distance(each["site"], [0, 0, 0]) for each in theirs.cn_nninfo[number]]
            np.testing.assert_allclose(np.sort(far), np.sort(theirs_far), atol=1e-9)


def test_rock_salt_has_six_neighbours_and_helium_none():
    rock_salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
    found = shells(near_neighbours(*arrays(rock_salt)))
    assert found.number.tolist() == [6] * 8
    np.testing.assert_allclose(found.weight, 1)
    far_apart = Structure(Lattice.cubic(5), ["He"], [[0, 0, 0]])
    assert len(shells(near_neighbours(*arrays(far_apart))).atom) == 0
