"""Convergence per composition against the paper's own sum (Appendix 8) and against counts by hand."""

import numpy as np
import pandas as pd
import pytest

from unimat.materials.comparison.convergence import convergence, weighted_rate
from unimat.materials.stability.settings import CompareSettings


def judged(rows: dict[str, list[bool]]) -> pd.DataFrame:
    pairs = [(formula, each) for formula, converged in rows.items() for each in converged]
    return pd.DataFrame(pairs, columns=["formula", "converged"]).astype({"converged": bool})


def test_appendix_8():
    assert weighted_rate((137, 157), (231, 309), (31917, 57655)) == pytest.approx(0.817, abs=5e-4)


def test_a_stratum_without_compositions_has_no_rate():
    assert weighted_rate((3, 4), (0, 0), (1, 2)) is None
    assert weighted_rate((3, 4), (0, 0), (2, 2)) == 0.75
    assert weighted_rate((0, 0), (0, 0), (0, 0)) is None


def test_by_hand():
    """B was tried on five compositions and converged on two; A on three of these and one of its own."""
    a = judged({"SiC": [False, True], "Si2C": [False, False], "SiC2": [True], "C": [True]})
    b = judged({"SiC": [True], "Si2C": [True, False], "SiC2": [False], "Si": [False], "Si3C": [False]})
    found = convergence(a, b, CompareSettings())
    assert found["n_shared_compositions"] == 3
    ours = found["a"]
    assert (ours["overall"]["count"], ours["overall"]["of"]) == (3, 4)
    assert (ours["where_the_other_converged"]["count"], ours["where_the_other_converged"]["of"]) == (1, 2)
    assert (ours["where_the_other_did_not"]["count"], ours["where_the_other_did_not"]["of"]) == (1, 1)
    assert ours["weighted"]["value"] == pytest.approx(0.5 * 2 / 5 + 1.0 * 3 / 5)
    assert ours["weighted"]["low"] <= ours["weighted"]["value"] <= ours["weighted"]["high"]
    assert ours["n_structures"] == {"least": 1, "mean": 1.5, "most": 2}
    assert (found["b"]["overall"]["count"], found["b"]["overall"]["of"]) == (2, 5)


def test_nothing_shared_gives_nulls():
    found = convergence(judged({"SiC": [True]}), judged({"Si": [True]}), CompareSettings())
    assert found["a"]["overall"]["rate"] == 1.0
    assert found["a"]["weighted"]["value"] is None
    assert convergence(judged({}), judged({}), CompareSettings())["a"]["overall"]["of"] == 0


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(60):
        b = pd.DataFrame({"formula": [str(i) for i in range(300)], "converged": rng.random(300) < 0.6})
        a = b.assign(converged=rng.random(300) < np.where(b["converged"], 0.9, 0.5))
        weighted = convergence(a, b, CompareSettings(bootstrap=400, seed=seed))["a"]["weighted"]
        covered += weighted["low"] <= 0.6 * 0.9 + 0.4 * 0.5 <= weighted["high"]
    assert covered >= 52  # 57 are expected
