"""Equations 3 and 4 against sums written out by hand."""

import numpy as np
import pandas as pd
import pytest

from unimat.errors import UserError
from unimat.materials.comparison.compare import comparison, no_common_composition, refuse_different_references
from unimat.materials.comparison.pairs import COLUMNS, all_pairs
from unimat.materials.stability.settings import CompareSettings


def judged(prefix: str, rows: list[tuple[str, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "material_id": [f"{prefix}{index}" for index in range(len(rows))],
            "formula": [formula for formula, _ in rows],
            "e_form_per_atom": [energy for _, energy in rows],
        }
    )


A = judged("a", [("SiC", -0.30), ("SiC", -0.10), ("C", 0.20), ("Si2C", np.nan), ("Si3C", 1.0)])
B = judged("b", [("SiC", -0.25), ("C", 0.25), ("C", 0.10), ("Si2C", 0.0)])


def test_all_pairs_of_equal_composition():
    pairs = all_pairs(A, B).table()
    assert pairs[["material_id_a", "material_id_b"]].to_numpy().tolist() == [
        ["a2", "b1"],
        ["a2", "b2"],
        ["a0", "b0"],
        ["a1", "b0"],
    ]
    assert pairs["difference"].tolist() == pytest.approx([-0.05, 0.10, -0.05, 0.15])


def test_equations_3_and_4():
    numbers = comparison(all_pairs(A, B), CompareSettings())
    assert numbers["delta_e_form"]["value"] == pytest.approx((-0.05 + 0.10 - 0.05 + 0.15) / 4)
    assert numbers["reduction_rate"]["value"] == 2 / 4
    assert (numbers["reduction_rate"]["count"], numbers["reduction_rate"]["of"]) == (2, 4)
    assert (numbers["n_pairs"], numbers["n_compositions"]) == (4, 2)
    assert (numbers["n_a_matched"], numbers["n_b_matched"]) == (3, 3)


def test_antisymmetric():
    forth, back = (comparison(all_pairs(*each), CompareSettings()) for each in ((A, B), (B, A)))
    assert forth["delta_e_form"]["value"] == pytest.approx(-back["delta_e_form"]["value"])
    assert forth["reduction_rate"]["value"] + back["reduction_rate"]["value"] == 1


def test_bootstrap_interval_of_independent_pairs_matches_the_normal_one():
    rng = np.random.default_rng(0)
    n = 400
    a = judged("a", [(f"Si{index + 1}C", value) for index, value in enumerate(rng.normal(0.3, 1.0, n))])
    b = judged("b", [(f"Si{index + 1}C", 0.0) for index in range(n)])
    interval = comparison(all_pairs(a, b), CompareSettings(bootstrap=4000))["delta_e_form"]
    spread = 1.96 * a["e_form_per_atom"].std() / np.sqrt(n)
    assert interval["low"] == pytest.approx(interval["value"] - spread, abs=0.015)
    assert interval["high"] == pytest.approx(interval["value"] + spread, abs=0.015)


def test_no_pair_gives_nulls_not_zeros():
    numbers = comparison(all_pairs(A, judged("b", [("Ge", 0.0)])), CompareSettings())
    assert numbers["delta_e_form"]["value"] is None
    assert numbers["reduction_rate"]["of"] == 0


def test_different_references_are_refused():
    with pytest.raises(UserError, match="differ in reference"):
        refuse_different_references({"set": "a", "reference": "x"}, {"set": "b", "reference": "y"})


def test_lowest_pairs_are_one_per_composition_and_have_another_name():
    lowest = all_pairs(A, B).lowest().table()
    assert lowest[["composition", "material_id_a", "material_id_b"]].to_numpy().tolist() == [
        ["C", "a2", "b2"],
        ["SiC", "a0", "b0"],
    ]
    numbers = comparison(all_pairs(A, B), CompareSettings())["lowest_energy_pairs"]
    assert numbers["delta_e_form"]["value"] == pytest.approx((0.10 - 0.05) / 2)
    assert (numbers["reduction_rate"]["count"], numbers["reduction_rate"]["of"]) == (1, 2)


def test_crystals_are_drawn_where_all_have_one_composition():
    """Carbon alone: the interval of a difference of two means of independent crystals, against the normal one."""
    rng = np.random.default_rng(0)
    a = judged("a", [("C", value) for value in rng.normal(-0.1, 0.3, 300)])
    b = judged("b", [("C", value) for value in rng.normal(0.0, 0.4, 200)])
    pairs = all_pairs(a, b)
    numbers = comparison(pairs, CompareSettings(bootstrap=2000))
    assert numbers["bootstrap"]["unit"] == "crystal"
    delta = numbers["delta_e_form"]
    spread = 1.96 * np.sqrt(a["e_form_per_atom"].var() / 300 + b["e_form_per_atom"].var() / 200)
    assert delta["low"] == pytest.approx(delta["value"] - spread, abs=0.01)
    assert delta["high"] == pytest.approx(delta["value"] + spread, abs=0.01)
    rate = numbers["reduction_rate"]
    assert rate["low"] < rate["value"] == (pairs.table()["difference"] < 0).mean() < rate["high"]
    assert rate["high"] - rate["low"] < 0.15
    assert numbers["lowest_energy_pairs"]["delta_e_form"]["low"] is None


def test_one_pair_has_no_interval():
    numbers = comparison(all_pairs(judged("a", [("C", 0.1)]), judged("b", [("C", 0.2)])), CompareSettings())
    assert numbers["delta_e_form"] == {"value": pytest.approx(-0.1), "low": None, "high": None, "unit": "eV/atom"}


def test_intervals_do_not_depend_on_the_order_of_rows():
    shuffled = [frame.sample(frac=1, random_state=1) for frame in (A, B)]
    assert comparison(all_pairs(*shuffled), CompareSettings()) == comparison(all_pairs(A, B), CompareSettings())


def test_no_common_composition_is_said_by_name():
    other = judged("c", [("Ge", 0.0)])
    told = no_common_composition(A, other, ("generated", "test"))
    assert told == (
        "no composition occurs in both sets: 'generated' has C, Si3C, SiC; 'test' has Ge; nothing is compared"
    )
    assert no_common_composition(A, B, ("generated", "test")) is None
    told = no_common_composition(A, judged("c", [("Ge", np.nan)]), ("generated", "test"))
    assert told is not None
    assert told.startswith("no crystal of 'test' has a formation energy (1 crystals)")


def test_pairs_are_those_of_a_join():
    """Against pandas: the same rows, and the same sums over them."""
    rng = np.random.default_rng(0)
    a, b = (judged(side, [(f"Si{rng.integers(1, 9)}C", value) for value in rng.normal(size=200)]) for side in "ab")
    names = {"formula": "composition", "e_form_per_atom_a": "e_form_a", "e_form_per_atom_b": "e_form_b"}
    joined = a.merge(b, on="formula", suffixes=("_a", "_b")).rename(columns=names)
    joined["difference"] = joined["e_form_a"] - joined["e_form_b"]
    joined = joined.sort_values(COLUMNS[:3], ignore_index=True)[COLUMNS]
    pairs = all_pairs(a, b)
    pd.testing.assert_frame_equal(pairs.table(), joined)
    numbers = comparison(pairs, CompareSettings(bootstrap=10))
    assert numbers["delta_e_form"]["value"] == pytest.approx(joined["difference"].mean(), abs=1e-12)
    assert numbers["reduction_rate"]["count"] == (joined["difference"] < 0).sum()
    draw = pairs.table(limit=100, seed=3)
    assert len(draw) == 100
    assert len(draw.merge(joined)) == 100
    assert not draw.equals(pairs.table(limit=100, seed=4))


def test_twenty_million_pairs_are_counted_not_listed():
    rng = np.random.default_rng(0)
    a, b = (
        judged("a", [("C", v) for v in rng.normal(size=10_000)]),
        judged("b", [("C", v) for v in rng.normal(size=2_000)]),
    )
    pairs = all_pairs(a, b)
    numbers = comparison(pairs, CompareSettings(bootstrap=20))
    assert numbers["n_pairs"] == 20_000_000
    assert numbers["delta_e_form"]["value"] == pytest.approx(a["e_form_per_atom"].mean() - b["e_form_per_atom"].mean())
    assert len(pairs.table(1000)) == 1000
