"""Convolutions by matrix products against XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from unimat.model.network import convolution
from unimat.model.network.convolution import stencil, tiled


def arrays(shape, kernel, channels=5, features=4, n=6):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, *shape, channels))
    return jnp.asarray(x, jnp.float32), jnp.asarray(rng.normal(size=(*kernel, channels, features)), jnp.float32)


def by_xla(x, kernel, strides=(1, 1, 1)):
    return lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def assert_same(ours, theirs, x, kernel):
    """Outputs and both gradients, for a random direction at the output."""
    expected, pull_back = jax.vjp(theirs, x, kernel)
    found, our_pull_back = jax.vjp(ours, x, kernel)
    g = jnp.asarray(np.random.default_rng(1).normal(size=expected.shape), jnp.float32)
    for ours_, theirs_ in zip((found, *our_pull_back(g)), (expected, *pull_back(g)), strict=True):
        np.testing.assert_allclose(ours_, theirs_, atol=1e-5 * float(jnp.abs(theirs_).max()))


@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 3, 3), (3, 1, 1), (1, 1, 3), (3, 3, 1)])
@pytest.mark.parametrize("shape", [(3, 2, 4), (2, 3, 2)])
def test_a_stencil_is_xlas_convolution_with_its_gradients(shape, kernel):
    assert_same(stencil, by_xla, *arrays(shape, kernel))


def test_chunks_of_crystals_change_nothing(monkeypatch):
    x, kernel = arrays((3, 2, 4), (3, 3, 3))
    monkeypatch.setattr(convolution, "CHUNK_BYTES", 4 * 36 * 24 * 4)  # of four crystals; three divide six
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert convolution._chunks(x, 36).shape == (2, 3, 3, 2, 4, 5)
    assert_same(stencil, by_xla, x, kernel)


def test_a_convolution_of_tiles_is_xlas_strided_one():
    x, kernel = arrays((2, 3, 6), (1, 3, 3))
    assert_same(tiled, lambda a, b: by_xla(a, b, (1, 3, 3)), x, kernel)


@pytest.mark.parametrize("strides", [(1, 3, 3), (1, 3, 1)])
def test_strides_that_do_not_tile_fall_back_to_xla(strides):
    x, kernel = arrays((2, 3, 6), (1, 3, 3))
    found = convolution.convolution(
        x, kernel, strides, "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"), lhs_dilation=(1, 1, 1)
    )
    expected = by_xla(x, kernel, strides)
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(jnp.abs(expected).max()))
