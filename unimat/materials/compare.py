"""Per-composition comparison of two judged sets: Equations 3 and 4 of the paper."""

from typing import Any

import pandas as pd

from unimat.errors import UserError
from unimat.materials.pair_bootstrap import NO_INTERVALS, intervals, resampled
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


def lowest_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """One pair per composition, the lowest crystal of A with the lowest of B: what the paper plots in Figure 8.

    Args:
        pairs: of `all_pairs`; of equals, the first ids are taken.
    """
    order = ["composition", "e_form_a", "e_form_b", "material_id_a", "material_id_b"]
    return pairs.sort_values(order).drop_duplicates("composition").reset_index(drop=True)


def comparison(pairs: pd.DataFrame, settings: CompareSettings) -> dict[str, Any]:
    """Mean difference in formation energy and reduction rate with bootstrap confidence intervals.

    Args:
        pairs: of `all_pairs`.

    Returns:
        Equations 3 and 4 over all pairs, and the same over `lowest_pairs` under `lowest_energy_pairs`. Without any pair
        the values are null.
    """
    lowest = lowest_pairs(pairs)
    # One pair of lowest crystals has nothing to be drawn from: the lowest of a resample is no fair copy of the lowest.
    lowest_intervals = intervals(lowest, settings) if len(lowest) > 1 else NO_INTERVALS
    return {
        "pairs": "all",
        **_equations(pairs, intervals(pairs, settings)),
        "n_compositions": int(pairs["composition"].nunique()),
        "n_a_matched": int(pairs["material_id_a"].nunique()),
        "n_b_matched": int(pairs["material_id_b"].nunique()),
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


def _equations(pairs: pd.DataFrame, bounds: tuple[dict, dict]) -> dict[str, Any]:
    lower = int((pairs["difference"] < 0).sum())
    mean = float(pairs["difference"].mean()) if len(pairs) else None
    return {
        "n_pairs": len(pairs),
        "delta_e_form": {"value": mean, **bounds[0], "unit": "eV/atom"},
        "reduction_rate": {
            "value": lower / len(pairs) if len(pairs) else None,
            **bounds[1],
            "count": lower,
            "of": len(pairs),
        },
    }
