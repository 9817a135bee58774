"""Formulas as arrays, quickly: no composition object for each of half a million entries."""

import re

from pymatgen.core import Composition, Element

NUMBERS = {element.symbol: element.Z for element in Element}
PART = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)\s*")
FLAT = re.compile(rf"(?:{PART.pattern})+")


def parsed(formula: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Atomic numbers, rising, and amounts of a formula such as "Cs1S6Zr3", "Na1 Cl1" or "Ac5(Ag2Au3)2".

    Raises:
        ValueError: if it is no formula of elements; isotopes and dummy species are not elements.
    """
    text = formula.strip()
    if not FLAT.fullmatch(text):
        return _by_pymatgen(text)
    amounts: dict[int, float] = {}
    for symbol, amount in PART.findall(text):
        if symbol not in NUMBERS:
            raise ValueError(f"{symbol!r} in the formula {formula!r} is no element")
        number = NUMBERS[symbol]
        amounts[number] = amounts.get(number, 0.0) + (float(amount) if amount else 1.0)
    return _sorted(amounts, formula)


def of_composition(composition: Composition) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Atomic numbers, rising, and amounts of a composition; ValueError as `parsed`."""
    amounts: dict[int, float] = {}
    for symbol, amount in composition.get_el_amt_dict().items():
        if symbol not in NUMBERS:
            raise ValueError(f"{symbol!r} in the formula {composition.formula!r} is no element")
        amounts[NUMBERS[symbol]] = amounts.get(NUMBERS[symbol], 0.0) + amount
    return _sorted(amounts, composition.formula)


def _by_pymatgen(formula: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    if not re.search("[A-Z]", formula):  # pymatgen takes empty text for a composition of nothing
        raise ValueError(f"{formula!r} is no formula")
    try:
        return of_composition(Composition(formula))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{formula!r} is no formula") from error


def _sorted(amounts: dict[int, float], formula: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    if not amounts or not all(amount > 0 for amount in amounts.values()):
        raise ValueError(f"the formula {formula!r} has an element without atoms")
    numbers = sorted(amounts)
    return tuple(numbers), tuple(amounts[number] for number in numbers)
