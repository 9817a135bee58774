"""Soft spheres against ASE's neighbour list, and what they promise of volume, symmetry and determinism."""

import ase
import numpy as np
import pytest
import spglib
from ase.neighborlist import neighbor_list
from pymatgen.core import Lattice

from unimat.materials.search.random_search.draws import draw, wanted_distances
from unimat.materials.search.random_search.settings import AirssSettings
from unimat.materials.search.random_search.soft_spheres import Spheres, energy_and_gradient, push_apart


def random_spheres(n, seed, volume=6.0, reduce=True):
    """Atoms anywhere in a random cell of `volume` Å^3 an atom, two kinds of radii."""
    rng = np.random.default_rng(seed)
    lattice = rng.normal(size=(3, 3))
    lattice += np.sign(np.linalg.det(lattice)) * np.eye(3)  # no cell as flat as a sheet
    lattice *= (n * volume / abs(np.linalg.det(lattice))) ** (1 / 3)
    if reduce:
        lattice = Lattice(lattice).get_lll_reduced_lattice().matrix
    radii = rng.choice([0.6, 0.9], n)
    return Spheres(np.array(lattice), rng.uniform(size=(n, 3)), radii[:, None] + radii)


def hydrogens(lattice, coords):
    return ase.Atoms(f"H{len(coords)}", cell=lattice, scaled_positions=coords, pbc=True)


def by_neighbour_list(spheres):
    """Energy, gradient for positions and for strain (before its trace is taken off) from pairs that ASE finds."""
    atoms = ase.Atoms(
        f"H{len(spheres.frac_coords)}", cell=spheres.lattice, scaled_positions=spheres.frac_coords, pbc=True
    )
    first, second, distance, vector = neighbor_list("ijdD", atoms, float(spheres.distances.max()))
    overlap = np.maximum(spheres.distances[first, second] - distance, 0)
    gradient = np.zeros((len(atoms), 3))
    np.add.at(gradient, first, (overlap / distance)[:, None] * vector)  # D points from i to j: away is -D
    strain = -np.einsum("p,pi,pj->ij", overlap / distance, vector, vector) / 2
    return (overlap**2).sum() / 4, gradient, strain


def without_trace(strain):
    return (strain + strain.T) / 2 - np.eye(3) * np.trace(strain) / 3


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("reduce", [True, False], ids=["reduced", "skewed"])
def test_energy_and_gradients_are_those_of_ases_pairs(n, reduce):
    for seed in range(3):
        spheres = random_spheres(n, seed, reduce=reduce)
        energy, gradient, strain = energy_and_gradient(spheres)
        expected = by_neighbour_list(spheres)
        assert energy == pytest.approx(expected[0], rel=1e-12, abs=1e-12)
        np.testing.assert_allclose(gradient, expected[1], atol=1e-10)
        np.testing.assert_allclose(strain, without_trace(expected[2]), atol=1e-10)


def test_two_spheres_have_the_energy_and_force_of_the_formula():
    """Diameter 2 Å at 1.5 Å in a large cell: 1/2 (0.5 Å)^2 eV/Å^2, and 0.5 eV/Å apart."""
    spheres = Spheres(np.eye(3) * 20, np.array([[0, 0, 0], [0.075, 0, 0]]), np.full((2, 2), 2.0))
    energy, gradient, _ = energy_and_gradient(spheres)
    assert energy == pytest.approx(0.125)
    np.testing.assert_allclose(gradient, [[0.5, 0, 0], [-0.5, 0, 0]], atol=1e-12)


def test_all_come_apart_at_their_volume_by_ases_distances():
    crystals = [random_spheres(n, seed, volume=9.0) for seed in range(4) for n in (1, 7, 8)]
    for before, after in zip(crystals, push_apart(crystals), strict=True):
        assert after.closest >= 1
        assert np.linalg.det(after.lattice) == pytest.approx(np.linalg.det(before.lattice))
        atoms = ase.Atoms(
            f"H{len(before.frac_coords)}", cell=after.lattice, scaled_positions=after.frac_coords, pbc=True
        )
        first, second, distance = neighbor_list("ijd", atoms, 2.0)
        assert (distance >= before.distances[first, second] * (1 - 1e-9)).all()


def test_a_cell_that_is_held_stays_and_jammed_spheres_are_told():
    roomy, tight = random_spheres(8, 0, volume=9.0), random_spheres(8, 0, volume=1.0)
    held, jammed = push_apart([roomy, tight], relax_cell=False, max_steps=100)
    np.testing.assert_array_equal(held.lattice, roomy.lattice)
    assert held.closest >= 1
    assert jammed.closest < 1


def test_what_becomes_of_a_crystal_is_its_own_affair():
    crystals = [random_spheres(n, seed, volume=8.0) for seed in range(8) for n in (7, 8)]
    together, alone = push_apart(crystals), push_apart(crystals[9:8:-1])
    np.testing.assert_allclose(together[9].frac_coords, alone[0].frac_coords, rtol=0, atol=1e-12)
    np.testing.assert_allclose(together[9].lattice, alone[0].lattice, rtol=0, atol=1e-12)


def n_operations(lattice, coords, numbers):
    return len(spglib.get_symmetry((lattice, coords, numbers), symprec=1e-5)["rotations"])


def test_symmetric_crystals_stay_symmetric():
    settings = AirssSettings(compositions=("Si4C4",))
    structures = [draw({"Si": 4, "C": 4}, settings, index, 0).structure for index in range(30)]
    spheres = [
        Spheres(each.lattice.matrix, each.frac_coords, wanted_distances(np.array(each.atomic_numbers), 0.8))
        for each in structures
    ]
    moved, symmetric = 0, 0
    for before, after in zip(structures, push_apart(spheres), strict=True):
        numbers = before.atomic_numbers
        held = n_operations(before.lattice.matrix, before.frac_coords, numbers)
        assert n_operations(after.lattice, after.frac_coords, numbers) >= held
        symmetric += held > 2
        moved += held > 2 and not np.allclose(after.lattice, before.lattice.matrix, atol=1e-3)
    assert symmetric > 20
    assert moved > 3
