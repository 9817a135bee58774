"""Whether two engines put the crystals of a composition in the same order."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

ENERGY = "decomposition_energy"


def rank_correlations(both: pd.DataFrame) -> dict[str, Any]:
    """Spearman's rho and Kendall's tau of the energies of A and B, within compositions and over all crystals.

    Within: the mean over compositions of at least two crystals, each weighing as many crystals as it has. Over all:
    of decomposition energies, which are comparable across compositions. Null where there are no two different ranks.

    Args:
        both: rows of `agreement.matched` that both engines judged.
    """
    found = []
    for _, part in both.groupby("formula"):
        if len(part) > 1:
            rho, tau = _correlations(part)
            found.append((len(part), rho, tau))
    usable = [each for each in found if each[1] is not None]
    weights = [n for n, _, _ in usable]
    rho, tau = _correlations(both)
    return {
        "within_compositions": {
            "spearman": float(np.average([each[1] for each in usable], weights=weights)) if usable else None,
            "kendall": float(np.average([each[2] for each in usable], weights=weights)) if usable else None,
            "compositions": len(usable),
            "crystals": int(sum(weights)),
        },
        "all": {"spearman": rho, "kendall": tau, "crystals": len(both)},
        "lowest_is_lowest": _lowest_is_lowest(both),
    }


def _correlations(part: pd.DataFrame) -> tuple[float | None, float | None]:
    a, b = part[f"{ENERGY}_a"].to_numpy(), part[f"{ENERGY}_b"].to_numpy()
    if len(part) < 2 or len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return None, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant input, which is ruled out, and of small samples
        return float(stats.spearmanr(a, b).statistic), float(stats.kendalltau(a, b).statistic)


def _lowest_is_lowest(both: pd.DataFrame) -> dict[str, int]:
    """Compositions whose lowest crystal is the same one by both, of those with at least two."""
    parts = [part for _, part in both.groupby("formula") if len(part) > 1]
    same = [part[f"{ENERGY}_a"].idxmin() == part[f"{ENERGY}_b"].idxmin() for part in parts]
    return {"count": int(sum(same)), "of": len(parts)}
