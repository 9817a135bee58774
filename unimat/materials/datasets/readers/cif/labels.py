"""Elements that the label of a site names, for files that give no type symbols."""

import re

from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers.species import number_of
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

_LABEL = re.compile(r"(?P<letters>[A-Za-z]+)(?P<rest>[-+0-9'\"*()_]?[-+0-9A-Za-z'\"*()_]*)")
_WATER = "W"  # as often water as tungsten


def number_of_label(label: str, elements: frozenset[int]) -> int:
    """Atomic number of the element that a label begins with: Na1, O2A, C12', Fe3+4.

    A label may be read in several ways: CA1 as calcium or carbon, OH as an oxygen, W1 as tungsten or water. Then the
    elements of the file's own formula decide.

    Args:
        elements: those of the formula; empty if there is none.

    Raises:
        CrystalRejected: if no element or more than one fits.
    """
    match = _LABEL.fullmatch(label)
    if match is None:
        raise CrystalRejected("not_an_element", f"label {label!r}")
    letters = match["letters"]
    possible = _possible(letters)
    if _certain(letters, match["rest"]) and possible:
        return possible[0]
    fitting = [number for number in possible if number in elements]
    if len(fitting) == 1:
        return fitting[0]
    names = " or ".join(SYMBOLS[number - 1] for number in fitting or possible)
    meaning = f"may be {names}" if names else "names no element"
    raise CrystalRejected("not_an_element", f"label {label!r} {meaning}; _atom_site_type_symbol would tell")


def number_of_type(symbol: str, elements: frozenset[int]) -> int:
    """Atomic number of a type symbol: Na, Na1+, NA; of CO3 and its like only as the formula's elements decide."""
    number = number_of(symbol)
    if number is None and re.fullmatch(r"[A-Z]{2}\d+", symbol):
        fitting = [each for each in _possible(symbol[:2]) if each in elements]
        number = fitting[0] if fitting == [ATOMIC_NUMBER.get(symbol[:2].capitalize())] else None
    if number is None:
        raise CrystalRejected("not_an_element", f"species {symbol!r}")
    return number


def _possible(letters: str) -> list[int]:
    """Elements that the first two letters or the first one are, the longer symbol first."""
    symbols = dict.fromkeys((letters[:2].capitalize(), letters[:1].upper()))
    return [ATOMIC_NUMBER[symbol] for symbol in symbols if symbol in ATOMIC_NUMBER]


def _certain(letters: str, rest: str) -> bool:
    if re.search("[A-Z][a-z]", rest):  # Fe1Ni1, a second element
        return False
    if len(letters) == 1:
        return letters != _WATER
    return letters in ATOMIC_NUMBER and number_of(f"{letters}1") is not None
