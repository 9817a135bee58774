"""Candidates for the compositions of a test split, from the training split, with nothing stood in for."""

import json

import pytest

from tests.workflow.conftest import Run
from unimat import crystal_table

SETS = {
    "test": {"from": "split", "split": "test", "take": 4},
    "candidates": {"from": "substitution", "templates": ["train"], "compositions_of": "test", "count": 3},
}


@pytest.mark.slow  # five commands, each with its imports: half a minute
def test_candidates_are_made_and_matched_without_a_model(run: Run, tmp_path):
    run.write_config(sets=SETS, match={"sets": ["candidates"]}, metrics=None, relax=None, hull=None, compare=None)
    done = run.snakemake(
        "match", "--cores", "2", "--show-failed-logs", stand_in=False, UNIMAT_CACHE_DIR=str(tmp_path / "cache")
    )
    assert done.returncode == 0, done.stdout
    folder = run.folder / "results/demo"
    assert not (folder / "model").exists()
    made = crystal_table.read(folder / "sets/candidates/crystals.parquet")
    missing = crystal_table.read_rejected(folder / "sets/candidates/rejected.parquet")
    assert len(made) + len(missing) == made.metadata["n_requested"] == 12
    train = set(crystal_table.read(folder / "dataset/train.parquet").material_ids)
    assert set(made.column("template")) <= train
    truths = crystal_table.read(folder / "sets/test/crystals.parquet").material_ids
    for name, truth in zip(made.material_ids, made.column("truth_id"), strict=True):
        assert truth == truths[int(name.removeprefix("sub-")) // 3]
    found = json.loads((folder / "sets/candidates/prediction.json").read_text(encoding="utf-8"))
    assert found["samples"]["1"]["all"]["match_rate"]["of"] == 4
    assert run.plan("match") == {}
