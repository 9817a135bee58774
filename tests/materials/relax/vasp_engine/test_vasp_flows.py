"""VASP's flows exported, run by a worker without this package, and collected; and its documents in a job store."""

import dataclasses
import json

import pytest
from pymatgen.core import SETTINGS

from tests.materials.relax.jobs.job_helpers import run_as_a_worker, store_file
from tests.materials.relax.vasp_engine.vasp_helpers import ALUMINIUM, LITHIUM_FLUORIDE, NEWER
from unimat.crystal_table import from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.relax.flows import export as flows
from unimat.materials.relax.flows.collect import collect, stores_to_read
from unimat.materials.relax.jobs.store_names import VARIABLE
from unimat.materials.relax.shard import relax_shard

STAGES = ["relax_1", "relax_2", "static"]


@pytest.fixture(autouse=True)
def _no_store_around(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def test_exported_flows_give_the_same_rows(stand_in, tmp_path):
    """A metal whose smearing custodian mends, and a crystal with a newer potential: run by flows and by `relax`."""
    structures = [ALUMINIUM, LITHIUM_FLUORIDE]
    table = from_crystals([from_structure(structure, f"c-{n}") for n, structure in enumerate(structures)])
    settings = stand_in.settings(potcars=NEWER)
    rows = flows.export_flows(table, settings, tmp_path / "flows", {"set": "mine"})
    store, paths = store_file(tmp_path), [tmp_path / "flows" / row["file"] for row in rows]
    run_as_a_worker(store, paths, tmp_path, PMG_VASP_PSP_DIR=str(SETTINGS["PMG_VASP_PSP_DIR"]))
    stores = stores_to_read(str(store), "memory", tmp_path)
    collected = collect(table, settings, stores, tmp_path / "collected", "collected")
    relaxed = stand_in.relax(*structures, potcars=NEWER)
    assert collected.arrow.schema.equals(relaxed.arrow.schema)
    assert collected.metadata == relaxed.metadata
    for name in ("converged", "failure", "n_steps", "n_mended", "mended"):
        assert collected.column(name).tolist() == relaxed.column(name).tolist(), name
    for name in ("energy_per_atom", "initial_energy_per_atom", "correction_per_atom", "fmax"):
        assert collected.column(name).tolist() == pytest.approx(relaxed.column(name).tolist(), abs=1e-8), name
    documents = sorted(stores[0].query({"metadata.material_id": "c-1"}), key=lambda each: each["completed_at"])
    assert [each["metadata"]["stage"] for each in documents] == STAGES


def test_flow_that_stops_half_way_is_a_row_and_nothing_is_remembered(stand_in, tmp_path, monkeypatch):
    table, settings = from_crystals([from_structure(ALUMINIUM, "c-0")]), stand_in.settings()
    [row] = flows.export_flows(table, settings, tmp_path / "flows", {})
    flow = flows.read_flow(tmp_path / "flows" / row["file"])
    [store] = stores_to_read(str(store_file(tmp_path)), "memory", tmp_path)
    monkeypatch.chdir(store_file(tmp_path).parent)
    next(flow.iterflow())[0].run(store)
    collected = collect(table, settings, [store], tmp_path / "work", "collected")
    reason = "not finished: of its jobs, the job store has relax_1 alone"
    assert collected.column("failure").tolist() == [reason]
    assert not (tmp_path / "work" / "results-collected.jsonl").exists()


def test_embedded_store_holds_all_stages_and_brings_a_lost_journal_back(stand_in):
    table = from_crystals([from_structure(ALUMINIUM, "c-0")])
    settings = dataclasses.replace(stand_in.settings(), store="embedded")
    relaxed = relax_shard(table, settings, stand_in.work, labels={"set": "metals"})
    [store] = stores_to_read(None, "embedded", stand_in.work)
    documents = sorted(store.query({"metadata.set": "metals"}), key=lambda each: each["completed_at"])
    assert [each["metadata"]["stage"] for each in documents] == STAGES
    [line] = (stand_in.work / "results-all.jsonl").read_text().splitlines()
    assert {each["metadata"]["content_key"] for each in documents} == {json.loads(line)["key"]}
    stand_in.forget()
    collected = collect(table, settings, [store], stand_in.work, "collected")
    assert collected.arrow.equals(relaxed.arrow)
