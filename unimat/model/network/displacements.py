"""Periodic displacements between atoms as attention sees them: sums over atoms j of a_ij e^(2πik(x_i - x_j)).

An atom's harmonic e^(2πikx) turns with the origin of the cell, the displacement's does not. Since the sum is
e^(2πikx_i) times that of a_ij e^(-2πikx_j), attention mixes 6K further numbers for each token, and no array of pairs is
needed.

Coordinates are noisy, and most slots of the table are null. Each harmonic is therefore the mean of what it may be,
given the noisy channels of its slot: the unit vector of the noisy coordinate, times its coherence under the noise,
times the probability that the slot holds an atom at all. Both follow from Bayes' rule, with atoms anywhere in the cell,
and as many atoms as null slots, before the channels are seen.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import i0e, i1e

from unimat.model.noise.schedule import along, alpha_sigma
from unimat.model.settings import ModelSettings


class Waves(NamedTuple):
    """Expected harmonics of each slot, (B, L, H, W, 3K) each: those of x, y, z for k = 1, then for k = 2, ..."""

    cos: jax.Array
    sin: jax.Array

    @property
    def size(self) -> int:
        """Numbers of a slot, 6K."""
        return 2 * self.cos.shape[-1]

    def like_tokens(self, x: jax.Array) -> "Waves":
        """The same in the shape (B, L', N) and the type of tokens x (B, L', N, channels)."""
        return Waves(*(each.reshape(*x.shape[:3], -1).astype(x.dtype) for each in self))

    def values(self, heads: int) -> jax.Array:
        """(B, L, N, heads, 6K), what attention mixes: the cosines and sines of each token, alike for all heads."""
        both = jnp.concatenate(self, axis=-1)[..., None, :]
        return jnp.broadcast_to(both, (*both.shape[:-2], heads, both.shape[-1]))

    def turned(self, mixed: jax.Array) -> jax.Array:
        """(B, L, N, heads, 6K) cosines and sines of the displacements, from the mixed `values`."""
        cos, sin = (each[..., None, :] for each in self)
        mixed_cos, mixed_sin = jnp.split(mixed, 2, axis=-1)
        return jnp.concatenate([cos * mixed_cos + sin * mixed_sin, sin * mixed_cos - cos * mixed_sin], axis=-1)


def waves_of(coords: jax.Array, log_snr: jax.Array, settings: ModelSettings) -> Waves:
    """Expected harmonics of noisy coordinate channels (B, L, H, W, C) at noise levels (B,); float32.

    Turning all coordinates of a crystal by one angle turns its harmonics and leaves their size, exactly for the form
    `circle`; for `raw`, up to the change that wrapping makes to the estimated presence.
    """
    seen = _on_circles if settings.coordinate_form == "circle" else _on_lines
    cos, sin, coherence, log_odds = seen(coords, log_snr, settings.coords_scale)
    present = jax.nn.sigmoid(log_odds)[..., None]
    waves, (cos_k, sin_k) = [], (jnp.ones_like(cos), jnp.zeros_like(sin))
    for k in range(1, settings.displacement_features + 1):
        cos_k, sin_k = cos_k * cos - sin_k * sin, sin_k * cos + cos_k * sin
        size = present * coherence ** (k * k)
        waves.append((size * cos_k, size * sin_k))
    return Waves(*(jnp.concatenate(parts, axis=-1) for parts in zip(*waves, strict=True)))


Seen = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def _on_circles(coords: jax.Array, log_snr: jax.Array, scale: float) -> Seen:
    """Unit vectors and coherence (..., 3) of (cos 2πx, sin 2πx) under noise, and log odds (...) of presence.

    Given a noisy point at radius r, the angle of an atom follows a von Mises distribution of concentration
    kappa = alpha * scale * r / sigma^2, whose first coherence is I1 / I0 (Mardia and Jupp, Directional Statistics,
    section 3.5.4); the k-th is taken to be its k^2-th power, as for a wrapped normal one. The odds are those of a point
    at unit radius, turned by any angle, against one at zero.
    """
    alpha, sigma = (along(each, coords) for each in alpha_sigma(log_snr))
    cos, sin = coords[..., :3], coords[..., 3:]
    radius = jnp.sqrt(cos**2 + sin**2 + 1e-12)
    kappa = alpha * scale / sigma**2 * radius
    log_odds = jnp.log(i0e(kappa)) + kappa - 0.5 * (alpha * scale / sigma) ** 2
    return cos / radius, sin / radius, i1e(kappa) / i0e(kappa), log_odds.sum(-1)


def _on_lines(coords: jax.Array, log_snr: jax.Array, scale: float) -> Seen:
    """The same of x, y, z under noise, whose phases are normal with deviation 2π sigma / (alpha * scale).

    The odds are those of the mean of the three at null (-1) against the nearest atom (0), as in `RawChannels`.
    """
    alpha, sigma = (along(each, coords) for each in alpha_sigma(log_snr))
    deviation = sigma / (alpha * scale)
    x = coords / (alpha * scale)
    angles = 2 * math.pi * (x - jnp.round(x))
    log_odds = (x.mean(-1) + 0.5) * 3.0 / deviation[..., 0] ** 2
    coherence = jnp.exp(-0.5 * (2 * math.pi * deviation) ** 2)
    return jnp.cos(angles), jnp.sin(angles), coherence, log_odds
