"""Several processes as one job: joined before JAX is first used, when flags or the environment say so.

Each host of a TPU pod, each task of a Slurm step and each process of a list that somebody starts by hand runs the
same command. Process 0 alone writes files; checkpoints are written by all.
"""

import dataclasses
import logging
import os
from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from unimat.errors import UserError

logger = logging.getLogger("unimat.train")

VARIABLES = {"coordinator": "UNIMAT_COORDINATOR", "processes": "UNIMAT_PROCESSES", "process": "UNIMAT_PROCESS"}
SHUTDOWN_SECONDS = 20
AUTO = "auto"  # in place of a coordinator: JAX asks the cluster itself


@dataclasses.dataclass(frozen=True)
class Job:
    """How this process finds the others.

    Attributes:
        coordinator: HOST:PORT of process 0, or `auto`. processes: how many. process: which of them this is.
    """

    coordinator: str
    processes: int | None = None
    process: int | None = None


def job_of(environment: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> Job | None:
    """The job that flags (`coordinator`, `processes`, `process`) or else the environment name; None: alone.

    Raises:
        UserError: if they name only part of it, or something that is no number.
    """
    given = {name: (flags or {}).get(name) or environment.get(variable) for name, variable in VARIABLES.items()}
    if not any(given.values()):
        return Job(AUTO) if _in_slurm_step(environment) or _in_tpu_pod(environment) else None
    if given["coordinator"] == AUTO:
        return Job(AUTO)
    missing = [VARIABLES[name] for name, value in given.items() if not value]
    if missing:
        raise UserError(f"a job of several processes is named without {', '.join(missing)}; set all three, or none")
    numbers = [_number(VARIABLES[name], str(given[name])) for name in ("processes", "process")]
    if not 0 <= numbers[1] < numbers[0]:
        raise UserError(
            f"UNIMAT_PROCESS is {numbers[1]} of {numbers[0]} processes; number them from 0 to {numbers[0] - 1}"
        )
    return Job(str(given["coordinator"]), *numbers)


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise UserError(f"{name} is {text!r}; give a whole number")
    return int(text)


def _in_slurm_step(environment: Mapping[str, str]) -> bool:
    """Of several tasks, that is: a batch script itself, or one task of `srun`, is alone."""
    return int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and "SLURM_PROCID" in environment


def _in_tpu_pod(environment: Mapping[str, str]) -> bool:
    return "," in environment.get("TPU_WORKER_HOSTNAMES", "")


def connect(flags: Mapping[str, str | None] | None = None) -> None:
    """Join the job's processes, if there are several. To be called before anything asks JAX for a device.

    Raises:
        UserError: if the job is named in part, or the coordinator does not answer.
    """
    job = job_of(os.environ, flags)
    if job is None or jax.distributed.is_initialized():
        return
    named = {} if job.coordinator == AUTO else {"num_processes": job.processes, "process_id": job.process}
    address = None if job.coordinator == AUTO else job.coordinator
    # JAX gives each Slurm task one device of its number; a single task on a node is meant to have them all.
    alone_on_node = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "").partition("(")[0] == "1"
    local = {"local_device_ids": _visible_gpus()} if job.coordinator == AUTO and alone_on_node else {}
    try:
        # A process that ends with an error waits so long for the others, and its end then ends theirs.
        options = {**named, **local, "shutdown_timeout_seconds": SHUTDOWN_SECONDS}
        jax.distributed.initialize(address, **options)  # type: ignore[arg-type]
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the job of coordinator {job.coordinator} cannot be joined ({reason}); check that every process was "
            f"started, with the same {VARIABLES['coordinator']} and a number of its own"
        ) from error
    logger.info("process %d of %d, %d devices in all", jax.process_index(), jax.process_count(), jax.device_count())


def _visible_gpus() -> list[int] | None:
    """All GPUs that Slurm gave this task; None if it does not say."""
    listed = os.environ.get("SLURM_STEP_GPUS") or os.environ.get("CUDA_VISIBLE_DEVICES")
    return list(range(len(listed.split(",")))) if listed else None


def is_writer() -> bool:
    """Whether this process writes the files of the job."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Wait until all processes are here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def any_process(flag: bool) -> bool:
    """Whether any process says so; all must ask at the same point."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))
