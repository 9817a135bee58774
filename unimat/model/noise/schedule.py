"""Variance-preserving noise schedule in continuous time: log-SNR of t in [0, 1], alpha^2 + sigma^2 = 1."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri


def cosine_log_snr(t: jax.Array, low: float = -20.0, high: float = 20.0) -> jax.Array:
    """log(alpha^2 / sigma^2) of alpha = cos(πt/2), with t stretched so that it runs from `high` to `low`.

    Source: Table 4 names the schedule and the range; the stretched form is that of Salimans and Ho,
    arXiv:2202.00512, appendix.
    """
    first, last = np.arctan(np.exp(-0.5 * high)), np.arctan(np.exp(-0.5 * low))
    return -2.0 * jnp.log(jnp.tan(first + t * (last - first)))


def log_normal_log_snr(t: jax.Array, mean: float, std: float, low: float = -20.0, high: float = 20.0) -> jax.Array:
    """Log-SNR of which ln(sigma / alpha) is normally distributed when t is uniform in [0, 1]; within [low, high].

    Source: Karras et al., arXiv:2206.00364, Table 1, whose sigma is sigma / alpha here.
    """
    return jnp.clip(-2.0 * (mean + std * ndtri(t)), low, high)


def alpha_sigma(log_snr: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Factors of data and of noise at a log-SNR."""
    return jnp.sqrt(jax.nn.sigmoid(log_snr)), jnp.sqrt(jax.nn.sigmoid(-log_snr))


def times_of_batch(n: int, *, key: jax.Array) -> jax.Array:
    """(n,) times, each uniform in [0, 1) and together evenly spread (Kingma et al., arXiv:2107.00630)."""
    return (jax.random.uniform(key) + jnp.arange(n) / n) % 1.0


def along(per_crystal: jax.Array, x: jax.Array) -> jax.Array:
    """(B,) or a scalar in a shape that multiplies x (B, ...)."""
    return per_crystal.reshape(per_crystal.shape + (1,) * (x.ndim - per_crystal.ndim))
