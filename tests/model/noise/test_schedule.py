import jax
import jax.numpy as jnp
import numpy as np

from unimat.model.noise.schedule import alpha_sigma, cosine_log_snr, log_normal_log_snr, times_of_batch


def test_cosine_schedule_ends_at_the_range_of_table_4():
    np.testing.assert_allclose(cosine_log_snr(jnp.array([0.0, 0.5, 1.0])), [20, 0, -20], atol=2e-2)
    assert (np.diff(cosine_log_snr(jnp.linspace(0, 1, 300))) < 0).all()


def test_alpha_is_the_cosine():
    t = np.linspace(0.02, 0.98, 25)
    alpha, sigma = alpha_sigma(cosine_log_snr(jnp.asarray(t)))
    np.testing.assert_allclose(alpha, np.cos(np.pi * t / 2), atol=1e-4)  # the clipping moves it by 4.5e-5
    np.testing.assert_allclose(sigma, np.sin(np.pi * t / 2), atol=1e-4)


def test_log_normal_noise_has_its_mean_and_deviation_and_keeps_to_the_ends():
    t = (np.arange(10_000) + 0.5) / 10_000
    log_sigma = -0.5 * np.asarray(log_normal_log_snr(jnp.asarray(t), -1.2, 1.2))
    np.testing.assert_allclose([log_sigma.mean(), log_sigma.std()], [-1.2, 1.2], rtol=1e-3)
    ends = log_normal_log_snr(jnp.array([0.0, 0.5, 1.0]), -1.2, 1.2, -3.0, 5.0)
    np.testing.assert_allclose(ends, [5.0, 2.4, -3.0], rtol=1e-6)


def test_variance_is_preserved_at_both_ends():
    alpha, sigma = alpha_sigma(jnp.linspace(-20, 20, 41))
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=1e-6)
    np.testing.assert_allclose(float(jnp.log(alpha[-1] ** 2 / sigma[-1] ** 2)), 20, rtol=1e-5)


def test_times_of_a_batch_are_evenly_spread():
    t = np.sort(times_of_batch(10, key=jax.random.key(0)))
    np.testing.assert_allclose(np.diff(t), 0.1, atol=1e-6)
    assert 0 <= t[0] < 0.1
