"""The formulas that somebody asks predictions for."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence

from unimat.errors import UserError
from unimat.formulas import whole_atoms
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

MAX_SUGGESTIONS, LONGEST = 2, 24  # characters of a formula that is read in other ways
MAX_ELEMENTS = 9  # 9! ways to exchange elements of one count are what memory takes


@dataclasses.dataclass(frozen=True)
class Asked:
    """A formula.

    Attributes:
        formula: as it was typed.
        counts: atoms by atomic number, as it was typed.
    """

    formula: str
    counts: dict[int, int]

    @functools.cached_property
    def units(self) -> int:
        """Formula units that it names: 4 of Li4Fe4P4O16."""
        return math.gcd(*self.counts.values())

    @functools.cached_property
    def reduced(self) -> dict[int, int]:
        return {z: n // self.units for z, n in self.counts.items()}

    @property
    def n_atoms(self) -> int:
        """Of the reduced formula."""
        return sum(self.reduced.values())

    @functools.cached_property
    def name(self) -> str:
        """Reduced formula, the elements in the order in which they were typed."""
        return self.of_units(1)

    def of_units(self, units: int) -> str:
        """Formula of a cell."""
        counts = {SYMBOLS[z - 1]: n * units for z, n in self.reduced.items()}
        return "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in counts.items())


def asked(formulas: Sequence[str]) -> list[Asked]:
    """The formulas, each read whole; the same composition twice counts once.

    Raises:
        UserError: if one cannot be read, with what may have been meant.
    """
    found: dict[tuple, Asked] = {}
    for formula in formulas:
        each = _asked(formula)
        found.setdefault(tuple(sorted(each.counts.items())), each)
    return list(found.values())


def _asked(formula: str) -> Asked:
    try:
        counts = whole_atoms(formula)
    except ValueError as error:
        meant = " or ".join(_suggestions(formula))
        raise UserError(f"{error}{f'; did you mean {meant}?' if meant else ''}") from error
    if len(counts) > MAX_ELEMENTS:
        raise UserError(f"the formula {formula!r} has {len(counts)} elements; {MAX_ELEMENTS} are the most")
    return Asked(formula, {ATOMIC_NUMBER[symbol]: n for symbol, n in counts.items()})


def _suggestions(formula: str) -> list[str]:
    """Readings of a formula whose letters are in the wrong case, those of lighter elements first."""
    if not formula.isalnum() or not formula.isascii() or len(formula) > LONGEST:
        return []
    weight = lambda parts: sum(ATOMIC_NUMBER.get(part, 0) for part in parts)  # noqa: E731
    readings = sorted(_readings(formula.lower()), key=weight)
    return ["".join(parts) for parts in readings if "".join(parts) != formula][:MAX_SUGGESTIONS]


def _readings(text: str) -> Iterator[tuple[str, ...]]:
    """Symbols and numbers that text in lower case may stand for."""
    if not text:
        yield ()
        return
    if text[0].isdigit():
        return
    for length in (2, 1):
        symbol, rest = text[:length].capitalize(), text[length:]
        if symbol not in ATOMIC_NUMBER or len(text) < length:
            continue
        digits = len(rest) - len(rest.lstrip("0123456789"))
        for after in _readings(rest[digits:]):
            yield (symbol, rest[:digits], *after)
