"""Attention between the atoms of a crystal that sees where they lie to each other, whatever the origin of the cell."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from unimat.model.network.blocks import fan_in, zeros

NEVER = -1e9  # logit of a token that is no atom


class TorusAttention(nn.Module):
    """(B, A, d) mixed between atoms by content, distance and displacement.

    Beside its values, each head sums over the atoms j that it attends to: features of their distance, and cos and sin
    of 2πk(x_i - x_j) for every axis and k up to the harmonics given. Without these among the values coordinates are not
    learned at all, however much the logits know of displacements. The sum over j of a_ij exp(2πik(x_i - x_j)) is
    exp(2πik x_i) times that of a_ij exp(-2πik x_j): no array over pairs is needed. What is seen of a template adds to
    logits and output through layers that begin at zero; of its values all heads together have one sum.
    """

    head_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        phases: jax.Array,
        distances: jax.Array,
        present: jax.Array,
        template: jax.Array | None = None,
    ) -> jax.Array:
        """Output of the shape of x.

        Args:
            phases: (B, A, 2, 3K) cos and sin of 2πk times the coordinates.
            distances: (B, A, A, R) features of the distance of each pair.
            present: (B, A) bool.
            template: (B, A, A, R) features of the same pairs in a template, zeros where there is none.
        """
        (b, n, width), heads = x.shape, x.shape[-1] // self.head_dim
        project = nn.Dense(3 * width, use_bias=False, kernel_init=fan_in, dtype=self.dtype, name="qkv")
        qkv = project(x.reshape(b * n, width))
        q, k, v = jnp.moveaxis(qkv.reshape(b, n, 3, heads, self.head_dim), 2, 0)
        bias = nn.Dense(heads, use_bias=False, kernel_init=zeros, dtype=self.dtype, name="distance")(distances)
        if template is not None:
            seen = nn.Dense(heads, use_bias=False, kernel_init=zeros, dtype=self.dtype, name="template_distance")
            bias = bias + seen(template)
        logits = jnp.einsum("bihd,bjhd->bhij", q, k) * self.head_dim**-0.5 + jnp.moveaxis(bias, 3, 1)
        logits = jnp.where(present[:, None, None, :], logits.astype(jnp.float32), NEVER)
        weights = jax.nn.softmax(logits).astype(self.dtype)
        parts = [
            jnp.einsum("bhij,bjhd->bihd", weights, v),
            jnp.einsum("bhij,bijr->bihr", weights, distances),
            displacements(weights, phases.astype(self.dtype)),
        ]
        joined = jnp.concatenate([part.reshape(b * n, -1) for part in parts], axis=-1)
        out = nn.Dense(width, kernel_init=fan_in, dtype=self.dtype, name="out")(joined)
        if template is not None:
            summed = jnp.einsum("bij,bijr->bir", weights.mean(1), template).reshape(b * n, -1)
            seen = nn.Dense(width, use_bias=False, kernel_init=zeros, dtype=self.dtype, name="template_out")
            out = out + seen(summed)
        return out.reshape(b, n, width)


def displacements(weights: jax.Array, phases: jax.Array) -> jax.Array:
    """(B, A, heads, 2, 3K) sums over j of weights (B, heads, A, A) times cos and sin of 2πk(x_i - x_j).

    Args:
        phases: (B, A, 2, 3K) as for `TorusAttention`.
    """
    summed = jnp.einsum("bhij,bjpk->bihpk", weights, phases)
    cos, sin = phases[:, :, None, 0], phases[:, :, None, 1]
    summed_cos, summed_sin = summed[..., 0, :], summed[..., 1, :]
    return jnp.stack([cos * summed_cos + sin * summed_sin, sin * summed_cos - cos * summed_sin], axis=-2)
