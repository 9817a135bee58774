"""What the doctor says of a cluster and of VASP, from the answers of stand-ins for Slurm's and PBS's commands."""

import os
from pathlib import Path

import pytest
import yaml

from unimat import crystal_table
from unimat.configuration.plan import Plan
from unimat.configuration.reading import read
from unimat.configuration.resources import asked_for
from unimat.doctor import cluster as cluster_doctor
from unimat.doctor import dft as dft_doctor
from unimat.doctor import partitions, probe
from unimat.doctor.job_needs import Need, evaluate, needs
from unimat.materials.relax.settings import VaspSettings
from unimat.materials.relax.vasp import inputs as vasp_inputs

ROOT = Path(__file__).parents[2]
RULES = asked_for()
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
CONFIG = "AccountingStorageType   = {accounting}\nMinJobAge               = {age} sec\n"
SINFO = """\
standard*|2-00:00:00|64|256000|up
standard*|2-00:00:00|32|128000+|up
debug|30:00|16|64000|up
long|infinite|8|9000|down
"""


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Lets a command answer something; the commands of a sound Slurm are there from the start."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def answer(name, text="", code=0, pause=0):
        program = tmp_path / name
        (tmp_path / f"{name}.txt").write_text(text)
        program.write_text(f"#!/bin/sh\nsleep {pause}\ncat {program}.txt\nexit {code}\n")
        program.chmod(0o755)

    for name in ("sbatch", "squeue"):
        answer(name)
    answer("scontrol", CONFIG.format(accounting="accounting_storage/none", age=300))
    answer("sinfo", SINFO)
    return answer


def said(profile=PROFILE, asked=RULES):
    return {finding.name: finding for finding in cluster_doctor.slurm_findings(profile, asked)}


def with_defaults(**resources):
    return PROFILE | {"default-resources": PROFILE["default-resources"] | resources}


def test_a_sound_cluster_and_the_profile_as_it_is_are_all_ok(answers):
    found = said()
    assert [name for name, finding in found.items() if finding.remedy] == []
    assert found["partition"].text == "standard: 2880 minutes, nodes of up to 64 cores and 256000 MB"
    assert found["account"].text == "none; accounting is off, nobody asks"


def test_no_slurm_or_one_that_is_silent_is_a_line(answers, monkeypatch):
    answers("sbatch", "sbatch: fatal: nothing here", code=1)
    assert "fails and says 'sbatch: fatal: nothing here'" in said()["slurm"].text
    answers("sbatch", pause=5)
    monkeypatch.setattr(cluster_doctor, "PATIENCE", 0.2)
    assert said()["slurm"].text == "'sbatch --version' does not answer within 0 s"
    monkeypatch.setenv("PATH", "/nowhere")
    assert said()["slurm"].remedy == "run this on the cluster's login node, or load its module"


def test_partition_that_is_not_there_or_down(answers):
    missing = said(with_defaults(slurm_partition="fast"))["partition"]
    assert missing.text == "fast does not exist"
    assert missing.remedy.startswith("name one of standard, debug, long as slurm_partition")
    assert said(with_defaults(slurm_partition="long"))["partition"].remedy == "it is down: name another, or wait"


def test_rules_that_ask_for_more_than_a_partition_has(answers):
    findings = list(cluster_doctor.slurm_findings(with_defaults(slurm_partition="debug"), RULES))
    lines = [str(finding) for finding in findings if finding.remedy]
    # The first attempt that is too long, once for each rule; a limit for all of them.
    assert [line for line in lines if "relax_shard" in line] == [
        "problem  runtime: relax_shard asks for 480 minutes at attempt 1, debug has 30; remedy: set-resources:"
        " relax_shard: runtime: min(480 * attempt, 30) in the profile"
    ]
    own = PROFILE | {"set-resources": {"train": {"slurm_partition": "long", "mem_mb": 4000}}}
    assert {finding.name for finding in cluster_doctor.slurm_findings(own, RULES) if finding.remedy} == {"partition"}
    own = PROFILE | {"set-resources": {"train": {"mem_mb": "100000 * attempt"}}}
    [trouble] = [finding for finding in cluster_doctor.slurm_findings(own, RULES) if finding.remedy]
    assert trouble.text == "train asks for 300000 MB at attempt 3, standard has 256000"


ARRAYS = {
    "slurm-array-jobs": "relax_shard",
    "keep-incomplete": True,
    "jobs": "unlimited",
    "max-jobs-per-timespan": "100000/1s",
    "slurm-array-limit": 50,
}


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({}, None),
        ({"keep-incomplete": False}, "set keep-incomplete: true in the profile"),
        ({"jobs": 1000}, "set jobs: unlimited in the profile"),
        ({"max-jobs-per-timespan": None}, "set max-jobs-per-timespan: 100000/1s in the profile"),
        ({"slurm-array-limit": 1000}, "set slurm-array-limit: 75 or less in the profile"),
        ({"slurm-array-jobs": "", "jobs": 3}, None),
    ],
)
def test_arrays_that_would_lose_jobs_or_results(answers, changes, remedy):
    assert said(PROFILE | ARRAYS | changes)["arrays"].remedy == remedy


def test_arrays_as_the_profile_says_to_have_them():
    text = (ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8")
    commented = text[text.index("# slurm-array-jobs") :].splitlines()[: len(ARRAYS)]
    assert yaml.safe_load("\n".join(line[2:] for line in commented)) == ARRAYS | {
        "slurm-array-jobs": "relax_shard,relax_crystal"
    }


def test_states_of_finished_jobs_that_nobody_would_learn(answers):
    assert (
        "squeue in the profile, or Snakemake waits for ever"
        in said(PROFILE | {"slurm-status-command": "sacct"})["status"].remedy
    )
    answers("scontrol", CONFIG.format(accounting="accounting_storage/none", age=30))
    assert said()["status"].remedy == "set slurm-init-seconds-before-status-checks to 10 or less in the profile"


def test_account_that_is_not_the_user_s(answers):
    answers("scontrol", CONFIG.format(accounting="accounting_storage/slurmdbd", age=300))
    answers("sacctmgr", "materials\nphysics\n")
    assert said()["account"].text == "none named; yours: materials, physics"
    assert said(with_defaults(slurm_account="physics"))["account"].remedy is None
    wrong = said(with_defaults(slurm_account="chemistry"))["account"]
    assert wrong.remedy == "name one of materials, physics as slurm_account"


def test_limits_as_sinfo_writes_them():
    assert [partitions.minutes_of(text) for text in ("30:00", "1:00:00", "2-12:30:00", "infinite")] == [
        *(30, 60, 3630),
        None,
    ]


def test_needs_of_the_workflow_s_own_rules():
    found = {(need.rule, need.attempt): need for need in needs(RULES, {"retries": 2})}
    assert found["relax_shard", 3] == Need("relax_shard", 3, 9000, 1440, 1)
    assert found["relax_crystal", 1].mem_mb == 8000
    assert found["train", 1].runtime == found["train", 3].runtime == 1440  # it goes on where it was
    assert "relax" not in RULES  # local
    own = {
        "set-resources": {"relax_crystal": {"tasks": 32, "mem_mb_per_cpu": 2000, "runtime": "min(900 * attempt, 1000)"}}
    }
    [_, second] = [need for need in needs(RULES, own | {"retries": 1}) if need.rule == "relax_crystal"]
    assert second == Need("relax_crystal", 2, 64000, 1000, 32)


def test_arithmetic_of_a_profile_and_nothing_else():
    assert evaluate("max(4000, 2000 * attempt) // 3", 3) == 2000
    assert evaluate("input.size_mb * 2", 1) is None
    assert evaluate("__import__('os').getpid()", 1) is None
    assert evaluate("1 +", 1) is None


def test_pbs_commands_and_queue(answers):
    profile = yaml.safe_load((ROOT / "profiles/pbs/config.yaml").read_text(encoding="utf-8"))
    before = {finding.name: finding for finding in cluster_doctor.pbs_findings(profile)}
    assert "no program 'qsub' is found" in before["submit-cmd"].remedy
    for name in ("qsub", "qstat", "qdel"):
        answers(name)
    found = {finding.name: finding for finding in cluster_doctor.pbs_findings(profile)}
    assert [name for name, finding in found.items() if finding.remedy] == []
    assert found["queue"].text == "workq"


def test_probe_of_a_node(answers, tmp_path):
    answers("srun", "unimat 0.0.0\n")
    assert "does not run there" in probe.probe_finding("slurm", PROFILE, tmp_path).text
    from unimat import __version__

    answers("srun", f"unimat {__version__}\n")
    assert probe.probe_finding("slurm", PROFILE, tmp_path).text == f"it does not see {tmp_path}"
    answers("srun", f"unimat {__version__}\n{probe.SEEN}")
    assert probe.probe_finding("slurm", PROFILE, tmp_path).remedy is None
    answers("srun", pause=5)
    assert "no answer" in probe.probe_finding("slurm", PROFILE, tmp_path, patience=0.2).text
    assert not list(tmp_path.glob(".unimat-probe-*"))


SETS = {"a": {"from": "sample"}, "b": {"from": "split", "split": "test"}}


def dft_said(folder, at_once=None, **changes):
    """Findings on a run whose set b has settings of its own for relaxation, by their names."""
    values = {"run": "r", "dataset": {"name": "silicon_carbon"}, "sets": SETS}
    values["relax"] = {"sets": ["a", "b"], "by_set": {"b": changes}}
    reading = read(values, ["mine.yaml"])
    assert reading.mistakes == ()
    found = dft_doctor.dft_findings(reading.configuration, Plan(reading.configuration, ["relax"]), folder, at_once)
    return {finding.name: finding for finding in found}


def vasp_said(folder, **settings):
    return dft_said(folder, engine="vasp", shards=4, vasp=settings)


@pytest.fixture
def potentials(tmp_path, monkeypatch):
    folder = tmp_path / "potentials"
    (folder / "POT_GGA_PAW_PBE/Si").mkdir(parents=True)
    (folder / "POT_GGA_PAW_PBE/Si/POTCAR").touch()
    (folder / "POT_GGA_PAW_PBE/POTCAR.O.gz").touch()
    monkeypatch.setitem(vasp_inputs.SETTINGS, vasp_inputs.FOLDER_VARIABLE, str(folder))


def test_vasp_of_a_set_of_its_own_and_of_no_other(answers, tmp_path, potentials):
    answers("vasp_std")
    found = vasp_said(tmp_path, command="vasp_std")
    assert list(found) == ["DFT of b", "VASP of b", "potentials of b", "disk for b"]
    assert found["DFT of b"].text == "4 jobs of vasp, cores of each: 1"
    assert [name for name, finding in found.items() if finding.remedy] == []
    assert "4 crystals at a time write about 12 GiB" in found["disk for b"].text
    assert "on this node" in found["VASP of b"].text
    assert dft_said(tmp_path) == {}


def test_dft_of_a_set_takes_one_job_for_each_crystal_and_the_cores_of_its_settings(answers, tmp_path, potentials):
    answers("vasp_std")
    values = {"run": "r", "dataset": {"name": "silicon_carbon"}, "hull": {"sets": ["a"]}}
    values["sets"] = {"a": {"from": "sample"}, "best": {"from": "screen", "of": "a", "take": 50}}
    own = {"engine": "vasp", "threads": 64, "vasp": {"command": "vasp_std"}}
    values["relax"] = {"sets": ["a", "best"], "shards": 2, "by_set": {"best": own}}
    values["hull"]["reference"] = {"kind": "set", "set": "a"}
    configuration = read(values, ["mine.yaml"]).configuration
    plan = Plan(configuration, ["relax"])
    assert (plan.counts["relax_crystal"], plan.counts["relax_shard"]) == (50, 2)
    asked = asked_for(configuration, ["relax"])
    assert (asked["relax_crystal"].threads, asked["relax_shard"].threads) == (64, 1)
    found = {finding.name: finding for finding in dft_doctor.dft_findings(configuration, plan, tmp_path, at_once=10)}
    assert found["DFT of best"].text == "50 jobs of vasp, cores of each: 64"
    assert "10 crystals at a time write about 30 GiB" in found["disk for best"].text
    need = next(need for need in needs(asked, {}) if need.rule == "relax_crystal")
    assert (need.cpus, need.mem_mb, need.runtime) == (64, 8000, 480)


def test_vasp_that_is_not_found_or_starts_one_task(answers, tmp_path, potentials):
    assert vasp_said(tmp_path, command="no_vasp")["VASP of b"].remedy.endswith(
        "load VASP's module, here and in the jobs"
    )
    answers("srun")
    answers("vasp_std")
    assert "starts one task" in vasp_said(tmp_path, command="srun vasp_std")["VASP of b"].text
    assert vasp_said(tmp_path, command="srun --overlap -n 8 vasp_std")["VASP of b"].remedy is None


def test_potentials_of_the_elements_of_a_set(answers, tmp_path, potentials, monkeypatch):
    folder = tmp_path / "results/r/sets/b"
    folder.mkdir(parents=True)
    # Rock salt of silicon and oxygen, then of sodium and oxygen.
    import numpy as np

    crystals = [
        crystal_table.Crystal(f"c-{z}", 4 * np.eye(3), np.array([z, 8]), np.array([[0.0] * 3, [0.5] * 3]))
        for z in (14, 11)
    ]
    crystal_table.write(crystal_table.from_crystals(crystals[:1]), folder / "crystals.parquet")
    assert vasp_said(tmp_path, command="sh")["potentials of b"].remedy is None
    crystal_table.write(crystal_table.from_crystals(crystals), folder / "crystals.parquet")
    assert "2 of 3 elements" in (found := vasp_said(tmp_path, command="sh")["potentials of b"]).text
    assert "without Na (Na_pv)" in found.text
    monkeypatch.delitem(vasp_inputs.SETTINGS, vasp_inputs.FOLDER_VARIABLE)
    assert "PMG_VASP_PSP_DIR is not set" in vasp_said(tmp_path, command="sh")["potentials of b"].text


def test_disk_that_does_not_suffice(tmp_path):
    finding = dft_doctor.disk_finding("b", VaspSettings(raw_outputs="keep"), 10**6, tmp_path)
    assert finding.remedy == "make room, lower relax.shards, or keep less"
