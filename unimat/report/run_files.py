"""What a run's folder holds, read once; parts that are not there are None and named as missing by the page."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import pandas as pd

from unimat import checked_csv, crystal_table, parquet
from unimat.crystal_table import CrystalTable, Rejected
from unimat.errors import UserError
from unimat.files import existing, read_json, remedy
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.references.reference import read as read_reference
from unimat.strict_yaml import read_document

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class SetFiles:
    """One set of crystals and what was found out about it."""

    name: str
    crystals: CrystalTable | None
    rejected: list[Rejected]
    sampling: dict[str, Any] | None
    metrics: dict[str, Any] | None
    verdicts: pd.DataFrame | None
    relaxed: CrystalTable | None
    relaxation: dict[str, Any] | None
    stability: pd.DataFrame | None
    stability_summary: dict[str, Any] | None
    screening: dict[str, Any] | None = None
    agreement: dict[str, Any] | None = None
    agreement_crystals: pd.DataFrame | None = None
    dynamics: CrystalTable | None = None
    dynamics_summary: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    prediction_pairs: pd.DataFrame | None = None

    @property
    def n_generated(self) -> int | None:
        """Everything that was asked for, crystals that could not be used included: the denominator of the rates."""
        for summary in (self.metrics, self.stability_summary):
            if summary and summary.get("n_generated") is not None:
                return int(summary["n_generated"])
        if self.crystals is None:
            return None
        return int(self.crystals.metadata.get("n_requested", len(self.crystals) + len(self.rejected)))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two sets compared per composition."""

    summary: dict[str, Any]
    pairs: pd.DataFrame | None


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """Everything that the report reads of one run."""

    name: str
    folder: Path
    card: dict[str, Any] | None
    split_sizes: dict[str, int]
    test: CrystalTable | None
    rejected_at_ingest: list[Rejected] | None
    rejected_at_encoding: list[Rejected] | None
    encoding: dict[str, Any] | None
    training: dict[str, Any] | None
    history: pd.DataFrame | None
    sets: dict[str, SetFiles]
    reference: Reference | None
    reference_summary: dict[str, Any] | None
    comparisons: list[Comparison]

    def primary(self, name: str | None = None) -> SetFiles | None:
        """The set that the headline numbers speak of: `name`, or the first sampled one, or the first one.

        Raises:
            UserError: if `name` is given and there is no such set.
        """
        if name is not None:
            if name not in self.sets:
                known = ", ".join(self.sets) or "none"
                raise UserError(f"report.set: the run has no set {name!r}; its sets: {known}")
            return self.sets[name]
        return next(iter(self.sets.values()), None)


def read_run(folder: str | Path) -> RunFiles:
    """Everything of the run under `folder`.

    Raises:
        UserError: if the folder is missing or holds nothing of a run, or a file in it is broken.
    """
    folder = existing(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a run, e.g. results/demo")
    run = RunFiles(
        name=folder.resolve().name,
        folder=folder,
        card=_json(folder / "dataset/card.json"),
        split_sizes={s: _n_rows(p) for s in SPLITS if (p := folder / f"dataset/{s}.parquet").exists()},
        test=_table(folder / "dataset/test.parquet"),
        rejected_at_ingest=_rejected(folder / "dataset/rejected.parquet"),
        rejected_at_encoding=_rejected(folder / "encoded/rejected.parquet"),
        encoding=_json(folder / "encoded/encoding.json"),
        training=_json(folder / "model/training.json"),
        history=_csv(folder / "model/history.csv"),
        sets=_sets(folder / "sets"),
        reference=read_reference(path) if (path := folder / "hull/reference.parquet").exists() else None,
        reference_summary=_json(folder / "hull/reference.json"),
        comparisons=_comparisons(folder / "compare"),
    )
    if not (run.split_sizes or run.sets or run.training or run.card):
        raise UserError(f"{folder} holds no stage of a run; give the folder of a run, e.g. results/demo")
    return run


def read_config(path: str | Path) -> dict[str, Any]:
    """Configuration of a YAML or JSON file; UserError if it is missing, broken or no mapping."""
    document = read_document(existing(path))
    if document.mistakes:
        raise UserError(document.mistakes[0])
    if not isinstance(document.values, dict):
        raise UserError(f"{path} is no configuration: expected a mapping, found {type(document.values).__name__}")
    return document.values


def _sets(folder: Path) -> dict[str, SetFiles]:
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    sets = [_set(path) for path in folders if any(path.iterdir())]
    return {each.name: each for each in sorted(sets, key=_order)}


def _order(one: SetFiles) -> tuple[bool, bool, str]:
    """Sampled sets first, and those last that were chosen from others: their rates speak of a choice."""
    return one.sampling is None, one.screening is not None, one.name


def _set(folder: Path) -> SetFiles:
    return SetFiles(
        name=folder.name,
        crystals=_table(folder / "crystals.parquet"),
        rejected=_rejected(folder / "rejected.parquet") or [],
        sampling=_json(folder / "sampling.json"),
        metrics=_json(folder / "metrics.json"),
        verdicts=_frame(folder / "verdicts.parquet"),
        relaxed=_table(folder / "relaxed.parquet"),
        relaxation=_json(folder / "relaxed.json"),
        stability=_frame(folder / "stability.parquet"),
        stability_summary=_json(folder / "stability.json"),
        screening=_json(folder / "screen.json"),
        agreement=_json(folder / "agreement.json"),
        agreement_crystals=_frame(folder / "agreement.parquet"),
        dynamics=_table(folder / "dynamics.parquet"),
        dynamics_summary=_json(folder / "dynamics.json"),
        prediction=_json(folder / "prediction.json"),
        prediction_pairs=_frame(folder / "prediction.parquet"),
    )


def _comparisons(folder: Path) -> list[Comparison]:
    files = sorted(folder.glob("*_vs_*.json")) if folder.is_dir() else []
    return [Comparison(read_json(path), _frame(path.with_suffix(".parquet"))) for path in files]


def _json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON mapping: it is another file than is needed here; {remedy(path)}")
    return value


def _table(path: Path) -> CrystalTable | None:
    return crystal_table.read(path) if path.exists() else None


def _n_rows(path: Path) -> int:
    return parquet.n_rows(path)


def _rejected(path: Path) -> list[Rejected] | None:
    return crystal_table.read_rejected(path) if path.exists() else None


def _frame(path: Path) -> pd.DataFrame | None:
    return parquet.read_frame(path) if path.exists() else None


def _csv(path: Path) -> pd.DataFrame | None:
    if not path.exists():
        return None
    try:
        return pd.read_csv(io.StringIO(checked_csv.text_of(path)))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable as CSV ({error}); train again to make it") from error
