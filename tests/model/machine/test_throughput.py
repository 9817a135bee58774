import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimat.model.machine import throughput
from unimat.model.machine.throughput import Speed, flops_of, utilisation


class Device:
    def __init__(self, kind):
        self.device_kind = kind


def test_operations_by_hand():
    a, b = jnp.ones((3, 5)), jnp.ones((5, 7))
    assert flops_of(jnp.matmul, a, b) == 2 * 3 * 5 * 7
    image, kernel = jnp.ones((2, 9, 18, 4)), jnp.ones((3, 3, 4, 8))
    convolve = lambda x, k: jax.lax.conv_general_dilated(  # noqa: E731
        x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    assert flops_of(convolve, image, kernel) == 2 * (2 * 9 * 18 * 8) * (3 * 3 * 4)
    assert flops_of(jnp.sin, a) == 0


def test_loops_and_gradients_and_inner_functions_count():
    w, x = jnp.ones((4, 6, 6)), jnp.ones((2, 6))
    scanned = lambda w, x: jax.lax.scan(lambda h, each: (jax.jit(jnp.dot)(h, each), None), x, w)[0].sum()  # noqa: E731
    forward = 4 * 2 * 2 * 6 * 6
    assert flops_of(scanned, w, x) == forward
    assert flops_of(jax.grad(scanned, argnums=(0, 1)), w, x) == 3 * forward


def test_count_agrees_with_the_compiler_where_there_is_no_loop():
    a = jnp.ones((32, 64))
    function = lambda x: jnp.dot(jnp.dot(x, x.T), x)  # noqa: E731
    compiled = jax.jit(function).lower(a).compile().cost_analysis()["flops"]
    assert flops_of(function, a) == pytest.approx(compiled, rel=0.02)


def test_utilisation_is_of_all_devices_and_unknown_where_the_peak_is():
    assert utilisation(275e12, 0.5, [Device("TPU v4")]) == pytest.approx(0.5)
    assert utilisation(275e12, 0.5, [Device("TPU v4")] * 2) == pytest.approx(0.25)
    assert utilisation(1.0, 1.0, [Device("cpu")]) is None


def test_clock(monkeypatch):
    now = iter([10.0, 12.0, 16.0])
    monkeypatch.setattr(throughput.time, "monotonic", lambda: next(now))
    speed = Speed(batch_size=8, flops=275e12, devices=[Device("TPU v4")])
    speed.start(1)
    assert speed.since(1) == {"steps_per_s": None, "crystals_per_s": None, "mfu": None}
    found = speed.since(3)
    assert found == {"steps_per_s": 0.5, "crystals_per_s": 4.0, "mfu": 0.5}
    assert np.isfinite(list(found.values())).all()
