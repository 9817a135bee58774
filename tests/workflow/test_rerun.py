"""What is done again, and what is not, after a finished run."""

import os
import time
from typing import Any

import pytest

from tests.workflow.conftest import Run

FROM_RELAX = {"configuration", "relax_shard", "gather", "reference", "hull_set", "compare_pair", "report", "all"}
FROM_TRAIN = {"configuration", "train", "sample_set", "metrics_set", "relax_shard", "gather", "hull_set"}


def test_nothing_is_to_be_done_after_a_finished_run(finished: Run):
    assert finished.plan() == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"relax": {"fmax": 0.02}}, FROM_RELAX),
        ({"train": {"steps": 10_000}}, FROM_TRAIN | {"compare_pair", "report", "all"}),
        ({"hull": {"metastable": 0.1}}, {"configuration", "hull_set", "compare_pair", "report", "all"}),
        ({"compare": {"bootstrap": 10}}, {"configuration", "compare_pair", "report", "all"}),
        ({"metrics": {"symprec": 0.01}}, {"configuration", "metrics_set", "report", "all"}),
        ({"report": {"best": 2}}, {"configuration", "report", "all"}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_changed_section_plans_its_stage_and_what_follows(finished: Run, changes: dict[str, Any], expected: set[str]):
    finished.write_config(**changes)
    assert finished.plan().keys() == expected


def test_training_again_leaves_the_other_sets_as_they_are(finished: Run):
    finished.write_config(train={"steps": 10_000})
    plan = finished.plan()
    assert plan["relax_shard"] == 2  # of the generated set, not of the test split and the reference
    assert "reference" not in plan


def test_the_machine_is_no_reason_to_run_again(finished: Run):
    assert finished.plan("--set-resources", "train:launcher='srun -n 1'", "--set-threads", "train=1") == {}


def test_more_shards_relax_again_and_nothing_before(finished: Run):
    plan = finished.plan("--set-scatter", "relax=3")
    assert plan["relax_shard"] == 9
    assert "train" not in plan


def test_a_touched_table_of_the_same_content_is_no_reason_to_run_again(finished: Run):
    table = finished.folder / "results/demo/dataset/train.parquet"
    later = time.time() + 10
    os.utime(table, (later, later))
    assert finished.plan() == {}


def test_forcerun_repeats_one_stage(finished: Run):
    assert finished.plan("encode", "--forcerun", "encode") == {"encode": 1}


def test_other_settings_train_in_another_working_folder(demo_run: Run, finished: Run):
    finished.write_config(train={"steps": 10_000})
    done = finished.snakemake("--cores", "2", "train")
    assert done.returncode == 0, done.stdout
    works = [call.split(" --work ")[1].split()[0] for call in finished.calls() if call.startswith("train ")]
    assert len(works) == 2
    assert works[0] != works[1]
    finished.write_config()
    assert f"--work {works[0]}" in finished.snakemake("--dry-run", "--printshellcmds", "train").stdout


def test_a_failing_command_shows_its_own_words(run: Run):
    properties = {"energy_per_atom": {"unit": "eV/atom"}}
    run.write_config(dataset={"name": "custom", "source": "fail", "properties": properties}, train={"batch_size": 1})
    (run.folder / "fail").mkdir()
    (run.folder / "fail/a.cif").write_text("data_a\n", encoding="utf-8")
    done = run.snakemake("--cores", "1", "dataset", "--show-failed-logs")
    assert done.returncode != 0
    assert "unimat ingest: error: told to fail" in done.stdout
    assert not (run.folder / "results/demo/dataset").exists()
