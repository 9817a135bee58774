"""What a compact network sees of a noisy crystal: phases of coordinates, and distances between nearest images."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from unimat.model.representation import lattice as lattice_forms

FARTHEST = 6.0  # Å, where the last radial feature lies
IMAGES = np.array(sorted(itertools.product((-1, 0, 1), repeat=3), key=lambda shift: (any(shift), shift)), np.float32)


def phases_of(coords: jax.Array, harmonics: int) -> jax.Array:
    """(B, A, 2, 3K) cos and sin of 2πk times fractional coordinates (B, A, 3), k = 1..K."""
    k = jnp.arange(1, harmonics + 1, dtype=coords.dtype)
    angles = 2 * jnp.pi * (coords[..., None] * k).reshape(*coords.shape[:-1], -1)
    return jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-2)


def distances_of(coords: jax.Array, matrices: jax.Array) -> jax.Array:
    """(B, A, A) Å between nearest images; of an atom to itself, to the nearest of its own images.

    Args:
        coords: (B, A, 3) fractional. matrices: (B, 3, 3), rows a, b, c in Å, reduced, since 27 cells are looked at.
    """
    return jnp.sqrt(_squared_distances(_between(coords), matrices).min(-1))


def vector_features(coords: jax.Array, matrices: jax.Array, n: int) -> jax.Array:
    """(B, A, A, 4n) sums over the images of each atom of Gaussians of the distance, and of these times x_i - x_j.

    What a network needs to push an atom along its bonds, in the fractional coordinates in which it moves, however many
    bonds lead to images of one atom.

    Args:
        coords, matrices: as for `distances_of`. n: Gaussians, evenly spaced up to `FARTHEST`.
    """
    between = _between(coords)
    distances = jnp.sqrt(_squared_distances(between, matrices))
    radial = _gaussians(distances[..., None, :], jnp.linspace(0.0, FARTHEST, n)[:, None])  # (B, A, A, n, 27)
    sums = radial @ jnp.asarray(np.column_stack([np.ones(len(IMAGES)), IMAGES]), radial.dtype)  # (B, A, A, n, 4)
    vectors = sums[..., 1:] + sums[..., :1] * between[..., None, :]
    return jnp.concatenate([sums[..., 0], vectors.reshape(*between.shape[:-1], 3 * n)], axis=-1)


def _between(coords: jax.Array) -> jax.Array:
    """(B, A, A, 3) fractional x_i - x_j, to the image that is nearest along each axis."""
    between = coords[:, :, None] - coords[:, None]
    return between - jnp.round(between)


def _squared_distances(between: jax.Array, matrices: jax.Array) -> jax.Array:
    """(B, A, A, 27) Å^2 to all `IMAGES`; infinite of an atom to itself."""
    between = between @ matrices[:, None]
    shifts = jnp.asarray(IMAGES) @ matrices
    squared = (
        (between**2).sum(-1)[..., None]
        + 2 * jnp.einsum("bijx,bsx->bijs", between, shifts)
        + (shifts**2).sum(-1)[:, None, None]
    )
    itself = jnp.eye(between.shape[1], dtype=bool)[:, :, None] & (jnp.arange(len(IMAGES)) == 0)  # IMAGES[0] is no shift
    return jnp.where(itself, jnp.inf, jnp.maximum(squared, 0.0))


def radial_features(distances: jax.Array, n: int) -> jax.Array:
    """(..., n) Gaussians of distances in Å (...), evenly spaced up to `FARTHEST`."""
    return _gaussians(distances[..., None], jnp.linspace(0.0, FARTHEST, n))


def _gaussians(distances: jax.Array, centres: jax.Array) -> jax.Array:
    return jnp.exp(-(((distances - centres) * (len(centres) - 1) / FARTHEST) ** 2))


def matrices_of(parameters: jax.Array) -> jax.Array:
    """(B, 3, 3) of noisy lattice parameters (B, 6), kept to what can be a cell."""
    lengths = jnp.clip(parameters[:, :3], 1.0, 100.0)
    angles = jnp.clip(parameters[:, 3:], 30.0, 150.0)
    return lattice_forms.to_matrices(jnp.concatenate([lengths, angles], axis=1), jnp)
