"""Relaxations as jobflow flows in files: what is in them, run elsewhere and collected, and handed to jobflow-remote."""

import inspect
import json
import logging
import sys
import types

import pytest
from jobflow import Flow, run_locally
from pymatgen.core import Lattice, Structure

from tests.materials.relax.jobs.job_helpers import run_as_a_worker, short_job, store_file
from unimat import cli, crystal_table
from unimat.crystal_table import from_crystals
from unimat.distributions import installed
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure
from unimat.materials.relax import shard
from unimat.materials.relax.engine import Relaxation
from unimat.materials.relax.flows import collect as flows_collect
from unimat.materials.relax.flows import export as flows
from unimat.materials.relax.flows import submit as flows_submit
from unimat.materials.relax.jobs.store import open_store
from unimat.materials.relax.jobs.store_names import VARIABLE
from unimat.materials.relax.settings import RelaxSettings

DIAMOND = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.7), ["C"], [[0, 0, 0]]).get_primitive_structure()
CARBIDE = Structure(Lattice.cubic(3.1), ["Si", "C"], [[0, 0, 0], [0.55, 0.5, 0.5]])
OVERLAPPING = Structure(Lattice.cubic(3.0), ["C", "C"], [[0, 0, 0], [0, 0, 0.05]])
ASTATINE = Structure(Lattice.cubic(4.0), ["At"], [[0, 0, 0]])
SIGNATURE = (
    "flow", "worker", "project", "exec_config", "resources", "priority", "allow_external_references", "jobstore"
)  # fmt: skip


class FlowEngine:
    """Two jobs for a crystal, which only add up."""

    energy_type = {"calculator": "fake"}  # noqa: RUF012
    stage_names = ("relax", "static")

    def __init__(self, settings):
        self.settings = settings

    def flow(self, structure):
        first = short_job(-1.0 * len(structure))
        return Flow([first, short_job(first.output["energy"])])

    def outcome(self, structure, documents):
        return Relaxation(structure, documents[1]["energy"], documents[0]["energy"], 0.0, 1, True)


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    for module in (flows, flows_collect):
        monkeypatch.setattr(module, "make_engine", FlowEngine)


@pytest.fixture
def table():
    structures = {"a/b c": DIAMOND, "carbide": CARBIDE, "same": DIAMOND, "flat": OVERLAPPING, "At": ASTATINE}
    return from_crystals([from_structure(each, name) for name, each in structures.items()])


def test_a_file_for_each_crystal_worth_relaxing(engine, table, tmp_path):
    rows = flows.export_flows(table, RelaxSettings(), tmp_path, {"set": "mine"})
    assert rows == json.loads((tmp_path / "flows.json").read_text())
    assert [row.get("file") is None for row in rows] == [False, False, False, True, True]
    assert rows[0]["file"] == rows[2]["file"] == f"{rows[0]['content_key'][:16]}.json"
    assert rows[3]["reason"].startswith("not relaxed, overlapping_atoms: 0.150 Å")
    assert rows[4]["reason"] == "not relaxed, CHGNet was not trained on: At"
    flow = flows.read_flow(tmp_path / rows[1]["file"])
    assert flow.name == "carbide chgnet"
    labels = {"material_id": "carbide", "content_key": rows[1]["content_key"], "engine": "chgnet", "set": "mine"}
    assert [job.metadata for job, _ in flow.iterflow()] == [
        {**labels, "stage": "relax"}, {**labels, "stage": "static"}
    ]  # fmt: skip


def test_a_flow_that_is_there_keeps_its_identifiers(engine, table, tmp_path):
    first = flows.export_flows(table, RelaxSettings(), tmp_path, {})
    uuids = flows.read_flow(tmp_path / first[0]["file"]).job_uuids
    second = flows.export_flows(table, RelaxSettings(), tmp_path, {}, finished={first[1]["content_key"]})
    assert flows.read_flow(tmp_path / first[0]["file"]).job_uuids == uuids
    assert second[1]["reason"] == "already relaxed"


def test_engine_without_a_flow(monkeypatch, table, tmp_path):
    monkeypatch.setattr(flows, "make_engine", lambda settings: object())
    with pytest.raises(UserError, match="'chgnet' cannot be exported as flows"):
        flows.export_flows(table, RelaxSettings(), tmp_path, {})


def test_unfinished_crystals_are_rows_and_are_found_later(engine, table, tmp_path, caplog):
    """The first job of one crystal alone; then all of it; then everything. What is found is not asked for again."""
    caplog.set_level(logging.INFO)
    settings, work = RelaxSettings(), tmp_path / "work"
    rows = flows.export_flows(table, settings, tmp_path, {})
    store = open_store(str(store_file(tmp_path)), tmp_path).jobs
    jobs = {row["material_id"]: flows.read_flow(tmp_path / row["file"]) for row in rows if "file" in row}
    next(jobs["carbide"].iterflow())[0].run(store)
    first = flows_collect.collect(table, settings, [store], work, "mine-collected")
    assert first.column("failure").tolist() == [
        "not finished: of its jobs, the job store has none",
        "not finished: of its jobs, the job store has relax alone",
        "not finished: of its jobs, the job store has none",
        rows[3]["reason"],
        rows[4]["reason"],
    ]
    run_locally(flows.read_flow(tmp_path / rows[1]["file"]), store=store, log=False)
    second = flows_collect.collect(table, settings, [store], work, "mine-collected")
    assert second.column("converged").tolist() == [False, True, False, False, False]
    run_locally(jobs["a/b c"], store=store, log=False)
    caplog.clear()
    third = flows_collect.collect(table, settings, [store], work, "mine-collected")
    assert "1 of 1 crystals that were missing are finished, 0 are not yet" in caplog.text
    assert third.column("energy_per_atom").tolist()[:3] == [-2, -2, -2]
    assert third.metadata["energy_type"] == FlowEngine.energy_type


def test_relax_finds_what_was_collected(engine, table, tmp_path, monkeypatch):
    store = open_store(str(store_file(tmp_path)), tmp_path)
    rows = flows.export_flows(table, RelaxSettings(), tmp_path, {})
    for name in {row["file"] for row in rows if "file" in row}:
        run_locally(flows.read_flow(tmp_path / name), store=store.jobs, log=False)
    collected = flows_collect.collect(table, RelaxSettings(), [store.jobs], tmp_path / "work", "mine-collected")
    monkeypatch.setattr(shard, "energy_type_of", lambda settings: FlowEngine.energy_type)
    monkeypatch.setattr(shard, "make_engine", lambda settings: pytest.fail("everything is there"))
    relaxed = shard.relax_shard(table, RelaxSettings(), tmp_path / "work", "mine-1of1")
    assert relaxed.arrow.equals(collected.arrow)


def document(flow: str, stage: str, hour: int) -> dict:
    hosts = [f"inner of {flow}", flow] if flow else []
    return {
        "uuid": f"{flow}{stage}{hour}", "hosts": hosts, "metadata": {"stage": stage}, "completed_at": f"T{hour:02}"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], []),
        # A flow run twice: the newer one, but only once it has ended.
        ([("a", "relax", 1), ("a", "static", 2), ("b", "relax", 3), ("b", "static", 4)], ["brelax3", "bstatic4"]),
        ([("a", "relax", 1), ("a", "static", 2), ("b", "relax", 3)], ["arelax1", "astatic2"]),
        # One by one, as `unimat relax` does it; the static calculation of an attempt before does not count.
        ([("a", "relax", 1), ("b", "static", 2)], ["arelax1", "bstatic2"]),
        ([("a", "relax", 3), ("b", "static", 2)], ["arelax3"]),
        ([("", "relax", 1), ("", "static", 2)], ["relax1", "static2"]),
        ([("a", "static", 2)], []),
    ],
)
def test_documents_of_one_calculation(found, expected):
    chosen = flows_collect.newest([document(*each) for each in found], ("relax", "static"))
    assert [each["uuid"] for each in chosen.values()] == expected


def test_which_store_to_read(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UserError, match="which job store"):
        flows_collect.stores_to_read(None, "memory", tmp_path)
    with pytest.raises(UserError, match="no embedded job store is in"):
        flows_collect.stores_to_read("embedded", "memory", tmp_path)
    with pytest.raises(UserError, match="password for host/db; put the URI into the environment"):
        flows_collect.stores_to_read("mongodb://ada:s3cr@host/db", "memory", tmp_path)
    monkeypatch.setenv(VARIABLE, str(store_file(tmp_path)))
    assert len(flows_collect.stores_to_read(None, "memory", tmp_path)) == 1


@pytest.fixture
def remote(monkeypatch):
    """A module called jobflow_remote that notes what it is asked for, with the signature of version 1.0.1."""
    asked = []

    def submit_flow(
        flow, worker=None, project=None, exec_config=None, resources=None, priority=0, allow_external_references=False,
        jobstore=None,
    ):  # fmt: skip
        if len(asked) == 1 and worker == "full":
            raise ValueError("queue\nfull")
        asked.append((flow.name, worker, project, exec_config, resources))
        return [f"{len(asked)}"]

    module = types.ModuleType("jobflow_remote")
    module.submit_flow = submit_flow
    monkeypatch.setitem(sys.modules, "jobflow_remote", module)
    return asked


def test_each_flow_is_submitted_once(engine, remote, table, tmp_path, capsys):
    folder = tmp_path / "results" / "first" / "sets" / "mine"
    crystal_table.write(table, folder / "crystals.parquet")
    arguments = ["flows", "--crystals", str(folder / "crystals.parquet"), "--out", str(tmp_path / "flows"), "--submit"]
    options = ["--project", "group", "--exec-config", "vasp6", "--resources", '{"nodes": 1}']
    assert cli.main([*arguments, *options, "--worker", "full"]) == 2
    assert "jobflow-remote refuses" in (told := capsys.readouterr().err)
    assert "ValueError: queue full" in told
    assert cli.main([*arguments, *options, "--worker", "slurm"]) == 0
    assert cli.main([*arguments, *options, "--worker", "slurm"]) == 0
    assert remote == [
        ("a/b c chgnet", "full", "group", "vasp6", {"nodes": 1}),
        ("carbide chgnet", "slurm", "group", "vasp6", {"nodes": 1}),
    ]
    assert len(flows_submit.submitted(tmp_path / "flows")) == 2
    job = next(flows.read_flow(sorted((tmp_path / "flows").glob("*[0-9a-f].json"))[0]).iterflow())[0]
    assert (job.metadata["set"], job.metadata["run"]) == ("mine", "first")


def test_signature_is_that_of_jobflow_remote(remote):
    assert tuple(inspect.signature(sys.modules["jobflow_remote"].submit_flow).parameters) == SIGNATURE
    del sys.modules["jobflow_remote"]
    if installed("jobflow-remote"):
        import jobflow_remote

        assert tuple(inspect.signature(jobflow_remote.submit_flow).parameters) == SIGNATURE


def test_without_jobflow_remote(engine, table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jobflow_remote", None)
    with pytest.raises(UserError, match=r"needs jobflow-remote, which is not installed here"):
        flows_submit.submit_flows(tmp_path, [], None, None)


def test_chgnet_elsewhere_is_chgnet_here(tmp_path, monkeypatch):
    """Exported, run by a process without this package, collected: the same rows as `unimat relax` gives."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    table = from_crystals([from_structure(DIAMOND, "diamond"), from_structure(CARBIDE, "carbide")])
    crystal_table.write(table, tmp_path / "mine" / "crystals.parquet")
    crystals, settings = ["--crystals", str(tmp_path / "mine" / "crystals.parquet")], ["--settings", '{"fmax": 0.02}']
    store, out = store_file(tmp_path), tmp_path / "flows"
    assert cli.main(["flows", *crystals, *settings, "--out", str(out)]) == 0
    run_as_a_worker(store, [path for path in out.glob("*.json") if path.name != flows.INDEX], tmp_path)
    for command, where in (("relax", []), ("collect", ["--store", str(store)])):
        places = ["--work", str(tmp_path / command), "--out-file", str(tmp_path / f"{command}.parquet")]
        assert cli.main([command, *crystals, *settings, *where, *places]) == 0
    here, there = (crystal_table.read(tmp_path / f"{name}.parquet") for name in ("relax", "collect"))
    assert there.arrow.schema.equals(here.arrow.schema)
    assert there.metadata == here.metadata
    for name in ("converged", "failure", "mended"):
        assert there.column(name).tolist() == here.column(name).tolist()
    for name in ("energy_per_atom", "initial_energy_per_atom"):
        assert there.column(name).tolist() == pytest.approx(here.column(name).tolist(), abs=1e-4)
    assert there.column("n_steps").tolist() == pytest.approx(here.column("n_steps").tolist(), abs=1)


def test_another_release_on_the_worker_is_told(tmp_path):
    from unimat.materials.relax.force_fields.documents import outcome

    found = types.SimpleNamespace(forcefield_name="MLFF.CHGNet", forcefield_version="0.3.8")
    told = outcome(found, DIAMOND, RelaxSettings(), None)
    assert told.transient
    assert told.failure.startswith("computed by chgnet 0.3.8 on the worker, here is chgnet 0.")
