"""The formula that a CIF states, and whether the atoms of a cell make it."""

import dataclasses
import functools
import math
import re
from collections.abc import Mapping

from pymatgen.core import Composition

from unimat.materials.datasets.readers.cif.document import Block
from unimat.materials.datasets.readers.species import number_of
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:\(\d+\))?"
_ONE = re.compile(rf"([A-Za-z]{{1,2}})({_NUMBER})?")  # a word of the standard's form: Na4 Cl4
_SPACED = re.compile(rf"{_ONE.pattern}(?:[\s,]+{_ONE.pattern})*")
_RUN = re.compile(rf"([A-Z][a-z]?)({_NUMBER})?\s*")  # a piece of the usual form: Na4Cl4
_TAGS = ("_chemical_formula_sum", "_chemical_formula_structural", "_chemical_formula_iupac", "_chemical_formula_moiety")
_HYDROGEN = {"D": 1, "T": 1}
_MOLECULES, _PEROXIDES = {"O", "N", "F", "Cl", "H"}, {"Li", "Na", "K", "Rb", "Cs", "H"}  # pymatgen's N2, Na2O2
_LONGEST = 500
_ROUNDED = 0.7  # units of the last printed digit by which an amount may be off, cut digits included


@dataclasses.dataclass(frozen=True)
class Formula:
    """Amounts of the elements in one formula unit.

    Attributes:
        text: as the file has it.
        amounts: smallest and largest amount that the printed digits allow, by atomic number.
    """

    text: str
    amounts: Mapping[int, tuple[float, float]]

    @property
    def divisor(self) -> int:
        """How many reduced formulas it holds: 4 for Na4 Cl4, 1 for amounts that are no integers."""
        if any(low != high for low, high in self.amounts.values()):
            return 1
        return math.gcd(*(round(low) for low, _ in self.amounts.values()))

    @functools.cached_property
    def countings(self) -> tuple[int, ...]:
        """How many units it is, to those who count whole formulas, reduced ones, or N2 and Na2O2 as pymatgen."""
        if self.divisor == 1:
            return (1,)
        elements = {SYMBOLS[number - 1] for number in self.amounts}
        equal = len(set(self.amounts.values())) == 1
        molecule = len(elements) == 1 and elements <= _MOLECULES
        peroxide = len(elements) == 2 and elements - _PEROXIDES == {"O"}
        halved = self.divisor % 2 == 0 and equal and (molecule or peroxide)
        return (1, self.divisor, self.divisor // 2) if halved else (1, self.divisor)

    def units(self, counts: Mapping[int, int]) -> tuple[float, float] | None:
        """Smallest and largest number of formula units that atoms can be, None for atoms of another formula.

        Args:
            counts: atoms by atomic number.
        """
        if counts.keys() != self.amounts.keys():
            return None
        low = max(count / self.amounts[number][1] for number, count in counts.items())
        high = min(count / self.amounts[number][0] for number, count in counts.items())
        return (low, high) if low <= high * (1 + 1e-9) else None


def stated_formula(block: Block) -> Formula | None:
    """The formula of a data block, None if it states none that can be read; that of the sum counts first."""
    found = (formula_of(text) for tag in _TAGS if tag in block and (text := block.first(tag)))
    return next((formula for formula in found if formula), None)


@functools.lru_cache(maxsize=4096)
def formula_of(text: str) -> Formula | None:
    """The formula in `text`, None if it cannot be read for certain."""
    if len(text) > _LONGEST:
        return None
    amounts = _of_words(text) or _of_run(text) or _of_brackets(text)
    return Formula(text, amounts) if amounts else None


def _of_words(text: str) -> dict[int, tuple[float, float]] | None:
    """Amounts of a formula in the standard's form, each element a word, in whatever case."""
    if not _SPACED.fullmatch(text) or (" " not in text and not _one_element(text)):
        return None
    return _summed(_ONE.findall(text))


def _one_element(text: str) -> bool:
    match = _ONE.fullmatch(text)
    return match is not None and (len(match[1]) == 1 or match[1] == match[1].capitalize())


def _of_run(text: str) -> dict[int, tuple[float, float]] | None:
    """Amounts of a formula without spaces, unless it can be split in two ways: SIO2, CuSO4.5H2O."""
    pieces = _RUN.findall(text)
    if "".join(symbol + number for symbol, number in pieces) != "".join(text.split()):
        return None
    two_ways = re.search(r"\.\d+(\(\d+\))?[A-Z]", text) or (
        text.upper() == text and any(number_of(text[at : at + 2]) for at in range(len(text) - 1) if _letters(text, at))
    )
    return None if two_ways else _summed(pieces)


def _letters(text: str, at: int) -> bool:
    return text[at : at + 2].isalpha()


def _of_brackets(text: str) -> dict[int, tuple[float, float]] | None:
    """Amounts of Ca3 (P O4)2."""
    if not re.fullmatch(r"[A-Za-z0-9\s()\[\]]+", text) or not re.search(r"[(\[]\s*[A-Z]", text):
        return None
    try:
        found = Composition(re.sub(r"\s", "", text)).get_el_amt_dict()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return _summed([(symbol, f"{amount:g}") for symbol, amount in found.items()])


def _summed(pieces: list[tuple[str, str]]) -> dict[int, tuple[float, float]] | None:
    amounts: dict[int, tuple[float, float]] = {}
    for symbol, text in pieces:
        number = _HYDROGEN.get(symbol) or ATOMIC_NUMBER.get(symbol.capitalize())
        low, high = _interval(text)
        if number is None or not 0 < high < math.inf:
            return None
        before = amounts.get(number, (0.0, 0.0))
        amounts[number] = (before[0] + low, before[1] + high)
    return amounts


def _interval(text: str) -> tuple[float, float]:
    text = text.partition("(")[0] or "1"
    value, digits = float(text), len(text.partition(".")[2])
    doubt = _ROUNDED * 10.0**-digits if digits else 0.0
    return max(value - doubt, doubt / 10), value + doubt
