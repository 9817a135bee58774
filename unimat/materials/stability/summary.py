"""Counts of the verdicts on a set: what was stable, of how many, and which verdicts to doubt."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from unimat.crystal_table import CrystalTable
from unimat.materials.stability.decomposition import Hulls
from unimat.materials.stability.hull import shift_sign
from unimat.materials.stability.hull_tolerance import HULL_TOLERANCE
from unimat.materials.stability.references.lost import systems_of
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import HullSettings
from unimat.materials.stability.verdict_flips import flip_counts

TOLD = 20  # ids and flips in the summary; all are in the tables


def summary(
    frame: pd.DataFrame, name: str, table: CrystalTable, reference: Reference, settings: HullSettings
) -> dict[str, Any]:
    """Counts with their denominator: everything that was asked for, whatever became of it."""
    energy_type = table.metadata.get("energy_type", {})
    generated = int(table.metadata.get("n_requested", len(frame)))
    return {
        "set": name,
        "reference": reference.name,
        "reference_source": reference.source,
        "reference_entries": len(reference.entries),
        "energy_type": energy_type,
        "reference_energy_type": reference.energy_type,
        "pseudopotential_shift": shift_sign(energy_type, reference),
        "n_generated": generated,
        "n_relaxed": int(frame["converged"].sum()),
        "n_judged": int(frame["not_judged"].isna().sum()),
        "not_judged": {str(reason): int(count) for reason, count in frame["not_judged"].value_counts().items()},
        **counts(frame, generated),
        "on_hull": {"count": int(frame["on_hull"].sum()), "of": generated},
        "lost_phases": _lost_summary(frame, reference),
        # E_d is below a threshold if it is by more than the tolerance, and on the hull within it.
        "thresholds": {
            "stable": 0.0,
            "metastable": settings.metastable,
            "tolerance": HULL_TOLERANCE,
            "unit": "eV/atom",
        },
        "median_decomposition_energy": _median(frame["decomposition_energy"]),
    }


def _lost_summary(frame: pd.DataFrame, reference: Reference) -> dict[str, Any]:
    """Phases that the reference lost, by chemical system, and the verdicts that they may change."""
    ids = frame["material_id"][frame["lost_phases"].notna()].tolist()
    return {
        "systems": systems_of(reference.details),
        "verdicts": {"count": len(ids), "of": int(frame["not_judged"].isna().sum()), "first": ids[:TOLD]},
    }


def summary_of_all(
    frames: Mapping[str, pd.DataFrame],
    name: str,
    table: CrystalTable,
    hulls: Mapping[str, Hulls],
    flips: pd.DataFrame,
    settings: HullSettings,
) -> dict[str, Any]:
    """`summary` of the first reference, with the counts of all of them and on what they disagree.

    Args:
        frames: stability tables with `unique` and `novel`, by name of the reference.
        hulls: hulls by the same names.
        flips: of `verdict_flips`.
    """
    every = [summary(frame, name, table, hulls[key].reference, settings) for key, frame in frames.items()]
    shared = ("set", "energy_type", "n_generated", "n_relaxed", "thresholds")
    first = flips.head(TOLD).to_dict("records")
    return every[0] | {
        "references": [{key: value for key, value in each.items() if key not in shared} for each in every],
        "verdict_flips": {
            "pairs": flip_counts(flips, frames, every[0]["n_generated"]),
            "first": [{key: None if value != value else value for key, value in row.items()} for row in first],
        },
    }


def counts(frame: pd.DataFrame, generated: int) -> dict[str, dict[str, float | int] | None]:
    """Stable and metastable crystals, and those of them that are unique and novel, of everything generated.

    The latter are None where nobody judged novelty: 0 would say that every crystal is known.
    """
    new = frame["unique"].eq(True) & frame["novel"].eq(True)
    masks = {
        "stable": frame["stable"],
        "metastable": frame["metastable"],
        "stable_unique_novel": frame["stable"] & new,
        "metastable_unique_novel": (frame["stable"] | frame["metastable"]) & new,
    }
    found = {name: int(mask.sum()) for name, mask in masks.items()}
    shares: dict[str, dict[str, float | int] | None] = {
        name: {"count": count, "of": generated, "rate": count / generated if generated else 0.0}
        for name, count in found.items()
    }
    return shares if novelty_judged(frame) else shares | {"stable_unique_novel": None, "metastable_unique_novel": None}


def novelty_judged(frame: pd.DataFrame) -> bool:
    """Whether a stability table says which crystals are novel; it does if none came near enough to be looked at."""
    return {"unique", "novel"} <= set(frame) and (frame["unique"].isna().all() or frame["novel"].notna().any())


def _median(values: pd.Series) -> float | None:
    return float(values.median()) if values.notna().any() else None
