"""UniMat against random search with nothing stood in for, in miniature: config/airss.yaml to Equations 3 and 4."""

import json

from tests.workflow.conftest import Run
from unimat import crystal_table

MINIATURE = {
    "run": "airss",
    # So few rows, parted by composition, might leave no pure carbon for the reference.
    "dataset": {"limit": 80, "split": {"kind": "fractions", "fractions": [0.8, 0.1, 0.1]}},
    "model": {"channels": 8, "head_dim": 8},
    "train": {"batch_size": 16, "steps": 20, "warmup_steps": 5, "log_every": 10, "validate_every": 10},
    "sample": {"steps": 8},
    "sets": {
        "generated": {"from": "sample", "n": 2, "compositions": "few.csv"},
        "airss": {"from": "airss", "per_composition": 2, "compositions": "few.csv"},
        "reference": {"from": "split", "split": "train", "lowest_per_composition": 1, "rank_by": "energy_per_atom"},
    },
    "relax": {"max_steps": 3, "fmax": 1.0, "shards": 1},
    "compare": {"bootstrap": 50},
}


def test_a_random_search_is_compared_with_a_model_by_composition(run: Run):
    run.write_config("airss.yaml", **MINIATURE)
    (run.folder / "few.csv").write_text("formula\nSiC\nSi2C2\nSi2C\n", encoding="utf-8")
    done = run.snakemake("compare", "--cores", "2", "--show-failed-logs", stand_in=False)
    assert done.returncode == 0, done.stdout
    results = run.folder / "results/airss"
    made = crystal_table.read(results / "sets/airss/crystals.parquet")
    failed = crystal_table.read_rejected(results / "sets/airss/rejected.parquet")
    assert len(made) + len(failed) == made.metadata["n_requested"] == 6
    assert (made.column("closest_contact") >= 0.7 - 1e-9).all()
    compared = json.loads((results / "compare/generated_vs_airss.json").read_text(encoding="utf-8"))
    assert compared["convergence"]["b"]["overall"]["of"] == 2  # SiC and Si2C2 are one reduced composition
    assert (compared["a"], compared["b"]) == ("generated", "airss")


def test_another_list_makes_both_sets_anew_and_trains_nothing(run: Run):
    run.write_config("airss.yaml")
    table = run.folder / "config/airss_compositions.csv"
    table.write_text("formula\nSiC\n", encoding="utf-8")
    assert run.snakemake("compare", "--cores", "2").returncode == 0
    table.write_text("formula\nSi2C\n", encoding="utf-8")
    plan = run.plan("compare")
    assert {"sample_set", "airss_set", "compare_pair"} <= plan.keys()
    assert "train" not in plan
    assert "select_set" not in plan
