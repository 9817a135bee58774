"""Division into train, val and test."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unimat.materials.datasets.splits import draw_splits, move_val_to_train


def test_shares_are_exact_and_the_seed_decides():
    splits = draw_splits(1000, (0.6, 0.2, 0.2), seed=3)
    assert np.bincount(splits).tolist() == [600, 200, 200]
    assert (splits == draw_splits(1000, (0.6, 0.2, 0.2), seed=3)).all()
    assert (splits != draw_splits(1000, (0.6, 0.2, 0.2), seed=4)).any()
    assert splits[:600].any()


@given(
    groups=st.lists(st.integers(0, 5), max_size=60),
    shares=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_groups_never_part(groups, shares, seed):
    fractions = [share / sum(shares) for share in shares]
    splits_of = defaultdict(set)
    drawn = draw_splits(len(groups), fractions, seed, np.array(groups, np.uint64))
    for group, split in zip(groups, drawn, strict=True):
        splits_of[group].add(split)
    assert all(len(splits) == 1 for splits in splits_of.values())


def test_small_groups_come_close_to_the_shares():
    counts = np.bincount(draw_splits(3000, (0.6, 0.2, 0.2), 0, np.arange(3000) // 3))
    assert counts.tolist() == pytest.approx([1800, 600, 600], abs=3)


def test_an_empty_share_stays_empty():
    assert set(draw_splits(50, (0.5, 0.5, 0.0), 0)) == {0, 1}
    assert set(draw_splits(50, (1.0, 0.0, 0.0), 0, np.arange(50))) == {0}


def test_val_moves_into_train_but_for_some_and_test_stays():
    splits = np.repeat([0, 1, 2], [5, 40, 20]).astype(np.int8)
    moved = move_val_to_train(splits, keep=10, seed=0)
    assert np.bincount(moved).tolist() == [35, 10, 20]
    assert (moved[splits != 1] == splits[splits != 1]).all()
    assert (moved != move_val_to_train(splits, keep=10, seed=1)).any()
    assert splits[5] == 1
