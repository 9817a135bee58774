"""The whole chain with nothing stood in for: embedded crystals to report, in miniature."""

import json

from tests.workflow.conftest import Run
from unimat import crystal_table

MINIATURE = {
    "run": "miniature",
    "dataset": {"limit": 80},
    "model": {"channels": 8, "multipliers": [1], "blocks": 1, "head_dim": 8, "grid_kernel": 1},
    "train": {"batch_size": 16, "steps": 30, "warmup_steps": 5, "log_every": 10, "validate_every": 15},
    "sample": {"n": 6, "steps": 8},
    "sets": {
        "generated": {"from": "sample"},
        "test": {"from": "split", "split": "test", "take": 3},
        "reference": {"from": "split", "split": "train", "lowest_per_composition": 1, "rank_by": "energy_per_atom"},
    },
    "relax": {"max_steps": 3, "fmax": 1.0},
    "compare": {"bootstrap": 50},
}


def test_a_miniature_run_reaches_its_report_and_is_then_done(run: Run):
    run.write_config(**MINIATURE)
    done = run.snakemake("--cores", "2", "--show-failed-logs", stand_in=False)
    assert done.returncode == 0, done.stdout
    results = run.folder / "results/miniature"
    for name, n in (("generated", 6), ("test", 3)):
        metadata = json.loads((results / f"sets/{name}/stability.json").read_text(encoding="utf-8"))
        assert metadata["n_generated"] == n
        relaxed = crystal_table.read(results / f"sets/{name}/relaxed.parquet")
        assert relaxed.material_ids == crystal_table.read(results / f"sets/{name}/crystals.parquet").material_ids
    metrics = json.loads((results / "sets/generated/metrics.json").read_text(encoding="utf-8"))
    assert metrics["cdvae"]["rates"]["valid"]["of"] == metrics["strict"]["rates"]["valid"]["of"] == 6
    headline = json.loads((results / "headline.json").read_text(encoding="utf-8"))
    assert headline[0]["of"] == 6
    assert "<svg" in (results / "report.html").read_text(encoding="utf-8")
    assert run.plan() == {}
