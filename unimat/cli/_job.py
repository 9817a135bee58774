"""Flags of commands that several processes can run as one job."""

import argparse
from typing import Any


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    job = parser.add_argument_group("several processes")
    job.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0; `auto`: ask the cluster")
    job.add_argument("--processes", metavar="N", help="how many there are")
    job.add_argument("--process", metavar="I", help="which this is, from 0")


def job_flags(args: argparse.Namespace) -> dict[str, Any]:
    """What `unimat.model.machine.distributed.connect` takes."""
    return {name: getattr(args, name) for name in ("coordinator", "processes", "process")}
