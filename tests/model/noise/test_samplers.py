"""Samplers against the exact reverse ODE of Gaussian data."""

import jax.numpy as jnp
import numpy as np
import pytest

from unimat.model.noise.samplers import SAMPLERS, Interval, SamplerSettings, churned, cosine_grid, power_grid, towards
from unimat.model.noise.schedule import alpha_sigma

MEAN, VARIANCE = 0.4, 0.09


def expected_x0(noisy, log_snr):
    """Mean of Gaussian data given its noisy value."""
    alpha, sigma = alpha_sigma(log_snr)
    gain = VARIANCE * alpha / (alpha**2 * VARIANCE + sigma**2)
    return {name: MEAN + gain * (z - alpha * MEAN) for name, z in noisy.items()}


def exact(noisy, log_snr, next_log_snr):
    """Solution of the ODE: y - mean keeps its ratio to the deviation of y, whose variance is VARIANCE + s^2."""
    (alpha, sigma), (next_alpha, next_sigma) = (map(float, alpha_sigma(x)) for x in (log_snr, next_log_snr))
    ratio = np.sqrt((VARIANCE + (next_sigma / next_alpha) ** 2) / (VARIANCE + (sigma / alpha) ** 2))
    return {name: next_alpha * (MEAN + ratio * (np.asarray(z) / alpha - MEAN)) for name, z in noisy.items()}


def solved(name, grid, noisy, settings=None):
    sampler, state = SAMPLERS[name], noisy
    memory = sampler.memory(noisy)
    chosen = settings or SamplerSettings(name, len(grid) - 1)
    for i in range(len(grid) - 1):
        at = Interval(grid[max(i - 1, 0)], grid[i], grid[i + 1], jnp.asarray(i == 0))
        _, state, memory = sampler.step(expected_x0, state, memory, at, dict, chosen)
    return state


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("dpm++", 2), ("heun", 2)])
def test_error_falls_with_the_order_of_the_solver(name, order):
    noisy, low, high = {"x": jnp.linspace(-2.0, 2.0, 9)}, -3.0, 5.0
    errors = []
    for steps in (12, 24, 48):
        grid = jnp.linspace(low, high, steps + 1)
        errors.append(np.abs(solved(name, grid, noisy)["x"] - exact(noisy, grid[0], grid[-1])["x"]).max())
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert slopes[-1] == pytest.approx(order, abs=0.25)
    assert errors[-1] < 0.03


def test_a_step_towards_a_crystal_that_is_known_is_exact():
    x0, noise = {"x": jnp.float32(0.7)}, {"x": jnp.float32(-1.3)}
    for before, after in ((-20.0, -10.0), (-1.0, 0.5), (3.0, 20.0)):
        (alpha, sigma), (next_alpha, next_sigma) = alpha_sigma(jnp.float32(before)), alpha_sigma(jnp.float32(after))
        moved = towards({"x": alpha * x0["x"] + sigma * noise["x"]}, x0, jnp.float32(before), jnp.float32(after))["x"]
        np.testing.assert_allclose(moved, next_alpha * x0["x"] + next_sigma * noise["x"], atol=2e-6)


def test_churn_adds_what_the_lower_log_snr_means():
    log_snr, n = jnp.float32(1.0), 200_000
    rng = np.random.default_rng(0)
    alpha, sigma = alpha_sigma(log_snr)
    noisy = {"x": alpha * 0.7 + sigma * jnp.asarray(rng.normal(size=n), jnp.float32)}
    noise = {"x": jnp.asarray(rng.normal(size=n), jnp.float32)}
    settings = SamplerSettings("heun", steps=10, churn=3.0)
    more, lower = churned(noisy, log_snr, noise, settings)
    new_alpha, new_sigma = alpha_sigma(lower)
    assert float(new_sigma / new_alpha) == pytest.approx(1.3 * float(sigma / alpha), rel=1e-4)
    assert float(more["x"].mean()) == pytest.approx(float(new_alpha) * 0.7, abs=0.01)
    assert float(more["x"].std()) == pytest.approx(float(new_sigma), rel=0.01)
    same, kept = churned(noisy, jnp.float32(18.0), noise, settings)  # outside the range of churn
    assert float(kept) == 18.0
    np.testing.assert_allclose(same["x"], noisy["x"], atol=1e-6)


def test_grids_rise_to_the_highest_log_snr():
    for grid in (cosine_grid(64, -20.0, 20.0), power_grid(64, -20.0, 20.0)):
        assert grid.shape == (65,)
        assert (np.diff(grid) > 0).all()
        assert float(grid[-1]) == pytest.approx(20.0, abs=1e-3)
    sigmas = np.exp(-0.5 * np.asarray(power_grid(18, -20.0, 20.0)))
    # arXiv:2206.00364, Equation 5 by hand: 80, then (80^(1/7) + (0.002^(1/7) - 80^(1/7)) / 17)^7.
    np.testing.assert_allclose(sigmas[:2], [80.0, 57.586], rtol=1e-3)
    assert sigmas[17] == pytest.approx(0.002, rel=1e-3)
    assert float(power_grid(4, -4.0, 4.0)[0]) == pytest.approx(-4.0, abs=1e-5)
