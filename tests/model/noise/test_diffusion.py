import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimat.model.noise import diffusion, losses
from unimat.model.noise.schedule import alpha_sigma
from unimat.model.sampling.denoising import make_denoiser
from unimat.model.settings import ModelSettings, SampleSettings

SETTINGS = losses.LossSettings("epsilon", -20.0, 20.0, lattice_weight=2.0, null_weight=1.0)
MEAN = {"coords": 0.4, "lattice": -1.0}
VARIANCE = {"coords": 0.09, "lattice": 0.25}


def state(n=64, seed=0):
    keys = jax.random.split(jax.random.key(seed), 2)
    return {
        "coords": jax.random.normal(keys[0], (n, 2, 3, 1, 3)),
        "lattice": jax.random.normal(keys[1], (n, 6)),
    }


def exact(noisy, log_snr, prediction="epsilon"):
    """Best possible prediction for Gaussian data of MEAN and VARIANCE."""
    alpha, sigma = (a[:, None] for a in alpha_sigma(log_snr))

    def best(name):
        z = noisy[name].reshape(len(noisy[name]), -1)
        gain = VARIANCE[name] * alpha / (alpha**2 * VARIANCE[name] + sigma**2)
        x0 = MEAN[name] + gain * (z - alpha * MEAN[name])
        noise = (z - alpha * x0) / sigma
        forms = {
            "epsilon": noise,
            "x0": x0,
            "v": alpha * noise - sigma * x0,
            "edm": (sigma * x0 / 0.5 - alpha * 0.5 * noise),
        }
        spread = jnp.sqrt(sigma**2 + (0.5 * alpha) ** 2) if prediction == "edm" else 1.0
        return (forms[prediction] / spread).reshape(noisy[name].shape)

    return {name: best(name) for name in noisy}


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_predictions_invert_to_the_crystal(prediction):
    x0, noise, log_snr = state(seed=1), state(seed=2), jnp.linspace(-6, 6, 64)
    noisy = diffusion.noised(x0, noise, log_snr)
    back = diffusion.to_x0(diffusion.target(x0, noise, log_snr, prediction), noisy, log_snr, prediction)
    for name in x0:
        np.testing.assert_allclose(back[name], x0[name], atol=1e-3)


def test_loss_of_predicting_no_noise_at_all_is_its_variance():
    x0, mask = state(4000), jnp.ones((3, 1))
    present = jnp.zeros(x0["coords"].shape[:-1], bool)
    nothing = lambda noisy, log_snr: jax.tree.map(jnp.zeros_like, noisy)  # noqa: E731
    total, report = losses.loss(nothing, x0, present, mask, SETTINGS, key=jax.random.key(3))
    np.testing.assert_allclose([report["loss_coords"], report["loss_lattice"]], 1, atol=0.03)
    np.testing.assert_allclose(total, report["loss_coords"] + 2 * report["loss_lattice"], rtol=1e-5)
    # Times are evenly spread, and the cosine schedule is symmetric: so are the bands.
    counts = np.asarray(report["band_count"])
    assert counts.sum() == pytest.approx(4000, abs=2)
    np.testing.assert_allclose(counts, counts[::-1], atol=2)
    np.testing.assert_allclose(report["band_loss"].sum() / 4000, total, rtol=1e-3)


def test_loss_leaves_out_cells_without_an_element_and_weighs_null_slots():
    x0 = state(8)
    present = jnp.zeros(x0["coords"].shape[:-1], bool).at[:, 0, 0, 0].set(True)
    mask = jnp.array([[1.0], [1.0], [0.0]])

    def wrong_where(noisy, log_snr, cell):
        """Exactly right (the noise is known when x0 is), except by one in a cell."""
        alpha, sigma = alpha_sigma(log_snr)
        noise = {
            name: (noisy[name] - alpha.reshape(-1, *[1] * (z.ndim - 1)) * x0[name])
            / sigma.reshape(-1, *[1] * (z.ndim - 1))
            for name, z in noisy.items()
        }
        return {**noise, "coords": noise["coords"].at[:, :, cell].add(1.0)}

    def coords_loss(cell, null_weight):
        settings = losses.LossSettings("epsilon", -4.0, 4.0, 1.0, null_weight)
        predict = lambda noisy, log_snr: wrong_where(noisy, log_snr, cell)  # noqa: E731
        return float(losses.loss(predict, x0, present, mask, settings, key=jax.random.key(0))[1]["loss_coords"])

    assert coords_loss(2, 1.0) == pytest.approx(0, abs=1e-6)  # no element there
    assert coords_loss(0, 1.0) == pytest.approx(0.5, rel=1e-3)  # two of the four slots of two elements
    assert coords_loss(0, 0.5) == pytest.approx((1 + 0.5) / (1 + 3 * 0.5), rel=1e-3)


class ExactNetwork:
    """Predicts as well as can be for Gaussian data."""

    shapes = {"coords": (1, 2, 1, 3), "lattice": (6,)}  # noqa: RUF012

    def __init__(self, prediction):
        self.prediction = prediction

    def no_conditions(self, n):
        return {}

    def apply(self, params, noisy, log_snr, conditions):
        return exact(noisy, log_snr, self.prediction)


@pytest.mark.parametrize(
    ("prediction", "options"),
    [
        ("epsilon", {"gamma": 0.1}),
        ("epsilon", {"gamma": 1.0}),
        ("v", {"gamma": 0.1}),
        ("epsilon", {"sampler": "ddim"}),
        ("v", {"sampler": "dpm++", "steps": 64}),
        ("epsilon", {"sampler": "heun", "steps": 32}),
        ("v", {"sampler": "heun", "steps": 64, "churn": 20.0}),
        ("edm", {"sampler": "heun", "steps": 64, "churn": 20.0}),
        ("edm", {"gamma": 0.1}),
    ],
)
def test_sampler_recovers_gaussian_data(prediction, options):
    network = ExactNetwork(prediction)
    model = types.SimpleNamespace(
        settings=ModelSettings(prediction=prediction, sigma_data_lattice=0.5), network=network
    )
    settings = SampleSettings(**options, clip=False)
    n = 4000
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(n))
    start = {name: jax.random.normal(jax.random.key(9), (n, *shape)) for name, shape in network.shapes.items()}
    drawn = make_denoiser(model, settings)({}, start, keys, jnp.arange(settings.steps))
    # 256 steps leave the variance up to 4 % too small at gamma = 0 and a little too large at gamma = 1.
    slack = 0.06
    for name, values in drawn.items():
        assert float(values.mean()) == pytest.approx(MEAN[name], abs=0.02)
        assert float(values.var()) == pytest.approx(VARIANCE[name], rel=slack)


def test_ancestral_step_of_a_known_crystal_keeps_its_marginal():
    """For data that is one point, one step from q(z_t) must land on q(z_s), whose variance is sigma_s^2."""
    n, log_snr, after = 200_000, jnp.float32(-1.0), jnp.float32(0.5)
    x0 = {"x": jnp.full((n,), 0.7)}
    alpha, sigma = alpha_sigma(log_snr)
    noisy = {"x": alpha * 0.7 + sigma * jax.random.normal(jax.random.key(0), (n,))}
    noise = {"x": jax.random.normal(jax.random.key(1), (n,))}
    drawn = diffusion.ancestral_step(noisy, x0, noise, log_snr, after, gamma=0.0)["x"]
    next_alpha, next_sigma = alpha_sigma(after)
    assert float(drawn.mean()) == pytest.approx(float(next_alpha) * 0.7, abs=0.005)
    assert float(drawn.var()) == pytest.approx(float(next_sigma) ** 2, rel=0.01)
