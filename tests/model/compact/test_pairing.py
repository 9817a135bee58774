"""Noise paired with the nearest way to write a crystal down."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from unimat.model.compact.pairing import nearest
from unimat.model.compact.torus import without_mean, wrapped

CELLS = np.array([[5, 5, 5, 5, 9, 9, -1], [5, 9, 5, 9, 5, 5, 5], [7, -1, -1, -1, -1, -1, -1]])


def noise_and_crystals(seed, cells=CELLS):
    rng = np.random.default_rng(seed)
    start, end = (rng.uniform(0, 1, (*cells.shape, 3)).astype(np.float32) for _ in range(2))
    return start, end


def pairwise(coords, atoms):
    """(n, n) sorted distances on the torus of each atom to the others, in a fixed order of rows."""
    between = np.asarray(wrapped(coords[atoms][:, None] - coords[atoms][None]))
    return np.linalg.norm(between, axis=-1)


def cost(start, end, cells):
    """(B,) squared lengths of all paths, as the flow takes them."""
    present = jnp.asarray(cells >= 0)
    return np.asarray((without_mean(wrapped(jnp.asarray(end) - start), present) ** 2).sum((1, 2)))


@pytest.mark.parametrize("seed", range(4))
def test_the_crystal_stays_the_same(seed):
    start, end = noise_and_crystals(seed)
    paired = np.asarray(nearest(jnp.asarray(start), jnp.asarray(end), jnp.asarray(CELLS)))
    assert ((paired >= 0) & (paired < 1)).all()
    for before, after, cells in zip(end, paired, CELLS, strict=True):
        for element in set(cells[cells >= 0]):  # distances within each element, as multisets of rows
            atoms = np.flatnonzero(cells == element)
            ours, theirs = (np.sort(pairwise(each, atoms), axis=1) for each in (after, before))
            np.testing.assert_allclose(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)], atol=2e-6)
        everything = np.flatnonzero(cells >= 0)
        np.testing.assert_allclose(
            np.sort(pairwise(after, everything).ravel()), np.sort(pairwise(before, everything).ravel()), atol=2e-6
        )


def test_paths_are_shorter_and_never_longer_than_one_assignment_by_scipy():
    cells = np.zeros((64, 12), int)
    start, end = noise_and_crystals(0, cells)
    paired = np.asarray(nearest(jnp.asarray(start), jnp.asarray(end), jnp.asarray(cells)))
    assigned = np.empty_like(end)
    for row, (ours, theirs) in enumerate(zip(start, end, strict=True)):
        between = np.asarray(wrapped(ours[:, None] - theirs[None]))
        assigned[row] = theirs[linear_sum_assignment((between**2).sum(-1))[1]]
    random, by_scipy, found = (cost(start, each, cells).mean() for each in (end, assigned, paired))
    assert random == pytest.approx(12 * 3 / 12 * 11 / 12, rel=0.05)  # 1/12 of an axis of each atom, less the mean
    assert found <= by_scipy < random / 2


def test_each_round_is_the_optimal_assignment(monkeypatch):
    monkeypatch.setattr("unimat.model.compact.pairing.ROUNDS", 1)
    cells = np.zeros((16, 9), int)
    start, end = noise_and_crystals(1, cells)
    paired = np.asarray(nearest(jnp.asarray(start), jnp.asarray(end), jnp.asarray(cells)))
    for ours, theirs, found in zip(start, end, paired, strict=True):
        between = np.asarray(wrapped(ours[:, None] - theirs[None]))
        columns = linear_sum_assignment((between**2).sum(-1))[1]
        shift = np.asarray(wrapped(found - theirs[columns]))
        np.testing.assert_allclose(shift, np.broadcast_to(shift[:1], shift.shape), atol=1e-5)


def test_atoms_of_different_elements_are_only_moved_together():
    cells = np.array([[0, 1, 2, 3]])
    start, end = noise_and_crystals(2, cells)
    paired = np.asarray(nearest(jnp.asarray(start), jnp.asarray(end), jnp.asarray(cells)))
    shift = np.asarray(wrapped(paired - end))[0]
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:1], shift.shape), atol=1e-5)


def test_equal_crystals_pair_alike_whatever_their_batch():
    start, end = noise_and_crystals(3)
    together = jax.jit(nearest)(jnp.asarray(start), jnp.asarray(end), jnp.asarray(CELLS))
    alone = nearest(jnp.asarray(start[1:2]), jnp.asarray(end[1:2]), jnp.asarray(CELLS[1:2]))
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)
