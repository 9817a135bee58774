"""Gaussian diffusion of the state {coords, lattice}: the training loss and the ancestral sampler.

Shapes: coords (B, L, H, W, C), lattice (B, D), log_snr (B,). Source: section 2.2 and Table 4 of the paper;
the posterior is that of Ho et al., arXiv:2006.11239, in continuous time.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from unimat.model.schedule import alpha_sigma, cosine_log_snr, times_of_batch
from unimat.model.tensors import State

# Edges of the bands of log-SNR in which the training loss is also reported.
BANDS = ((-20.0, -10.0), (-10.0, 0.0), (0.0, 10.0), (10.0, 20.0))

# What a network is to the diffusion: (noisy state, log_snr) -> prediction of the same shapes.
Predict = Callable[[State, jax.Array], State]


def _along(per_crystal: jax.Array, x: jax.Array) -> jax.Array:
    return per_crystal.reshape(per_crystal.shape + (1,) * (x.ndim - per_crystal.ndim))


def noised(x0: State, noise: State, log_snr: jax.Array) -> State:
    """alpha * x0 + sigma * noise."""
    alpha, sigma = alpha_sigma(log_snr)
    return jax.tree.map(lambda x, e: _along(alpha, x) * x + _along(sigma, x) * e, x0, noise)


def target(x0: State, noise: State, log_snr: jax.Array, prediction: str) -> State:
    """What the network should predict: the noise (`epsilon`), the crystal (`x0`), or v = alpha * noise - sigma * x0."""
    alpha, sigma = alpha_sigma(log_snr)
    forms = {
        "epsilon": lambda x, e: e,
        "x0": lambda x, e: x,
        "v": lambda x, e: _along(alpha, x) * e - _along(sigma, x) * x,
    }
    return jax.tree.map(forms[prediction], x0, noise)


def to_x0(predicted: State, noisy: State, log_snr: jax.Array, prediction: str) -> State:
    """The crystal that a prediction implies."""
    alpha, sigma = alpha_sigma(log_snr)
    forms = {
        "epsilon": lambda p, z: (z - _along(sigma, z) * p) / _along(alpha, z),
        "x0": lambda p, z: p,
        "v": lambda p, z: _along(alpha, z) * z - _along(sigma, z) * p,
    }
    return jax.tree.map(forms[prediction], predicted, noisy)


@dataclasses.dataclass(frozen=True)
class LossSettings:
    """The settings that the loss depends on; see `ModelSettings` and `TrainSettings`."""

    prediction: str
    log_snr_min: float
    log_snr_max: float
    lattice_weight: float
    null_weight: float


def loss(
    predict: Predict, x0: State, present: jax.Array, mask: jax.Array, settings: LossSettings, *, key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss of a batch, and sums to report.

    Args:
        present: (B, L, H, W) bool, slots that hold an atom.
        mask: (H, W) float32, one in cells of elements; the others count for nothing.

    Returns:
        The mean squared error of the coordinates plus `lattice_weight` times that of the lattice; and a mapping
        with `loss`, `loss_coords`, `loss_lattice` (scalars), `band_loss`, `band_count` (4,) over `BANDS`.
    """
    time_key, coords_key, lattice_key = jax.random.split(key, 3)
    t = times_of_batch(len(x0["lattice"]), key=time_key)
    log_snr = cosine_log_snr(t, settings.log_snr_min, settings.log_snr_max)
    noise = {
        "coords": jax.random.normal(coords_key, x0["coords"].shape),
        "lattice": jax.random.normal(lattice_key, x0["lattice"].shape),
    }
    predicted = predict(noised(x0, noise, log_snr), log_snr)
    squared = jax.tree.map(lambda p, q: (p - q) ** 2, predicted, target(x0, noise, log_snr, settings.prediction))
    weight = jnp.where(present, 1.0, settings.null_weight) * mask
    coords = (squared["coords"].mean(-1) * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))
    lattice = squared["lattice"].mean(-1)
    in_band = jnp.stack([(log_snr >= low) & (log_snr < high) for low, high in BANDS]).astype(jnp.float32)
    total = coords + settings.lattice_weight * lattice
    report = {
        "loss": total.mean(),
        "loss_coords": coords.mean(),
        "loss_lattice": lattice.mean(),
        "band_loss": in_band @ total,
        "band_count": in_band.sum(1),
    }
    return report["loss"], report


def ancestral_step(
    noisy: State, x0: State, noise: State, log_snr: jax.Array, next_log_snr: jax.Array, gamma: float
) -> State:
    """State at the higher `next_log_snr`, drawn given the state at `log_snr` and the predicted crystal.

    Args:
        log_snr, next_log_snr: scalars or (B,).
        gamma: the variance is large^gamma * small^(1 - gamma), of the bounds of the reverse variance: the
            posterior's (small) and the forward step's (large); Nichol and Dhariwal, arXiv:2102.09672.
    """
    ratio = jnp.exp(log_snr - next_log_snr)
    kept = -jnp.expm1(log_snr - next_log_snr)
    alpha, _ = alpha_sigma(log_snr)
    next_alpha, _ = alpha_sigma(next_log_snr)
    log_small = jnp.log(kept) + jax.nn.log_sigmoid(-next_log_snr)
    log_large = jnp.log(kept) + jax.nn.log_sigmoid(-log_snr)
    deviation = jnp.exp(0.5 * (gamma * log_large + (1 - gamma) * log_small))

    def step(z: jax.Array, x: jax.Array, e: jax.Array) -> jax.Array:
        mean = _along(ratio * next_alpha / alpha, z) * z + _along(kept * next_alpha, z) * x
        return mean + _along(deviation, z) * e

    return jax.tree.map(step, noisy, x0, noise)
