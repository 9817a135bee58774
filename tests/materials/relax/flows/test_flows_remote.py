"""Flows through jobflow-remote itself, where it is installed: submitted, run by a worker, collected.

Its queue and the job store are a MongoDB in memory; the worker is a process of its own on this machine, to which
jobflow-remote talks by files, as it does everywhere.
"""

import json
import os
import sys
import sysconfig
from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure

from tests.materials.relax.jobs.job_helpers import pretend_mongodb
from unimat import cli, crystal_table
from unimat.crystal_table import from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.relax.jobs.store_names import VARIABLE

DIAMOND = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.7), ["C"], [[0, 0, 0]]).get_primitive_structure()


def project(folder: Path) -> Path:
    """A project with a worker on this machine, which sees the same packages as this process."""

    def part(kind: str, collection: str) -> dict:
        return {"type": kind, "host": "db.example.org", "database": "group", "collection_name": collection}

    places = os.pathsep.join(path for path in sys.path if path)
    programs = os.pathsep.join([*(f"{path}/bin" for path in sys.path if path), sysconfig.get_path("scripts")])
    worker = {
        "type": "local", "scheduler_type": "shell", "work_dir": str(folder / "work"),
        "pre_run": f"export PYTHONPATH={places} PATH={programs}:$PATH OMP_NUM_THREADS=1",
    }  # fmt: skip
    blobs = {"data": part("GridFSStore", "outputs_blobs")}
    path = folder / "group.json"
    content = {
        "name": "group", "workers": {"here": worker}, "queue": {"store": part("MongoStore", "jobs")},
        "jobstore": {"docs_store": part("MongoStore", "outputs"), "additional_stores": blobs},
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path


@pytest.mark.slow
@pytest.mark.system("jobflow-remote")
def test_chgnet_by_jobflow_remote(tmp_path, monkeypatch):
    import jobflow_remote

    monkeypatch.setattr(jobflow_remote.SETTINGS, "projects_folder", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    pretend_mongodb(monkeypatch)
    from jobflow_remote.jobs.jobcontroller import JobController
    from jobflow_remote.jobs.runner import Runner

    described = project(tmp_path)
    JobController.from_project_name("group").reset()
    crystals = tmp_path / "mine" / "crystals.parquet"
    crystal_table.write(from_crystals([from_structure(DIAMOND, "diamond")]), crystals)
    given = ["--crystals", str(crystals)]
    submit = ["--submit", "--project", "group", "--worker", "here"]
    assert cli.main(["flows", *given, "--out", str(tmp_path / "flows"), *submit]) == 0
    Runner(project_name="group").run_all_jobs(max_seconds=240)
    places = ["--work", str(tmp_path / "relax"), "--out-file", str(tmp_path / "relaxed.parquet")]
    assert cli.main(["collect", *given, "--store", str(described), *places]) == 0
    [row] = crystal_table.read(tmp_path / "relaxed.parquet")
    assert row.properties["failure"] is None
    assert row.properties["converged"]
    assert row.properties["energy_per_atom"] == pytest.approx(-9.064, abs=1e-3)  # CHGNet's of diamond
