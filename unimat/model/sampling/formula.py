"""Chemical formulas of whole atoms, read without any chemistry package."""

import functools
import math
import re
from collections.abc import Mapping

from unimat.errors import UserError
from unimat.formulas import whole_atoms
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

Counts = Mapping[int, int]  # atoms by atomic number


@functools.lru_cache(maxsize=4096)
def parsed(formula: str) -> Counts:
    """Atoms of a formula such as Li4Fe4P4O16 or Ca(OH)2, by atomic number, in its order.

    Raises:
        UserError: if it is no formula of elements with whole numbers of atoms.
    """
    try:
        return {ATOMIC_NUMBER[symbol]: count for symbol, count in whole_atoms(formula).items()}
    except ValueError as error:
        raise UserError(f"composition: {error}; give symbols and whole numbers of atoms, e.g. Li4Fe4P4O16") from error


def reduced(counts: Counts) -> dict[int, int]:
    """The counts divided by their greatest common divisor."""
    divisor = math.gcd(*counts.values())
    return {number: count // divisor for number, count in counts.items()}


def chemical_system(text: str) -> tuple[int, ...]:
    """Rising atomic numbers of the elements of a text such as Si-C.

    Raises:
        UserError: on a symbol that is no element, or that is named twice.
    """
    symbols = [symbol for symbol in re.split(r"[\s,-]+", text.strip()) if symbol]
    for symbol in symbols or [text]:
        if symbol not in ATOMIC_NUMBER:
            raise UserError(f"chemical_system {text!r}: {symbol!r} is no element; join symbols by hyphens, e.g. Si-C")
    if len(set(symbols)) < len(symbols):
        raise UserError(f"chemical_system {text!r} names {max(symbols, key=symbols.count)} twice")
    return tuple(sorted(ATOMIC_NUMBER[symbol] for symbol in symbols))


def system_name(numbers: tuple[int, ...]) -> str:
    """Symbols in alphabetical order, joined by hyphens."""
    return "-".join(sorted(SYMBOLS[number - 1] for number in numbers))
