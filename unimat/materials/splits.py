"""Division of a dataset into train, val and test."""

from collections.abc import Sequence

import numpy as np

from unimat.materials.ingest_settings import SPLITS


def draw_splits(n: int, fractions: Sequence[float], seed: int, groups: Sequence[str] | None = None) -> list[str]:
    """Split of each of `n` crystals: "train", "val" or "test".

    Crystals of one group stay together; groups are dealt in random order, each to the split that lacks most, so that
    the shares come as close to `fractions` as whole groups allow.

    Args:
        fractions: shares of train, val and test, summing to 1.
        groups: name of each crystal's group; None puts each crystal in a group of its own.
    """
    generator = np.random.default_rng(seed)
    if groups is None:
        return _drawn_singly(n, fractions, generator)
    names, group_of, sizes = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    split_of_group = np.empty(len(names), np.int64)
    missing = np.asarray(fractions, np.float64) * n
    for group in generator.permutation(len(names)):
        split_of_group[group] = split = int(np.argmax(missing))
        missing[split] -= sizes[group]
    return [SPLITS[split_of_group[group]] for group in group_of]


def _drawn_singly(n: int, fractions: Sequence[float], generator: np.random.Generator) -> list[str]:
    ends = np.round(np.cumsum(fractions) * n).astype(np.int64)
    splits = np.empty(n, np.int64)
    splits[generator.permutation(n)] = np.searchsorted(ends, np.arange(n), side="right")
    return [SPLITS[split] for split in splits]
