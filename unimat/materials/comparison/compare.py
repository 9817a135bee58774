"""Per-composition comparison of two judged sets: Equations 3 and 4 of the paper."""

from typing import Any

import pandas as pd

from unimat.errors import UserError
from unimat.materials.comparison.pair_bootstrap import NO_INTERVALS, intervals, resampled
from unimat.materials.comparison.pairs import Pairs
from unimat.materials.stability.settings import CompareSettings


def comparison(pairs: Pairs, settings: CompareSettings) -> dict[str, Any]:
    """Mean difference in formation energy and reduction rate with bootstrap confidence intervals.

    Args:
        pairs: of `all_pairs`.

    Returns:
        Equations 3 and 4 over all pairs, and the same over `pairs.lowest()` under `lowest_energy_pairs`. Without any
        pair the values are null.
    """
    lowest = pairs.lowest()
    # One pair of lowest crystals has nothing to be drawn from: the lowest of a resample is no fair copy of the lowest.
    lowest_intervals = intervals(lowest, settings) if len(lowest) > 1 else NO_INTERVALS
    return {
        "pairs": "all",
        **_equations(pairs, intervals(pairs, settings)),
        "n_compositions": len(pairs.sizes),
        "n_a_matched": len(pairs.a),
        "n_b_matched": len(pairs.b),
        "lowest_energy_pairs": {"pairs": "lowest of each composition", **_equations(lowest, lowest_intervals)},
        "bootstrap": {
            "n": settings.bootstrap,
            "seed": settings.seed,
            "level": settings.level,
            "unit": resampled(pairs),
        },
    }


def no_common_composition(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> str | None:
    """Why no crystal of one set has a partner in the other, in a sentence; None if one has."""
    found = []
    for name, frame in zip(names, (a, b), strict=True):
        formulas = frame.loc[frame["e_form_per_atom"].notna(), "formula"]
        if formulas.empty:
            return (
                f"no crystal of {name!r} has a formation energy ({len(frame)} crystals); relax and judge more of them"
            )
        found.append(formulas)
    if set(found[0]) & set(found[1]):
        return None
    told = (f"{name!r} has {', '.join(sorted(set(each))[:3])}" for name, each in zip(names, found, strict=True))
    return f"no composition occurs in both sets: {'; '.join(told)}; nothing is compared"


def refuse_different_references(a: dict, b: dict) -> None:
    """UserError if two stability summaries were judged against different references."""
    for key in ("reference", "energy_type", "reference_entries"):
        if a.get(key) != b.get(key):
            raise UserError(
                f"sets {a.get('set')!r} and {b.get('set')!r} differ in {key} ({a.get(key)!r} and {b.get(key)!r});"
                " judge both with the same reference and engine"
            )


def _equations(pairs: Pairs, bounds: tuple[dict, dict]) -> dict[str, Any]:
    sums, n = pairs.sums(), len(pairs)
    lower = int(sums["lower"].sum())
    return {
        "n_pairs": n,
        "delta_e_form": {"value": float(sums["sum"].sum()) / n if n else None, **bounds[0], "unit": "eV/atom"},
        "reduction_rate": {"value": lower / n if n else None, **bounds[1], "count": lower, "of": n},
    }
