"""Analysis of trajectories against closed forms and against other codes."""

import numpy as np
import pytest
from ase import Atoms
from ase.md.analysis import DiffusionCoefficient
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from unimat.materials.dynamics import analysis
from unimat.materials.dynamics.frames import KB, Frames, joined, kinetic_energy, read_parts, start, write_part
from unimat.materials.dynamics.supercell import repetitions, supercell

SILICON = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]])


def walk(n_frames: int, n_atoms: int, step: float, seed: int = 0) -> np.ndarray:
    """Random walkers whose coordinates change by a normal deviate of that width (Å) between two frames."""
    steps = np.random.default_rng(seed).normal(0, step, (n_frames, n_atoms, 3))
    return np.cumsum(steps, axis=0)


def test_displacement_is_the_mean_over_atoms_and_origins():
    positions = walk(40, 5, 0.3)
    found = analysis.mean_square_displacement(positions)
    for lag in (0, 1, 7, 39):
        spans = positions[lag:] - positions[: len(positions) - lag]
        assert found[lag] == pytest.approx((spans**2).sum(axis=-1).mean(), abs=1e-12)


def test_displacement_of_far_travelled_atoms_keeps_its_digits():
    """Sums of squares of large coordinates would cancel to noise."""
    positions = np.arange(1000.0)[:, None, None] * [[[0.01, 0, 0]]] + 1e5
    np.testing.assert_allclose(analysis.mean_square_displacement(positions), (0.01 * np.arange(1000)) ** 2, atol=1e-6)


def test_a_harmonic_crystal_has_the_plateau_of_its_springs():
    """6 kT/k, and a root mean square vibration of sqrt(3 kT/k): springs drawn from Boltzmann's distribution."""
    kt, spring = KB * 300, 5.0
    positions = np.random.default_rng(1).normal(0, np.sqrt(kt / spring), (2000, 64, 3))
    plateau = analysis.mean_square_displacement(positions)[1:1000]
    np.testing.assert_allclose(plateau, 6 * kt / spring, rtol=0.02)
    assert analysis.lindemann_ratio(positions, 2.0) == pytest.approx(np.sqrt(3 * kt / spring) / 2, rel=0.01)
    assert analysis.diffusion(0.1, positions) is None


def test_an_oscillator_has_the_displacement_of_its_cosine():
    """A^2 (1 - cos(omega t)) of x = A cos(omega t), over whole periods."""
    t, omega = np.arange(4000) * 0.01, 2 * np.pi
    positions = np.zeros((4000, 1, 3))
    positions[:, 0, 0] = 0.3 * np.cos(omega * t)
    lags = np.arange(0, 2000, 100)
    np.testing.assert_allclose(
        analysis.mean_square_displacement(positions)[lags], 0.09 * (1 - np.cos(omega * t[lags])), atol=2e-3
    )


def test_a_random_walk_diffuses_as_einstein_says():
    """Half the variance of a step over its time, within the error that is stated; ASE finds the same."""
    step, between = 0.2, 0.02
    positions = walk(4000, 100, step)
    found = analysis.diffusion(between, positions)
    assert found is not None
    expected = step**2 / (2 * between)
    assert abs(found.value - expected) < 4 * found.error
    assert found.error < 0.1 * expected
    images = [Atoms("Li100", positions=each) for each in positions[::10]]
    ase = DiffusionCoefficient(images, timestep=10 * between)
    ase.calculate(number_of_segments=20)
    theirs = np.mean([np.mean(ase.slopes[0][segment]) for segment in range(20)])
    assert found.value == pytest.approx(theirs, rel=0.1)


def test_no_diffusion_is_stated_of_what_is_not_linear_or_too_short():
    flight = np.arange(400.0)[:, None, None] * np.ones((1, 3, 3)) * 0.1
    assert analysis.diffusion(0.1, flight) is None
    assert analysis.diffusion(0.1, walk(20, 10, 1.0)) is None
    assert analysis.diffusion(0.1, walk(400, 10, 0.01)) is None  # no atom has left its place


def test_drift_is_a_slope_with_a_constant_for_each_stretch():
    time, stretch = np.arange(40) * 0.1, np.repeat([0, 1], 20)
    assert analysis.drift(time, 3.0 + 0.5 * time, stretch) == pytest.approx(0.5)
    assert analysis.drift(time, 3.0 + 0.5 * time + 100 * stretch, stretch) == pytest.approx(0.5)
    assert np.isnan(analysis.drift(time[:1], time[:1], stretch[:1]))
    assert np.isnan(analysis.drift(time, np.full(40, np.nan), stretch))


def test_centre_of_mass_is_taken_out():
    masses = np.array([1.0, 3.0])
    positions = np.zeros((5, 2, 3)) + np.arange(5.0)[:, None, None]
    np.testing.assert_allclose(analysis.centred(positions, masses), 0)
    positions[:, 0] += np.arange(5.0)[:, None]
    moved = analysis.centred(positions, masses)
    np.testing.assert_allclose(np.einsum("n,fnx->fx", masses, moved), 0, atol=1e-12)


def test_neighbours_of_a_cell_of_one_atom_are_its_images():
    assert analysis.neighbour_distance(np.eye(3) * 3.0, np.zeros((1, 3))) == pytest.approx(3.0)
    found = analysis.neighbour_distance(SILICON.lattice.matrix, SILICON.frac_coords)
    assert found == pytest.approx(5.43 * np.sqrt(3) / 4)


@pytest.mark.parametrize(("shift", "kept"), [(0.2, True), (1.3, False)])
def test_a_crystal_that_is_still_there_is_the_same_to_structure_matcher(shift, kept):
    """One atom of eight displaced; and two that change places, which changes nothing."""
    places = np.array(SILICON.cart_coords)
    places[3] += [shift, 0, 0]
    places[[0, 1]] = places[[1, 0]]
    noise = np.random.default_rng(0).normal(0, 0.05, (500, 8, 3))
    found = analysis.largest_shift(
        SILICON.lattice.matrix, SILICON.frac_coords, places + noise, np.array(SILICON.atomic_numbers)
    )
    assert found == pytest.approx(shift, abs=0.02)
    assert analysis.same_crystal(found, SILICON.volume / 8) is kept
    mean = Structure(SILICON.lattice, SILICON.species, places, coords_are_cartesian=True)
    matcher = StructureMatcher(primitive_cell=False, scale=False, stol=0.3)
    distances = matcher.get_rms_dist(SILICON, mean)
    largest = distances[1] * (SILICON.volume / 8) ** (1 / 3) if distances else np.inf
    # pymatgen may move the whole crystal first, by an eighth of one atom's shift.
    assert bool(largest < analysis.SAME_SITE * (SILICON.volume / 8) ** (1 / 3)) is kept


def test_a_shift_across_the_border_is_short():
    sites = np.array([[0.01, 0, 0]])
    positions = np.array([[[2.98, 0, 0]]])
    assert analysis.largest_shift(np.eye(3) * 3, sites, positions, [14]) == pytest.approx(0.05)


def test_repetitions_reach_the_length_within_the_atoms():
    assert repetitions(SILICON, 10.0, 200) == (2, 2, 2)
    assert repetitions(SILICON, 10.86, 200) == (2, 2, 2)
    assert repetitions(SILICON, 16.0, 1000) == (3, 3, 3)
    assert repetitions(SILICON, 10.0, 40) == (1, 2, 2)
    assert repetitions(SILICON, 10.0, 3) == (1, 1, 1)
    slab = Structure(
        Lattice.hexagonal(2.46, 6.7),
        ["C"] * 4,
        [[0, 0, 0.25], [0, 0, 0.75], [1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
    )
    assert repetitions(slab, 9.9, 500) == (5, 5, 2)  # heights 2.13, 2.13, 6.7 Å


def test_a_left_handed_cell_is_turned_and_nothing_else():
    """VASP takes no left-handed cell; pymatgen would mirror the crystal on writing it."""
    left = Structure(-SILICON.lattice.matrix, SILICON.species, SILICON.frac_coords)
    large = supercell(left, 5.0, 100)
    assert np.linalg.det(large.lattice.matrix) > 0
    np.testing.assert_allclose(sorted(large.cart_coords.tolist()), sorted(left.cart_coords.tolist()), atol=1e-9)


def test_velocities_at_the_start():
    """Of the temperature that is asked for, the centre of mass at rest, the same for a seed; heavy atoms are slower."""
    masses = np.repeat([6.0, 120.0], 500)
    state = start(np.zeros((1000, 3)), masses, 450.0, seed=3)
    assert 2 * kinetic_energy(state.velocities, masses) / (KB * 2997) == pytest.approx(450)
    np.testing.assert_allclose(masses @ state.velocities, 0, atol=1e-10)
    squares = (state.velocities**2).mean(axis=1)
    assert squares[:500].mean() / squares[500:].mean() == pytest.approx(20, rel=0.15)
    np.testing.assert_array_equal(start(np.zeros((1000, 3)), masses, 450.0, seed=3).velocities, state.velocities)


def test_a_torn_part_ends_the_list(tmp_path):
    frames = Frames(np.arange(2), np.zeros((2, 3, 3)), *np.zeros((3, 2)), np.zeros(2, int))
    state = start(np.random.default_rng(0).random((3, 3)), np.ones(3), 300.0, 0)
    for step in (2, 4, 6):
        write_part(tmp_path, frames, type(state)(step, state.positions, state.velocities, np.ones((2, 3))))
    (tmp_path / "part_000000004.npz").write_bytes((tmp_path / "part_000000004.npz").read_bytes()[:300])
    parts, found = read_parts(tmp_path)
    assert len(parts) == 1
    assert found.step == 2
    np.testing.assert_array_equal(found.velocities, state.velocities)
    assert len(joined(parts * 2)) == 4
