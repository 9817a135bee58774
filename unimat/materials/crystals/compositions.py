"""Compositions of many crystals at once, as keys to compare and count by."""

import numpy as np

from unimat.crystal_table import CrystalTable
from unimat.periodic_table import SYMBOLS

# Odd random multipliers: a sum of small counts times these, modulo 2^64, is the same for two different compositions
# with a probability near 2^-64.
_MULTIPLIERS = np.random.default_rng(20231116).integers(1, 2**63, len(SYMBOLS) + 1, dtype=np.uint64) | np.uint64(1)


def element_counts(table: CrystalTable) -> np.ndarray:
    """(m, 119) number of atoms of each element, by atomic number, in each crystal's cell."""
    width = len(SYMBOLS) + 1
    rows = np.repeat(np.arange(len(table)), table.n_atoms)
    return np.bincount(rows * width + table.flat_atomic_numbers, minlength=len(table) * width).reshape(-1, width)


def cell_formulas(table: CrystalTable) -> list[str]:
    """Formula of each crystal's whole cell, such as Li4Fe4P4O16 by rising atomic number; no divisor is taken out."""
    return ["".join(f"{SYMBOLS[z - 1]}{row[z]}" for z in np.flatnonzero(row)) for row in element_counts(table)]


def reduced_composition_keys(table: CrystalTable) -> np.ndarray:
    """(m,) uint64: equal where the reduced formulas are equal (Si2O4 and SiO2)."""
    counts = element_counts(table)
    divisor = np.gcd.reduce(counts, axis=1, initial=0)
    return _keys(counts // np.maximum(divisor, 1)[:, None])


def chemical_system_keys(table: CrystalTable) -> np.ndarray:
    """(m,) uint64: equal where the sets of elements are equal."""
    return _keys(element_counts(table) > 0)


def _keys(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return (values.astype(np.uint64) * _MULTIPLIERS).sum(1, dtype=np.uint64)
