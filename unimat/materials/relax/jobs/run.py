"""Running one atomate2 job or flow in this process, through jobflow."""

import contextlib
import io
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobflow import Flow, Job, JobStore, run_locally
from maggma.stores import MemoryStore

from unimat.materials.relax.jobs import context as job_context


class JobFailed(Exception):
    """A job raised; the text is the last line of its traceback."""


def run(work: Job | Flow, folder: Path | None = None) -> list[Any]:
    """Outputs of a job, or of a flow's jobs in their order, each run in this process.

    Args:
        folder: where files are written and kept, a subfolder for each job of a flow; None for a temporary folder that
            is removed.

    Raises:
        JobFailed: if a job raised; the jobs after it are not run.
    """
    # In memory, whatever the configured store: that one may fail, and the result must not be lost with it. atomate2
    # puts trajectories into an additional store named "data".
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    if metadata := job_context.metadata():
        work.update_metadata(metadata)
    uuids = [job.uuid for job, _ in work.iterflow()] if isinstance(work, Flow) else [work.uuid]
    with _working_folder(folder), _quiet_jobflow() as trouble, contextlib.redirect_stdout(io.StringIO()):
        responses = run_locally(work, store=store, log=False, create_folders=isinstance(work, Flow))
    if recorder := job_context.recorder():
        recorder.keep(documents_of(store))
    if any(uuid not in responses for uuid in uuids):
        raise JobFailed(trouble.last or "a job failed without a message")
    return [responses[uuid][1].output for uuid in uuids]


def documents_of(store: Any) -> dict[str, Any]:
    """All that a JobStore holds: `docs`, and `blobs` of each additional store by its name."""

    def all_of(part: Any) -> list[dict[str, Any]]:
        return [{key: value for key, value in doc.items() if key != "_id"} for doc in part.query()]

    blobs = {name: all_of(part) for name, part in store.additional_stores.items()}
    return {"docs": all_of(store.docs_store), "blobs": {name: found for name, found in blobs.items() if found}}


class _LastError(logging.Handler):
    """Keeps the last line of the last traceback; jobflow logs tracebacks at level INFO and passes nothing else on."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().strip()
        if "failed with exception" in message:
            self.last = message.splitlines()[-1]


@contextlib.contextmanager
def _quiet_jobflow() -> Iterator[_LastError]:
    handler, logger = _LastError(), logging.getLogger("jobflow")
    before = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])


@contextlib.contextmanager
def _working_folder(folder: Path | None) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="unimat-") as temporary:
        target = folder or Path(temporary)
        target.mkdir(parents=True, exist_ok=True)
        before = Path.cwd()
        os.chdir(target)
        try:
            yield
        finally:
            os.chdir(before)
