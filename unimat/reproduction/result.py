"""The numbers of a run that the page of reproduced numbers needs, as one small JSON-ready mapping."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unimat import checked_csv
from unimat.errors import UserError
from unimat.report.quantities import dig
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.stages import Job
from unimat.reproduction.differences import incomplete, notes
from unimat.reproduction.settings import ReproductionSettings

POINTS = 200  # of a learning curve


def result(
    run: RunFiles,
    settings: ReproductionSettings,
    config: Mapping[str, Any] | None = None,
    jobs: Sequence[Job] = (),
) -> dict[str, Any]:
    """What RUN.json holds.

    Args:
        config: the run's whole configuration; says whose compositions a set was made for.
        jobs: as `unimat.report.stages.read_jobs` finds them; without them the seconds of the stages are null.

    Raises:
        UserError: if the run has no training, or the set that the settings name has no metrics.
    """
    if run.training is None:
        raise UserError(f"{run.folder} has no model/training.json; `unimat train` makes it")
    one = run.primary(settings.set)
    if one is None or one.metrics is None:
        raise UserError(f"{run.folder} has no sets/{settings.set}/metrics.json; `unimat metrics` makes it")
    found = {
        "format": 1,
        "run": run.name,
        "dataset": (run.card or {}).get("name"),
        "network": dig(run.training, "network"),
        "ablation": settings.ablation,
        "data": _data(run.card or {}),
        "training": _training(run, settings),
        "generation": {**_generation(one, jobs), "reference_split": _reference_split(config or {})},
        "prediction": _prediction(run, config or {}, jobs) or None,
        "seconds": {f"{job.stage} {job.name}".strip(): _finite(job.seconds) for job in jobs},
        "learning_curve": [] if run.history is None else learning_curve(run.history),
        "command": settings.command,
    }
    lacks = incomplete(found)
    return {
        **found,
        "incomplete": lacks,
        "notes": [*(f"Partial: {each}." for each in lacks), *notes(found), *settings.notes],
    }


def learning_curve(history: pd.DataFrame, points: int = POINTS) -> list[dict[str, float | int | None]]:
    """At most `points` of the history: mean loss of so many rows, the last validation loss among them (null: none)."""
    curve = []
    for rows in np.array_split(np.arange(len(history)), min(points, len(history))) if len(history) else []:
        part = history.iloc[rows]
        val = part["val_loss"].dropna() if "val_loss" in part else pd.Series(dtype=float)
        loss = float(part["loss"].mean())
        curve.append(
            {
                "step": int(part["step"].iloc[-1]),
                "loss": _rounded(loss),
                "val_loss": _rounded(float(val.iloc[-1])) if len(val) else None,
            }
        )
    return curve


def _data(card: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("title", "complete", "completeness", "split", "crystals", "rejected", "licence")
    across = (card.get("duplicates") or {}).get("across") or {}
    return {**{key: card.get(key) for key in keys}, "test_in_train": across.get("test in train")}


def _training(run: RunFiles, settings: ReproductionSettings) -> dict[str, Any]:
    facts = run.training or {}
    speed = facts.get("speed") or {}
    keys = ("steps", "n_train", "n_val", "n_parameters", "final")
    return {
        **{key: facts.get(key) for key in keys},
        "seconds": _training_seconds(run, speed),
        "hardware": settings.hardware or speed.get("devices"),
        "settings": facts.get("settings"),
        "versions": facts.get("versions"),
    }


def _training_seconds(run: RunFiles, speed: Mapping[str, Any]) -> float | None:
    """Of all steps, over all processes that took part one after the other; without compiling and validation."""
    path = run.folder / "model/speed.csv"
    empty = pd.DataFrame({"step": [], "steps_per_s": []})
    rows = pd.read_csv(io.StringIO(checked_csv.text_of(path))) if path.is_file() else empty
    steps, rates = np.diff(rows["step"], prepend=0), pd.to_numeric(rows["steps_per_s"]).to_numpy(float)
    known = np.isfinite(rates)  # a row that was spent compiling has no rate: as fast as the others
    if known.any():
        return round(float((steps[known] / rates[known]).sum() * steps.sum() / steps[known].sum()), 1)
    return speed.get("seconds") if speed.get("steps_in_this_process") == dig(run.training, "steps") else None


def _generation(one: SetFiles, jobs: Sequence[Job]) -> dict[str, Any]:
    metrics = one.metrics or {}
    return {
        "set": one.name,
        "n_requested": one.n_generated,
        "n_rejected": metrics.get("n_rejected", len(one.rejected)),
        "seconds": _seconds(jobs, "sample", one.name),
        "settings": (one.sampling or {}).get("settings"),
        "metrics": metrics,
    }


def _reference_split(config: Mapping[str, Any]) -> str:
    return str((config.get("metrics") or {}).get("reference_split") or "test")


def _prediction(run: RunFiles, config: Mapping[str, Any], jobs: Sequence[Job]) -> dict[str, Any]:
    """By number of samples; of two sets that have the same number, the one with more truths."""
    found: dict[str, Any] = {}
    for one in run.sets.values():
        summary = one.prediction
        for n, figures in (summary or {}).get("samples", {}).items():
            if summary and (n not in found or found[n]["n_truths"] < summary["n_truths"]):
                found[n] = {
                    "set": one.name,
                    "n_truths": summary["n_truths"],
                    "truths": _truths(run, one, config),
                    **_of_samples(one, summary, int(n), figures, jobs),
                }
    return dict(sorted(found.items(), key=lambda item: int(item[0])))


def _truths(run: RunFiles, one: SetFiles, config: Mapping[str, Any]) -> dict[str, Any]:
    """Which crystals a set was made for; the test split where no configuration tells."""
    sets = config.get("sets") or {one.name: {"compositions_of": "test"}, "test": {"split": "test"}}
    asked = sets.get((sets.get(one.name) or {}).get("compositions_of") or "") or {}
    split = asked.get("split")
    return {"split": split, "take": asked.get("take"), "of": run.split_sizes.get(str(split))}


def _of_samples(
    one: SetFiles, summary: Mapping[str, Any], n: int, figures: Mapping[str, Any], jobs: Sequence[Job]
) -> dict[str, Any]:
    largest = max(map(int, summary["samples"]))
    return {
        **figures,
        "metre": summary.get("metre") if n == largest else None,
        "samples_valid": summary.get("valid"),
        "truths_valid": summary.get("truths_valid"),
        "n_samples": summary.get("n_samples"),
        "seconds": _seconds(jobs, "sample", one.name) if n == largest else None,
        "sampling": (one.sampling or {}).get("settings"),
        "settings": summary.get("settings"),
    }


def _seconds(jobs: Sequence[Job], stage: str, name: str) -> float | None:
    return next((_finite(job.seconds) for job in jobs if (job.stage, job.name) == (stage, name)), None)


def _finite(value: float) -> float | None:
    return round(value, 1) if math.isfinite(value) else None


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
