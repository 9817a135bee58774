"""Intervals against statsmodels-like closed forms and against scipy's own bootstrap."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, wasserstein_distance

from unimat.materials.metrics.intervals import Bootstrap, mean, rate, wilson


@pytest.mark.parametrize(("count", "of"), [(0, 8), (4, 8), (8, 8), (832, 1000)])
def test_wilson_is_scipys(count, of):
    expected = binomtest(count, of).proportion_ci(0.95, "wilson")
    assert wilson(count, of) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_rate_of_nothing_has_no_interval():
    assert rate(0, 0) == {"count": 0, "of": 0, "rate": None, "low": None, "high": None}


def test_interval_of_a_mean_is_scipys_percentile_bootstrap():
    values = np.random.default_rng(0).exponential(size=300)
    expected = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1))
    found = Bootstrap(4000, seed=2).of_mean(values)
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.01)


def test_interval_of_a_distance_is_that_of_resampling_one_by_one():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0, 1, 150).round(1), rng.normal(0.5, 1.3, 200)
    one_by_one = [
        wasserstein_distance(rng.choice(ours, len(ours)), rng.choice(theirs, len(theirs))) for _ in range(2000)
    ]
    found = Bootstrap(2000, seed=1).of_wasserstein(ours, theirs)
    assert found == pytest.approx(tuple(np.quantile(one_by_one, [0.025, 0.975])), abs=0.02)


def test_seed_decides_and_chunks_do_not(monkeypatch):
    values = np.random.default_rng(0).normal(size=50)
    first = Bootstrap(100, seed=3).of_mean(values)
    assert first == Bootstrap(100, seed=3).of_mean(values) != Bootstrap(100, seed=4).of_mean(values)
    monkeypatch.setattr("unimat.materials.metrics.intervals._AT_ONCE", 500)
    assert Bootstrap(100, seed=3).of_mean(values) == first


@pytest.mark.parametrize("values", [np.zeros(0), np.array([1.0, np.inf])])
def test_mean_of_nothing_or_of_infinities_is_unknown(values):
    assert mean(values, Bootstrap(10)) == {"value": None, "low": None, "high": None, "n": len(values)}


def test_one_value_on_both_sides_is_certain():
    assert Bootstrap(10).of_wasserstein(np.ones(3), np.ones(5)) == (0.0, 0.0)
    assert Bootstrap(10).of_wasserstein(np.ones(3), np.zeros(0)) is None
    assert Bootstrap(0).of_wasserstein(np.ones(3), np.zeros(2)) is None
