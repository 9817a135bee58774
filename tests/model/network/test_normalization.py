"""Normalisation in two passes against Flax's, and the dropout that it holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from unimat.model.network.normalization import GroupNorm, activated, kept, n_groups


def batch(dtype=jnp.float32, channels=8):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(1.0, 2.0, size=(3, 2, 3, 4, channels)), jnp.float32)
    params = {
        "scale": jnp.asarray(rng.normal(1, 0.2, channels), jnp.float32),
        "bias": jnp.asarray(rng.normal(0, 0.2, channels), jnp.float32),
    }
    return x.astype(dtype), jnp.asarray(rng.normal(0, 0.3, (3, 2 * channels)), jnp.float32), params


def by_flax(x, film, params):
    y = nn.GroupNorm(num_groups=n_groups(x.shape[-1])).apply({"params": params}, x)
    scale, shift = jnp.split(film[:, None, None, None], 2, axis=-1)
    return nn.swish(y * (1 + scale) + shift)


def test_groups_hold_at_least_four_channels():
    assert [n_groups(channels) for channels in (3, 4, 8, 64, 128, 256)] == [1, 1, 2, 16, 32, 32]


@pytest.mark.parametrize("channels", [3, 8])
def test_normalisation_modulation_and_swish_are_flaxs_with_their_gradients(channels):
    arguments = batch(channels=channels)
    module = GroupNorm(swish=True)

    def ours(x, film, params):
        return module.apply({"params": params}, x, film)

    expected, pull_back = jax.vjp(by_flax, *arguments)
    found, our_pull_back = jax.vjp(ours, *arguments)
    g = jnp.asarray(np.random.default_rng(1).normal(size=expected.shape), jnp.float32)
    ours_all, theirs_all = (
        (y, *jax.tree.leaves(pull(g))) for y, pull in ((found, our_pull_back), (expected, pull_back))
    )
    for a, b in zip(ours_all, theirs_all, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))


def test_statistics_of_bfloat16_activations_are_float32():
    x, film, params = batch(jnp.bfloat16)
    found = GroupNorm(jnp.bfloat16, swish=True).apply({"params": params}, x, film)
    assert found.dtype == jnp.bfloat16
    expected = by_flax(x.astype(jnp.float32), film, params)
    np.testing.assert_allclose(found.astype(jnp.float32), expected, atol=2**-8 * float(jnp.abs(expected).max()))


def test_dropout_drops_its_share_and_keeps_the_mean():
    factors = np.asarray(kept((64, 100, 32), jnp.array([123, 456], jnp.uint32), 0.1))
    np.testing.assert_allclose(np.unique(factors), [0, 1 / 0.9], rtol=1e-6)
    n = factors.size
    assert abs((factors == 0).mean() - 0.1) < 4 * np.sqrt(0.09 / n)
    for axis in range(3):  # no crystal, cell or channel is favoured: means vary as independent draws do
        others = tuple(a for a in range(3) if a != axis)
        share = (factors == 0).mean(others)
        assert share.std() < 1.5 * np.sqrt(0.09 * factors.shape[axis] / n)
    neighbours = np.corrcoef(factors.ravel()[:-1], factors.ravel()[1:])[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(n)


def test_other_seeds_drop_others_independently():
    one, two, three = (
        np.asarray(kept((1000, 10, 4), jnp.array(seed, jnp.uint32), 0.5)).ravel() for seed in ((1, 7), (2, 7), (1, 8))
    )
    for other in (two, three):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(one.size)


def test_what_is_dropped_has_no_gradient():
    x, seed = jnp.ones((2, 30, 4)), jnp.array([5, 6], jnp.uint32)
    scale, shift = jnp.full((2, 4), 2.0), jnp.zeros((2, 4))
    gradient = jax.grad(lambda a: activated(a, scale, shift, seed, (False, 0.5)).sum())(x)
    np.testing.assert_allclose(gradient, 2 * kept(x.shape, seed, 0.5))
