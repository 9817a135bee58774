"""When the job that this process runs in will be ended by its scheduler."""

import datetime
import os
import subprocess
import time
from collections.abc import Mapping

from unimat.errors import UserError


class OutOfTime(UserError):
    """The job's time is nearly over; everything finished is kept, and the next run goes on from there."""


def seconds_left(environment: Mapping[str, str] = os.environ) -> float | None:
    """Seconds until Slurm ends this job; None outside of Slurm, and in a job without a limit.

    Slurm names the end in SLURM_JOB_END_TIME (since 22.05); `squeue` is asked where it does not.
    """
    if end := environment.get("SLURM_JOB_END_TIME"):
        return float(end) - time.time()
    if job := environment.get("SLURM_JOB_ID"):
        return _asked(["squeue", "--noheader", "--jobs", job, "--format", "%e"])
    return None


def _asked(command: list[str]) -> float | None:
    """What squeue says of the job's end, local time; None if it says nothing of use."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
        return datetime.datetime.fromisoformat(answer.strip()).timestamp() - time.time()
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
