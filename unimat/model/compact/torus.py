"""Displacements of fractional coordinates."""

import jax
import jax.numpy as jnp


def wrapped(displacements: jax.Array) -> jax.Array:
    """The shortest of equivalent displacements in fractional coordinates, in [-0.5, 0.5]."""
    return displacements - jnp.round(displacements)


def without_mean(displacements: jax.Array, present: jax.Array) -> jax.Array:
    """(B, A, 3) less their mean over the atoms of each crystal, and zero where there is no atom."""
    here = present[..., None]
    n = jnp.maximum(present.sum(1), 1)[:, None, None]
    return (displacements - jnp.where(here, displacements, 0.0).sum(1, keepdims=True) / n) * here
