"""Which atom of the noise becomes which of the crystal: the shortest way among equal ones.

Atoms of one element are told apart by nothing, and the origin of a cell by nothing either. Of all the ways to write a
crystal down, one that is near to the noise gives the flow short paths. The noise stays uniform and the crystal the
same, so that the flow still leads to the data's distribution. Assignment and origin are found in turn, so it is a near
one, not always the nearest of all. Source: optimal transport within a sample up to symmetry, as in Klein et al.,
Equivariant flow matching, arXiv:2306.15030.
"""

import jax
import jax.numpy as jnp
from optax.assignment import hungarian_algorithm

from unimat.model.compact.torus import without_mean, wrapped

ROUNDS = 2  # of assigning atoms, then moving the origin: a third changes little


def nearest(start: jax.Array, end: jax.Array, cells: jax.Array) -> jax.Array:
    """`end` (B, A, 3), fractional, with equal atoms exchanged and moved as a whole to lie near to `start`.

    Args:
        cells: (B, A) int, the cell of the table of each atom, -1 where there is none.
    """
    return nearest_with(start, end, jnp.zeros_like(end), cells)[0]


def nearest_with(start: jax.Array, end: jax.Array, beside: jax.Array, cells: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What `nearest` gives, and `beside` (B, A, k), which belongs to the atoms of `end`, in the same order."""
    present = cells >= 0
    alike, other = cells[:, :, None] == cells[:, None], cells.shape[1]  # more than the squares of all displacements
    for _ in range(ROUNDS):
        between = wrapped(start[:, :, None] - end[:, None])
        cost = jnp.where(alike, (between**2).sum(-1) * present[:, :, None], other)
        order = jax.vmap(_assigned)(cost)[..., None]
        end, beside = (jnp.take_along_axis(each, order, axis=1) for each in (end, beside))
        towards = wrapped(end - start)
        end = end - jnp.where(present[..., None], towards - without_mean(towards, present), 0.0)
    return end - jnp.floor(end), beside


def _assigned(cost: jax.Array) -> jax.Array:
    """(A,) the column of each row (A, A) in the assignment of the least total cost."""
    rows, columns = hungarian_algorithm(cost)
    return jnp.zeros(len(cost), columns.dtype).at[rows].set(columns)
