"""The doctor on a real Slurm, and a Slurm that comes up and goes down again."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.slurm_jobs.proof import ROOT
from tests.slurm_jobs.slurm_cluster import CPUS, MEMORY, PARTITION, SHORT, Slurm

pytestmark = pytest.mark.system("slurm")


@pytest.mark.parametrize("time", ["first", "second"])
def test_a_slurm_that_was_stopped_leaves_nothing_and_another_one_starts(slurm: Slurm, time: str):
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    other = Slurm(folder)
    try:
        other.start()
        assert other.run("srun", "--mem=10", "echo", time) == f"{time}\n"
        daemons = [process.pid for process in other.daemons.values()]
    finally:
        other.stop()
        shutil.rmtree(folder)
    assert len(daemons) == 3
    assert not [pid for pid in daemons if Path(f"/proc/{pid}").exists()]
    assert slurm.node_state() == "idle"  # the other one was left alone


def doctor(slurm: Slurm, folder: Path, *arguments: str, **changes) -> dict[str, str]:
    """Lines of `unimat doctor` about the cluster by name, with some resources of the profile changed."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    profile["default-resources"] |= changes
    (folder / "config.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    command = ["timeout", "-k", "5", "120", sys.executable, "-m", "unimat", "doctor", "--profile", str(folder)]
    command += ["--work", str(folder), *arguments]
    done = subprocess.run(command, env=slurm.environment, capture_output=True, text=True, check=False)
    lines = [line.split(": ", 1) for line in done.stdout.splitlines()]
    return {name: f"{name.split()[0]}: {text}" for name, text in lines}


def test_doctor_finds_a_sound_slurm_sound(slurm: Slurm, tmp_path: Path):
    found = doctor(slurm, tmp_path, "--probe", slurm_partition=PARTITION)
    assert found["ok       partition"].endswith(
        f"{PARTITION}: 2880 minutes, nodes of up to {CPUS} cores and {MEMORY} MB"
    )
    assert "accounting is off" in found["ok       account"]
    assert found["ok       node"].endswith(f"runs there, and {tmp_path} is seen")
    assert not [name for name in found if name.startswith("problem")]


def test_doctor_names_what_the_jobs_would_wait_for(slurm: Slurm, tmp_path: Path):
    short = doctor(slurm, tmp_path, slurm_partition=SHORT)
    assert f"{SHORT} has 60; remedy: set-resources:" in short["problem  runtime"]
    missing = doctor(slurm, tmp_path, slurm_partition="fast")
    assert missing["problem  partition"].endswith(f"name one of {PARTITION}, {SHORT} as slurm_partition in the profile")


def test_doctor_says_when_slurm_does_not_answer(slurm: Slurm, tmp_path: Path):
    silent = tmp_path / "bin/scontrol"
    silent.parent.mkdir()
    silent.write_text("#!/bin/sh\nexec sleep 100\n", encoding="utf-8")
    silent.chmod(0o755)
    from unittest import mock

    from unimat.doctor import cluster as cluster_doctor
    from unimat.errors import UserError

    path = f"{silent.parent}{os.pathsep}{slurm.environment['PATH']}"
    with mock.patch.dict(os.environ, PATH=path), mock.patch.object(cluster_doctor, "PATIENCE", 0.5):
        assert cluster_doctor.ask("sinfo", "--noheader")
        with pytest.raises(UserError, match="does not answer within"):
            cluster_doctor.ask("scontrol", "show", "config")
