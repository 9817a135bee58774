"""Chemical formulas, read in whole or refused: the one reader of both halves.

Whole means that every character has a meaning, and one meaning alone. pymatgen reads CuSO4.5H2O as Cu S O5.5 H2, D2O
as H2O and Na1e3 as Na1000, without a word.
"""

import re
from collections.abc import Mapping
from typing import Any

from unimat.periodic_table import ATOMIC_NUMBER

_FLAT = re.compile(r"(?:[A-Z][a-z]?(?:[1-9]\d*)?\s*)+")  # Cs1S6Zr3, Na1 Cl1: nothing in it can mean two things
_PLAIN = re.compile(r"([A-Z][a-z]?)(\d*)")
_NUMBER = re.compile(r"\d+\.\d+|\d+|\.\d+")
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_JOINTS = "·*•⋅∙・"  # between the parts of an adduct such as CuSO4·5H2O
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_POINT = re.compile(rf"(?<![\d{_JOINTS}])([1-9]\d*|)\.([1-9]\d*)")
# What crystals are solvated with; after a number with a point these are more likely a molecule than atoms.
_MOLECULES = re.compile(r"(?:H2O|OH2|D2O|NH3|HF|HCl|HBr|HI|HNO3|H2SO4|H2O2|N2H4|CO2|SO2|CH3OH|C2H5OH|CH3CN)(?![a-z\d])")
# Of pymatgen's compositions with oxidation states: keys of JSON (Fe2+, `Fe3+,spin=5`) and tokens of text (Fe2+3 O2-4).
_SPECIES = re.compile(r"([A-Z][a-z]?)(?:\d*\.?\d*[+-])?(?:,.*)?")
_CHARGED = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)([+-])(\d*\.?\d*)")


def atoms(formula: str | Mapping[str, Any]) -> dict[str, float]:
    """Atoms by symbol of a formula, in its order.

    Args:
        formula: such as Ca(OH)2, Na0.7CoO2, CuSO4·5H2O or Fe₂O₃; or amounts by species, as pymatgen writes compositions
            into JSON, with or without oxidation states.

    Raises:
        ValueError: if it cannot be read whole, or in two ways; it names the formula, the place and the reason.
    """
    if isinstance(formula, Mapping):
        return _of_mapping(formula)
    if not isinstance(formula, str) or not formula.strip():
        raise ValueError(_missing(formula))
    text = formula.strip().lstrip("\ufeff").translate(_SUBSCRIPTS)
    if _FLAT.fullmatch(text):
        parts = [(symbol, float(count or 1)) for symbol, count in _PLAIN.findall(text)]
    elif text.startswith("{") and ":" in text:
        return _of_mapping(_mapping(formula, text))
    elif "+" in text or "-" in text:
        parts = _charged(formula, text)
    else:
        text = re.sub(rf"\s*([{_JOINTS}])\s*([\d.]*)\s*", r"\1\2", text)
        _refuse_two_readings(formula, text)
        parts = _Reader(formula, text).adduct()
    return _summed(parts, formula)


def whole_atoms(formula: str | Mapping[str, Any]) -> dict[str, int]:
    """As `atoms`, of a cell: whole numbers."""
    found = atoms(formula)
    if parts := [f"{symbol}{amount:g}" for symbol, amount in found.items() if amount != int(amount)]:
        raise ValueError(f"the formula {formula!r} has {parts[0]}, which is no whole number of atoms")
    return {symbol: int(amount) for symbol, amount in found.items()}


class _Reader:
    """One text from left to right."""

    def __init__(self, formula: str, text: str):
        self.formula, self.text, self.at = formula, text, 0

    def adduct(self) -> list[tuple[str, float]]:
        parts = self._times(self._number() if self._joined() else 1.0, self._group(""))
        while self.at < len(self.text):
            if _NUMBER.match(self.text, self.at):  # a second point, as in CaSO4.0.5H2O
                raise self._unreadable("a number has two points")
            self.at += 1  # the joint
            self._skip()
            parts += self._times(self._number(), self._group(""))
        return parts

    def _joined(self) -> bool:
        """Whether the text has several parts; one alone must not begin with a number."""
        return any(joint in self.text for joint in _JOINTS) or bool(re.search(r"\.(?!\d)", self.text))

    def _group(self, closing: str) -> list[tuple[str, float]]:
        parts: list[tuple[str, float]] = []
        while self.at < len(self.text) and self.text[self.at] not in (closing or f"{_JOINTS}."):
            if opening := _CLOSING.get(self.text[self.at]):
                self.at += 1
                self._skip()
                inner = self._group(opening)
                if self.at == len(self.text):
                    raise self._unreadable(f"a bracket is not closed by {opening!r}")
                self.at += 1
            elif symbol := _SYMBOL.match(self.text, self.at):
                if symbol[0] not in ATOMIC_NUMBER:
                    raise self._unreadable(f"{symbol[0]!r} is no element{_hint(symbol[0])}")
                inner, self.at = [(symbol[0], 1.0)], symbol.end()
            else:
                raise self._unreadable("expected the symbol of an element or a bracket")
            parts += self._times(self._number(), inner)
            self._skip()
        if not parts:
            raise self._unreadable("expected the symbol of an element")
        return parts

    def _number(self) -> float:
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            return 1.0
        if float(found[0]) == 0:
            raise self._unreadable("an element has no atoms: a count of zero")
        self.at = found.end()
        return float(found[0])

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _times(self, number: float, parts: list[tuple[str, float]]) -> list[tuple[str, float]]:
        return [(symbol, number * amount) for symbol, amount in parts]

    def _unreadable(self, why: str) -> ValueError:
        rest = self.text[self.at :]
        where = f"at {rest!r}" if rest else "at its end"
        return ValueError(f"the formula {self.formula!r} cannot be read {where}: {why}")


def _refuse_two_readings(formula: str, text: str) -> None:
    """ValueError if a point may as well stand between two parts (CaCl2.6H2O) as in a number (Li1.2CoO2)."""
    for point in _POINT.finditer(text):
        left, right = text[: point.start(2) - 1], text[point.end() :].lstrip()
        ours, theirs = set(_SYMBOL.findall(left)), set(_SYMBOL.findall(right))
        if right and _balanced(left) and (ours & theirs or _MOLECULES.match(right)):
            raise ValueError(
                f"the formula {formula!r} can be read in two ways: write {left}·{point[2]}{right} for two parts, or"
                f" each element once for the number {point[0]}"
            )


def _balanced(text: str) -> bool:
    return all(text.count(opening) == text.count(closing) for opening, closing in _CLOSING.items())


def _charged(formula: str, text: str) -> list[tuple[str, float]]:
    """Atoms of text that pymatgen made of a neutral composition with oxidation states, such as ``Fe3+2 O2-3``.

    Without a digit before the sign a number after it may be the charge or the atoms (Fe+3), so it has to be 1.
    """
    parts, charge = [], 0.0
    for token in text.split():
        found = _CHARGED.fullmatch(token)
        if found is None or not (found[2] or found[4] in ("", "1")):
            raise ValueError(_charge(formula))
        symbol, state, sign, amount = found.groups()
        parts.append((symbol, float(amount or 1)))
        charge += float(f"{sign}{state or 1}") * parts[-1][1]
    if abs(charge) > 0.01 * sum(amount for _, amount in parts):  # states may be rounded means
        raise ValueError(_charge(formula))
    return parts


def _charge(formula: str) -> str:
    return f"the formula {formula!r} cannot be read: it carries a charge or a minus sign; give elements and atoms alone"


def _mapping(formula: str, text: str) -> Mapping[str, Any]:
    """Amounts by species that a cell of a table holds as text."""
    pairs = re.findall(r"""["']([^"']+)["']\s*:\s*([\d.eE+-]+)""", text)
    rebuilt = ",".join(f"{symbol}:{amount}" for symbol, amount in pairs)
    if not pairs or re.sub(r"[\s\"'{}]", "", text).rstrip(",") != rebuilt:
        raise ValueError(f"the formula {formula!r} cannot be read: expected amounts by symbol")
    return dict(pairs)


def _of_mapping(amounts: Mapping[str, Any]) -> dict[str, float]:
    parts = []
    for key, amount in amounts.items():
        species = _SPECIES.fullmatch(str(key))
        if str(key)[:1] == "@" or amount is None:  # the name of a class, in JSON; a field of others, in Parquet
            continue
        if species is None:
            raise ValueError(f"the formula {dict(amounts)!r} cannot be read: {key!r} is no species of an element")
        try:
            parts.append((species[1], float(amount)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"the formula {dict(amounts)!r} has {amount!r} atoms of {key}") from error
    return _summed(parts, dict(amounts))


def _summed(parts: list[tuple[str, float]], formula: Any) -> dict[str, float]:
    found: dict[str, float] = {}
    for symbol, amount in parts:
        if symbol not in ATOMIC_NUMBER:
            raise ValueError(f"the formula {formula!r} cannot be read: {symbol!r} is no element{_hint(symbol)}")
        if not 0 < amount < float("inf"):
            raise ValueError(f"the formula {formula!r} has an element without atoms: {amount:g} of {symbol}")
        found[symbol] = found.get(symbol, 0.0) + amount
    if not found:
        raise ValueError(_missing(formula))
    return found


def _hint(symbol: str) -> str:
    return "; write hydrogen as H" if symbol in ("D", "T") else ""


def _missing(formula: Any) -> str:
    """A reader of tables may have taken NaN, sodium nitride, for a missing value, or No for a truth value."""
    if formula is None or isinstance(formula, str) or formula != formula:
        return "no formula"
    return f"{formula!r} is no formula: expected text such as NaCl"
