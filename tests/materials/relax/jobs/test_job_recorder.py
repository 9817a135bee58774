"""Documents on their way into a store: what is kept, and what waits where a store refuses it."""

import errno
import json
import sqlite3
from pathlib import Path

import pytest
from jobflow import Flow

from tests.materials.relax.jobs.job_helpers import Failing, documents, short_job
from unimat.materials.relax.jobs import recorder as job_recorder
from unimat.materials.relax.jobs import store as job_store
from unimat.materials.relax.jobs.context import embedded_folder, labelled, recording
from unimat.materials.relax.jobs.run import run
from unimat.materials.relax.jobs.store_names import VARIABLE


@pytest.fixture(autouse=True)
def _no_store_around(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def test_flows_and_single_jobs_are_kept_and_a_document_sent_twice_is_there_once(tmp_path):
    first = short_job(1.0)
    second = short_job(first.output["energy"])
    with recording("embedded", tmp_path, "all"), labelled(set="a"), labelled(material_id="x"):
        outputs = run(Flow([first, second]))
    assert [each["energy"] for each in outputs] == [1.0, 1.0]
    kept = documents(embedded_folder(tmp_path, "all"))
    assert [each["metadata"] for each in kept] == [{"set": "a", "material_id": "x"}] * 2
    store = job_store.open_store("embedded", embedded_folder(tmp_path, "all")).jobs
    store.docs_store.update(kept[0] | {"name": "again"})
    assert sorted(each["name"] for each in documents(embedded_folder(tmp_path, "all"))) == ["again", "short_job"]


def test_store_that_comes_back_gets_what_waits(tmp_path, monkeypatch):
    """A document that no store would take does not hold up the others; a store that fails is left alone for a while."""
    monkeypatch.setattr(job_recorder, "RETRY_AFTER", 0.0)
    with monkeypatch.context() as patch, recording("embedded", tmp_path, "all"):
        Failing(patch, 0, OSError("gone"))
        run(short_job(1.0))
        run(short_job(2.0))
        patch.undo()
        run(short_job(3.0))
        assert not list(tmp_path.glob("unsent-*"))
    kept = documents(embedded_folder(tmp_path, "all"))
    assert [each["output"]["energy"] for each in kept] == [1, 2, 3]
    monkeypatch.setattr(job_recorder, "RETRY_AFTER", 60.0)
    with monkeypatch.context() as patch, recording("embedded", tmp_path, "all"):
        tries = []
        patch.setattr(job_store.EmbeddedStore, "update", lambda *args, **kwargs: tries.append(1) or 1 / 0)
        run(short_job(4.0))
        run(short_job(5.0))
        assert len(tries) == 1


def test_document_that_is_refused_holds_up_no_other(tmp_path, monkeypatch):
    """One too large for MongoDB, say: it waits, and those after it are taken all the same."""
    whole = job_store.EmbeddedStore.update

    def update(store, docs, key=None):
        if any((each.get("output") or {}).get("energy") == 1.0 for each in docs):
            raise ValueError("too large")
        whole(store, docs, key)

    monkeypatch.setattr(job_store.EmbeddedStore, "update", update)
    with recording("embedded", tmp_path, "all"):
        run(short_job(1.0))
    for energy in (2.0, 3.0):
        with recording("embedded", tmp_path, "all"):
            run(short_job(energy))
            run(short_job(energy + 10))
    kept = documents(embedded_folder(tmp_path, "all"))
    assert [each["output"]["energy"] for each in kept] == [2, 12, 3, 13]
    [line] = (tmp_path / "unsent-all.jsonl").read_text().splitlines()
    assert json.loads(line)["docs"][0]["output"]["energy"] == 1.0


def test_disk_without_room_for_what_waits_ends_the_run(tmp_path, monkeypatch):
    """One line that names the disk; the crystal has no line in the journal, and is computed again."""
    Failing(monkeypatch, 0, sqlite3.OperationalError("database or disk is full"))
    plain_open = Path.open

    def full(path, mode="r", *args, **kwargs):
        if path.name == "unsent-all.jsonl" and mode == "a":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return plain_open(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"), recording("embedded", tmp_path, "all"):
        run(short_job(1.0))
