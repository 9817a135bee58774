"""Profiles hold machines, and are found as the documentation says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, Run

HAS_TPU = any(Path("/dev").glob("accel[0-9]*")) or any(Path("/dev/vfio").glob("[0-9]*"))
NO_TPU = "this machine has no TPU, which the profile requires; run without the profile, or elsewhere"


def make_profiles(run: Run) -> subprocess.CompletedProcess[str]:
    """`make profiles` of a user whose configuration lies in the run's folder; the environment counts as complete."""
    command = ["make", "--directory", str(ROOT), "--assume-old", ".venv/.complete", "profiles"]
    command += [f"BIN={Path(sys.executable).parent}"]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(run.folder / "xdg")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def with_profiles(run: Run) -> Run:
    """A folder whose user has called `make profiles`."""
    run.write_config()
    assert make_profiles(run).returncode == 0
    return run


@pytest.mark.skipif(HAS_TPU, reason="this machine has a TPU")
@pytest.mark.parametrize("dry_run", [["--dry-run"], []])
def test_profile_tpu_stops_at_once_on_a_machine_without_one(with_profiles: Run, dry_run: list[str]):
    done = with_profiles.snakemake("--profile", "tpu", *dry_run, XDG_CONFIG_HOME=str(with_profiles.folder / "xdg"))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == NO_TPU
    assert with_profiles.calls() == []


@pytest.mark.skipif(HAS_TPU, reason="this machine has a TPU")
def test_workflow_profile_tpu_is_found_in_profiles(run: Run):
    run.write_config()
    (run.folder / "profiles").symlink_to(ROOT / "profiles")
    done = run.snakemake("--workflow-profile", "tpu", "--dry-run")
    assert done.stdout.splitlines()[-1] == NO_TPU


def test_profile_slurm_makes_more_shards_and_nothing_else_differs(with_profiles: Run):
    here = with_profiles.plan()
    there = with_profiles.plan("--profile", "slurm", XDG_CONFIG_HOME=str(with_profiles.folder / "xdg"))
    assert here.pop("relax_shard") == 3 * 2
    assert there.pop("relax_shard") == 3 * 32
    assert there == here


def test_make_profiles_leaves_what_is_not_its_own(run: Run):
    own = run.folder / "xdg/snakemake/tpu"
    own.mkdir(parents=True)
    done = make_profiles(run)
    assert done.returncode != 0
    assert f"{own} is there and is no link" in done.stderr
    assert own.is_dir()
    assert not own.is_symlink()
