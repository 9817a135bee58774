"""Profiles hold machines, and are found as the documentation says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, Run

HAS_TPU = any(Path("/dev").glob("accel[0-9]*")) or any(Path("/dev/vfio").glob("[0-9]*"))
NO_TPU = "this machine has no TPU, which the profile requires; run without the profile, or elsewhere"


PBS_STAND_IN = Path(__file__).with_name("stand_in_pbs.py")


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


@pytest.fixture
def with_pbs(run: Run) -> Run:
    """A folder with the profiles, a stand-in for PBS, and one set of two shards to relax."""
    (run.folder / "profiles").symlink_to(ROOT / "profiles")
    for name in ("qsub", "qstat", "qdel"):
        program = run.folder / "bin" / name
        program.write_text(f"#!{sys.executable} -IS\n{PBS_STAND_IN.read_text(encoding='utf-8')}", encoding="utf-8")
        program.chmod(0o755)
    (run.folder / "mine.cif").write_text("data_nothing\n")
    sections = dict.fromkeys(("metrics", "hull", "compare", "report"))
    run.write_config(sets=None, relax={"sets": ["mine"], "shards": 2}, **sections)
    path = run.folder / "config/config.yaml"
    path.write_text(f"{path.read_text()}\nsets: {{mine: {{from: file, path: mine.cif}}}}\n")
    return run


def test_profile_pbs_submits_asks_and_gives_more_to_a_retry(with_pbs: Run):
    (with_pbs.folder / "pbs").mkdir()
    (with_pbs.folder / "pbs/kill").write_text("unimat-relax_shard")
    flags = ("--profile", "profiles/pbs", "--set-scatter", "relax=2", "--seconds-between-status-checks", "1")
    done = with_pbs.snakemake(*flags, "--latency-wait", "5", "relax")
    assert done.returncode == 0, done.stdout
    asked = [path.read_text() for path in sorted((with_pbs.folder / "pbs").glob("*.job"))]
    jobs = sorted((re.search(r"-N unimat-(\w+)", each)[1], re.search(r"walltime=\S+", each)[0]) for each in asked)
    assert jobs == [
        ("convert_set", "walltime=60:00"),
        ("gather", "walltime=30:00"),
        ("relax_shard", "walltime=480:00"),
        ("relax_shard", "walltime=480:00"),
        ("relax_shard", "walltime=960:00"),  # the one that was killed, with twice the time
    ]
    assert all("-q workq" in each for each in asked)
    memory = sorted(re.search(r"mem=\d+mb", each)[0] for each in asked if "relax_shard" in each)
    assert memory == ["mem=3000mb", "mem=3000mb", "mem=6000mb"]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ("job_state = R", "running"),
        ("job_state = F\n    Exit_status = 0", "success"),
        ("job_state = F\n    Exit_status = 271", "failed"),
        ("job_state = C\n    exit_status = 0", "success"),
        ("", "running running failed"),
    ],
)
def test_status_script_of_pbs(tmp_path: Path, answers: str, said: str):
    program = tmp_path / "bin/qstat"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\nprintf '%s\\n' 'Job Id: 7' '    {answers}'\n" if answers else "#!/bin/sh\nexit 153\n"
    )
    program.chmod(0o755)
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "UNIMAT_PBS_PATIENCE": "2"}
    command = [ROOT / "profiles/pbs/status.sh", "7"]
    for word in said.split():
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == word


@pytest.mark.parametrize("name", ["default", "slurm", "pbs"])
def test_entries_of_profiles_have_their_reason_above_them(name: str):
    lines = (ROOT / f"profiles/{name}/config.yaml").read_text(encoding="utf-8").splitlines()
    entries = [n for n, line in enumerate(lines) if re.match(r"[a-z]", line)]
    without = [lines[n] for n in entries if not lines[n - 1].startswith("#") and not lines[n].startswith("executor")]
    assert [line for line in without if line != "default-resources:"] == []
    assert yaml.safe_load("\n".join(lines))


def test_make_profiles_leaves_what_is_not_its_own(run: Run):
    own = run.folder / "xdg/snakemake/tpu"
    own.mkdir(parents=True)
    done = make_profiles(run)
    assert done.returncode != 0
    assert f"{own} is there and is no link" in done.stderr
    assert own.is_dir()
    assert not own.is_symlink()
