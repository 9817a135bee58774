"""`prediction: edm` against Table 1 of arXiv:2206.00364, written out in that paper's own terms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN, write_tiny_dataset
from unimat.model.checkpoints import read_model
from unimat.model.noise import diffusion, losses
from unimat.model.noise.preconditioning import Edm
from unimat.model.noise.schedule import alpha_sigma
from unimat.model.sampling.sampled_sets import sample
from unimat.model.settings import ModelSettings, SampleSettings, TrainSettings
from unimat.model.training.train import train

LOG_SNR = jnp.array([-8.0, -2.0, 0.0, 1.5, 6.0, 9.0])
DATA = {"coords": 0.4, "lattice": 1.3}
EDM = Edm(**DATA)


def state(seed):
    keys = jax.random.split(jax.random.key(seed), 2)
    n = len(LOG_SNR)
    return {"coords": jax.random.normal(keys[0], (n, 2, 1, 1, 3)), "lattice": jax.random.normal(keys[1], (n, 6))}


def table_1(name, like):
    """sigma, c_skip, c_out, c_in, in double precision, as column vectors over the noise levels."""
    sigma, data = np.exp(-0.5 * np.asarray(LOG_SNR, float)).reshape(-1, *[1] * (like.ndim - 1)), DATA[name]
    total = sigma**2 + data**2
    return sigma, data**2 / total, sigma * data / np.sqrt(total), 1 / np.sqrt(total)


def test_input_target_and_crystal_are_those_of_table_1():
    x0, noise = state(0), state(1)
    noisy = diffusion.noised(x0, noise, LOG_SNR)
    fed, wanted = EDM.network_input(noisy, LOG_SNR), diffusion.target(x0, noise, LOG_SNR, EDM)
    guess = state(2)
    crystal = diffusion.to_x0(guess, noisy, LOG_SNR, EDM)
    for name in x0:
        x, e, f = (np.asarray(each[name], float) for each in (x0, noise, guess))
        sigma, c_skip, c_out, c_in = table_1(name, x)
        y = x + sigma * e
        np.testing.assert_allclose(fed[name], c_in * y, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(wanted[name], (x - c_skip * y) / c_out, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(crystal[name], c_skip * y + c_out * f, rtol=1e-4, atol=1e-4)


def test_target_and_input_have_variance_one_whatever_the_noise():
    n = 20_000
    for log_snr in (-20.0, -3.0, 0.0, 4.0, 20.0):
        keys = jax.random.split(jax.random.key(int(log_snr) + 50), 2)
        x0, noise = (
            {"coords": scale * jax.random.normal(key, (1, n))} for scale, key in zip((0.4, 1.0), keys, strict=True)
        )
        level = jnp.full(1, log_snr)
        for each in (
            diffusion.target(x0, noise, level, EDM),
            EDM.network_input(diffusion.noised(x0, noise, level), level),
        ):
            assert float(each["coords"].var()) == pytest.approx(1.0, rel=0.05)


def test_with_data_of_variance_one_it_is_v_with_the_sign_turned():
    x0, noise, one = state(3), state(4), Edm(1.0, 1.0)
    noisy = diffusion.noised(x0, noise, LOG_SNR)
    ours, v = diffusion.target(x0, noise, LOG_SNR, one), diffusion.target(x0, noise, LOG_SNR, "v")
    for name in x0:
        np.testing.assert_allclose(ours[name], -v[name], atol=1e-5)
        np.testing.assert_allclose(one.network_input(noisy, LOG_SNR)[name], noisy[name], rtol=1e-5)


def test_predictions_invert_to_the_crystal_at_both_ends_of_the_schedule():
    x0, noise, ends = state(5), state(6), jnp.array([-20.0, -20.0, 0.0, 0.0, 20.0, 20.0])
    noisy = diffusion.noised(x0, noise, ends)
    back = diffusion.to_x0(diffusion.target(x0, noise, ends, EDM), noisy, ends, EDM)
    for name in x0:
        np.testing.assert_allclose(back[name], x0[name], atol=1e-3)


def test_settings_say_sigma_data():
    assert diffusion.prediction_of(ModelSettings(prediction="edm", sigma_data_coords=0.4)) == Edm(0.4, 1.0)
    assert diffusion.prediction_of(ModelSettings()) == "epsilon"


def test_min_snr_times_the_error_is_that_of_the_crystal_up_to_gamma_for_each_part():
    x0, noise = state(7), state(8)
    wrong = jax.tree.map(lambda x: x + 0.1, diffusion.target(x0, noise, LOG_SNR, EDM))
    implied = diffusion.to_x0(wrong, diffusion.noised(x0, noise, LOG_SNR), LOG_SNR, EDM)
    alpha, sigma = (np.asarray(each, float) for each in alpha_sigma(LOG_SNR))
    for name in x0:
        weight = losses.min_snr_weight(LOG_SNR, EDM, 5.0, name)
        error_x0 = np.asarray(((implied[name] - x0[name]) ** 2).reshape(len(LOG_SNR), -1)[:, 0])
        np.testing.assert_allclose(0.01 * weight, np.minimum((alpha / sigma) ** 2, 5.0) * error_x0, rtol=0.03)


def test_loss_of_predicting_nothing_is_one_at_every_noise_level():
    """For data of sigma_data, the paper's own loss weight: that is what 1 / c_out^2 is for."""
    n = 4000
    keys = jax.random.split(jax.random.key(9), 2)
    x0 = {
        "coords": 0.4 * jax.random.normal(keys[0], (n, 4, 1, 1, 3)),
        "lattice": 1.3 * jax.random.normal(keys[1], (n, 6)),
    }
    present, mask = jnp.ones((n, 4, 1, 1), bool), jnp.ones((1, 1))
    nothing = lambda noisy, log_snr: jax.tree.map(jnp.zeros_like, noisy)  # noqa: E731
    chosen = losses.LossSettings(EDM, -20.0, 20.0, 1.0, 1.0, noise_levels="log_normal", noise_mean=0.0, noise_std=2.5)
    _, report = losses.loss(nothing, x0, present, mask, chosen, key=jax.random.key(10))
    np.testing.assert_allclose([report["loss_coords"], report["loss_lattice"]], 1.0, rtol=0.03)
    counts = np.asarray(report["band_count"])
    assert counts.sum() == n
    np.testing.assert_allclose(report["band_loss"] / counts, 2.0, rtol=0.1)


def test_a_model_is_trained_and_draws_crystals_with_churn(tmp_path):
    write_tiny_dataset(tmp_path / "encoded")
    model = dataclasses.replace(TINY_MODEL, prediction="edm", displacement_features=2)
    settings = dataclasses.replace(TINY_TRAIN, steps=2, noise_levels="log_normal", loss_weight="min_snr")
    report = train(tmp_path / "encoded", model, settings, tmp_path / "work", tmp_path / "model")
    assert np.isfinite(report["final"]["loss"])
    trained = read_model(tmp_path / "model/model.npz")
    assert trained.settings == model
    crystals, rejected, _ = sample(trained, SampleSettings(n=3, steps=2, sampler="heun", churn=1.0, churn_noise=1.003))
    assert len(crystals) + len(rejected) == 3


def test_defaults_are_those_of_the_paper():
    model, train = ModelSettings(), TrainSettings()
    assert (model.sigma_data_coords, train.noise_mean, train.noise_std) == (0.5, -1.2, 1.2)
