"""How fast training goes: floating-point operations of a step, and the share of the device's peak that they make.

Operations are counted where the algorithm is written, not where a compiler has rewritten it: XLA's own count takes the
body of a loop once, and leaves out what it hands to libraries such as cuDNN.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import jax

# Peak of one device in bfloat16 matrix products without sparsity, TFLOP/s, by JAX's name for it. Sources: Google
# Cloud TPU documentation, "System architecture" of each version (v4 275, v5e 197, v5p 459, v6e 918); NVIDIA's data
# sheets of the A100 (312), H100 SXM and H200 (989.5, half of what is printed with sparsity), H100 PCIe (756).
PEAK_TFLOPS = {
    "TPU v4": 275.0,
    "TPU v5 lite": 197.0,
    "TPU v5e": 197.0,
    "TPU v5": 459.0,
    "TPU v5p": 459.0,
    "TPU v6 lite": 918.0,
    "TPU v6e": 918.0,
    "NVIDIA A100-SXM4-40GB": 312.0,
    "NVIDIA A100-SXM4-80GB": 312.0,
    "NVIDIA H100 80GB HBM3": 989.5,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H200": 989.5,
}


def flops_of(function: Callable[..., Any], *args: Any) -> float:
    """Operations of the matrix products and convolutions of one call, two per multiplication with addition.

    Args:
        args: arrays or their shapes.
    """
    return _flops(jax.make_jaxpr(function)(*args).jaxpr)


def _flops(jaxpr: Any) -> float:
    return sum(_flops_of_equation(equation) for equation in jaxpr.eqns)


def _flops_of_equation(equation: Any) -> float:
    name = equation.primitive.name
    if name == "dot_general":
        contracted = equation.params["dimension_numbers"][0][0]
        return (
            2.0 * equation.outvars[0].aval.size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        )
    if name == "conv_general_dilated":
        kernel, numbers = equation.invars[1].aval.shape, equation.params["dimension_numbers"]
        return 2.0 * equation.outvars[0].aval.size * math.prod(kernel) / kernel[numbers.rhs_spec[0]]
    inner = [_flops(each) for value in equation.params.values() for each in _jaxprs(value)]
    if name == "cond":
        return max(inner, default=0.0)
    return sum(inner) * (equation.params["length"] if name == "scan" else 1)


def _jaxprs(value: Any) -> list[Any]:
    """Programs among the parameters of an equation: the bodies of loops, branches and calls."""
    if isinstance(value, tuple | list):
        return [each for item in value for each in _jaxprs(item)]
    value = getattr(value, "jaxpr", value)
    return [value] if hasattr(value, "eqns") else []


def utilisation(flops: float, steps_per_second: float, devices: list[Any]) -> float | None:
    """Share of the devices' peak that a step's `flops` make (model FLOP utilisation); None where it is not known."""
    peak = PEAK_TFLOPS.get(devices[0].device_kind)
    return None if peak is None else flops * steps_per_second / (peak * 1e12 * len(devices))


@dataclasses.dataclass
class Speed:
    """A clock over steps.

    Attributes:
        batch_size: crystals of a step. flops: of a step. devices: that share it.
    """

    batch_size: int
    flops: float
    devices: list[Any]

    def __post_init__(self) -> None:
        self.start(0)

    def start(self, step: int) -> None:
        """Let the time begin after `step`."""
        self._step, self._time = step, time.monotonic()

    def since(self, step: int) -> dict[str, float | None]:
        """`steps_per_s`, `crystals_per_s` and `mfu` since the last start; None where nothing is known."""
        if step == self._step:  # the first step is spent compiling
            return {"steps_per_s": None, "crystals_per_s": None, "mfu": None}
        seconds = max(time.monotonic() - self._time, 1e-9)
        rate = (step - self._step) / seconds
        mfu = utilisation(self.flops, rate, self.devices)
        return {"steps_per_s": rate, "crystals_per_s": rate * self.batch_size, "mfu": mfu}
