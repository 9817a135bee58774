import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimat.model.noise import diffusion, losses
from unimat.model.noise.schedule import alpha_sigma

PLAIN = losses.LossSettings("epsilon", -20.0, 20.0, lattice_weight=2.0, null_weight=1.0)


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
def test_min_snr_weight_times_the_error_is_that_of_the_crystal_up_to_gamma(prediction):
    """Whatever is predicted, weight * error = min(SNR, gamma) * error of the implied x0."""
    log_snr = jnp.array([-12.0, -3.0, 0.0, 1.0, 4.0, 9.0])
    alpha, sigma = alpha_sigma(log_snr)
    x0 = {"lattice": jnp.linspace(-1, 1, 6)[:, None]}
    noise = {"lattice": jnp.linspace(2, -1, 6)[:, None]}
    noisy = diffusion.noised(x0, noise, log_snr)
    wrong = jax.tree.map(lambda x: x + 0.1, diffusion.target(x0, noise, log_snr, prediction))
    error = (wrong["lattice"] - diffusion.target(x0, noise, log_snr, prediction)["lattice"])[:, 0] ** 2
    implied = diffusion.to_x0(wrong, noisy, log_snr, prediction)
    error_x0 = (implied["lattice"] - x0["lattice"])[:, 0] ** 2
    weight = losses.min_snr_weight(log_snr, prediction, 5.0)
    wanted = np.minimum(np.asarray(alpha / sigma) ** 2, 5.0) * np.asarray(error_x0)
    np.testing.assert_allclose(weight * error, wanted, rtol=2e-2)


def test_min_snr_weights_by_hand():
    """SNR 1 and 100, gamma 5."""
    log_snr = jnp.log(jnp.array([1.0, 100.0]))
    np.testing.assert_allclose(losses.min_snr_weight(log_snr, "x0", 5.0), [1, 5], rtol=1e-5)
    np.testing.assert_allclose(losses.min_snr_weight(log_snr, "epsilon", 5.0), [1, 0.05], rtol=1e-5)
    np.testing.assert_allclose(losses.min_snr_weight(log_snr, "v", 5.0), [0.5, 5 / 101], rtol=1e-5)


def test_weight_changes_the_loss_and_not_what_is_reported_of_its_parts():
    shape = (64, 2, 1, 1)
    x0 = {"coords": jnp.ones((*shape, 3)), "lattice": jnp.ones((64, 6))}
    present, mask = jnp.ones(shape, bool), jnp.ones((1, 1))
    nothing = lambda noisy, log_snr: jax.tree.map(jnp.zeros_like, noisy)  # noqa: E731
    plain, report = losses.loss(nothing, x0, present, mask, PLAIN, key=jax.random.key(0))
    chosen = losses.LossSettings("epsilon", -20.0, 20.0, 2.0, 1.0, "min_snr", 5.0)
    weighted, other = losses.loss(nothing, x0, present, mask, chosen, key=jax.random.key(0))
    assert float(weighted) < 0.9 * float(plain)  # levels above an SNR of 5 count less, none counts more
    for name in ("loss_coords", "loss_lattice", "band_loss", "band_count"):
        np.testing.assert_array_equal(report[name], other[name])
