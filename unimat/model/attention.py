"""Self-attention between the slots and cells of the grid."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from unimat.model.blocks import fan_in, zeros
from unimat.model.normalization import GroupNorm


class SelfAttention(nn.Module):
    """(..., N, channels): multi-head attention over N tokens."""

    head_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        heads = max(1, channels // self.head_dim)
        width = heads * min(self.head_dim, channels)
        qkv = nn.Dense(3 * width, use_bias=False, dtype=self.dtype, kernel_init=fan_in)(x)
        parts = qkv.reshape(-1, x.shape[-2], 3, heads, width // heads)
        mixed = jax.nn.dot_product_attention(parts[:, :, 0], parts[:, :, 1], parts[:, :, 2])
        return nn.Dense(channels, kernel_init=zeros, dtype=self.dtype)(mixed.reshape(*x.shape[:-1], width))


class GridAttention(nn.Module):
    """(B, L, H, W, channels) plus attention over all slots and cells, or over cells and then over slots."""

    head_dim: int
    kind: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, n_slots, height, width, channels = x.shape
        if self.kind == "joint":
            tokens = GroupNorm(self.dtype)(x).reshape(b, -1, channels)
            return x + SelfAttention(self.head_dim, dtype=self.dtype)(tokens).reshape(x.shape)
        if height * width > 1:
            cells = GroupNorm(self.dtype)(x).reshape(b, n_slots, height * width, channels)
            x = x + SelfAttention(self.head_dim, dtype=self.dtype)(cells).reshape(x.shape)
        if n_slots > 1:
            slots = jnp.moveaxis(GroupNorm(self.dtype)(x), 1, 3)
            x = x + jnp.moveaxis(SelfAttention(self.head_dim, dtype=self.dtype)(slots), 3, 1)
        return x
