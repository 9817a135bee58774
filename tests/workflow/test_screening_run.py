"""From a cheap relaxation to a dearer one, nothing stood in for: CHGNet at two limits of force, a few crystals."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.workflow.conftest import Run
from unimat import cli, crystal_table

CONFIGURATION: dict[str, Any] = {
    "run": "screening",
    "dataset": {"limit": 80},
    "sets": {
        "test": {"from": "split", "split": "test", "take": 5},
        "stuck": {"from": "split", "split": "val", "take": 2},
        "reference": {"from": "split", "split": "train", "lowest_per_composition": 1, "rank_by": "energy_per_atom"},
        "best": {"from": "screen", "of": "test", "take": 3, "unique": True, "budget": 10.0},
        "none": {"from": "screen", "of": "stuck"},
    },
    "relax": {
        "sets": ["test", "stuck", "reference", "best", "none"],
        "shards": 1,
        "max_steps": 3,
        "fmax": 1.0,
        "by_set": {"best": {"fmax": 0.1, "max_steps": 100, "shards": 2}, "stuck": {"fmax": 1e-6, "max_steps": 1}},
    },
    "hull": {"sets": ["test", "stuck", "best", "none"]},
    "metrics": None,
    "compare": None,
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the finished run, up to the agreement of verdicts."""
    from tests.workflow.conftest import make_run

    run = make_run(tmp_path_factory.mktemp("screening") / "run")
    run.write_config(**CONFIGURATION)
    done = run.snakemake("agreement", "--cores", "2", "--show-failed-logs", stand_in=False)
    assert done.returncode == 0, done.stdout
    assert "agreement_set" not in run.plan("agreement")
    return run.folder / "results/screening"


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_best_are_relaxed_again_by_their_own_settings_under_the_same_ids(results: Path):
    screen = read(results / "sets/best/screen.json")
    test, best = (crystal_table.read(results / f"sets/{name}/relaxed.parquet") for name in ("test", "best"))
    assert screen["chosen"] == {"count": len(best), "of": 5}
    assert 1 <= len(best) <= 3
    assert set(best.material_ids) < set(test.material_ids)
    assert (test.metadata["relax"]["fmax"], best.metadata["relax"]["fmax"]) == (1.0, 0.1)
    assert best.metadata["n_requested"] == len(best)
    judged = pd.read_parquet(results / "sets/test/stability.parquet").sort_values("decomposition_energy")
    assert best.material_ids[0] == judged["material_id"].iloc[0]
    assert pd.read_csv(results / "sets/best/core_hours.csv")["chosen"].sum() == len(best)


def test_the_two_verdicts_are_held_against_each_other(results: Path):
    numbers = read(results / "sets/best/agreement.json")
    n = len(crystal_table.read(results / "sets/best/crystals.parquet"))
    assert numbers["n_both"] == {"count": n, "of": n}
    assert numbers["n_judged_by_both"]["of"] == n
    assert numbers["energy"]["largest_absolute"] < 0.2  # the same calculator, nearly at rest


def test_an_empty_choice_passes_through_every_stage(results: Path):
    assert read(results / "sets/none/screen.json")["chosen"] == {"count": 0, "of": 2}
    assert len(crystal_table.read(results / "sets/none/relaxed.parquet")) == 0
    assert read(results / "sets/none/stability.json")["n_generated"] == 0
    assert read(results / "sets/none/agreement.json")["held"]["stable"]["rate"] is None


def test_the_page_tells_of_both(results: Path, tmp_path: Path):
    page = tmp_path / "report.html"
    words = [
        "report",
        "--run-dir",
        str(results),
        "--out-file",
        str(page),
        "--headline",
        str(tmp_path / "headline.json"),
    ]
    assert cli.main(words) == 0
    text = page.read_text(encoding="utf-8")
    assert "How often a verdict held" in text
    assert "its relaxation did not converge" in text
    assert "by CHGNet" in text


def test_the_estimate_stops_before_anything_is_relaxed_again(run: Run):
    run.write_config(**CONFIGURATION)
    plan = run.plan("screen")
    assert plan["screen_set"] == 2
    assert plan["relax_shard"] == 3  # of test, stuck and the reference
    assert "agreement_set" not in plan
