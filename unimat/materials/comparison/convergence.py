"""Convergence per composition: at least one of its structures relaxed (Section 3.3 and Appendix 8 of the paper)."""

from typing import Any

import numpy as np
import pandas as pd

from unimat.materials.crystals.intervals import around, rate
from unimat.materials.stability.settings import CompareSettings


def converged_compositions(frame: pd.DataFrame) -> pd.Series:
    """Whether at least one structure of each composition converged, by reduced formula.

    Args:
        frame: stability table, failed relaxations included.
    """
    return frame.groupby("formula")["converged"].any()


def convergence(a: pd.DataFrame, b: pd.DataFrame, settings: CompareSettings) -> dict[str, Any]:
    """Convergence rate per composition of two sets, and of each split by whether the other converged.

    Appendix 8 knows how often B converged from more compositions than A was tried on, and on A from two samples: of
    those where B converged and of those where it did not. `weighted` puts the two rates of A together by the shares of
    B: with 137 of 157, 231 of 309, and 31,917 of 57,655 it is the paper's 0.817.

    Args:
        a, b: stability tables, failed relaxations included.

    Returns:
        For `a` and `b`: rate over all compositions of the set; rates over those where the other set has structures of
        which one converged, or none did; their weighted mean with a bootstrap interval over compositions. Every rate
        has count, of and a 95 % interval (Wilson).
    """
    ours, theirs = converged_compositions(a), converged_compositions(b)
    shared = ours.index.intersection(theirs.index)
    return {
        "n_shared_compositions": len(shared),
        "a": _of_one(ours, theirs, settings) | {"n_structures": structures_per_composition(a)},
        "b": _of_one(theirs, ours, settings) | {"n_structures": structures_per_composition(b)},
    }


def structures_per_composition(frame: pd.DataFrame) -> dict[str, float | None]:
    """Least, mean and largest number of structures of a composition: a rate of one in 100 is not one of one in 2."""
    sizes = frame.groupby("formula").size()
    if sizes.empty:
        return {"least": None, "mean": None, "most": None}
    return {"least": int(sizes.min()), "mean": float(sizes.mean()), "most": int(sizes.max())}


def weighted_rate(with_other: tuple[int, int], without_other: tuple[int, int], other: tuple[int, int]) -> float | None:
    """Appendix 8: rate of A where B converged and where it did not, weighted by how often B did.

    Args:
        with_other, without_other: (count, of) of A where B converged and where it did not.
        other: (count, of) of B.

    Returns:
        Null where a rate that has a weight above zero has no composition behind it.
    """
    share = other[0] / other[1] if other[1] else 0.0
    terms = [(weight, *counts) for weight, counts in ((share, with_other), (1 - share, without_other)) if weight]
    if not other[1] or any(of == 0 for _, _, of in terms):
        return None
    return sum(weight * count / of for weight, count, of in terms)


def _of_one(ours: pd.Series, theirs: pd.Series, settings: CompareSettings) -> dict[str, Any]:
    """Rates of one set, given whether each composition of either set converged."""
    shared = ours.index.intersection(theirs.index)
    own, other = ours[shared].to_numpy(bool), theirs[shared].to_numpy(bool)
    split = tuple((int(own[mask].sum()), int(mask.sum())) for mask in (other, ~other))
    value = weighted_rate(split[0], split[1], (int(theirs.sum()), len(theirs)))
    low, high = (None, None) if value is None else _interval(value, own, other, theirs.to_numpy(bool), settings)
    return {
        "overall": rate(int(ours.sum()), len(ours)),
        "where_the_other_converged": rate(*split[0]),
        "where_the_other_did_not": rate(*split[1]),
        "weighted": {"value": value, "low": low, "high": high},
    }


def _interval(
    value: float, own: np.ndarray, other: np.ndarray, theirs: np.ndarray, settings: CompareSettings
) -> tuple[float | None, float | None]:
    """Percentile interval of the weighted rate: counts of resampled compositions are binomial in each of the three."""
    if settings.bootstrap == 0:
        return None, None
    rng = np.random.default_rng(settings.seed)
    rates = [
        rng.binomial(len(each), each.mean(), settings.bootstrap) / len(each) if len(each) else np.zeros(1)
        for each in (own[other], own[~other], theirs)
    ]
    values = rates[2] * rates[0] + (1 - rates[2]) * rates[1]
    low, high = np.quantile(values, [(1 - settings.level) / 2, (1 + settings.level) / 2]).tolist()
    return around(value, low, high) or (None, None)
