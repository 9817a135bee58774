"""Choice of the crystals of a judged set that are worth a dearer engine."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unimat import crystal_table
from unimat.crystal_table import CrystalTable
from unimat.errors import UserError
from unimat.files import existing
from unimat.materials.matching import clusters as matching
from unimat.materials.relax.shard import CARRIED_METADATA
from unimat.materials.screening.settings import ScreenSettings
from unimat.materials.stability.hull_tolerance import above
from unimat.materials.stability.judged import read_stability

ENERGY = "decomposition_energy"
NEVER_A_CRYSTAL = "it never became a crystal"


@dataclasses.dataclass(frozen=True)
class Judged:
    """A judged set.

    Attributes:
        name: of its folder.
        stability: a row for each crystal (`unimat hull`).
        relaxed: its relaxed structures, in the same order.
        initial: the structures before, where they are asked for.
    """

    name: str
    stability: pd.DataFrame
    relaxed: CrystalTable
    initial: CrystalTable | None = None


@dataclasses.dataclass(frozen=True)
class Choice:
    """What was chosen, best first.

    Attributes:
        crystals: the set.
        estimate: core-hours of every crystal that was a candidate before the budget was held against it.
        summary: counts and reasons, JSON-ready.
    """

    crystals: CrystalTable
    estimate: pd.DataFrame
    summary: dict[str, Any]


def read_judged(folder: str | Path, settings: ScreenSettings) -> Judged:
    """The judged set in a folder.

    Raises:
        UserError: if it is not judged, or its files are not of the same crystals.
    """
    folder = existing(folder)
    for name in ("stability.parquet", "relaxed.parquet"):
        if not (folder / name).exists():
            raise UserError(f"{folder} is not judged, {name} is missing; put the set among hull.sets (`unimat hull`)")
    stability = read_stability(folder / "stability.parquet")
    relaxed = crystal_table.read(folder / "relaxed.parquet")
    initial = crystal_table.read(folder / "crystals.parquet") if settings.start == "initial" else None
    for table in (relaxed, initial):
        if table is not None and table.material_ids != stability["material_id"].tolist():
            raise UserError(f"{folder}: its tables are not of the same crystals; relax and judge the set again")
    return Judged(folder.resolve().name, stability, relaxed, initial)


def screened(
    judged: Judged,
    settings: ScreenSettings,
    estimator: Callable[[CrystalTable], tuple[pd.DataFrame, dict[str, Any]]],
    processes: int = 1,
) -> Choice:
    """The crystals of a judged set that pass every limit of the settings, the lowest in decomposition energy first.

    Args:
        estimator: core-hours of each crystal of a table (column `core_hours`), and their total for a summary.
        processes: that compare crystals, if only unique ones are wanted.

    Raises:
        UserError: if the budget does not pay for the first crystal.
    """
    reasons = reasons_left_out(judged, settings, processes)
    candidates = ranked(judged.stability, np.flatnonzero(reasons.isna()))
    handed_on = judged.relaxed if judged.initial is None else judged.initial
    estimate, _ = estimator(handed_on.take(candidates))
    if settings.budget is not None:
        known = estimate["core_hours"].notna().to_numpy()
        reasons.iloc[candidates[~known]] = "no estimate to hold against the budget"
        candidates, estimate = candidates[known], estimate[known].reset_index(drop=True)
    n = affordable(estimate, settings.budget)
    reasons.iloc[candidates[n:]] = "beyond the budget"
    chosen = candidates[:n]
    rows = judged.stability.iloc[chosen]
    crystals = bare(handed_on.take(chosen)).with_column(
        "screened_decomposition_energy", rows[ENERGY].to_numpy(float), "eV/atom", "by which the crystal was chosen"
    )
    summary = {
        **_about(judged, settings),
        **_counts(judged, reasons, len(candidates)),
        "core_hours": estimator(handed_on.take(chosen))[1],
        "budget": _budget(estimate, n, settings.budget),
    }
    # What was chosen is the whole of this set, whatever it was chosen from.
    crystals = crystals.with_metadata(n_requested=len(chosen))
    return Choice(crystals, estimate.assign(chosen=np.arange(len(estimate)) < n), summary)


def reasons_left_out(judged: Judged, settings: ScreenSettings, processes: int = 1) -> pd.Series:
    """Why each crystal is left out, the budget aside; null for candidates. Limits hold one after the other."""
    frame = judged.stability
    energy = frame[ENERGY].to_numpy(float)
    reasons = pd.Series(None, index=frame.index, dtype=object)
    reasons[frame["not_judged"].notna() | ~np.isfinite(energy)] = "not judged"
    reasons[~frame["converged"].astype(bool)] = "its relaxation did not converge"
    if settings.within is not None:
        reasons[reasons.isna() & above(energy, settings.within)] = (
            f"more than {settings.within:g} eV/atom above the hull"
        )
    if settings.unique:
        rows = ranked(frame, np.flatnonzero(reasons.isna()))
        reasons.iloc[rows[_copies(judged.relaxed.take(rows), settings, processes)]] = "a lower one is the same crystal"
    if settings.per_composition is not None:
        rows = ranked(frame, np.flatnonzero(reasons.isna()))
        place = frame.iloc[rows].groupby("formula").cumcount().to_numpy()
        reason = f"beyond the {settings.per_composition} lowest of its composition"
        reasons.iloc[rows[place >= settings.per_composition]] = reason
    if settings.take is not None:
        rows = ranked(frame, np.flatnonzero(reasons.isna()))
        reasons.iloc[rows[settings.take :]] = f"beyond the {settings.take} lowest of all"
    return reasons


def ranked(frame: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """`rows` of a stability table by decomposition energy, lowest first; equals by id."""
    part = frame.iloc[rows][[ENERGY, "material_id"]].assign(row=rows)
    return part.sort_values([ENERGY, "material_id"])["row"].to_numpy(np.int64)


def affordable(estimate: pd.DataFrame, budget: float | None) -> int:
    """How many crystals from the first on a budget pays for; all without one.

    Raises:
        UserError: if not even the first.
    """
    if budget is None or estimate.empty:
        return len(estimate)
    n = int((estimate["core_hours"].cumsum() <= budget).sum())
    if n == 0:
        first = estimate.iloc[0]
        raise UserError(
            f"the budget of {budget:g} core-hours does not pay for one crystal: the best, {first['material_id']}"
            f" ({first['formula']}, {first['n_atoms']} atoms), is estimated at {first['core_hours']:.3g}; raise it"
        )
    return n


def bare(table: CrystalTable) -> CrystalTable:
    """The structures of a table without what a relaxation said about them."""
    crystals = [dataclasses.replace(crystal, properties={}) for crystal in table]
    kept = {key: value for key, value in table.metadata.items() if key in CARRIED_METADATA}
    return crystal_table.from_crystals(crystals, **kept)


def _copies(table: CrystalTable, settings: ScreenSettings, processes: int) -> np.ndarray:
    """Whether each crystal is the same as an earlier one."""
    crystals = [dataclasses.replace(crystal, properties={}) for crystal in table]
    labels = matching.clusters(crystals, settings.matcher, processes=processes, max_seconds=settings.max_seconds)
    return pd.Series(labels, dtype=np.int64).duplicated().to_numpy()


def _about(judged: Judged, settings: ScreenSettings) -> dict[str, Any]:
    names = ("per_composition", "within", "take", "unique", "budget")
    return {
        "of": judged.name,
        "energy_type": judged.relaxed.metadata.get("energy_type", {}),
        "start": settings.start,
        "limits": {name: getattr(settings, name) for name in names},
    }


def _counts(judged: Judged, reasons: pd.Series, candidates: int) -> dict[str, Any]:
    """Everything that was asked for is chosen, or left out for one reason."""
    frame, n = judged.stability, len(reasons)
    generated = int(judged.relaxed.metadata.get("n_requested", n))
    told = reasons.value_counts().to_dict() | ({NEVER_A_CRYSTAL: generated - n} if generated > n else {})
    chosen = reasons.isna()
    return {
        "chosen": {"count": int(chosen.sum()), "of": generated},
        "candidates": {"count": candidates, "of": generated},
        "left_out": [{"reason": str(reason), "count": int(count), "of": generated} for reason, count in told.items()],
        **{
            kind: {"count": int((frame[kind] & chosen).sum()), "of": int(frame[kind].sum())}
            for kind in ("stable", "metastable")
        },
    }


def _budget(estimate: pd.DataFrame, n: int, budget: float | None) -> dict[str, Any] | None:
    if budget is None:
        return None
    cut = estimate["core_hours"].iloc[n:]
    return {
        "core_hours": budget,
        "cut": {"count": len(cut), "of": len(estimate)},
        "core_hours_of_cut": float(cut.sum()),
    }
