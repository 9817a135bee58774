"""Jobs that compute nothing, a MongoDB that is none, and a worker that runs exported flows."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import maggma.stores.gridfs
import maggma.stores.mongolike
import mongomock_ng
from jobflow import job
from mongomock_ng.gridfs import enable_gridfs_integration
from mongomock_ng.store import ServerStore

from unimat.materials.relax.engine import Relaxation
from unimat.materials.relax.jobs import store as job_store
from unimat.materials.relax.jobs.run import run

PASSWORD = "s3cr/t@1"
URI = f"mongodb://ada:{PASSWORD.replace('/', '%2F').replace('@', '%40')}@db.example.org:27017/group?retryWrites=true"


@job(data=["trajectory"])
def short_job(energy: float) -> dict[str, Any]:
    """Its trajectory goes into the additional store `data`, as atomate2's do."""
    return {"energy": energy, "trajectory": [energy, 2 * energy]}


class JobEngine:
    """An engine that runs a job for each crystal."""

    energy_type = {"calculator": "fake"}  # noqa: RUF012
    calls = 0

    def relax(self, structure, folder=None) -> Relaxation:
        JobEngine.calls += 1
        [output] = run(short_job(-float(len(structure))))
        return Relaxation(structure, output["energy"], 0.0, 0.01, 3, True)


class Client(mongomock_ng.MongoClient):
    def close(self) -> None:
        """mongomock's would empty the server."""


class MongoDB:
    """A server in memory: every client that is asked for sees the same databases."""

    def __init__(self) -> None:
        self.options: list[dict] = []
        self.content = ServerStore()

    def connect(self, *args: Any, **kwargs: Any) -> Client:
        self.options.append(kwargs)
        return Client(_store=self.content)

    def __getitem__(self, database: str) -> Any:
        return Client(_store=self.content)[database]


def pretend_mongodb(monkeypatch) -> MongoDB:
    """What all MongoDB stores talk to from now on."""
    enable_gridfs_integration()
    server = MongoDB()
    monkeypatch.setattr(maggma.stores.mongolike, "MongoClient", server.connect)
    monkeypatch.setattr(maggma.stores.gridfs, "MongoClient", server.connect)
    return server


class Failing:
    """Makes the embedded store raise after a number of documents."""

    def __init__(self, monkeypatch, after: int, error: Exception):
        self.taken, self.after, self.error = 0, after, error
        self.whole = job_store.EmbeddedStore.update
        monkeypatch.setattr(job_store.EmbeddedStore, "update", lambda store, docs, key=None: self(store, docs, key))

    def __call__(self, store, docs, key):
        if self.taken >= self.after:
            raise self.error
        self.taken += store.collection_name == "outputs"
        self.whole(store, docs, key)


def documents(folder: Path) -> list[dict]:
    """Of the embedded store in `folder`, large objects put back in, in the order of their jobs."""
    found = list(job_store.open_store("embedded", folder).jobs.query({}, load=True))
    return sorted(found, key=lambda each: each["completed_at"])


WORKER = """
import sys
from jobflow import JobStore, run_locally
from monty.serialization import loadfn

store = JobStore.from_file(sys.argv[1])
for path in sys.argv[2:]:
    run_locally(loadfn(path), store=store, log=False, create_folders=True, root_dir="runs", ensure_success=True)
assert not [name for name in sys.modules if name.partition(".")[0] == "unimat"], "a worker needs atomate2 alone"
"""


def store_file(folder: Path) -> Path:
    """Description of a job store in files under `folder`, as jobflow reads it."""
    part = {"type": "MontyStore", "database_path": str(folder / "store")}
    data = {**part, "collection_name": "outputs_blobs"}
    path = folder / "store.json"
    spec = {"docs_store": {**part, "collection_name": "outputs"}, "additional_stores": {"data": data}}
    path.write_text(json.dumps(spec))
    return path


def run_as_a_worker(store: Path, flows: Iterable[Path], folder: Path, **environment: str) -> None:
    """Run exported flows in a process of its own, as a worker of a queue does."""
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(store), *map(str, flows)]
    ended = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
