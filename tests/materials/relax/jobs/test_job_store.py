"""Job stores: their names, what goes into them, and what is lost when they fail (nothing)."""

import json
import logging
import sqlite3
import time
from pathlib import Path

import jobflow
import numpy as np
import pytest
from jobflow import JobStore
from maggma.stores import JSONStore, MemoryStore, MontyStore

from tests.materials.relax.jobs.job_helpers import (
    PASSWORD,
    URI,
    Failing,
    JobEngine,
    documents,
    pretend_mongodb,
    short_job,
)
from unimat import cli
from unimat.crystal_table import Crystal, from_crystals, write
from unimat.errors import UserError
from unimat.materials.relax import shard
from unimat.materials.relax.jobs import store as job_store
from unimat.materials.relax.jobs.context import embedded_folder, labels_of, recording
from unimat.materials.relax.jobs.run import run
from unimat.materials.relax.jobs.store_names import VARIABLE, check_store_name, chosen_store, readable
from unimat.materials.relax.relaxation_key import settings_text
from unimat.materials.relax.settings import RelaxSettings


@pytest.fixture(autouse=True)
def _no_store_around(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(shard, "make_engine", lambda settings: JobEngine())
    monkeypatch.setattr(shard, "energy_type_of", lambda settings: JobEngine.energy_type)
    monkeypatch.setattr(JobEngine, "calls", 0)
    return JobEngine


@pytest.fixture
def crystals():
    rng = np.random.default_rng(0)
    return from_crystals(
        [Crystal(f"c-{n}", np.eye(3) * (5 + n), np.full(1 + n, 14), rng.random((1 + n, 3))) for n in range(3)]
    )


@pytest.mark.parametrize("name", ["memory", "embedded", "jobflow", "stores.yaml", "mongodb://ada@h:1,h2:2/db?w=1"])
def test_names_of_stores(name):
    assert RelaxSettings(store=name).store == name
    assert settings_text(RelaxSettings(store=name)) == settings_text(RelaxSettings())  # nothing is computed again


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (URI, f"password for db.example.org:27017/group; put the URI into the environment variable {VARIABLE}"),
        ("mongodb+srv://ada:s3cr/t@1@db.example.org/group", "password for db.example.org/group"),
        ("mongodb://db.example.org", "the URI of db.example.org names no database"),
        ("postgres://ada:s3cr/t@1@db.example.org/group", "store 'db.example.org/group' is none of memory"),
        ("montydb", "store 'montydb' is none of memory, embedded, jobflow, mongodb://user@host/database"),
    ],
)
def test_names_that_are_refused_without_their_password(name, reason):
    with pytest.raises(ValueError, match="store") as error:
        check_store_name(name)
    assert reason in str(error.value)
    assert "s3cr" not in str(error.value)
    assert "s3cr" not in readable(name)


def test_the_environment_goes_before_the_settings(monkeypatch):
    assert chosen_store("memory") == "memory"
    monkeypatch.setenv(VARIABLE, URI)
    assert chosen_store("memory") == URI
    monkeypatch.setenv(VARIABLE, "mongodb://ada:s3cr@db.example.org")
    with pytest.raises(ValueError, match=rf"{VARIABLE}: store: the URI of db\.example\.org names no database"):
        chosen_store("memory")


def test_embedded_store_keeps_documents_with_metadata(engine, crystals, tmp_path):
    settings, labels = RelaxSettings(store="embedded"), {"set": "mine", "run": "first"}
    shard.relax_shard(crystals, settings, tmp_path, "1of2", labels)
    kept = documents(embedded_folder(tmp_path, "1of2"))
    keys = [json.loads(line)["key"] for line in (tmp_path / "results-1of2.jsonl").read_text().splitlines()]
    assert [each["metadata"] for each in kept] == [
        {"material_id": name, "content_key": key, "engine": "chgnet", "set": "mine", "run": "first"}
        for name, key in zip(crystals.material_ids, keys, strict=True)
    ]
    assert [each["output"]["energy"] for each in kept] == [-1, -2, -3]
    assert kept[1]["output"]["trajectory"] == [-2, -4]  # from the additional store
    assert not list(tmp_path.glob("unsent-*"))
    shard.relax_shard(crystals, settings, tmp_path, "1of2", labels)
    assert engine.calls == 3
    assert documents(embedded_folder(tmp_path, "1of2")) == kept


def test_memory_leaves_nothing_behind(engine, crystals, tmp_path):
    shard.relax_shard(crystals, RelaxSettings(), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["results-all.jsonl"]
    assert not list(tmp_path.glob("jobs-*"))


def test_mongodb_by_uri(engine, crystals, tmp_path, monkeypatch, caplog):
    """The documents, their blobs in GridFS, indices; and the password in no file, message or table."""
    server = pretend_mongodb(monkeypatch)
    monkeypatch.setenv(VARIABLE, URI)
    caplog.set_level(logging.DEBUG)
    relaxed = shard.relax_shard(crystals, RelaxSettings(), tmp_path)
    [found] = server["group"]["outputs"].find({"metadata.material_id": "c-1"})
    assert found["output"]["energy"] == -2
    assert {"uuid_1", "metadata.content_key_1"} <= set(server["group"]["outputs"].index_information())
    assert server["group"]["outputs_blobs.files"].count_documents({}) == 3
    [loaded] = job_store.open_store(URI, tmp_path).jobs.query({"metadata.material_id": "c-1"}, load=True)
    assert loaded["output"]["trajectory"] == [-2, -4]
    assert {options["serverSelectionTimeoutMS"] for options in server.options} == {5000}
    texts = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    for text in [caplog.text, json.dumps(relaxed.metadata), *texts]:
        assert "s3cr" not in text
        assert "ada" not in text


def test_timeouts_of_the_uri_are_the_users(monkeypatch, tmp_path):
    server = pretend_mongodb(monkeypatch)
    job_store.open_store("mongodb://db.example.org/group?serverSelectionTimeoutMS=100", tmp_path)
    assert all("serverSelectionTimeoutMS" not in options for options in server.options)


def test_server_that_is_not_there_is_told_of_before_any_crystal(engine, crystals, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(job_store, "SECONDS", 1)
    monkeypatch.setenv(VARIABLE, f"mongodb://ada:{PASSWORD.replace('/', '%2F').replace('@', '%40')}@localhost:1/group")
    write(crystals, tmp_path / "crystals.parquet")
    started = time.monotonic()
    names = {name: str(tmp_path / name) for name in ("crystals.parquet", "work", "relaxed.parquet")}
    code = cli.main(
        [
            "relax",
            "--crystals",
            names["crystals.parquet"],
            "--work",
            names["work"],
            "--out-file",
            names["relaxed.parquet"],
        ]
    )
    assert code == 2
    assert time.monotonic() - started < 10
    [line] = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert line == (
        "unimat relax: error: the job store at localhost:1/group cannot be used (ServerSelectionTimeoutError); check"
        f" that the server runs, the host, and user and password in {VARIABLE}; or take `embedded`"
    )
    assert engine.calls == 0


def test_password_that_is_not_escaped_is_not_shown(tmp_path):
    with pytest.raises(UserError, match=r"at db\.example\.org/group cannot be used") as error:
        job_store.open_store("mongodb://ada:s3cr/t@1@db.example.org/group", tmp_path)
    assert "s3cr" not in str(error.value)
    assert error.value.__cause__ is None


def test_store_that_fails_in_the_middle_loses_nothing(engine, crystals, tmp_path, monkeypatch, caplog):
    """The table is whole, the documents wait in a file, and the next run, which computes nothing, sends them."""
    settings = RelaxSettings(store="embedded")
    with monkeypatch.context() as patch:
        failing = Failing(patch, 1, sqlite3.OperationalError("disk I/O error at s3cr"))
        relaxed = shard.relax_shard(crystals, settings, tmp_path)
    assert failing.taken == 1
    assert relaxed.column("energy_per_atom").tolist() == [-1, -2, -3]
    assert relaxed.column("failure").tolist() == [None] * 3
    folder, unsent = embedded_folder(tmp_path, "all"), tmp_path / "unsent-all.jsonl"
    assert [each["output"]["energy"] for each in documents(folder)] == [-1]
    assert len(unsent.read_text().splitlines()) == 2
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told[0] == f"the job store {folder} failed (OperationalError); tried again later"
    assert "has not taken the documents of 2 jobs; they wait in" in told[-1]
    assert "s3cr" not in caplog.text
    with unsent.open("a") as stream:
        stream.write('{"docs": [{"cut sho')  # by a crash
    again = shard.relax_shard(crystals, settings, tmp_path)
    assert engine.calls == 3
    assert again.arrow.equals(relaxed.arrow)
    assert sorted(each["output"]["energy"] for each in documents(folder)) == [-3, -2, -1]
    assert not unsent.exists()


def test_jobflows_own_store(engine, crystals, tmp_path, monkeypatch):
    def part(name):
        return MontyStore(name, database_path=str(tmp_path / "group"))

    own = JobStore(part("outputs"), additional_stores={"data": part("blobs")})
    monkeypatch.setattr(jobflow.SETTINGS, "JOB_STORE", own)
    shard.relax_shard(crystals, RelaxSettings(store="jobflow"), tmp_path / "work")
    own.connect(force_reset=True)
    [found] = own.query({"metadata.material_id": "c-2"}, load=True)
    assert found["output"]["trajectory"] == [-3, -6]


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (JobStore(MemoryStore()), "of jobflow's configuration is in memory and forgets everything"),
        (JobStore(MontyStore("outputs", database_path="{folder}")), "has no additional store 'data'"),
        (JobStore(JSONStore("{folder}/o.json", read_only=False)), "is a JSONStore, which several shards overwrite"),
    ],
)
def test_jobflow_stores_that_are_of_no_use(own, reason, tmp_path, monkeypatch):
    if hasattr(own.docs_store, "database_path"):
        own.docs_store.database_path = str(tmp_path)
    if hasattr(own.docs_store, "paths"):
        own.docs_store.paths = [str(tmp_path / "o.json")]
    monkeypatch.setattr(jobflow.SETTINGS, "JOB_STORE", own)
    with pytest.raises(UserError, match=reason), recording("jobflow", tmp_path, "all"):
        pass


def test_store_of_a_file(tmp_path):
    """As jobflow has it, and as a project of jobflow-remote holds it."""
    part = {"type": "MontyStore", "database_path": str(tmp_path / "db"), "collection_name": "outputs"}
    store = {"docs_store": part, "additional_stores": {"data": {**part, "collection_name": "blobs"}}}
    for name, content in (("plain.json", store), ("project.json", {"name": "mine", "jobstore": store})):
        (tmp_path / name).write_text(json.dumps(content))
        with recording(str(tmp_path / name), tmp_path, "all"):
            run(short_job(1.0))
    found = job_store.open_store(str(tmp_path / "plain.json"), tmp_path).jobs
    assert found.count() == 2
    with pytest.raises(UserError, match=r"the job store's file .*absent\.yaml does not exist; check relax\.store"):
        job_store.open_store(str(tmp_path / "absent.yaml"), tmp_path)
    (tmp_path / "odd.yaml").write_text("password: s3cr")
    with pytest.raises(UserError, match=r"odd\.yaml cannot be used \(ValueError\); check the file") as error:
        job_store.open_store(str(tmp_path / "odd.yaml"), tmp_path)
    assert "s3cr" not in str(error.value)


def test_set_and_run_are_read_off_the_place_of_a_table(tmp_path):
    assert labels_of(Path("results/first/sets/mine/crystals.parquet")) == {"set": "mine", "run": "first"}
    assert labels_of(Path("somewhere/mine/crystals.parquet")) == {"set": "mine"}
