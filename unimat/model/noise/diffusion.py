"""Gaussian diffusion of the state {coords, lattice}: noise, what a network predicts of it, one ancestral step.

Shapes: coords (B, L, H, W, C), lattice (B, D), log_snr (B,). Source: section 2.2 and Table 4 of the paper;
the posterior is that of Ho et al., arXiv:2006.11239, in continuous time.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from unimat.model.noise.preconditioning import Edm
from unimat.model.noise.schedule import along, alpha_sigma
from unimat.model.representation.tensors import State
from unimat.model.settings import ModelSettings

# Edges of the bands of log-SNR in which the training loss is also reported.
BANDS = ((-20.0, -10.0), (-10.0, 0.0), (0.0, 10.0), (10.0, 20.0))

# What a network is to the diffusion: (noisy state, log_snr) -> prediction of the same shapes.
Predict = Callable[[State, jax.Array], State]

# What it predicts: epsilon, v, x0, or a mixture that depends on the scale of the data.
Prediction = str | Edm


def prediction_of(settings: ModelSettings) -> Prediction:
    """What the network of these settings predicts."""
    if settings.prediction == "edm":
        return Edm(settings.sigma_data_coords, settings.sigma_data_lattice)
    return settings.prediction


def noised(x0: State, noise: State, log_snr: jax.Array) -> State:
    """alpha * x0 + sigma * noise."""
    alpha, sigma = alpha_sigma(log_snr)
    return jax.tree.map(lambda x, e: along(alpha, x) * x + along(sigma, x) * e, x0, noise)


def target(x0: State, noise: State, log_snr: jax.Array, prediction: Prediction) -> State:
    """What the network should predict: the noise (`epsilon`), the crystal (`x0`), or v = alpha * noise - sigma * x0.

    For `Edm` see `unimat.model.noise.preconditioning`.
    """
    if isinstance(prediction, Edm):
        return prediction.target(x0, noise, log_snr)
    alpha, sigma = alpha_sigma(log_snr)
    forms = {
        "epsilon": lambda x, e: e,
        "x0": lambda x, e: x,
        "v": lambda x, e: along(alpha, x) * e - along(sigma, x) * x,
    }
    return jax.tree.map(forms[prediction], x0, noise)


def to_x0(predicted: State, noisy: State, log_snr: jax.Array, prediction: Prediction) -> State:
    """The crystal that a prediction implies."""
    if isinstance(prediction, Edm):
        return prediction.to_x0(predicted, noisy, log_snr)
    alpha, sigma = alpha_sigma(log_snr)
    forms = {
        "epsilon": lambda p, z: (z - along(sigma, z) * p) / along(alpha, z),
        "x0": lambda p, z: p,
        "v": lambda p, z: along(alpha, z) * z - along(sigma, z) * p,
    }
    return jax.tree.map(forms[prediction], predicted, noisy)


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
        mean = along(ratio * next_alpha / alpha, z) * z + along(kept * next_alpha, z) * x
        return mean + along(deviation, z) * e

    return jax.tree.map(step, noisy, x0, noise)
