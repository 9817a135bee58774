"""What modulates every block of a network: the noise level, and conditions that are one vector per crystal."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from unimat.model.network.blocks import fan_in, zeros

LOG_SNR_FREQUENCIES = 64


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


class ConditionEmbedding(nn.Module):
    """(B, features) embedding of a vector per crystal (B, k); zero before training, so that it starts unheard."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, vector: jax.Array) -> jax.Array:
        hidden = nn.swish(nn.Dense(self.features, dtype=self.dtype, kernel_init=fan_in)(vector))
        return nn.Dense(self.features, dtype=self.dtype, kernel_init=zeros)(hidden)
