"""What surrounds jobs while they run: the metadata that they carry, and where their documents go.

Set around a piece of code, so that engines run their jobs without knowing of crystals' names or of stores. (A thread
started inside has neither.)
"""

import contextlib
import contextvars
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from unimat.errors import UserError
from unimat.materials.datasets.sets import set_name
from unimat.materials.relax.jobs.store_names import MEMORY, chosen_store


class Recorder(Protocol):
    """Takes the documents of finished jobs, as `jobs.documents_of` has them, to a store that keeps them."""

    def keep(self, documents: dict[str, Any]) -> None: ...


_recorder: contextvars.ContextVar[Recorder | None] = contextvars.ContextVar("recorder", default=None)
_metadata: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("metadata", default=None)


def recorder() -> Recorder | None:
    """Where documents go; None if they are forgotten."""
    return _recorder.get()


def metadata() -> dict[str, Any]:
    """What jobs are to carry."""
    return _metadata.get() or {}


@contextlib.contextmanager
def labelled(**values: Any) -> Iterator[None]:
    """Within it, jobs carry `values`, beside those of a `labelled` around it, by which a store can be searched."""
    token = _metadata.set({**metadata(), **values})
    try:
        yield
    finally:
        _metadata.reset(token)


@contextlib.contextmanager
def recorded_by(taker: Recorder) -> Iterator[None]:
    """Within it, documents go to `taker`."""
    token = _recorder.set(taker)
    try:
        yield
    finally:
        _recorder.reset(token)


@contextlib.contextmanager
def recording(name: str, work: Path, shard: str) -> Iterator[None]:
    """Within it, documents of all jobs go into the store called `name`.

    Args:
        name: of the settings; the environment variable UNIMAT_JOB_STORE goes before it.
        work, shard: place of an embedded store's files, and of what waits to be sent.

    Raises:
        UserError: if the store cannot be used.
    """
    try:
        name = chosen_store(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    if name == MEMORY:
        yield
        return
    from unimat.materials.relax.jobs.recorder import JobRecorder
    from unimat.materials.relax.jobs.store import open_store

    work.mkdir(parents=True, exist_ok=True)
    taker = JobRecorder(open_store(name, embedded_folder(work, shard)), unsent_file(work, shard))
    try:
        with recorded_by(taker):
            yield
    finally:
        taker.close()


def send_unsent(name: str, work: Path, shard: str) -> None:
    """Send what an earlier run could not, if there is any."""
    if unsent_file(work, shard).exists():
        with recording(name, work, shard):
            pass


def unsent_file(work: Path, shard: str) -> Path:
    """Documents that the store has not taken yet."""
    return work / f"unsent-{shard}.jsonl"


def embedded_folder(work: Path, shard: str) -> Path:
    """Folder of a shard's embedded store: one for each, since only one process may write to it."""
    return work / f"jobs-{shard}"


def labels_of(crystals: Path) -> dict[str, str]:
    """Set and run of a crystal table by its place: the folder's name, and in a run's results the run's."""
    folder = crystals.resolve().parent
    of_run = {"run": folder.parents[1].name} if folder.parent.name == "sets" else {}
    return {"set": set_name(crystals), **of_run}
