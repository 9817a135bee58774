"""Blocks of the 3D U-Net over (L, H, W): convolution, residual block, change of resolution."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from unimat.model.network.convolution import convolution
from unimat.model.network.normalization import GroupNorm

# Variance 1 / fan-in as usual; uniform draws, since normal ones take XLA far longer to compile.
fan_in = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")
zeros = nn.initializers.zeros


class Convolution(nn.Module):
    """(B, L, H, W, features), each axis padded to keep its size; an axis of size 1 costs nothing.

    Attributes:
        kernel: width along L, H, W. stride: step along L, H, W.
    """

    features: int
    kernel: tuple[int, int, int] = (1, 3, 3)
    stride: tuple[int, int, int] = (1, 1, 1)
    zero: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = tuple(1 if size == 1 else k for size, k in zip(x.shape[1:4], self.kernel, strict=True))
        init = zeros if self.zero else fan_in
        if kernel == (1, 1, 1):
            return nn.Dense(self.features, kernel_init=init, dtype=self.dtype)(x)
        return nn.Conv(
            self.features,
            kernel,
            self.stride,
            padding="SAME",
            kernel_init=init,
            dtype=self.dtype,
            conv_general_dilated=convolution,
        )(x)


class ResidualBlock(nn.Module):
    """(B, L, H, W, features); the embedding (B, E) scales and shifts it between the two convolutions."""

    features: int
    kernel: tuple[int, int, int]
    dropout: float
    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, embedding: jax.Array) -> jax.Array:
        h = GroupNorm(self.dtype, swish=True)(x)
        h = Convolution(self.features, self.kernel, dtype=self.dtype)(h)
        film = nn.Dense(2 * self.features, kernel_init=zeros, dtype=self.dtype)(nn.swish(embedding))
        h = GroupNorm(self.dtype, swish=True, dropout=self.dropout)(h, film, self.train)
        h = Convolution(self.features, self.kernel, zero=True, dtype=self.dtype)(h)
        if x.shape[-1] != self.features:
            x = nn.Dense(self.features, dtype=self.dtype, kernel_init=fan_in)(x)
        return x + h


def factors(height: int, width: int) -> tuple[int, int]:
    """By how much the next resolution is coarser: 3 along an axis that 3 divides, otherwise 1."""
    return (3 if height % 3 == 0 else 1, 3 if width % 3 == 0 else 1)


class Downsample(nn.Module):
    """(B, L, H / fh, W / fw, channels)."""

    factors: tuple[int, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return Convolution(x.shape[-1], (1, 3, 3), (1, *self.factors), dtype=self.dtype)(x)


class Upsample(nn.Module):
    """(B, L, H * fh, W * fw, channels): each cell repeated, then a convolution."""

    factors: tuple[int, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = jnp.repeat(jnp.repeat(x, self.factors[0], axis=2), self.factors[1], axis=3)
        return Convolution(x.shape[-1], (1, 3, 3), dtype=self.dtype)(x)
