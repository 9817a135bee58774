"""The TPU kernel, run by Pallas' interpreter, against attention as XLA computes it."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas

from unimat.model.machine.devices import within
from unimat.model.machine.throughput import flops_of
from unimat.model.network import backend, fused_attention
from unimat.model.network.attention import GridAttention


def module_and_input(grid, channels, head_dim, n=2):
    module = GridAttention(head_dim, "factored")
    x = jax.random.normal(jax.random.key(0), (n, *grid, channels))
    shapes = jax.eval_shape(module.init, jax.random.key(1), x)
    rng = np.random.default_rng(0)
    return module, jax.tree.map(lambda p: jnp.asarray(rng.normal(0, 0.2, p.shape), jnp.float32), shapes), x


def output_and_gradients(module):
    """Function of parameters and x: the output, and the gradients of a weighted sum of it."""

    def total(params, x):
        y = module.apply(params, x)
        return (y * jax.random.normal(jax.random.key(2), x.shape)).sum(), y

    def run(params, x):
        (_, y), gradients = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(params, x)
        return y, gradients

    return jax.jit(run)


def by_kernels(patch):
    """From here on attention is traced as on a TPU, and its kernels are interpreted."""
    patch.setattr(backend, "by_kernels", lambda: True)
    patch.setattr(pallas, "pallas_call", functools.partial(pallas.pallas_call, interpret=True))


def largest_difference(a, b):
    """Of all arrays, relative to the largest number of each."""
    pairs = zip(jax.tree.leaves(jax.device_get(a)), jax.tree.leaves(jax.device_get(b)), strict=True)
    return max(float(np.abs(p - q).max() / np.abs(q).max()) for p, q in pairs)


# A last tile that reaches past the last cell (81 = 10 tiles of 8 and one cell), and one that does not; several heads.
@pytest.mark.parametrize(("grid", "channels", "head_dim"), [((3, 9, 9), 16, 8), ((2, 8, 8), 8, 8)])
def test_kernel_and_plain_attention_agree(monkeypatch, grid, channels, head_dim):
    module, params, x = module_and_input(grid, channels, head_dim)
    expected = output_and_gradients(module)(params, x)
    by_kernels(monkeypatch)
    assert fused_attention.fits((2, grid[0], grid[1] * grid[2], channels), 1, head_dim)
    assert "pallas_call" in str(jax.make_jaxpr(module.apply)(params, x))
    assert largest_difference(output_and_gradients(module)(params, x), expected) < 2e-5


def test_each_of_two_devices_runs_the_kernel_on_its_own_crystals():
    flags = "--xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, __file__], env=environment, check=True, timeout=300)


def over_two_devices():
    """What that test runs, in a process with two fake devices."""
    module, params, x = module_and_input((2, 8, 8), 8, 8, n=4)
    expected = output_and_gradients(module)(params, x)
    mesh = jax.make_mesh((2, 1), ("data", "fsdp"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    cut = jax.NamedSharding(mesh, jax.P(("data", "fsdp")))
    with pytest.MonkeyPatch.context() as patch:
        by_kernels(patch)
        with within(mesh):
            program = output_and_gradients(module).lower(params, jax.device_put(x, cut)).compile()
    found = program(params, jax.device_put(x, cut))
    assert found[0].sharding.is_equivalent_to(cut, 5)
    assert "all-gather" not in program.as_text()
    assert largest_difference(found, expected) < 2e-5


@pytest.mark.parametrize("shape", [(2, 20, 18, 64), (2, 20, 162, 512), (2, 50, 162, 256), (2, 90, 162, 64)])
def test_coarse_grids_wide_layers_and_many_slots_are_left_to_xla(shape):
    assert not fused_attention.fits(shape, 1, 64)
    assert fused_attention.fits((2, 20, 162, 256), 1, 64)


def test_operations_are_counted_without_kernels(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    module, params, x = module_and_input((2, 8, 8), 8, 8)
    assert "pallas_call" in str(jax.make_jaxpr(module.apply)(params, x))
    with backend.without_kernels():
        assert flops_of(module.apply, params, x) == flops_of_attention(2, 2, 64, 8)


def flops_of_attention(n, n_slots, n_cells, channels):
    """Of a head over cells and one over slots: four projections, and two products with each partner."""
    tokens = n * n_slots * n_cells
    return sum(2 * tokens * (4 * channels**2 + 2 * channels * partners) for partners in (n_cells, n_slots))


if __name__ == "__main__":
    over_two_devices()
