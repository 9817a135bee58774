"""Which generated crystal is a sample of which truth: by a column, by ids, or by composition."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from unimat.crystal_table import CrystalTable
from unimat.errors import UserError

By = Literal["composition", "column", "prefix", "number", "evaluation"]
BY: dict[By, str] = {
    "composition": "every crystal is a sample of every truth of its reduced composition",
    "column": "--column holds the truth's material_id",
    "prefix": "ids are the truth's id and the sample's number, mp-1234-0",
    "number": "ids end in a number that counts on: the first --samples are of the first truth (`unimat sample`)",
    "evaluation": "ids end in evaluation and row of the truth, eval_diff-0-17, or in the row (DiffCSP's .pt files)",
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """Row of a generated crystal, and which sample of its truth it is, from 0."""

    row: int
    number: int


def samples_of_truths(
    crystals: CrystalTable, truths: CrystalTable, by: By, column: str | None = None, k: int | None = None
) -> tuple[list[list[Sample]], int]:
    """Samples of each truth, at most the `k` first, and how many crystals belong to no truth.

    A sample keeps its number where earlier ones are missing (rejected, say): they count as samples without a match.

    Raises:
        UserError: on ids or a column that do not tell, samples that occur twice, or crystals none of which belongs
            to a truth.
    """
    if k is not None and k < 1:
        raise UserError(f"--samples {k}: give a number of at least 1")
    if (column is not None) != (by == "column"):
        raise UserError("--column NAME and --by column go together")
    pairs = list(_PAIRS[by](crystals, truths, column, k))
    start = min((number for _, _, number in pairs), default=0) if by in ("prefix", "evaluation") else 0
    found: list[dict[int, int]] = [{} for _ in range(len(truths))]
    for row, truth, number in ((row, truth, number - start) for row, truth, number in pairs):
        if found[truth].setdefault(number, row) != row:
            names = (crystals.material_ids[each] for each in (found[truth][number], row))
            raise UserError(f"{' and '.join(names)} are both sample {number} of {truths.material_ids[truth]}")
    n_without = len(crystals) - len({row for row, _, _ in pairs})
    if n_without == len(crystals):
        raise UserError(f"none of {len(crystals)} crystals is a sample of a truth by {by}: {BY[by]}")
    return [
        [Sample(row, number) for number, row in sorted(of_truth.items()) if k is None or number < k]
        for of_truth in found
    ], n_without


_Triple = tuple[int, int, int]  # row, truth, number of the sample


def compositions(table: CrystalTable) -> list[bytes]:
    """A key of each crystal's reduced composition."""
    keys = []
    for atomic_numbers in np.split(table.flat_atomic_numbers, table.atom_offsets[1:-1]):
        numbers, counts = np.unique(atomic_numbers, return_counts=True)
        keys.append(np.stack([numbers, counts // np.gcd.reduce(counts)]).tobytes())
    return keys


def _by_composition(crystals: CrystalTable, truths: CrystalTable, column: None, k: int | None) -> Iterator[_Triple]:
    rows = defaultdict(list)
    for row, composition in enumerate(compositions(crystals)):
        rows[composition].append(row)
    for truth, composition in enumerate(compositions(truths)):
        for number, row in enumerate(rows[composition]):
            yield row, truth, number


def _by_column(crystals: CrystalTable, truths: CrystalTable, column: str, k: int | None) -> Iterator[_Triple]:
    at = {name: truth for truth, name in enumerate(truths.material_ids)}
    counted: dict[str, int] = defaultdict(int)
    for row, name in enumerate(map(str, crystals.column(column))):
        if name in at:
            yield row, at[name], counted[name]
            counted[name] += 1


def _by_prefix(crystals: CrystalTable, truths: CrystalTable, column: None, k: int | None) -> Iterator[_Triple]:
    at = {name: truth for truth, name in enumerate(truths.material_ids)}
    for row, name in enumerate(crystals.material_ids):
        found = re.fullmatch(r"(.+)[-_.](\d+)", name)
        if found and found[1] in at:
            yield row, at[found[1]], int(found[2])


def _by_number(crystals: CrystalTable, truths: CrystalTable, column: None, k: int | None) -> Iterator[_Triple]:
    if k is None:
        raise UserError("--by number needs --samples, how many there are of each truth")
    for row, name in enumerate(crystals.material_ids):
        truth, number = divmod(_last_number(name), k)
        yield row, _row_of(truth, truths, name), number


def _by_evaluation(crystals: CrystalTable, truths: CrystalTable, column: None, k: int | None) -> Iterator[_Triple]:
    for row, name in enumerate(crystals.material_ids):
        found = re.search(r"-(\d+)-\d+$", name)
        yield row, _row_of(_last_number(name), truths, name), int(found[1]) if found else 0


_PAIRS: dict[By, Callable[..., Iterator[_Triple]]] = {
    "composition": _by_composition,
    "column": _by_column,
    "prefix": _by_prefix,
    "number": _by_number,
    "evaluation": _by_evaluation,
}


def _last_number(name: str) -> int:
    found = re.search(r"(\d+)$", name)
    if not found:
        raise UserError(f"the id {name!r} ends in no number; name the truth in a column (--by column) or by prefix")
    return int(found[1])


def _row_of(truth: int, truths: CrystalTable, name: str) -> int:
    if truth >= len(truths):
        raise UserError(f"{name} would be a sample of truth {truth}, but there are {len(truths)}; check --samples")
    return truth
