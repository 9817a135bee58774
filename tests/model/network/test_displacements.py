"""Displacements in attention against sums over every pair, and what they must not depend on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import iv

from tests.model.network.test_unet import assert_same, loss_and_gradients, network, perturbed
from unimat.model.network import attention, backend, fused_attention
from unimat.model.network.attention import GridAttention
from unimat.model.network.displacements import Waves, waves_of
from unimat.model.noise.schedule import alpha_sigma
from unimat.model.representation.channels import channel_map
from unimat.model.settings import ModelSettings

SHAPE = (2, 3, 2, 2)  # crystals, L, H, W


def noisy_channels(settings, log_snr, coords, seed=0):
    """Channels of atoms at coords (B, L, H, W, 3) under noise that is the same for each origin of the cell."""
    rng = np.random.default_rng(seed)
    alpha, sigma = (np.asarray(each)[:, None, None, None, None] for each in alpha_sigma(log_snr))
    noise = rng.normal(size=(*coords.shape[:-1], channel_map(settings).n_channels))
    if settings.coordinate_form == "circle":  # along and across the radius
        angles = 2 * np.pi * coords
        turn = np.exp(1j * angles) * (noise[..., :3] + 1j * noise[..., 3:])
        noise = np.concatenate([turn.real, turn.imag], axis=-1)
    return jnp.asarray(alpha * np.asarray(channel_map(settings).to_channels(coords)) + sigma * noise, jnp.float32)


def settings_of(form, **choices):
    return ModelSettings(coordinate_form=form, displacement_features=3, **choices)


def of_all_pairs(a, waves):
    """(B, N, 6K) sums of cos and sin of the displacements over a (B, N, N), every pair written out."""
    z = np.asarray(waves.cos, np.float64) + 1j * np.asarray(waves.sin, np.float64)
    pairs = np.einsum("bik,bjk->bijk", z, z.conj())
    total = np.einsum("bij,bijk->bik", a, pairs)
    return np.concatenate([total.real, total.imag], axis=-1)


def test_harmonics_of_atoms_without_noise_are_those_of_their_coordinates():
    coords = np.random.default_rng(1).uniform(size=(*SHAPE, 3))
    log_snr = jnp.full(SHAPE[0], 20.0)
    for form in ("circle", "raw"):
        settings = settings_of(form, coords_scale=2.0)
        waves = waves_of(noisy_channels(settings, log_snr, coords), log_snr, settings)
        for k in (1, 2, 3):
            here = slice(3 * (k - 1), 3 * k)
            np.testing.assert_allclose(waves.cos[..., here], np.cos(2 * np.pi * k * coords), atol=2e-3)
            np.testing.assert_allclose(waves.sin[..., here], np.sin(2 * np.pi * k * coords), atol=2e-3)


@pytest.mark.parametrize("form", ["circle", "raw"])
def test_null_slots_say_nothing_and_nothing_is_known_in_pure_noise(form):
    settings = settings_of(form)
    rng = np.random.default_rng(2)
    null = np.broadcast_to(channel_map(settings).null, (2, 50, 1, 1, channel_map(settings).n_channels))
    log_snr = jnp.array([6.0, -20.0])
    alpha, sigma = (np.asarray(each)[:, None, None, None, None] for each in alpha_sigma(log_snr))
    seen = jnp.asarray(alpha * null + sigma * rng.normal(size=null.shape), jnp.float32)
    waves = waves_of(seen, log_snr, settings)
    assert max(float(jnp.abs(each).max()) for each in waves) < 1e-3
    atoms = rng.uniform(size=(2, 50, 1, 1, 3))
    cos, sin = waves_of(noisy_channels(settings, log_snr, atoms), log_snr, settings)
    assert float(jnp.hypot(cos, sin)[0, ..., :3].min()) > 0.9


def test_size_of_a_harmonic_is_that_of_its_posterior():
    """For the angle of a noisy point the von Mises distribution of its concentration, for a line the normal one."""
    log_snr, point = jnp.array([2.0]), 0.8 * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    alpha, sigma = (float(each[0]) for each in alpha_sigma(log_snr))
    cos, _ = waves_of(jnp.asarray(point, jnp.float32).reshape(1, 1, 1, 1, 6), log_snr, settings_of("circle"))
    kappa = alpha * 0.8 / sigma**2
    odds = iv(0, kappa) * np.exp(-(alpha**2) / (2 * sigma**2))
    present = odds**3 / (1 + odds**3)
    np.testing.assert_allclose(cos.ravel()[0], present * iv(1, kappa) / iv(0, kappa), rtol=1e-4)
    np.testing.assert_allclose(cos.ravel()[3], present * iv(2, kappa) / iv(0, kappa), rtol=0.06)
    log_snr = jnp.array([8.0])
    alpha, sigma = (float(each[0]) for each in alpha_sigma(log_snr))
    cos, _ = waves_of(jnp.full((1, 1, 1, 1, 3), alpha), log_snr, settings_of("raw"))
    wanted = np.exp(-0.5 * (2 * np.pi * np.arange(1, 4) * sigma / alpha) ** 2)
    np.testing.assert_allclose(cos.ravel()[::3], wanted, rtol=1e-4)


@pytest.mark.parametrize("form", ["circle", "raw"])
def test_displacements_do_not_change_under_a_translation_of_all_atoms(form):
    settings = settings_of(form)
    rng = np.random.default_rng(3)
    coords, shift = rng.uniform(size=(*SHAPE, 3)), rng.uniform(size=(SHAPE[0], 1, 1, 1, 3))
    # Wrapping moves the mean of raw x, y, z, by which presence is judged: certain at this noise.
    log_snr = jnp.array([-2.0, 3.0]) if form == "circle" else jnp.array([7.0, 9.0])
    a = rng.dirichlet(np.ones(12), size=(SHAPE[0], 12))

    def displaced(at):
        waves = waves_of(noisy_channels(settings, log_snr, at), log_snr, settings)
        return of_all_pairs(a, Waves(*(each.reshape(SHAPE[0], 12, -1) for each in waves)))

    before, after = displaced(coords), displaced((coords + shift) % 1.0)
    assert np.abs(before).max() > 1e-2
    np.testing.assert_allclose(after, before, atol=1e-3)


@pytest.mark.parametrize("products", [True, False])
@pytest.mark.parametrize("kind", ["joint", "factored"])
def test_attention_gives_the_sum_over_all_pairs(monkeypatch, kind, products):
    """Parameters that silence the values and let one head's displacements through, one by one."""
    monkeypatch.setattr(backend, "by_products", lambda: products)
    (b, n_slots, height, width), harmonics, head_dim = SHAPE, 2, 4
    rng = np.random.default_rng(4)
    waves = Waves(*(jnp.asarray(rng.normal(size=(*SHAPE, 3 * harmonics)), jnp.float32) for _ in range(2)))
    module = GridAttention(head_dim, kind)
    x = jnp.asarray(rng.normal(size=(*SHAPE, 12)), jnp.float32)  # three heads; 12 channels for 12 features
    shapes = jax.eval_shape(module.init, jax.random.key(0), x, waves)["params"]
    params = jax.tree.map(lambda p: jnp.asarray(rng.normal(0, 0.5, p.shape), jnp.float32), shapes)
    last = "SelfAttention_0" if kind == "joint" else "SelfAttention_1"
    for name, tree in params.items():
        if name.startswith("SelfAttention"):
            tree["Dense_1"] = jax.tree.map(jnp.zeros_like, tree["Dense_1"])
            tree["Displaced_0"] = {"kernel": jnp.zeros_like(tree["Displaced_0"]["kernel"])}
    params[last]["Displaced_0"]["kernel"] = jnp.zeros((36, 12)).at[12:24].set(jnp.eye(12))  # of the second head
    told = np.asarray(module.apply({"params": params}, x, waves) - x)

    capture = {}
    monkeypatch.setattr(attention, "_in_place", functools.partial(_kept, capture, attention._in_place))
    monkeypatch.setattr(backend, "by_products", lambda: False)
    module.apply({"params": params}, x, waves)
    q, k = (np.asarray(each, np.float64)[..., 1, :] for each in capture["qk"])  # (B, L', N, d) of the second head
    to_rows = (lambda y: y) if kind == "joint" else (lambda y: np.moveaxis(y, 1, 2))
    q, k = (to_rows(each).reshape(-1, *to_rows(each).shape[2:]) for each in (q, k))
    logits = np.einsum("bnd,bmd->bnm", q, k) / np.sqrt(head_dim)
    a = np.exp(logits - logits.max(-1, keepdims=True))
    a /= a.sum(-1, keepdims=True)
    tokens = [
        np.asarray(each).reshape(b, *((1, -1) if kind == "joint" else (n_slots, height * width)), 6) for each in waves
    ]
    rows = Waves(*(to_rows(each).reshape(len(a), -1, 6) for each in tokens))
    wanted = of_all_pairs(a, rows)
    ours = to_rows(told.reshape(*tokens[0].shape[:3], 12)).reshape(wanted.shape)
    np.testing.assert_allclose(ours, wanted, atol=1e-4)


def _kept(capture, attend, q, k, v, axis):
    capture["qk"] = q, k  # of the last call
    return attend(q, k, v, axis)


def noisy_state(shape, n, seed):
    rng = np.random.default_rng(seed)
    coords = jnp.asarray(rng.normal(size=(n, *shape, 6)), jnp.float32)
    return {"coords": coords, "lattice": jnp.asarray(rng.normal(size=(n, 6)), jnp.float32)}


@pytest.mark.parametrize("choices", [{}, {"blocks": 3, "remat": True}], ids=["plain", "scanned"])
def test_a_network_with_displacements_has_finite_gradients_at_any_noise(choices):
    shape = (3, 1, 1)
    module = network(shape, displacement_features=2, attention="joint", multipliers=(1,), **choices)
    noisy, log_snr = noisy_state(shape, 3, 5), jnp.array([-20.0, 0.0, 20.0])
    noisy["coords"] = noisy["coords"].at[:, 0].set(0.0)  # a slot without a phase
    params = perturbed(module, noisy, log_snr)
    value, gradients = loss_and_gradients(module, params, noisy, log_snr)
    assert np.isfinite(value)
    assert all(bool(jnp.isfinite(each).all()) for each in jax.tree.leaves(gradients))


def test_only_the_first_resolution_has_displacements():
    shape, log_snr = (2, 3, 3), jnp.array([0.0])
    for multipliers, levels in (((1, 2), ("down_0", "up_0")), ((1,), ("down_0", "middle", "up_0"))):
        module = network(shape, displacement_features=2, multipliers=multipliers)
        params = jax.eval_shape(module.init, jax.random.key(0), noisy_state(shape, 1, 0), log_snr, {})["params"]
        paths = [path[0].key for path, _ in jax.tree_util.tree_leaves_with_path(params) if "Displaced_0" in str(path)]
        assert {path.rsplit("_", 2)[0] for path in paths} == set(levels)


@pytest.mark.parametrize("form", ["circle", "raw"])
def test_harmonics_have_finite_derivatives_even_where_there_is_no_phase(form):
    log_snr = jnp.array([-20.0, 20.0])
    settings = settings_of(form)
    coords = jnp.zeros((2, 1, 1, 1, channel_map(settings).n_channels))
    for column in jax.jit(jax.jacobian(lambda z: waves_of(z, log_snr, settings)))(coords):
        assert bool(jnp.isfinite(column).all())


def test_products_and_einsums_have_the_same_gradients(monkeypatch):
    rng = np.random.default_rng(6)
    waves = Waves(*(jnp.asarray(rng.normal(size=(*SHAPE, 6)), jnp.float32) for _ in range(2)))
    module, x = GridAttention(4, "factored"), jnp.asarray(rng.normal(size=(*SHAPE, 8)), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x, waves)
    params = jax.tree.map(lambda p: jnp.asarray(rng.normal(0, 0.5, p.shape), jnp.float32), shapes)
    gradients = [jax.jit(jax.grad(lambda p: (module.apply(p, x, waves) ** 2).sum()))(params)]
    monkeypatch.setattr(backend, "by_products", lambda: False)
    gradients += [jax.jit(jax.grad(lambda p: (module.apply(p, x, waves) ** 2).sum()))(params)]
    assert_same(*gradients)


def test_the_kernel_of_tpus_gives_way_to_displacements(monkeypatch):
    monkeypatch.setattr(backend, "by_kernels", lambda: True)
    monkeypatch.setattr(fused_attention, "fits", lambda *_: True)
    monkeypatch.setattr(fused_attention, "attended", lambda *_: pytest.fail("the kernel was called"))
    x, waves = jnp.ones((1, 2, 2, 2, 8)), Waves(*(jnp.ones((1, 2, 2, 2, 3)),) * 2)
    jax.eval_shape(GridAttention(4, "factored").init, jax.random.key(0), x, waves)


def test_cells_without_an_element_have_no_displacements():
    shape, log_snr = (2, 3, 1), jnp.array([2.0, 4.0])
    module = network(shape, mask=((True,), (False,), (True,)), displacement_features=2, multipliers=(1,))
    noisy = noisy_state(shape, 2, 7)
    run = jax.jit(functools.partial(module.apply, {"params": perturbed(module, noisy, log_snr)}))
    other = run({**noisy, "coords": noisy["coords"].at[:, :, 1].add(5.0)}, log_snr, {})
    np.testing.assert_array_equal(run(noisy, log_snr, {})["coords"], other["coords"])
