"""The training step, compiled ahead of time for TPUs that are not there: FLOPs, bytes, memory, and the time they allow.

Needs libtpu, the TPU compiler, which is no part of the environment: `pip install --target FOLDER "libtpu==0.0.42.*"`
(the version that `jax[tpu]` of the installed jax asks for), then run with PYTHONPATH=FOLDER. All counts are the
compiler's own, for each device and step; the time is the longer of FLOPs and bytes at the chip's peak rates, so no step
can be faster. Like the compiler's own defaults, effort 0 spends most of the compile time on moving data ahead into
on-chip memory, which its count of bytes includes; at effort -1 it does little of this and takes a fraction of the time.
The compiler counts the body of a loop once, so where blocks are scanned, FLOPs and bytes are those of a second program
with the blocks one after the other.
"""

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
from harness import Figure, finish, say

from unimat.distributions import installed
from unimat.model import networks
from unimat.model.machine import devices
from unimat.model.network import backend, levels
from unimat.model.representation.encoded import Encoding, padding
from unimat.model.settings import ModelSettings, TrainSettings
from unimat.model.training import train as training

LIBTPU = "libtpu==0.0.42.*"  # as jax[tpu] 0.10.2 asks for
MAX_ATOMS = 20  # of MP-20
FIRST_TRY_BYTES = 41e9  # of a plain U-Net of 64 channels, one block, L = 20, batch 512, for each of 32 TPU v4
PLAIN = ModelSettings(channels=64, blocks=1, compute_dtype="bfloat16", remat=True)
PAPER = ModelSettings(channels=256, blocks=3, compute_dtype="bfloat16", remat=True)


@dataclasses.dataclass(frozen=True)
class Chip:
    """Nominal peak rates of one device (bfloat16 operations/s, bytes/s), and its memory in bytes."""

    flops: float  # 1/s, bfloat16
    bandwidth: float  # B/s
    memory: float  # B


CHIPS = {"v4": Chip(275e12, 1.2e12, 32 * 2**30), "v5e": Chip(197e12, 0.82e12, 16 * 2**30)}


@dataclasses.dataclass(frozen=True)
class Case:
    """A model on a slice of chips.

    Attributes:
        minutes: in which it should compile on two cores. bytes_target: of memory traffic; None: no goal.
    """

    model: ModelSettings
    topology: str
    slots: int = 20
    batch: int = 512
    fsdp: int = 1
    minutes: float = 15.0
    bytes_target: float | None = None


CASES = {
    "64 channels": Case(PLAIN, "v4:2x2x4", minutes=4.0, bytes_target=FIRST_TRY_BYTES / 3),
    "paper": Case(PAPER, "v4:2x2x4"),
    "64 channels, L = 50": Case(PLAIN, "v4:2x2x4", slots=50),
    "64 channels, v5e host": Case(PLAIN, "v5e:2x4"),
    "paper, L = 50": Case(PAPER, "v4:2x2x4", slots=50),
    "paper, v5e host": Case(PAPER, "v5e:2x4", fsdp=8),
}


def encoding_of(slots: int) -> Encoding:
    """The full table, as MP-20's crystals would be encoded."""
    return Encoding(
        grid_rows=tuple(range(9)),
        grid_columns=tuple(range(18)),
        slots=slots,
        max_atoms=MAX_ATOMS,
        coordinates="fractional",
        lattice_lengths="log",
        lattice_mean=(0.0,) * 6,
        lattice_std=(1.0,) * 6,
        lattice_low=(-3.0,) * 6,
        lattice_high=(3.0,) * 6,
        cartesian_radius=0.0,
        n={},
        n_rejected=0,
        count_histogram={},
    )


def lowered(case: Case, mesh_devices: Any) -> tuple[Any, int]:
    """The sharded training step, ready to compile, and the number of parameters."""
    settings = TrainSettings(batch_size=case.batch, fsdp=case.fsdp)
    encoding, layout = encoding_of(case.slots), devices.layout(settings, mesh_devices)
    network, optimizer = networks.build(case.model, encoding), training.make_optimizer(settings)
    state = jax.eval_shape(lambda: training.initial_state(network, optimizer, 0))
    batch = padding(case.batch, MAX_ATOMS, 0)
    arguments = (
        jax.tree.map(_described, state, layout.sharded(state)),
        {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout.batch) for name, x in batch.items()},
    )
    step = training.make_step(network, optimizer, encoding, case.model, settings, layout)
    # What is traced here is for TPUs, though the process runs on a CPU.
    with patch.object(backend, "by_products", lambda: False), patch.object(backend, "by_kernels", lambda: True):
        traced = jax.jit(step, donate_argnums=0).trace(*arguments)
    n_parameters = sum(int(np.prod(x.shape)) for x in jax.tree.leaves(state.params))
    return traced.lower(lowering_platforms=("tpu",)), n_parameters


def _described(x: Any, sharding: Any) -> Any:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def compiled(name: str, case: Case, effort: float, save: str | None) -> list[Figure]:
    """Figures of one case."""
    from jax.experimental import topologies

    topology = topologies.get_topology_desc(case.topology, "tpu")
    chip, n_devices = CHIPS[case.topology.split(":")[0]], len(topology.devices)
    program, n_parameters = lowered(case, topology.devices)
    say(f"{name}: {n_parameters / 1e6:.0f} million parameters, {n_devices} devices; compiling")
    executable, seconds = timed(program.compile)
    if save:
        Path(save).write_text(executable.as_text(), encoding="utf-8")
    cost, memory = executable.cost_analysis(), executable.memory_analysis()
    label = f"{name}, {case.topology}, effort {effort:g}"
    times = [Figure(f"{label}: compile time", seconds / 60, "min", case.minutes)]
    if case.model.blocks > levels.LARGEST_UNROLLED:
        say(f"{name}: compiling without loops, to count")
        with patch.object(levels, "LARGEST_UNROLLED", case.model.blocks):
            unrolled, seconds = timed(lowered(case, topology.devices)[0].compile)
        cost = unrolled.cost_analysis()
        times.append(Figure(f"{label}: compile time without loops", seconds / 60, "min"))
    flops, traffic = float(cost["flops"]), float(cost["bytes accessed"])
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    bound = max(flops / chip.flops, traffic / chip.bandwidth)
    return [
        Figure(f"{label}: FLOPs per device and step", flops / 1e12, "TFLOP"),
        Figure(f"{label}: bytes per device and step", traffic / 1e9, "GB", _scaled(case.bytes_target)),
        Figure(f"{label}: memory per device", (held + memory.temp_size_in_bytes) / 2**30, "GiB", chip.memory / 2**30),
        Figure(f"{label}: of this temporary", memory.temp_size_in_bytes / 2**30, "GiB"),
        Figure(f"{label}: time per step that the peak rates allow", bound * 1e3, "ms"),
        Figure(f"{label}: of this by FLOPs alone", flops / chip.flops * 1e3, "ms"),
        *times,
    ]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returned, and its seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _scaled(target: float | None) -> float | None:
    return None if target is None else target / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {'; '.join(CASES)} (default: all)")
    parser.add_argument("--fsdp", type=int, help="devices that share parameters and state (default: the case's)")
    parser.add_argument("--batch", type=int, default=512, help="crystals per step (default: 512)")
    parser.add_argument("--effort", type=float, default=-1.0, help="of optimisation, -1 to 1 (default: -1)")
    parser.add_argument("--save", metavar="FILE", help="write the compiled program, as text")
    args = parser.parse_args()
    if unknown := [name for name in args.cases if name not in CASES]:
        parser.error(f"no case {unknown[0]!r}; there are {'; '.join(CASES)}")
    if not installed("libtpu"):
        sys.exit(
            f"libtpu, the TPU compiler, is missing: pip install --target FOLDER '{LIBTPU}', then PYTHONPATH=FOLDER"
        )

    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # or libtpu waits for a TPU VM's metadata server
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # nothing is run, so several may compile
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_exec_time_optimization_effort", args.effort)
    jnp.zeros(0)  # the CPU is the backend before libtpu is loaded
    figures = []
    for name in args.cases or CASES:
        case = dataclasses.replace(CASES[name], fsdp=args.fsdp or CASES[name].fsdp, batch=args.batch)
        found = compiled(name, case, args.effort, args.save)
        figures += found
        for figure in found:
            say(f"  {figure.name}: {figure.value:.4g} {figure.unit}")
    finish("tpu_compile", figures)


if __name__ == "__main__":
    main()
