"""What would go wrong if a training started here, found before it does: devices, memory, disk, division, launcher."""

import dataclasses
import math
import os
import platform
import shlex
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from unimat.errors import UserError
from unimat.findings import Finding, problem
from unimat.model import networks
from unimat.model.checkpoints import PACKAGES, read_description
from unimat.model.machine import devices
from unimat.model.machine.distributed import VARIABLES, job_of
from unimat.model.representation.encoded import Encoding, padding
from unimat.model.representation.encoding import chosen_grid
from unimat.model.settings import EncodeSettings, ModelSettings, TrainSettings
from unimat.model.shipped.pretrained import model_file
from unimat.model.training import train as training
from unimat.model.training.train_state import initial_state, make_optimizer, state_shardings
from unimat.model.training.work_folder import KEPT

GIB = 2**30
USABLE = 0.9  # of a device's memory: the rest is the runtime's
# Python, JAX and its compiler, on a CPU: config/carbon_24.yaml, estimated at 0.06 GiB, had a peak of 0.97.
PROCESS = int(0.9 * GIB)
PAPER_SLOTS = 20  # L where neither the dataset nor the settings say: MP-20's
VARIABLES_SHOWN = (
    *VARIABLES.values(),
    *("JAX_PLATFORMS", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES", "TPU_WORKER_HOSTNAMES", "SLURM_STEP_NUM_TASKS"),
)


def machine_findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Packages, devices and how several processes would find each other."""
    yield package_finding()
    yield device_finding()
    names = {name: environment[name] for name in VARIABLES_SHOWN if name in environment}
    shown = ", ".join(f"{name}={value}" for name, value in names.items()) or "nothing that concerns JAX is set"
    yield Finding("environment", shown)
    try:
        job = job_of(environment)
    except UserError as error:
        yield problem("processes", error)
        return
    yield Finding("processes", "one, this one" if job is None else f"a job of {job.processes or 'several'} ({job})")


def package_finding() -> Finding:
    found, missing = [f"python {platform.python_version()}"], []
    for name in ("unimat", *PACKAGES):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    remedy = f"pip install {' '.join(missing)}" if missing else None
    return Finding("packages", ", ".join(found), remedy)


def device_finding(wanted: str | None = None) -> Finding:
    """Devices that JAX sees; a problem if there are none, or none of the kind `wanted` (`tpu`, `cuda`)."""
    kinds = {"tpu": ("tpu",), "cuda": ("gpu", "cuda")}
    extra = f"pip install 'unimat[{wanted or 'cuda'}]', and check that the driver is there"
    try:
        found = jax.devices()
    except RuntimeError as error:
        return Finding("devices", f"JAX finds none ({str(error).splitlines()[0]})", f"{extra}, or JAX_PLATFORMS=cpu")
    text = f"{len(found)} x {found[0].device_kind} ({found[0].platform})"
    missing = wanted is not None and found[0].platform not in kinds[wanted]
    return Finding("devices", text, f"this profile wants {wanted}: {extra}" if missing else None)


def settings_findings(
    encoding: Encoding, model_settings: ModelSettings, settings: TrainSettings, work: Path, compile_step: bool = False
) -> Iterator[Finding]:
    """Whether the batch can be shared out, and the run fits the devices' memory and the disk."""
    try:
        layout = devices.layout(settings)
    except UserError as error:
        yield problem("batch size", error)
        return
    share = settings.batch_size // layout.n_devices
    yield Finding("batch size", f"{settings.batch_size} over {layout.n_devices} devices, {share} on each")
    try:
        needs = needed(encoding, model_settings, settings, layout, compile_step)
    except UserError as error:
        yield problem("settings", error)
        return
    if layout.devices[0].platform == "cpu":  # whose memory holds the program, too
        needs = dataclasses.replace(needs, step=needs.step + PROCESS)
    yield memory_finding(needs, memory_of_device(layout.devices[0]))
    yield disk_finding(work, needs.checkpoint)


@dataclasses.dataclass(frozen=True)
class Needs:
    """Bytes that a training needs.

    Attributes:
        state: on each device between steps. step: on each device, on top, within one.
        checkpoint: of one, on disk. how: where `step` comes from.
    """

    state: int
    step: int
    checkpoint: int
    how: str


def needed(
    encoding: Encoding,
    model_settings: ModelSettings,
    settings: TrainSettings,
    layout: devices.Layout,
    compile_step: bool = False,
) -> Needs:
    """Bytes of the state, exactly, and of a step: the compiler's figure, or an estimate without compiling.

    The estimate is the whole parameters, their gradients, and what the forward pass keeps for the backward pass.
    """
    network = networks.build(model_settings, encoding)
    optimizer = make_optimizer(settings)
    state = jax.eval_shape(lambda: initial_state(network, optimizer, 0))
    shardings = state_shardings(state, layout)
    held, whole = devices.bytes_per_device(state, shardings), _bytes(state)
    n_properties = sum(of["size"] for of in encoding.properties.values())
    rows = {
        name: jax.ShapeDtypeStruct((settings.batch_size, *array.shape[1:]), array.dtype)
        for name, array in padding(1, encoding.max_atoms, n_properties).items()
    }
    if compile_step:
        placed = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, shardings)
        batch = {k: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout.batch) for k, x in rows.items()}
        step = training.make_step(network, optimizer, encoding, model_settings, settings, layout)
        compiled: Any = jax.jit(step, donate_argnums=0, out_shardings=shardings).lower(placed, batch).compile()
        return Needs(held, compiled.memory_analysis().temp_size_in_bytes, whole, "as compiled")
    loss = training.make_loss(network, encoding, model_settings, settings)
    key = jax.eval_shape(lambda: training.root_key(0))
    # The function that `vjp` returns is a tree of all that the forward pass keeps.
    kept = jax.eval_shape(lambda p, b, k: jax.vjp(lambda q: loss(q, b, k, True)[0], p)[1], state.params, rows, key)
    parameters = _bytes(state.params)
    activations = max(_bytes(kept) - parameters, 0) // layout.n_devices
    return Needs(held, 2 * parameters + activations, whole, "estimated")


def _bytes(tree: Any) -> int:
    arrays = [x for x in jax.tree.leaves(tree) if not jnp.issubdtype(x.dtype, jax.dtypes.extended)]
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in arrays)


def memory_of_device(device: Any) -> int | None:
    """Bytes that a device has for us, for a CPU this machine's; None if it does not say."""
    if device.platform == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // jax.local_device_count()
    return (device.memory_stats() or {}).get("bytes_limit")


def memory_finding(needs: Needs, limit: int | None) -> Finding:
    total = needs.state + needs.step
    text = f"{total / GIB:.2f} GiB on each device ({needs.state / GIB:.2f} of state, {needs.how})"
    if limit is None:
        return Finding("memory", f"{text}; the device does not say how much it has")
    text += f", of {limit / GIB:.1f} GiB"
    remedy = "lower train.batch_size, set model.remat or bfloat16, raise train.fsdp, or take more devices"
    return Finding("memory", text, remedy if total > USABLE * limit else None)


def disk_finding(work: Path, checkpoint: int) -> Finding:
    """Room for the checkpoints that are kept and the one that is being written."""
    there = next(path for path in (work.resolve(), *work.resolve().parents) if path.exists())
    free, wanted = shutil.disk_usage(there).free, (KEPT + 1) * checkpoint
    text = f"{free / GIB:.1f} GiB free at {there}, checkpoints need {wanted / GIB:.2f}"
    remedy = "make room, or name another working folder" if free < wanted else None
    if not os.access(there, os.W_OK):
        remedy = "check who owns the folder: it cannot be written to"
    return Finding("disk", text, remedy)


def launcher_finding(launcher: str) -> Finding:
    """Whether the program that a profile puts in front of the training is here."""
    if not launcher.strip():
        return Finding("launcher", "none: training runs where its job runs")
    program = shlex.split(launcher)[0]
    remedy = None if shutil.which(program) else f"install {program}, or take launcher out of the profile"
    return Finding("launcher", launcher, remedy)


def encoding_of(initial: str) -> Encoding:
    """Encoding of the model that a training starts from, which keeps its own."""
    return Encoding.from_json(read_description(model_file(initial))["encoding"])


def imagined_encoding(settings: EncodeSettings) -> Encoding:
    """An encoding of the shape that the settings give to a dataset that is not encoded yet."""
    size = 9 if settings.coordinates == "cartesian" else 6
    slots = settings.slots or PAPER_SLOTS
    zeros, ones = (0.0,) * size, (1.0,) * size
    grid = chosen_grid(settings)
    return Encoding(
        grid_rows=grid.rows,
        grid_columns=grid.columns,
        slots=slots,
        max_atoms=settings.max_atoms or slots,
        coordinates=settings.coordinates,
        lattice_lengths=settings.lattice_lengths,
        lattice_mean=zeros,
        lattice_std=ones,
        lattice_low=zeros,
        lattice_high=ones,
        cartesian_radius=1.0,
        n={},
        n_rejected=0,
        count_histogram={},
    )
