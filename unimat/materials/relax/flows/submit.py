"""Handing exported flows to jobflow-remote, each once."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unimat.checked_lines import line_of, values_of
from unimat.distributions import imported
from unimat.errors import UserError
from unimat.materials.relax.flows.export import read_flow
from unimat.progress import progress

log = logging.getLogger("unimat.flows")

SUBMITTED = "submitted.jsonl"  # a line for each flow that the queue has taken


def submit_flows(out: Path, files: Iterable[str], project: str | None, worker: str | None, **options: Any) -> int:
    """Submit the flows of `files` in `out` that have not been submitted yet; how many.

    Args:
        project, worker: of jobflow-remote; None for its current project, and the first worker of that.
        options: further arguments of `jobflow_remote.submit_flow`: `exec_config`, `resources`.

    Raises:
        UserError: if jobflow-remote is not installed, or refuses a flow; those before it stay submitted.
    """
    remedy = (
        "--submit needs jobflow-remote, which is not installed here; submit the files from where it is, as"
        " docs/jobflow.md tells"
    )
    submit_flow = imported("jobflow_remote", "jobflow-remote", remedy).submit_flow
    done, log_file = submitted(out), out / SUBMITTED
    missing = [name for name in dict.fromkeys(files) if name not in done]
    for name in progress(missing, desc="submit", unit="flow"):
        try:
            ids = submit_flow(read_flow(out / name), worker=worker, project=project, **options)
        except Exception as error:  # of its configuration, database or network
            raise UserError(
                f"jobflow-remote refuses {out / name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            ) from error
        with log_file.open("a", encoding="utf-8") as stream:
            line = {"file": name, "project": project, "worker": worker, "job_ids": [str(each) for each in ids or ()]}
            stream.write(line_of(line))
    return len(missing)


def submitted(out: Path) -> set[str]:
    """Names of the files that have been submitted.

    Raises:
        UserError: if a line of the record is not what was written: its flow would be submitted twice.
    """
    path = out / SUBMITTED
    if not path.exists():
        return set()
    names = set()
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        values = values_of(line)
        if line.endswith(b"\n") and (values is None or "file" not in values):
            raise UserError(f"line {number} of {path} is broken; remove it if its flow is to be submitted again")
        names |= {values["file"]} if values else set()
    return names
