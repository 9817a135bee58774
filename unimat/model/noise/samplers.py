"""Samplers: how a noisy crystal is led along rising log-SNRs, by predictions of the clean crystal (x0) alone.

All share one interface, so that the network, guidance, clipping, keys and batches know nothing of them. `ancestral` is
the paper's and draws noise in every step; the others solve the reverse ODE: with s = sigma / alpha and y = z / alpha,
dy/ds = (y - x0) / s (Karras et al., arXiv:2206.00364, Equation 4 with their sigma = s).
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unimat.model.noise import diffusion
from unimat.model.noise.schedule import alpha_sigma, cosine_log_snr
from unimat.model.representation.tensors import State

# Table 1 of arXiv:2206.00364: the range of noise that Heun's method runs through, the bend of its grid, and (Table 5,
# where churn helped) the range in which fresh noise is added.
SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0
CHURN_MIN, CHURN_MAX = 0.05, 50.0

PredictX0 = Callable[[State, jax.Array], State]  # (noisy, scalar log-SNR) -> clean crystals
Memory = Any  # what a step leaves to the next; a pytree


@dataclasses.dataclass(frozen=True)
class SamplerSettings:
    """What the samplers need of `SampleSettings`."""

    sampler: str = "ancestral"
    steps: int = 256
    gamma: float = 0.1
    churn: float = 0.0
    churn_noise: float = 1.0


@dataclasses.dataclass(frozen=True)
class Interval:
    """Where a step begins and ends, scalars.

    Attributes:
        first: whether it is the first, whose `previous_log_snr` means nothing.
    """

    previous_log_snr: jax.Array
    log_snr: jax.Array
    next_log_snr: jax.Array
    first: jax.Array


# (predict, noisy, memory, interval, draw, settings) -> x0 at the interval's start, state at its end, memory. `draw`
# gives standard normal noise of the state's shapes, the same at every call in one step.
Step = Callable[[PredictX0, State, Memory, Interval, Callable[[], State], SamplerSettings], tuple[State, State, Memory]]


def _ancestral(
    predict: PredictX0, noisy: State, memory: Memory, at: Interval, draw: Callable[[], State], settings: SamplerSettings
) -> tuple[State, State, Memory]:
    x0 = predict(noisy, at.log_snr)
    drawn = diffusion.ancestral_step(noisy, x0, draw(), at.log_snr, at.next_log_snr, settings.gamma)
    return x0, drawn, memory


def _ddim(
    predict: PredictX0, noisy: State, memory: Memory, at: Interval, draw: Callable[[], State], settings: SamplerSettings
) -> tuple[State, State, Memory]:
    """First order: x0 stays as it is over the step (arXiv:2010.02502, Equation 12 with sigma = 0)."""
    x0 = predict(noisy, at.log_snr)
    return x0, towards(noisy, x0, at.log_snr, at.next_log_snr), memory


def _dpm_solver(
    predict: PredictX0, noisy: State, memory: Memory, at: Interval, draw: Callable[[], State], settings: SamplerSettings
) -> tuple[State, State, Memory]:
    """Second order: x0 goes on along the line through the last two (arXiv:2211.01095, Algorithm 2, 2M)."""
    x0 = predict(noisy, at.log_snr)
    before = jnp.where(at.first, 1.0, at.log_snr - at.previous_log_snr)
    slope = jnp.where(at.first, 0.0, 0.5 * (at.next_log_snr - at.log_snr) / before)
    ahead = jax.tree.map(lambda now, previous: now + slope * (now - previous), x0, memory)
    return x0, towards(noisy, ahead, at.log_snr, at.next_log_snr), x0


def _heun(
    predict: PredictX0, noisy: State, memory: Memory, at: Interval, draw: Callable[[], State], settings: SamplerSettings
) -> tuple[State, State, Memory]:
    """Second order: the mean of the slopes at both ends, with fresh noise before (arXiv:2206.00364, Algorithm 2)."""
    log_snr = at.log_snr
    if settings.churn:
        noisy, log_snr = churned(noisy, log_snr, draw(), settings)
    x0 = predict(noisy, log_snr)
    guess = towards(noisy, x0, log_snr, at.next_log_snr)
    (alpha, sigma), (next_alpha, next_sigma) = alpha_sigma(log_snr), alpha_sigma(at.next_log_snr)
    s, next_s = sigma / alpha, next_sigma / next_alpha
    x0_there = predict(guess, at.next_log_snr)

    def corrected(z: jax.Array, x: jax.Array, there: jax.Array, x_there: jax.Array) -> jax.Array:
        slopes = (z / alpha - x) / s + (there / next_alpha - x_there) / next_s
        return next_alpha * (z / alpha + 0.5 * (next_s - s) * slopes)

    return x0, jax.tree.map(corrected, noisy, x0, guess, x0_there), memory


def towards(noisy: State, x0: State, log_snr: jax.Array, next_log_snr: jax.Array) -> State:
    """Exact solution of the reverse ODE from one log-SNR to another for an x0 that does not change."""
    next_alpha, _ = alpha_sigma(next_log_snr)
    ratio = jnp.exp(0.5 * (jax.nn.log_sigmoid(-next_log_snr) - jax.nn.log_sigmoid(-log_snr)))
    gained = -next_alpha * jnp.expm1(0.5 * (log_snr - next_log_snr))
    return jax.tree.map(lambda z, x: ratio * z + gained * x, noisy, x0)


def churned(noisy: State, log_snr: jax.Array, noise: State, settings: SamplerSettings) -> tuple[State, jax.Array]:
    """The state with noise added and the lower log-SNR that it has then; as it was outside the range of churn."""
    alpha, sigma = alpha_sigma(log_snr)
    s = sigma / alpha
    most = jnp.float32(min(settings.churn / settings.steps, math.sqrt(2) - 1))
    growth = jnp.where((s >= CHURN_MIN) & (s <= CHURN_MAX), most, 0.0)
    lower = log_snr - 2 * jnp.log1p(growth)
    added = settings.churn_noise * s * jnp.sqrt(growth * (2 + growth))
    new_alpha, _ = alpha_sigma(lower)
    return jax.tree.map(lambda z, e: new_alpha * (z / alpha + added * e), noisy, noise), lower


def cosine_grid(steps: int, low: float, high: float) -> jax.Array:
    """(steps + 1,) log-SNRs, evenly spaced in the time of the training schedule."""
    return cosine_log_snr(1.0 - jnp.arange(steps + 1) / steps, low, high)


def power_grid(steps: int, low: float, high: float) -> jax.Array:
    """(steps + 1,) log-SNRs of Heun's method: sigma^(1 / RHO) evenly spaced, and `high` at the end.

    Source: arXiv:2206.00364, Equation 5, within the range that the network was trained on. The slope of the ODE is
    that of y, whose size spans nine decades on the training schedule: there its first steps would be unstable.
    """
    first, last = min(SIGMA_MAX, math.exp(-low / 2)), max(SIGMA_MIN, math.exp(-high / 2))
    sigmas = np.linspace(first ** (1 / RHO), last ** (1 / RHO), steps) ** RHO
    return jnp.asarray([*(-2 * np.log(sigmas)), high], jnp.float32)


def _nothing(noisy: State) -> Memory:
    return {}


def _zeros(noisy: State) -> Memory:
    return jax.tree.map(jnp.zeros_like, noisy)


@dataclasses.dataclass(frozen=True)
class Sampler:
    """One way to sample.

    Attributes:
        step: one step.
        log_snrs: (steps, lowest, highest) -> (steps + 1,) rising log-SNRs.
        memory: what the first step is given as the memory of the one before.
    """

    step: Step
    log_snrs: Callable[[int, float, float], jax.Array] = cosine_grid
    memory: Callable[[State], Memory] = _nothing


SAMPLERS = {
    "ancestral": Sampler(_ancestral),
    "ddim": Sampler(_ddim),
    "dpm++": Sampler(_dpm_solver, memory=_zeros),
    "heun": Sampler(_heun, power_grid),
}
