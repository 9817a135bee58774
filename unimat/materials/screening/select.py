"""Choice of rows of a crystal table."""

from collections import defaultdict

import numpy as np

from unimat.crystal_table import CrystalTable
from unimat.errors import UserError
from unimat.materials.crystals.structures import reduced_formula


def take_rows(table: CrystalTable, n: int, seed: int = 0) -> CrystalTable:
    """`n` rows drawn without replacement (all if there are fewer), in the table's order."""
    chosen = np.random.default_rng(seed).permutation(len(table))[:n]
    return table.take(np.sort(chosen))


def lowest_per_composition(table: CrystalTable, k: int, rank_by: str) -> CrystalTable:
    """The `k` rows of lowest `rank_by` for each reduced formula, in the table's order.

    Rows without a value rank last; equal values rank in the table's order.

    Raises:
        UserError: if the table has no such column, or it holds no numbers.
    """
    values = table.column(rank_by)
    if values.dtype == object or not np.issubdtype(values.dtype, np.number):
        values = _numbers(values, rank_by)
    rank = np.where(np.isnan(values.astype(np.float64)), np.inf, values.astype(np.float64))
    numbers = np.split(table.flat_atomic_numbers, table.atom_offsets[1:-1]) if len(table) else []
    members: dict[str, list[int]] = defaultdict(list)
    for index in np.argsort(rank, kind="stable"):
        members[reduced_formula(numbers[index])].append(int(index))
    return table.take(np.sort([index for indices in members.values() for index in indices[:k]]).astype(np.int64))


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    try:
        return np.array([np.nan if value is None else float(value) for value in values])
    except (TypeError, ValueError) as error:
        raise UserError(f"column {name!r} holds no numbers to rank by; choose another by --rank-by") from error
