"""Division of a dataset into train, val and test."""

from collections.abc import Sequence

import numpy as np


def draw_splits(n: int, fractions: Sequence[float], seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """(n,) split of each crystal: 0 for train, 1 for val, 2 for test.

    Crystals of one group stay together; groups are dealt in random order, each to the split that lacks most, so that
    the shares come as close to `fractions` as whole groups allow.

    Args:
        fractions: shares of train, val and test, summing to 1.
        groups: (n,) key of each crystal's group; None puts each crystal in a group of its own.
    """
    generator = np.random.default_rng(seed)
    if groups is None:
        return _drawn_singly(n, fractions, generator)
    keys, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    split_of_group = np.empty(len(keys), np.int8)
    missing = np.asarray(fractions, np.float64) * n
    for group in generator.permutation(len(keys)):
        split_of_group[group] = split = int(np.argmax(missing))
        missing[split] -= sizes[group]
    return split_of_group[group_of]


def move_val_to_train(splits: np.ndarray, keep: int, seed: int) -> np.ndarray:
    """(n,) `splits` with all but `keep` crystals of val, drawn by `seed`, put into train; test stays as it is."""
    val = np.flatnonzero(splits == 1)
    moved = np.random.default_rng(seed).permutation(val)[keep:]
    changed = splits.copy()
    changed[moved] = 0
    return changed


def _drawn_singly(n: int, fractions: Sequence[float], generator: np.random.Generator) -> np.ndarray:
    ends = np.round(np.cumsum(fractions) * n).astype(np.int64)
    splits = np.empty(n, np.int8)
    splits[generator.permutation(n)] = np.searchsorted(ends, np.arange(n), side="right")
    return splits
