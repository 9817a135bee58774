"""Group normalisation, modulation, swish and dropout in two passes over the activations.

The first pass sums x and x^2 for each crystal and channel, in float32; all that follows is one scale and one offset per
crystal and channel, so the second pass computes the rest element by element. What the backward pass needs is the input
and those small arrays: neither float32 copies nor masks of the activations are kept.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

EPSILON = 1e-6  # as flax.linen.GroupNorm


def n_groups(channels: int) -> int:
    """At most 32 groups of at least four channels."""
    return math.gcd(32, channels // 4) if channels % 4 == 0 else 1


class GroupNorm(nn.Module):
    """(B, ..., C), normalised over all axes but the first in groups of channels, then scaled and shifted.

    Attributes:
        swish: apply swish last. dropout: and then drop so large a share of the elements.
    """

    dtype: Any = jnp.float32
    swish: bool = False
    dropout: float = 0.0

    @nn.compact
    def affine(self, x: jax.Array, film: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """The scale and the shift, (B, C) float32 each, that normalise x.

        Args:
            film: (B, 2 C), a scale to which one is added and a shift for each crystal.
        """
        channels = x.shape[-1]
        gain = self.param("scale", nn.initializers.ones, (channels,))
        offset = self.param("bias", nn.initializers.zeros, (channels,))
        mean, rstd = statistics(x, n_groups(channels))
        scale = rstd * gain
        shift = offset - mean * scale
        if film is not None:
            factor, term = jnp.split(film.astype(jnp.float32), 2, axis=-1)
            scale, shift = scale * (1 + factor), shift * (1 + factor) + term
        return scale, shift

    def __call__(self, x: jax.Array, film: jax.Array | None = None, train: bool = False) -> jax.Array:
        """Normalised x; `film` as in `affine`."""
        scale, shift = self.affine(x, film)
        dropped = self.dropout if train else 0.0
        seed = jax.random.bits(self.make_rng("dropout"), (2,), jnp.uint32) if dropped else jnp.zeros(2, jnp.uint32)
        flat = x.reshape(len(x), -1, x.shape[-1])
        return activated(flat, scale, shift, seed, (self.swish, dropped)).reshape(x.shape).astype(self.dtype)


def statistics(x: jax.Array, groups: int) -> tuple[jax.Array, jax.Array]:
    """Mean and reciprocal standard deviation (B, C) of (B, ..., C), of each channel's group; float32."""
    # Channels first, then groups of these sums: to split the channels of an activation is dear on every backend.
    wide, axes = x.astype(jnp.float32), tuple(range(1, x.ndim - 1))
    mean, square = _of_groups(wide.mean(axes), groups), _of_groups((wide * wide).mean(axes), groups)
    return mean, jax.lax.rsqrt(jnp.maximum(square - mean * mean, 0.0) + EPSILON)


def _of_groups(per_channel: jax.Array, groups: int) -> jax.Array:
    """(B, C) mean of each channel's group."""
    grouped = per_channel.reshape(len(per_channel), groups, -1)
    return jnp.broadcast_to(grouped.mean(-1, keepdims=True), grouped.shape).reshape(per_channel.shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def activated(
    x: jax.Array, scale: jax.Array, shift: jax.Array, seed: jax.Array, choices: tuple[bool, float]
) -> jax.Array:
    """x * scale + shift, then swish and dropout if chosen: (B, N, C) of x's type.

    Args:
        scale, shift: (B, C) float32. seed: (2,) uint32. choices: whether swish, and the share to drop.
    """
    swish, dropped = choices
    y = x.astype(jnp.float32) * scale[:, None] + shift[:, None]
    if swish:
        y = y * jax.nn.sigmoid(y)
    return (y * kept(x.shape, seed, dropped) if dropped else y).astype(x.dtype)


def _forward(
    x: jax.Array, scale: jax.Array, shift: jax.Array, seed: jax.Array, choices: tuple[bool, float]
) -> tuple[jax.Array, Any]:
    return activated(x, scale, shift, seed, choices), (x, scale, shift, seed)


def _backward(choices: tuple[bool, float], saved: Any, g: jax.Array) -> tuple[Any, ...]:
    (x, scale, shift, seed), (swish, dropped) = saved, choices
    wide = x.astype(jnp.float32)
    slope = g.astype(jnp.float32)
    if dropped:
        slope = slope * kept(x.shape, seed, dropped)
    if swish:
        y = wide * scale[:, None] + shift[:, None]
        gate = jax.nn.sigmoid(y)
        slope = slope * gate * (1 + y * (1 - gate))
    # XLA keeps the slope between the sums and the product: let it be no wider than an activation.
    slope = slope.astype(x.dtype).astype(jnp.float32)
    return (slope * scale[:, None]).astype(x.dtype), (slope * wide).sum(1), slope.sum(1), None


activated.defvjp(_forward, _backward)


def kept(shape: tuple[int, ...], seed: jax.Array, dropped: float) -> jax.Array:
    """Zero for so large a share of the elements, at random, and 1 / (1 - share) for the others; float32.

    A hash of the element's index and the seed (the mixer "lowbias32" of C. Wellons, twice), which XLA computes
    wherever it is needed, on each device for its own elements. Bits of `jax.random` would be written to memory.
    """
    index = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        stride = jnp.uint32(math.prod(shape[axis + 1 :]) % 2**32)
        index = index + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * stride
    bits = _mixed(_mixed(index ^ seed[0]) ^ seed[1])
    return jnp.where(bits >= jnp.uint32(round(dropped * 2**32)), jnp.float32(1 / (1 - dropped)), jnp.float32(0))


def _mixed(bits: jax.Array) -> jax.Array:
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    return bits ^ (bits >> 16)
