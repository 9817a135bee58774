"""Opening the configured job store: embedded in the work folder, jobflow's own, one of a file, or MongoDB by its URI.

Documents of atomate2's jobs go into a store's main part, and large objects (trajectories, say) into its additional
store `data`, without which jobflow raises when the first of them comes.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobflow import JobStore
from maggma.stores import GridFSStore, JSONStore, MemoryStore, MongoStore, MontyStore
from montydb.errors import DuplicateKeyError

from unimat.errors import UserError
from unimat.materials.relax.jobs.store_names import EMBEDDED, JOBFLOW, VARIABLE, is_uri, readable

SECONDS = 5  # in which a server has to answer; pymongo's own 30 s would be waited for by every shard
DATA = "data"  # the additional store that atomate2 writes to
OUTPUTS, BLOBS = "outputs", "outputs_blobs"  # collections, named as in jobflow's documentation
KEY = "metadata.content_key"


@dataclasses.dataclass(frozen=True)
class OpenStore:
    """A store that answered. Attributes: the JobStore; what to call it in messages, free of any password."""

    jobs: Any
    where: str


class EmbeddedStore(MontyStore):
    """Documents in an SQLite file, each inserted, not looked for.

    maggma's own update looks through the whole collection for a document of the same job: 40 ms a job at 200 documents,
    200 ms at 1,000. A job's documents are new, and one that comes twice is found by its `_id`.
    """

    def update(self, docs: list[dict] | dict, key: list | str | None = None) -> None:
        for doc in docs if isinstance(docs, list) else [docs]:
            name = doc["blob_uuid"] if "blob_uuid" in doc else f"{doc['uuid']}-{doc['index']}"
            try:
                self._collection.insert_one({**doc, "_id": name})
            except DuplicateKeyError:
                super().update({**doc, "_id": name}, key="_id")


def open_store(name: str, folder: Path) -> OpenStore:
    """The store called `name`, once it has answered.

    Args:
        folder: of the files of an embedded one.

    Raises:
        UserError: if it cannot be reached, in about `SECONDS`, or is of no use: one line with its place and a remedy.
    """
    if name == EMBEDDED:
        return _answering(lambda: embedded(folder), str(folder), "check that the folder may be written to")
    if name == JOBFLOW:
        remedy = "check JOBFLOW_CONFIG_FILE, or ~/.jobflow.yaml"
        return _useful(_answering(_of_jobflow, "of jobflow's configuration", remedy))
    if is_uri(name):
        remedy = f"check that the server runs, the host, and user and password in {VARIABLE}; or take `embedded`"
        found = _answering(lambda: _of_uri(name), f"at {readable(name)}", remedy)
        for key in ("uuid", KEY):  # without an index, the server would look through all documents for each new one
            found.jobs.ensure_index(key)
        found.jobs.additional_stores[DATA].ensure_index("blob_uuid")
        return found
    if not Path(name).is_file():
        raise UserError(f"the job store's file {name} does not exist; check relax.store, {VARIABLE} or --store")
    return _useful(_answering(lambda: _of_file(Path(name)), f"of {name}", "check the file, and that its server runs"))


def embedded(folder: Path) -> JobStore:
    """Documents and large objects in SQLite files under `folder`, for one process to write to."""

    def part(collection: str) -> EmbeddedStore:
        # SQLite's write-ahead log, montydb's default, must not lie on a network file system.
        options = {"use_bson": True, "mongo_version": "4.0", "journal_mode": "DELETE"}
        return EmbeddedStore(collection, database_path=str(folder.resolve()), storage_kwargs=options)

    return JobStore(part(OUTPUTS), additional_stores={DATA: part(BLOBS)})


def _of_jobflow() -> JobStore:
    from jobflow import SETTINGS

    return SETTINGS.JOB_STORE


def _of_file(path: Path) -> JobStore:
    """As jobflow reads it; or the part `jobstore` (or JOB_STORE) of a project of jobflow-remote, or of jobflow.yaml."""
    from monty.serialization import loadfn

    found: Any = loadfn(path)
    if isinstance(found, dict):
        found = found.get("jobstore") or found.get("JOB_STORE") or found
    if isinstance(found, dict):
        found = JobStore.from_dict(found) if found.get("@class") == "JobStore" else JobStore.from_dict_spec(found)
    return found


def _of_uri(uri: str) -> JobStore:
    database = readable(uri).rpartition("/")[2]
    documents = MongoStore(database, OUTPUTS, uri=uri)
    return JobStore(documents, additional_stores={DATA: GridFSStore(database, BLOBS, uri=uri)})


def _timeouts(uri: str) -> dict[str, int]:
    """Those that the URI does not set itself, ms."""
    names = ("serverSelectionTimeoutMS", "connectTimeoutMS")
    return {name: SECONDS * 1000 for name in names if name.lower() not in uri.lower()}


def _answering(make: Callable[[], Any], where: str, remedy: str) -> OpenStore:
    store = None
    try:
        store = make()
        for part in (store.docs_store, *store.additional_stores.values()):
            if hasattr(part, "mongoclient_kwargs"):
                part.mongoclient_kwargs = _timeouts(getattr(part, "uri", None) or "") | part.mongoclient_kwargs
        store.connect()
        store.docs_store.query_one(properties=["uuid"])
    except Exception as error:  # whatever a driver raises; its text may hold parts of a URI, so it is not shown
        with contextlib.suppress(Exception):
            store.close()  # type: ignore[union-attr]  # one that was not made raises as well
        code = getattr(error, "code", None)
        what = f"{type(error).__name__}, code {code}" if code else type(error).__name__
        raise UserError(f"the job store {where} cannot be used ({what}); {remedy}") from None
    return OpenStore(store, where)


def _useful(found: OpenStore) -> OpenStore:
    """`found`, unless it would forget documents, or not take all."""
    documents = found.jobs.docs_store
    if isinstance(documents, JSONStore):
        why = "is a JSONStore, which several shards overwrite one another; name a MontyStore or MongoStore"
    elif type(documents) is MemoryStore:
        why = "is in memory and forgets everything; name a JOB_STORE that keeps documents"
    elif DATA not in found.jobs.additional_stores:
        why = f"has no additional store {DATA!r}, which atomate2's trajectories go to; add one"
    else:
        return found
    raise UserError(f"the job store {found.where} {why}, or take relax.store: embedded")
