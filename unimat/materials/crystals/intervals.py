"""Confidence intervals: Wilson's score for rates, the bootstrap for means and distribution distances.

Resampling the crystals behind a rate gives a binomial count, whose percentiles collapse to a point at 0 and at 1;
Wilson's interval does not, and needs no draw. Of a mean, the percentiles of the means of resamples are taken.

A distance of two distributions is biased upward by chance, and a resample's once more: the percentiles of resampled
distances may lie above the distance itself. Its error is bounded instead. With F and G the distributions, f and g those
of the samples, the distance is W(F, G) = ∫|F - G|, and by the triangle inequality of this norm
|W(f, g) - W(F, G)| ≤ ∫|(f - F) - (g - G)|. The bootstrap tells how large the right side is: resamples stand to the
samples as the samples to the distributions. The interval contains the distance by construction. Its coverage is the
nominal one where F = G, and larger elsewhere (tests/benchmarks/intervals.py measures it).
"""

import dataclasses
import math
from typing import Any

import numpy as np

LEVEL = 0.95
_Z = 1.959964  # of the normal distribution, two-sided 95 %
_ROUNDING = 1e-12  # relative; the mean of equal numbers differs in its last digit with the order of the sum
_AT_ONCE = 4_000_000  # numbers held at a time


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """How often to draw again, and the seed of the draws; 0 resamples leave intervals out."""

    resamples: int = 1000
    seed: int = 0

    def of_mean(self, values: np.ndarray) -> tuple[float, float] | None:
        """95 % interval of the mean of `values` (m,); None of nothing, or of values that are not finite."""
        if not self.resamples or not len(values) or not np.isfinite(values).all():
            return None
        rng = np.random.default_rng(self.seed)
        means = [values[rng.integers(len(values), size=(n, len(values)))].mean(1) for n in self._chunks(len(values))]
        return around(float(values.mean()), *_percentiles(np.concatenate(means)))

    def of_wasserstein(self, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float] | None:
        """95 % interval of the 1-D Wasserstein distance of two samples (m,) and (n,); None if one is empty."""
        if not self.resamples or not len(ours) or not len(theirs):
            return None
        points, place = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
        sides = np.split(place, [len(ours)])
        shares = [np.bincount(each, minlength=len(points)) / len(each) for each in sides]
        distance = float(self._norm(shares[0] - shares[1], points))
        rng = np.random.default_rng(self.seed)
        errors = []
        for n in self._chunks(len(place)):
            drawn = [_resampled(each, n, len(points), rng) for each in sides]
            errors.append(self._norm((drawn[0] - shares[0]) - (drawn[1] - shares[1]), points))
        most = float(np.quantile(np.concatenate(errors), LEVEL))
        return max(0.0, distance - most), distance + most

    @staticmethod
    def _norm(differences: np.ndarray, points: np.ndarray) -> np.ndarray:
        """∫|F - G| of differences (..., n_points) of the shares that F and G give to rising `points`."""
        return np.abs(np.cumsum(differences, axis=-1)[..., :-1]) @ np.diff(points)

    def as_json(self) -> dict[str, Any]:
        """What the intervals of a summary are."""
        return {
            "level": LEVEL,
            "rates": "Wilson score interval",
            "means": f"percentile bootstrap, {self.resamples} resamples of the crystals",
            "distances": f"bootstrap of the error's bound, {self.resamples} resamples of the crystals of each side",
            "seed": self.seed,
        }

    def _chunks(self, n_values: int) -> list[int]:
        most = max(1, _AT_ONCE // n_values)
        whole, rest = divmod(self.resamples, most)
        return [most] * whole + [rest] * bool(rest)


def wilson(count: int, of: int, z: float = _Z) -> tuple[float, float] | None:
    """Wilson score interval of a rate (95 % for the default z); None without trials.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
    """
    if not of:
        return None
    p = count / of
    centre = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def rate(count: int, of: int) -> dict[str, Any]:
    """Numerator, denominator, their ratio and its interval, JSON-ready; None of nothing."""
    low, high = wilson(int(count), int(of)) or (None, None)
    return {"count": int(count), "of": int(of), "rate": float(count / of) if of else None, "low": low, "high": high}


def mean(values: np.ndarray, bootstrap: Bootstrap) -> dict[str, Any]:
    """Mean of `values` (m,) with its interval and m, JSON-ready; None of nothing or of infinite values."""
    known = len(values) > 0 and bool(np.isfinite(values).all())
    low, high = bootstrap.of_mean(values) or (None, None)
    return {"value": float(values.mean()) if known else None, "low": low, "high": high, "n": len(values)}


def around(value: float, low: float, high: float) -> tuple[float, float] | None:
    """The interval, rounding errors aside; None if it does not contain the value, of which it says nothing then."""
    slack = _ROUNDING * max(abs(value), abs(low), abs(high))
    if not low - slack <= value <= high + slack:
        return None
    return min(low, value), max(high, value)


def _resampled(places: np.ndarray, n: int, n_points: int, rng: np.random.Generator) -> np.ndarray:
    """(n, n_points) share of each point in `n` resamples of a sample, whose values are at `places` (m,)."""
    drawn = places[rng.integers(len(places), size=(n, len(places)))] + n_points * np.arange(n)[:, None]
    return np.bincount(drawn.ravel(), minlength=n * n_points).reshape(n, n_points) / len(places)


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high
