"""What a source says of a crystal beside its structure, compared with what was read.

A formula, a number of sites or a volume in another column is the cheapest witness that a structure was read right. Only
what can be read with certainty is compared: a text that is no formula says nothing.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from unimat import formulas
from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.crystals.structures import reduced_formula
from unimat.materials.datasets.readers.ordered import is_ordered_name
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

VOLUME_WITHIN = 0.1  # relative; a table may keep the volume before or after a relaxation
_FORMULA = frozenset(
    {
        *("formula", "pretty_formula", "formula_pretty", "full_formula", "unit_cell_formula", "chemical_formula"),
        *("reduced_formula", "formula_reduced", "chemical_formula_reduced", "chemical_formula_sum"),
        *("composition", "composition_reduced"),
    }
)
_N_SITES = frozenset({"nsites", "n_sites", "num_atoms", "n_atoms", "natoms"})
_VOLUME = frozenset({"volume", "cell_volume", "unit_cell_volume"})
_N_ELEMENTS = frozenset({"nelements", "n_elements", "num_elements"})
_ELEMENTS = frozenset({"elements", "chemsys", "chemical_system"})
_ALL = _FORMULA | _N_SITES | _VOLUME | _N_ELEMENTS | _ELEMENTS


def is_formula_name(name: str) -> bool:
    return _plain(name) in _FORMULA


@functools.lru_cache(maxsize=4096)
def is_stated_name(name: str) -> bool:
    """Whether a column or key of that name says something of the crystal: what it holds, or whether it is one."""
    return _plain(name) in _ALL or is_ordered_name(name)


def stated_of(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What some objects say of one crystal; of one name the first object's value counts."""
    found: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(name, str) and value is not None and is_stated_name(name):
                found.setdefault(name, value.tolist() if isinstance(value, np.ndarray) else value)
    return found


def check_stated(crystal: Crystal, stated: Mapping[str, Any]) -> None:
    """Refuse a crystal of which its source says something else.

    A cell may be another choice than the one that the source counts sites in (primitive, conventional), if the volume
    per atom is the same.

    Args:
        stated: value by the source's own names, as `is_stated_name` knows them.

    Raises:
        CrystalRejected: contradicts_source, with the field, its value and what was read.
    """
    for name, value in stated.items():
        kind = _plain(name)
        if kind in _FORMULA:
            _check_formula(crystal, name, value)
        elif kind in _ELEMENTS:
            _check_elements(crystal, name, value)
        elif kind in _N_ELEMENTS:
            _check_n_elements(crystal, name, value)
    _check_cell(crystal, stated)


def formula_counts(value: Any) -> dict[str, float] | None:
    """Number of atoms of each element in a formula or a composition; None for what is not certainly one."""
    if not isinstance(value, str | Mapping):
        return None
    try:
        return formulas.atoms(value)
    except ValueError:  # a name, or a text that can be read in two ways: it says nothing
        return None


@functools.lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return re.sub(r"[\s.-]+", "_", name.strip().lower())


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _check_formula(crystal: Crystal, name: str, value: Any) -> None:
    stated = formula_counts(value)
    if stated is None:
        return
    read = Counter(SYMBOLS[number - 1] for number in _known(crystal))
    is_whole = all(float(count).is_integer() for count in stated.values())
    within = 1e-9 if is_whole else 2e-3
    total = sum(stated.values())
    shares = {symbol: count / total for symbol, count in stated.items()}
    found = {symbol: count / max(read.total(), 1) for symbol, count in read.items()}
    if stated.keys() != read.keys() or any(abs(shares[symbol] - found[symbol]) > within for symbol in shares):
        _contradict(name, value, reduced_formula(crystal.atomic_numbers))


def _check_elements(crystal: Crystal, name: str, value: Any) -> None:
    symbols = _symbols(value)
    read = {SYMBOLS[number - 1] for number in _known(crystal)}
    if symbols and symbols != read:
        _contradict(name, value, ", ".join(sorted(read)))


def _symbols(value: Any) -> set[str]:
    """Elements named in a list, a list as text, or a text like Cl-Na; empty if anything else stands there."""
    if isinstance(value, str):
        value = re.findall(r"[^\s,;'\"\[\](){}-]+", value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        return set()
    return set(value) if set(value) <= ATOMIC_NUMBER.keys() else set()


def _check_n_elements(crystal: Crystal, name: str, value: Any) -> None:
    number, read = _number(value), len(set(_known(crystal)))
    if number is not None and number != read:
        _contradict(name, value, f"{read} elements")


def _check_cell(crystal: Crystal, stated: Mapping[str, Any]) -> None:
    sites, volume = _stated_number(stated, _N_SITES), _stated_number(stated, _VOLUME)
    if not (sites or volume) or not np.isfinite(crystal.lattice).all():
        return
    n_read, volume_read = len(crystal.atomic_numbers), float(abs(np.linalg.det(crystal.lattice)))
    is_another_cell = (
        sites is not None and volume is not None and _are_close(volume[1] / sites[1], volume_read / max(n_read, 1))
    )
    if is_another_cell:
        return
    if sites and sites[1] != n_read:
        _contradict(sites[0], sites[1], f"{n_read} atoms in {volume_read:.2f} Å^3")
    if volume and not any(_are_close(volume[1] * ratio, volume_read) for ratio in _ratios(crystal)):
        _contradict(volume[0], volume[1], f"{volume_read:.2f} Å^3 of {n_read} atoms")


def _ratios(crystal: Crystal) -> list[float]:
    """Volumes that a source may mean by one: of another cell, of a formula unit, of an atom."""
    units = math.gcd(*Counter(crystal.atomic_numbers.tolist()).values())
    return [1, 2, 3, 4, 1 / 2, 1 / 3, 1 / 4, units, len(crystal.atomic_numbers)]


def _stated_number(stated: Mapping[str, Any], names: frozenset[str]) -> tuple[str, float] | None:
    for name, value in stated.items():
        number = _number(value) if _plain(name) in names else None
        if number and number > 0:
            return name, number
    return None


def _are_close(first: float, second: float) -> bool:
    return abs(first - second) <= VOLUME_WITHIN * max(abs(first), abs(second))


def _known(crystal: Crystal) -> list[int]:
    """Atomic numbers of elements; any other is refused by the check that every crystal passes."""
    return [number for number in crystal.atomic_numbers.tolist() if 1 <= number <= len(SYMBOLS)]


def _contradict(name: str, value: Any, read: str) -> None:
    said = f"{value:g}" if isinstance(value, float | int) else repr(value)
    raise CrystalRejected("contradicts_source", f"{name} is {said[:100]}; what was read is {read}")
