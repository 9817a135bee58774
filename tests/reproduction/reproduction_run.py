"""A small run for the reproduction: what `report_run` writes, with metrics and predictions by the real code."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tests.report.report_run import crystals, write_dataset, write_model
from unimat import crystal_table
from unimat.crystal_table import CrystalTable, Rejected
from unimat.files import read_json, write_json, write_text
from unimat.materials.metrics.evaluate import evaluate as judge
from unimat.materials.metrics.settings import MetricsSettings
from unimat.materials.prediction.evaluate import evaluate
from unimat.materials.prediction.pairing import samples_of_truths
from unimat.materials.prediction.settings import PredictionSettings

N_GENERATED, N_TRUTHS, N_SAMPLES = 12, 6, 2


def write_reproduced(folder: Path, dataset: str = "perov_5") -> Path:
    """Write the run under `folder` and return it: 12 crystals asked for, and two samples of each of six truths."""
    write_dataset(folder)
    write_model(folder)
    card = read_json(folder / "dataset/card.json")
    completeness = {"train": {"count": 120, "of": 150}, "val": {"count": 40, "of": 40}}
    twins = {"across": {"test in train": {"count": 2, "of": 40}}}
    card |= {"name": dataset, "complete": False, "completeness": completeness, "duplicates": twins}
    write_json(folder / "dataset/card.json", card | {"split": "given by the source"})
    training = read_json(folder / "model/training.json")
    write_json(folder / "model/training.json", training | {"n_train": 120, "n_val": 40})
    speed = pd.DataFrame({"step": [10, 1510, 3000], "steps_per_s": [np.nan, 10.0, 5.0]})
    write_text(folder / "model/speed.csv", speed.to_csv(index=False))
    _generated(folder)
    _predicted(folder)
    return folder


def configuration() -> dict[str, object]:
    """The sets of the run, as its configuration has them."""
    truths = {"from": "split", "split": "test", "take": N_TRUTHS}
    return {"sets": {"test": truths, "predicted": {"from": "sample", "compositions_of": "test", "n": N_SAMPLES}}}


def _write_set(folder: Path, table: CrystalTable, rejected: list[Rejected], settings: dict[str, object]) -> None:
    crystal_table.write(table, folder / "crystals.parquet")
    crystal_table.write_rejected(rejected, folder / "rejected.parquet")
    write_json(folder / "sampling.json", {"settings": settings})


def _generated(folder: Path) -> None:
    place = folder / "sets/generated"
    rejected = [Rejected("gen-000011", "sample", "no_atoms", "empty")]
    rows = crystals(N_GENERATED - 1, 1, "gen", 0.02, 0.1)
    table = crystal_table.from_crystals(rows, name="generated", n_requested=N_GENERATED)
    _write_set(place, table, rejected, {"steps": 64, "sampler": "heun"})
    known, test = (crystal_table.read(folder / f"dataset/{split}.parquet") for split in ("train", "test"))
    settings = MetricsSettings(cutoffs="perov_5", resamples=20)
    write_json(place / "metrics.json", judge("generated", table, test, known, rejected, settings).summary)


def _predicted(folder: Path) -> None:
    """Samples as `unimat sample` names them: the first is the truth itself, the second another crystal or missing."""
    test = crystal_table.read(folder / "dataset/test.parquet")
    truths = test.take(np.arange(N_TRUTHS))
    numbers = [(number, row) for row in range(N_TRUTHS) for number in (2 * row, 2 * row + 1) if number != 3]
    rows = test.take([row if number % 2 == 0 else row + 1 for number, row in numbers])
    names = [f"gen-{number:06d}" for number, _ in numbers]
    table = CrystalTable(rows.arrow.set_column(0, rows.arrow.schema.field(0), [names]))
    place = folder / "sets/predicted"
    _write_set(place, table, [Rejected("gen-000003", "sample", "no_atoms", "empty")], {"steps": 64, "n": N_SAMPLES})
    samples, _ = samples_of_truths(table, truths, "number", None, N_SAMPLES)
    found = evaluate("predicted", table, truths, samples, PredictionSettings(bootstrap=20))
    write_json(place / "prediction.json", {**found.summary, "by": "number", "n_of_no_truth": 0})
    pq.write_table(found.table, place / "prediction.parquet")
