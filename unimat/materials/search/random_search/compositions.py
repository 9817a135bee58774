"""What a random search looks for: atom counts, from formulas, a CSV of them, or all combinations of elements."""

import itertools

from unimat.checked_csv import rows_of
from unimat.errors import UserError
from unimat.formulas import whole_atoms
from unimat.materials.search.random_search.settings import AirssSettings

Counts = dict[str, int]  # atoms by symbol


def compositions(settings: AirssSettings) -> list[Counts]:
    """Atom counts of the configured formulas, or of all combinations of the elements up to max_atoms."""
    return [counts for counts, _ in _asked(settings)]


def requests(settings: AirssSettings) -> list[Counts]:
    """Atom counts of each structure in turn.

    Raises:
        UserError: on a formula or a CSV that cannot be read.
    """
    asked = _asked(settings)
    if settings.n is None:
        return [counts for counts, number in asked for _ in range(number or settings.per_composition)]
    if any(number for _, number in asked):
        raise UserError(f"compositions: {settings.compositions} has counts; leave out n, or the column count")
    return [asked[index % len(asked)][0] for index in range(settings.n)]


def atom_counts(formula: str) -> Counts:
    """Atoms by symbol of a formula such as Si4C4."""
    try:
        return whole_atoms(formula)
    except ValueError as error:
        raise UserError(f"composition: {error}; write it with whole numbers of atoms, like Si4C4") from error


def _asked(settings: AirssSettings) -> list[tuple[Counts, int]]:
    """Atom counts, and how many structures of them the CSV asks for; 0: it does not say."""
    if isinstance(settings.compositions, str):
        return _of_csv(settings.compositions)
    if settings.compositions:
        return [(atom_counts(formula), 0) for formula in settings.compositions]
    if not settings.elements:
        raise UserError("airss: give `elements` to combine or `compositions` to search")
    counts = itertools.product(range(settings.max_atoms + 1), repeat=len(settings.elements))
    return [
        ({symbol: n for symbol, n in zip(settings.elements, each, strict=True) if n}, 0)
        for each in counts
        if 0 < sum(each) <= settings.max_atoms
    ]


def _of_csv(path: str) -> list[tuple[Counts, int]]:
    _, rows = rows_of(path)
    if not rows or "formula" not in rows[0]:
        raise UserError(f"compositions: {path} needs a header with the column formula, and rows")
    found = []
    for row in rows:
        text = (row.get("count") or "").strip()
        if text and not (text.isdecimal() and int(text) > 0):
            raise UserError(f"compositions: {path}: count {text!r} of {row['formula']} is no whole number from 1")
        found.append((atom_counts(row["formula"] or ""), int(text or 0)))
    return found
