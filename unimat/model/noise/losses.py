"""The training loss: the squared error of a prediction at random noise levels, weighted by level if asked.

Shapes: coords (B, L, H, W, C), lattice (B, D), log_snr (B,). Source: section 2.2 and Table 4 of the paper.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from unimat.model.noise.diffusion import BANDS, Predict, Prediction, noised, target
from unimat.model.noise.preconditioning import Edm
from unimat.model.noise.schedule import cosine_log_snr, log_normal_log_snr, times_of_batch
from unimat.model.representation.tensors import State

__all__ = ["BANDS", "LossSettings", "loss", "min_snr_weight"]


@dataclasses.dataclass(frozen=True)
class LossSettings:
    """The settings that the loss depends on; see `ModelSettings` and `TrainSettings`."""

    prediction: Prediction
    log_snr_min: float
    log_snr_max: float
    lattice_weight: float
    null_weight: float
    weight: str = "none"
    min_snr_gamma: float = 5.0
    noise_levels: str = "cosine"
    noise_mean: float = -1.2
    noise_std: float = 1.2

    def log_snr(self, t: jax.Array) -> jax.Array:
        """Noise levels of times that are uniform in [0, 1)."""
        ends = self.log_snr_min, self.log_snr_max
        if self.noise_levels == "log_normal":
            return log_normal_log_snr(t, self.noise_mean, self.noise_std, *ends)
        return cosine_log_snr(t, *ends)


def loss(
    predict: Predict, x0: State, present: jax.Array, mask: jax.Array, settings: LossSettings, *, key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss of a batch, and sums to report.

    Args:
        present: (B, L, H, W) bool, slots that hold an atom.
        mask: (H, W) float32, one in cells of elements; the others count for nothing.

    Returns:
        The mean over crystals of the squared error of the coordinates plus `lattice_weight` times that of the
        lattice, times the weight of the noise level; and a mapping with `loss`, and, free of that weight,
        `loss_coords`, `loss_lattice` (scalars), `band_loss`, `band_count` (4,) over `BANDS`.
    """
    time_key, coords_key, lattice_key = jax.random.split(key, 3)
    t = times_of_batch(len(x0["lattice"]), key=time_key)
    log_snr = settings.log_snr(t)
    noise = {
        "coords": jax.random.normal(coords_key, x0["coords"].shape),
        "lattice": jax.random.normal(lattice_key, x0["lattice"].shape),
    }
    predicted = predict(noised(x0, noise, log_snr), log_snr)
    squared = jax.tree.map(lambda p, q: (p - q) ** 2, predicted, target(x0, noise, log_snr, settings.prediction))
    slots = jnp.where(present, 1.0, settings.null_weight) * mask
    coords = (squared["coords"].mean(-1) * slots).sum((1, 2, 3)) / slots.sum((1, 2, 3))
    lattice = squared["lattice"].mean(-1)
    in_band = jnp.stack([(log_snr >= low) & (log_snr < high) for low, high in BANDS]).astype(jnp.float32)
    total = coords + settings.lattice_weight * lattice
    weighted = total
    if settings.weight == "min_snr":
        of = {n: min_snr_weight(log_snr, settings.prediction, settings.min_snr_gamma, n) for n in ("coords", "lattice")}
        weighted = of["coords"] * coords + settings.lattice_weight * of["lattice"] * lattice
    report = {
        "loss": weighted.mean(),
        "loss_coords": coords.mean(),
        "loss_lattice": lattice.mean(),
        "loss_occupancy": jnp.float32(0),
        "band_loss": in_band @ total,
        "band_count": in_band.sum(1),
    }
    return report["loss"], report


def min_snr_weight(log_snr: jax.Array, prediction: Prediction, gamma: float, part: str = "coords") -> jax.Array:
    """Weight of a noise level: that of the crystal's error is min(SNR, gamma), whatever the network predicts.

    The squared error of epsilon is SNR times that of x0, that of v is SNR + 1 times, and that of `Edm` depends on the
    part of the state. Source: Hang et al., arXiv:2303.09556, section 3.4.
    """
    if isinstance(prediction, Edm):
        log_factor = prediction.log_weight(part, log_snr)
    else:
        log_factor = {"x0": jnp.zeros_like(log_snr), "epsilon": log_snr, "v": jax.nn.softplus(log_snr)}[prediction]
    return jnp.exp(jnp.minimum(log_snr, math.log(gamma)) - log_factor)
