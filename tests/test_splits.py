"""Division into train, val and test."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unimat.materials.splits import draw_splits


def test_shares_are_exact_and_the_seed_decides():
    splits = draw_splits(1000, (0.6, 0.2, 0.2), seed=3)
    assert Counter(splits) == {"train": 600, "val": 200, "test": 200}
    assert splits == draw_splits(1000, (0.6, 0.2, 0.2), seed=3)
    assert splits != draw_splits(1000, (0.6, 0.2, 0.2), seed=4)
    assert splits[:600] != ["train"] * 600


@given(
    groups=st.lists(st.sampled_from(["SiO2", "C", "NaCl", "Fe", "LiF", "H2O"]), max_size=60),
    shares=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_groups_never_part(groups, shares, seed):
    fractions = [share / sum(shares) for share in shares]
    splits_of = defaultdict(set)
    for group, split in zip(groups, draw_splits(len(groups), fractions, seed, groups), strict=True):
        splits_of[group].add(split)
    assert all(len(splits) == 1 for splits in splits_of.values())


def test_small_groups_come_close_to_the_shares():
    groups = [f"group {index // 3}" for index in range(3000)]
    counts = Counter(draw_splits(3000, (0.6, 0.2, 0.2), 0, groups))
    for split, expected in (("train", 1800), ("val", 600), ("test", 600)):
        assert counts[split] == pytest.approx(expected, abs=3)


def test_an_empty_share_stays_empty():
    assert set(draw_splits(50, (0.5, 0.5, 0.0), 0)) == {"train", "val"}
    assert set(draw_splits(50, (1.0, 0.0, 0.0), 0, [str(index) for index in range(50)])) == {"train"}
