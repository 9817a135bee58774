"""Blocks of the 3D U-Net over (L, H, W): convolution, residual block, attention, change of resolution."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

LOG_SNR_FREQUENCIES = 64

# Variance 1 / fan-in as usual; uniform draws, since normal ones take XLA far longer to compile.
fan_in = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")
zeros = nn.initializers.zeros


def norm(channels: int, dtype: Any, name: str | None = None) -> nn.GroupNorm:
    """Group normalisation over slots and cells, in at most 32 groups of at least four channels."""
    groups = math.gcd(32, channels // 4) if channels % 4 == 0 else 1
    return nn.GroupNorm(num_groups=groups, dtype=dtype, name=name)


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
        return nn.Conv(self.features, kernel, self.stride, padding="SAME", kernel_init=init, dtype=self.dtype)(x)


class NoiseLevel(nn.Module):
    """(B, features) embedding of log_snr (B,): sines and cosines of it, then two dense layers."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, log_snr: jax.Array) -> jax.Array:
        frequencies = jnp.exp(jnp.linspace(math.log(0.05), math.log(10.0), LOG_SNR_FREQUENCIES))
        angles = log_snr[:, None] * frequencies
        x = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
        return nn.Dense(self.features, dtype=self.dtype, kernel_init=fan_in)(
            nn.swish(nn.Dense(self.features, dtype=self.dtype, kernel_init=fan_in)(x))
        )


class ResidualBlock(nn.Module):
    """(B, L, H, W, features); the embedding (B, E) scales and shifts it between the two convolutions."""

    features: int
    kernel: tuple[int, int, int]
    dropout: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, embedding: jax.Array, train: bool) -> jax.Array:
        h = nn.swish(norm(x.shape[-1], self.dtype)(x))
        h = Convolution(self.features, self.kernel, dtype=self.dtype)(h)
        film = nn.Dense(2 * self.features, kernel_init=zeros, dtype=self.dtype)(nn.swish(embedding))
        scale, shift = jnp.split(film[:, None, None, None, :], 2, axis=-1)
        h = nn.swish(norm(self.features, self.dtype)(h) * (1 + scale) + shift)
        h = nn.Dropout(self.dropout, deterministic=not train)(h)
        h = Convolution(self.features, self.kernel, zero=True, dtype=self.dtype)(h)
        if x.shape[-1] != self.features:
            x = nn.Dense(self.features, dtype=self.dtype, kernel_init=fan_in)(x)
        return x + h


class SelfAttention(nn.Module):
    """(..., N, channels) plus multi-head attention over its N tokens."""

    head_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        heads = max(1, channels // self.head_dim)
        width = heads * min(self.head_dim, channels)
        qkv = nn.Dense(3 * width, use_bias=False, dtype=self.dtype, kernel_init=fan_in)(x)
        q, k, v = jnp.moveaxis(qkv.reshape(*x.shape[:-1], 3, heads, width // heads), -3, 0)
        scores = jnp.einsum("...qhd,...khd->...hqk", q, k).astype(jnp.float32) / math.sqrt(width // heads)
        weights = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
        mixed = jnp.einsum("...hqk,...khd->...qhd", weights, v).reshape(*x.shape[:-1], width)
        return nn.Dense(channels, kernel_init=zeros, dtype=self.dtype)(mixed)


class GridAttention(nn.Module):
    """(B, L, H, W, channels) plus attention over all slots and cells, or over cells and then over slots."""

    head_dim: int
    kind: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, n_slots, height, width, channels = x.shape
        if self.kind == "joint":
            tokens = norm(channels, self.dtype)(x).reshape(b, -1, channels)
            return x + SelfAttention(self.head_dim, dtype=self.dtype)(tokens).reshape(x.shape)
        if height * width > 1:
            cells = norm(channels, self.dtype)(x).reshape(b, n_slots, height * width, channels)
            x = x + SelfAttention(self.head_dim, dtype=self.dtype)(cells).reshape(x.shape)
        if n_slots > 1:
            slots = jnp.moveaxis(norm(channels, self.dtype)(x), 1, 3)
            x = x + jnp.moveaxis(SelfAttention(self.head_dim, dtype=self.dtype)(slots), 3, 1)
        return x


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
