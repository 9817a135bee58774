"""Per-composition comparison of two judged sets: Equations 3 and 4 of the paper."""

from typing import Any

import numpy as np
import pandas as pd

from unimat.errors import UserError
from unimat.materials.stability_settings import CompareSettings


def all_pairs(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Every pair of a crystal of A and one of B with the same reduced composition, both relaxed (set C of Equation 3).

    Args:
        a, b: stability tables (`unimat hull`).

    Returns:
        Columns composition, material_id_a, material_id_b, e_form_a, e_form_b and difference (a minus b, eV/atom).
    """
    columns = ["material_id", "formula", "e_form_per_atom"]
    left, right = (frame.loc[frame["e_form_per_atom"].notna(), columns] for frame in (a, b))
    pairs = left.merge(right, on="formula", suffixes=("_a", "_b"))
    pairs = pairs.rename(
        columns={"formula": "composition", "e_form_per_atom_a": "e_form_a", "e_form_per_atom_b": "e_form_b"}
    )
    pairs["difference"] = pairs["e_form_a"] - pairs["e_form_b"]
    order = ["composition", "material_id_a", "material_id_b", "e_form_a", "e_form_b", "difference"]
    return pairs[order].sort_values(order[:3], ignore_index=True)


def comparison(pairs: pd.DataFrame, settings: CompareSettings) -> dict[str, Any]:
    """Mean difference in formation energy and reduction rate with bootstrap confidence intervals.

    Pairs of one composition share crystals and are not independent, so that whole compositions are drawn, with
    replacement. Without any pair the values are null.
    """
    n_compositions = pairs["composition"].nunique()
    lower = pairs["difference"] < 0
    delta, rate = _intervals(pairs, settings)
    return {
        "pairs": "all",
        "n_pairs": len(pairs),
        "n_compositions": int(n_compositions),
        "n_a_matched": int(pairs["material_id_a"].nunique()),
        "n_b_matched": int(pairs["material_id_b"].nunique()),
        "delta_e_form": {
            "value": float(pairs["difference"].mean()) if len(pairs) else None,
            **delta,
            "unit": "eV/atom",
        },
        "reduction_rate": {
            "value": float(lower.mean()) if len(pairs) else None,
            **rate,
            "count": int(lower.sum()),
            "of": len(pairs),
        },
        "bootstrap": {
            "n": settings.bootstrap,
            "seed": settings.seed,
            "level": settings.level,
            "unit": "composition",
        },
    }


def refuse_different_references(a: dict, b: dict) -> None:
    """UserError if two stability summaries were judged against different references."""
    for key in ("reference", "energy_type", "reference_entries"):
        if a.get(key) != b.get(key):
            raise UserError(
                f"sets {a.get('set')!r} and {b.get('set')!r} differ in {key} ({a.get(key)!r} and {b.get(key)!r});"
                " judge both with the same reference and engine"
            )


def _intervals(pairs: pd.DataFrame, settings: CompareSettings) -> tuple[dict, dict]:
    """Percentile intervals of the mean difference and of the share of negative differences."""
    groups = pairs.groupby("composition")["difference"]
    sums, counts = groups.sum().to_numpy(), groups.size().to_numpy()
    lower = groups.agg(lambda values: (values < 0).sum()).to_numpy()
    if len(counts) < 2 or settings.bootstrap == 0:  # one composition has no spread to draw from
        return {"low": None, "high": None}, {"low": None, "high": None}
    rng = np.random.default_rng(settings.seed)
    draws = rng.integers(len(counts), size=(settings.bootstrap, len(counts)))
    totals = counts[draws].sum(axis=1)
    tails = [(1 - settings.level) / 2, (1 + settings.level) / 2]
    return tuple(  # type: ignore[return-value]
        dict(zip(("low", "high"), map(float, np.quantile(values[draws].sum(axis=1) / totals, tails)), strict=True))
        for values in (sums, lower)
    )
