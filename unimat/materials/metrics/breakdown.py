"""The rates again, for crystals of like size: by number of atoms and by number of elements."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from unimat.materials.crystals.intervals import rate
from unimat.materials.metrics.modes import COVERED, RATES, flags

# First and last value of each bin; None has no end.
BINS: dict[str, Sequence[tuple[int, int | None]]] = {
    "n_atoms": ((1, 4), (5, 8), (9, 12), (13, 16), (17, 20), (21, 40), (41, 80), (81, None)),
    "n_elements": ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, None)),
}


def breakdown(
    table: pa.Table, reference: Mapping[str, np.ndarray], recalled: Mapping[str, np.ndarray], with_novelty: bool
) -> dict[str, list[dict[str, Any]]]:
    """For each quantity of `BINS` a row for each bin that holds crystals of either side, JSON-ready.

    Args:
        table: verdicts; rejected crystals have neither quantity and are in no bin.
        reference: `n_atoms` and `n_elements` of the reference crystals that recall looked at, (n,) each.
        recalled: by mode, which of these were found again, (n,) bool each.
    """
    judged = {mode: _judged(mode, table) for mode in RATES}
    names = ("unique", "novel") if with_novelty else ("unique",)
    shared = {name: (flags(table, name), ~table.column(name).is_null().to_numpy()) for name in names}
    found: dict[str, list[dict[str, Any]]] = {}
    for name, bins in BINS.items():
        ours, theirs = table.column(name).fill_null(0).to_numpy(), reference[name]
        found[name] = []
        for first, last in bins:
            here, there = _within(ours, first, last), _within(theirs, first, last)
            if here.any() or there.any():
                row = {"first": first, "last": last, "n_generated": int(here.sum()), "n_reference": int(there.sum())}
                found[name].append(row | _row(here, there, judged, shared, recalled))
    return found


def _row(
    here: np.ndarray,
    there: np.ndarray,
    judged: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    shared: Mapping[str, tuple[np.ndarray, np.ndarray]],
    recalled: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Rates of the generated crystals `here` and the reference's `there`, masks of either side."""
    row: dict[str, Any] = _rates(shared, here)
    for mode, columns in judged.items():
        row[mode] = _rates(columns, here)
        row[mode]["cov_recall"] = rate(recalled[mode][there].sum(), there.sum())
    return row


def _rates(columns: Mapping[str, tuple[np.ndarray, np.ndarray]], here: np.ndarray) -> dict[str, Any]:
    """Of each column its rate among those `here` that it was asked of."""
    return {name: rate((flag & here).sum(), (asked & here).sum()) for name, (flag, asked) in columns.items()}


def _judged(mode: str, table: pa.Table) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Verdicts of `mode` by name, each with whom it was asked of: coverage of the drawn alone."""
    everyone = np.ones(len(table), bool)
    drawn = ~table.column(COVERED[mode]).is_null().to_numpy()
    found = {name: (flags(table, column), everyone) for name, column in RATES[mode].items()}
    return found | {"cov_precision": (flags(table, COVERED[mode]), drawn)}


def _within(values: np.ndarray, first: int, last: int | None) -> np.ndarray:
    return (values >= first) & (values <= (np.inf if last is None else last))
