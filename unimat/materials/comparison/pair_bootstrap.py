"""Confidence intervals of Equations 3 and 4 by the percentile bootstrap.

Pairs of one composition share crystals and are not independent, so whole compositions are drawn, with replacement, with
all their pairs. Of a single composition (every crystal of Carbon-24 is carbon) there is nothing to draw: crystals of
either set are drawn instead, and all pairs of the drawn ones are taken.
"""

import numpy as np

from unimat.materials.comparison.pairs import Pairs, n_lower
from unimat.materials.crystals.intervals import around
from unimat.materials.stability.settings import CompareSettings

Bounds = dict[str, float | None]
NO_INTERVALS: tuple[Bounds, Bounds] = {"low": None, "high": None}, {"low": None, "high": None}
_AT_ONCE = 4_000_000  # numbers held at a time


def resampled(pairs: Pairs) -> str | None:
    """What the draws consist of: `composition`, `crystal` if there is one composition alone, null without a pair."""
    n = len(pairs.sizes)
    return None if n == 0 else "composition" if n > 1 else "crystal"


def intervals(pairs: Pairs, settings: CompareSettings) -> tuple[Bounds, Bounds]:
    """Intervals of the mean difference (eV/atom) and of the share of pairs in which A is lower.

    They are null without a pair or a draw, and where neither set has two crystals to draw from.
    """
    unit, rng = resampled(pairs), np.random.default_rng(settings.seed)
    if unit is None or settings.bootstrap == 0:
        return NO_INTERVALS
    draws = _by_composition(pairs, settings, rng) if unit == "composition" else _by_crystal(pairs, settings, rng)
    if draws is None:
        return NO_INTERVALS
    n, total, lower = pairs.sums().to_numpy().sum(axis=0)
    tails = [(1 - settings.level) / 2, (1 + settings.level) / 2]
    difference, rate = (
        _bounds(value, *np.quantile(each, tails).tolist())
        for value, each in zip((total / n, lower / n), draws, strict=True)
    )
    return difference, rate


def _bounds(value: float, low: float, high: float) -> Bounds:
    """Null where so few draws were made that the interval does not contain the value."""
    found = around(float(value), low, high)
    return {"low": None, "high": None} if found is None else {"low": found[0], "high": found[1]}


def _by_composition(pairs: Pairs, settings: CompareSettings, rng: np.random.Generator) -> np.ndarray:
    """(2, draws) mean difference and share of lower pairs, of compositions drawn with replacement."""
    found = pairs.sums().to_numpy()
    step = max(1, _AT_ONCE // len(found))
    parts = []
    for at in range(0, settings.bootstrap, step):
        draws = rng.integers(len(found), size=(min(step, settings.bootstrap - at), len(found)))
        parts.append(np.stack([each[draws].sum(axis=1) for each in found.T]))
    n, total, lower = np.concatenate(parts, axis=1)
    return np.stack([total / n, lower / n])


def _by_crystal(pairs: Pairs, settings: CompareSettings, rng: np.random.Generator) -> np.ndarray | None:
    """The same of crystals of A and of B drawn with replacement, and all their pairs."""
    a, b = pairs.a["e_form"].to_numpy(), pairs.b["e_form"].to_numpy()
    if max(len(a), len(b)) < 2:
        return None
    found = np.empty((2, settings.bootstrap))
    for draw in range(settings.bootstrap):
        ours, theirs = rng.choice(a, len(a)), rng.choice(b, len(b))
        found[:, draw] = ours.mean() - theirs.mean(), n_lower(ours, theirs) / (len(a) * len(b))
    return found
