"""Handing exported flows to jobflow-remote, each once."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
            stream.write(json.dumps(line) + "\n")
    return len(missing)


def submitted(out: Path) -> set[str]:
    """Names of the files that have been submitted."""
    path = out / SUBMITTED
    if not path.exists():
        return set()
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    return {json.loads(line)["file"] for line in whole}
