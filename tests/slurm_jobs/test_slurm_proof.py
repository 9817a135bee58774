"""The relaxation stages on a real Slurm, with a job killed by its time limit and a node drained and resumed.

One run of all; what the tests look at is what it left behind, beside the same run without Slurm.
"""

import collections
import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests.slurm_jobs.proof import DEAR, DFT, FORCE_FIELD, HANGING, QUICK, SECONDS, Proof, end
from tests.slurm_jobs.slurm_cluster import PARTITION, Slurm

pytestmark = pytest.mark.system("slurm")

# Two minutes for a job of DFT, four for its second attempt: Slurm counts in minutes, and a busy machine needs one.
MINUTES = "relax_crystal:runtime=2 * attempt"
FLAGS = ("--profile", "profiles/slurm", "--default-resources", f"slurm_partition={PARTITION}")
# No more shards than crystals, and a look at the queue more often than a real cluster would like.
OF_THE_TEST = ("--set-scatter", "relax=2", "--slurm-init-seconds-before-status-checks", "2")
# Force fields as an array, as the profile says to have one, DFT without.
ARRAYS = ("--slurm-array-jobs", "relax_shard", "--slurm-array-limit", "50", "--keep-incomplete", "--jobs", "unlimited")


@dataclasses.dataclass
class Seen:
    """What the run left behind.

    Attributes:
        held: tasks that waited in the queue while the node was drained, and still did so before it was resumed.
        jobs: what Slurm remembers of the run's jobs.
    """

    on_slurm: Proof
    here: Proof
    held: tuple[set[str], set[str]]
    jobs: list[dict[str, str]]


@pytest.fixture(scope="module")
def seen(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The proof, run on Slurm and here at the same time."""
    on_slurm = Proof(tmp_path_factory.mktemp("on_slurm"), slurm.environment)
    here = Proof(tmp_path_factory.mktemp("here"), dict(os.environ))
    on_slurm.prepare({HANGING: {"relax_1": ["hang"]}})
    here.prepare({})
    before = {job["id"] for job in slurm.jobs()}
    processes = [on_slurm.start(*FLAGS, *OF_THE_TEST, *ARRAYS, "--set-resources", MINUTES)]
    try:
        held = drained_while_tasks_wait(slurm, on_slurm, processes[0])
        processes.append(here.start("--cores", "1"))
        for process, run in zip(processes, (on_slurm, here), strict=True):
            code = process.wait(timeout=SECONDS + 60)
            assert code == 0, f"exit code {code}\n{run.logs()}\n{slurm.logs()}"
    finally:
        for process in processes:
            end(process)
    return Seen(on_slurm, here, held, [job for job in slurm.jobs() if job["id"] not in before])


def drained_while_tasks_wait(slurm: Slurm, run: Proof, process) -> tuple[set[str], set[str]]:
    """Tasks that are submitted to a node that is drained, and those that still wait five seconds later.

    The node is drained while the jobs before them run, which end as usual, and is resumed at the end.
    """

    def states(rule: str) -> dict[str, str]:
        return {job["id"]: job["state"] for job in slurm.jobs() if job["comment"].startswith(f"rule_{rule}")}

    def wait_for(happened) -> None:
        deadline = time.monotonic() + 180
        while not happened():
            in_vain = time.monotonic() > deadline or process.poll() is not None
            assert not in_vain, f"in vain: {slurm.jobs()}\n{run.logs()}\n{slurm.logs()}"
            time.sleep(0.2)

    wait_for(lambda: "RUNNING" in states("convert_set").values())
    slurm.update_node("drain")
    try:
        # A conversion that was not running yet waits, too: its set comes later.
        wait_for(lambda: "PENDING" in states("relax").values())
        waiting = states("relax")
        time.sleep(5)
        still = {job for job in waiting if states("relax")[job] == "PENDING"}
    finally:
        slurm.update_node("resume")
    return set(waiting), still


def of_rule(seen: Seen, rule: str) -> list[dict[str, str]]:
    return [job for job in seen.jobs if job["comment"].startswith(f"rule_{rule}_wildcards")]


def test_every_job_of_the_workflow_was_a_job_of_slurm(seen: Seen):
    rules = collections.Counter(job["comment"].split("_wildcards")[0] for job in seen.jobs)
    assert rules == {
        "rule_convert_set": 2,
        "rule_relax_shard": 2,  # tasks of one array
        "rule_relax_crystal": len(DFT) + 1,  # one of them twice
        "rule_gather": 2,
    }


def test_one_sbatch_made_all_shards_of_the_force_field(seen: Seen):
    arrays = collections.Counter(job["id"].split("_")[0] for job in of_rule(seen, "relax_shard") if "_" in job["id"])
    assert list(arrays.values()) == [2]


def test_the_job_that_hung_was_ended_by_its_time_limit_and_retried_with_more(seen: Seen):
    jobs = of_rule(seen, "relax_crystal")
    states = collections.Counter((job["state"], job["limit"]) for job in jobs)
    assert states == {("COMPLETED", "2:00"): len(DFT) - 1, ("TIMEOUT", "2:00"): 1, ("COMPLETED", "4:00"): 1}


def test_tasks_waited_for_the_drained_node_and_ran_when_it_was_resumed(seen: Seen):
    waiting, still = seen.held
    assert waiting
    assert waiting == still
    state = {job["id"]: job["state"] for job in seen.jobs}
    assert {state[job] for job in waiting} <= {"COMPLETED", "TIMEOUT"}


def test_nothing_was_lost(seen: Seen):
    for name, structures in ((QUICK, FORCE_FIELD), (DEAR, DFT)):
        table = seen.on_slurm.relaxed(name)
        assert [crystal.material_id for crystal in table] == [f"{name}-{n}" for n in range(len(structures))]
        assert table.column("converged").all()
        assert set(table.column("failure")) == {None}


def test_nothing_was_run_twice(seen: Seen):
    assert set(seen.on_slurm.lines().values()) == {1}
    assert len(seen.on_slurm.lines()) == len(FORCE_FIELD) + len(DFT)
    ours, theirs = (
        collections.Counter((call["formula"], call["folder"]) for call in run.calls)
        for run in (seen.on_slurm, seen.here)
    )
    assert ours == theirs + collections.Counter({(HANGING, "relax_1"): 1})  # the call that hung


def test_results_are_those_of_a_run_on_this_machine(seen: Seen):
    for name, tolerance in ((QUICK, 1e-5), (DEAR, 1e-9)):
        ours, theirs = (run.relaxed(name) for run in (seen.on_slurm, seen.here))
        assert ours.metadata["energy_type"] == theirs.metadata["energy_type"]
        np.testing.assert_allclose(
            ours.column("energy_per_atom"), theirs.column("energy_per_atom"), atol=tolerance, rtol=0
        )
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one.lattice, other.lattice, atol=100 * tolerance)


def test_nothing_that_was_started_is_still_there(seen: Seen):
    assert not [call for call in seen.on_slurm.calls if Path(f"/proc/{call['pid']}").exists()]


def test_what_slurm_said_of_a_job_that_failed_stays_in_logs(seen: Seen):
    texts = [path.read_text() for path in (seen.on_slurm.folder / "logs/slurm/rule_relax_crystal").rglob("*.log")]
    assert any("DUE TO TIME LIMIT" in text for text in texts)
