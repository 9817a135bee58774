"""Intervals against statsmodels-like closed forms and against scipy's own bootstrap."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap, wasserstein_distance

from unimat.materials.comparison.compare import comparison
from unimat.materials.comparison.pairs import all_pairs
from unimat.materials.crystals.intervals import Bootstrap, mean, rate, wilson
from unimat.materials.metrics.distributions import distances
from unimat.materials.prediction.evaluate import figures
from unimat.materials.prediction.settings import PredictionSettings
from unimat.materials.stability.settings import CompareSettings


def distributions_of(ours, theirs, bootstrap):
    return distances({"density": ours}, {"density": theirs}, bootstrap=bootstrap)["density"]


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


def test_interval_of_a_distance_is_the_error_of_resampling_one_by_one():
    """The L1 norm of (F* - F) - (G* - G) between steps of the pooled sample, from distribution functions by hand."""
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0, 1, 150).round(1), rng.normal(0.5, 1.3, 200)
    grid = np.sort(np.concatenate([ours, theirs]))

    def below(sample):
        return np.searchsorted(np.sort(sample), grid[:-1], side="right") / len(sample)

    def error():
        f, g = (below(rng.choice(each, len(each))) - below(each) for each in (ours, theirs))
        return np.sum(np.abs(f - g) * np.diff(grid))

    most = np.quantile([error() for _ in range(2000)], 0.95)
    distance = wasserstein_distance(ours, theirs)
    found = Bootstrap(2000, seed=1).of_wasserstein(ours, theirs)
    assert found == pytest.approx((distance - most, distance + most), abs=0.02)


def test_equal_distributions_may_be_equal():
    """Percentiles of resampled distances lie above the distance of the samples here: 0.2203 [0.2476, 0.8048], say."""
    rng = np.random.default_rng(3)
    ours, theirs = rng.normal(3, 1, 20), rng.normal(3, 1, 20)
    resampled = [
        wasserstein_distance(rng.choice(ours, len(ours)), rng.choice(theirs, len(theirs))) for _ in range(1000)
    ]
    distance = wasserstein_distance(ours, theirs)
    assert np.quantile(resampled, 0.025) < distance < np.mean(resampled)  # biased upward
    low, high = Bootstrap(1000).of_wasserstein(ours, theirs)
    assert low == 0.0 < distance < high


VALUES = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=30)


@given(VALUES, VALUES, st.integers(1, 60), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_an_interval_contains_its_value(ours, theirs, resamples, seed):
    ours, theirs, draws = np.array(ours), np.array(theirs), Bootstrap(resamples, seed)
    found = distributions_of(ours, theirs, draws)
    assert found["low"] <= found["wasserstein"] <= found["high"]
    about = mean(ours, draws)
    assert about["low"] is None or about["low"] <= about["value"] <= about["high"]


@given(st.integers(0, 300), st.integers(1, 300))
def test_an_interval_of_a_rate_contains_it(count, of):
    found = rate(min(count, of), of)
    assert 0 <= found["low"] <= found["rate"] <= found["high"] <= 1


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.floats(-5, 5)), min_size=2, max_size=12), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_intervals_of_a_comparison_contain_their_values(rows, draws):
    frames = [
        pd.DataFrame({"material_id": [f"{side}{i}" for i in range(len(part))], "formula": [f for f, _ in part],
                      "e_form_per_atom": [e for _, e in part], "converged": True})
        for side, part in (("a", rows[::2]), ("b", rows[1::2]))
    ]  # fmt: skip
    found = comparison(all_pairs(*frames), CompareSettings(bootstrap=draws))
    for key in ("delta_e_form", "reduction_rate"):
        entry = found[key]
        value = entry.get("value", entry.get("rate"))
        assert entry["low"] is None or entry["low"] <= value <= entry["high"]


@given(st.lists(st.one_of(st.floats(0, 0.5), st.just(np.inf)), min_size=1, max_size=20), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_intervals_of_a_prediction_contain_their_values(errors, draws):
    found = figures(np.array(errors), PredictionSettings(bootstrap=draws))
    for entry in found.values():
        value = entry.get("value", entry.get("rate"))
        assert entry["low"] is None or entry["low"] <= value <= entry["high"]


def test_a_mean_of_which_one_resample_is_drawn_has_no_interval():
    assert mean(np.array([0.0, 1.0, 2.0]), Bootstrap(1, seed=1)) == {"value": 1.0, "low": None, "high": None, "n": 3}


def test_seed_decides_and_chunks_do_not(monkeypatch):
    values = np.random.default_rng(0).normal(size=50)
    first = Bootstrap(100, seed=3).of_mean(values)
    assert first == Bootstrap(100, seed=3).of_mean(values) != Bootstrap(100, seed=4).of_mean(values)
    monkeypatch.setattr("unimat.materials.crystals.intervals._AT_ONCE", 500)
    assert Bootstrap(100, seed=3).of_mean(values) == first


@pytest.mark.parametrize("values", [np.zeros(0), np.array([1.0, np.inf])])
def test_mean_of_nothing_or_of_infinities_is_unknown(values):
    assert mean(values, Bootstrap(10)) == {"value": None, "low": None, "high": None, "n": len(values)}


def test_one_value_on_both_sides_is_certain():
    assert Bootstrap(10).of_wasserstein(np.ones(3), np.ones(5)) == (0.0, 0.0)
    assert Bootstrap(10).of_wasserstein(np.ones(3), np.zeros(0)) is None
    assert Bootstrap(0).of_wasserstein(np.ones(3), np.zeros(2)) is None
