"""Formulas and compositions as the columns of a reference hold them."""

from collections.abc import Mapping
from typing import Any

from pymatgen.core import Composition, Element

from unimat.formulas import atoms
from unimat.periodic_table import ATOMIC_NUMBER

Columns = tuple[tuple[int, ...], tuple[float, ...]]


def parsed(formula: Any) -> Columns:
    """Atomic numbers, rising, and amounts of a formula, or of amounts by species.

    Raises:
        ValueError: as `unimat.formulas.atoms`; isotopes and dummy species are no elements.
    """
    return _sorted(atoms(formula))


def of_composition(composition: Composition) -> Columns:
    """Atomic numbers, rising, and amounts of a composition, whatever its oxidation states; ValueError as `parsed`."""
    amounts: dict[str, float] = {}
    for species, amount in composition.items():
        name = _name(species)
        amounts[name] = amounts.get(name, 0.0) + amount
    return _sorted(atoms(amounts))


def composition(formula: Any) -> Composition:
    """pymatgen Composition of a formula, without oxidation states; ValueError as `parsed`."""
    return Composition(atoms(formula))


def text(formula: Any) -> str:
    """A formula that `parsed` reads: text as it is, amounts by species as pymatgen writes them, ``Na1 Cl1``."""
    if isinstance(formula, str) or not isinstance(formula, Mapping):
        return str(formula)
    return " ".join(f"{symbol}{amount:.8f}".rstrip("0").rstrip(".") for symbol, amount in atoms(formula).items())


def _name(species: Any) -> str:
    # To pymatgen deuterium is an element with hydrogen's symbol; only its name tells.
    element = species if isinstance(species, Element) else getattr(species, "element", species)
    return str(getattr(element, "name", species))


def _sorted(amounts: dict[str, float]) -> Columns:
    found = sorted((ATOMIC_NUMBER[symbol], amount) for symbol, amount in amounts.items())
    return tuple(number for number, _ in found), tuple(amount for _, amount in found)
