"""Self-attention between the slots and cells of the grid."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from unimat.model.network import backend, fused_attention
from unimat.model.network.blocks import fan_in, zeros
from unimat.model.network.displacements import Waves
from unimat.model.network.normalization import GroupNorm

CHUNK_BYTES = 2 * 2**20  # of logits
UNCHUNKED_BYTES = 8 * 2**20  # so few are computed at once


class Weights(nn.Module):
    """The parameters of a dense layer, for those who multiply themselves: kernel (inputs, features), bias."""

    inputs: int
    features: int
    kernel_init: Any
    bias: bool

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array | None]:
        kernel = self.param("kernel", self.kernel_init, (self.inputs, self.features))
        return kernel, self.param("bias", zeros, (self.features,)) if self.bias else None


class SelfAttention(nn.Module):
    """Multi-head attention between the tokens of one axis of (B, L, N, channels), without normalisation."""

    head_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def projections(self, channels: int, n_waves: int = 0) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """To queries, keys and values (3, heads, channels, d), back (heads, d, channels), and a bias (channels,).

        The last, (heads, n_waves, channels), leads back from so many mixed numbers beside the values.
        """
        heads = max(1, channels // self.head_dim)
        size = min(self.head_dim, channels)
        qkv, _ = Weights(channels, 3 * heads * size, fan_in, False, name="Dense_0")()
        out, bias = Weights(heads * size, channels, zeros, True, name="Dense_1")()
        assert bias is not None
        displaced = jnp.zeros((heads, 0, channels))
        if n_waves:
            kernel, _ = Weights(heads * n_waves, channels, zeros, False, name="Displaced_0")()
            displaced = kernel.reshape(heads, n_waves, channels)
        of_heads = jnp.transpose(qkv.reshape(channels, 3, heads, size), (1, 2, 0, 3))
        back = out.reshape(heads, size, channels)
        return of_heads.astype(self.dtype), back.astype(self.dtype), bias, displaced.astype(self.dtype)

    def __call__(self, x: jax.Array, axis: int, waves: Waves | None = None) -> jax.Array:
        """(B, L, N, channels); the tokens along `axis`, 1 or 2, attend to each other.

        Args:
            waves: harmonics of each token's coordinates; the cosines and sines of the displacements to the others, as
                each head averages them, are added to what it says.
        """
        waves = None if waves is None else waves.like_tokens(x)
        qkv, out, bias, displaced = self.projections(x.shape[-1], 0 if waves is None else waves.size)
        q, k, v = (jnp.einsum("blnc,hcd->blnhd", x, each) for each in qkv)
        attend, size = _in_batches if backend.by_products() else _in_place, v.shape[-1]
        if waves is None:
            return jnp.einsum("blnhd,hdc->blnc", attend(q, k, v, axis), out) + bias.astype(self.dtype)
        mixed = attend(q, k, jnp.concatenate([v, waves.values(v.shape[-2])], axis=-1), axis)
        mixed = jnp.concatenate([mixed[..., :size], waves.turned(mixed[..., size:])], axis=-1)
        back = jnp.concatenate([out, displaced], axis=1)
        return jnp.einsum("blnhd,hdc->blnc", mixed, back) + bias.astype(self.dtype)


def _in_place(q: jax.Array, k: jax.Array, v: jax.Array, axis: int) -> jax.Array:
    """(B, L, N, heads, size of v) of attention along an axis, whatever the layout of its arrays."""
    pairs, sums = ("blnhd,bmnhd->bnhlm", "bnhlm,bmnhd->blnhd") if axis == 1 else _OVER_CELLS
    logits = jnp.einsum(pairs, q, k, preferred_element_type=jnp.float32) * q.shape[-1] ** -0.5
    return jnp.einsum(sums, jax.nn.softmax(logits).astype(v.dtype), v)


def _in_batches(q: jax.Array, k: jax.Array, v: jax.Array, axis: int) -> jax.Array:
    """The same by products of matrices with one axis of batches, which XLA computes fastest on a CPU.

    Logits beyond the caches are computed in chunks, and again in the backward pass.
    """
    last = [jnp.moveaxis(each, axis, 3) for each in (q, k, v)]
    rows = tuple(each.reshape(-1, *each.shape[3:]) for each in last)
    n, tokens, _ = rows[0].shape
    size = n if 4 * n * tokens**2 <= UNCHUNKED_BYTES else backend.chunk_of_rows(n, 4 * tokens**2, CHUNK_BYTES)
    if size == n:
        mixed = _of_rows(*rows)
    else:
        chunks = tuple(each.reshape(-1, size, *each.shape[1:]) for each in rows)
        mixed = jax.lax.map(lambda chunk: jax.checkpoint(_of_rows)(*chunk), chunks)
    return jnp.moveaxis(mixed.reshape(last[2].shape), 3, axis)


def _of_rows(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """(n, N, size of v) of attention between the N tokens of each of n rows."""
    logits = jnp.einsum("bnd,bmd->bnm", q, k, preferred_element_type=jnp.float32) * q.shape[-1] ** -0.5
    return jax.nn.softmax(logits).astype(v.dtype) @ v


_OVER_CELLS = "blnhd,blmhd->blhnm", "blhnm,blmhd->blnhd"


class GridAttention(nn.Module):
    """(B, L, H, W, channels) plus attention over all slots and cells, or over cells and then over slots."""

    head_dim: int
    kind: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, waves: Waves | None = None) -> jax.Array:
        b, n_slots, height, width, channels = x.shape
        if self.kind == "joint":
            return self._plus_attention(x.reshape(b, 1, -1, channels), 2, waves).reshape(x.shape)
        tokens = x.reshape(b, n_slots, height * width, channels)
        if height * width > 1:
            tokens = self._plus_attention(tokens, 2, waves)
        if n_slots > 1:
            tokens = self._plus_attention(tokens, 1, waves)
        return tokens.reshape(x.shape)

    def _plus_attention(self, x: jax.Array, axis: int, waves: Waves | None) -> jax.Array:
        norm, attention = GroupNorm(self.dtype), SelfAttention(self.head_dim, dtype=self.dtype)
        # The kernel knows no values beside its own projections.
        if waves is None and backend.by_kernels() and fused_attention.fits(x.shape, axis, self.head_dim):
            return fused_attention.attended(x, *norm.affine(x), *attention.projections(x.shape[-1])[:3], axis)
        return x + attention(norm(x), axis, waves)
