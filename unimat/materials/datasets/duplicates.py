"""Likely duplicates within and across splits, and compositions that leak from one split into another.

Fingerprints are 64-bit keys, so that millions of crystals are compared in little memory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unimat.crystal_stream import batches
from unimat.crystal_table import Crystal, CrystalTable
from unimat.materials.crystals.compositions import chemical_system_keys, reduced_composition_keys
from unimat.materials.crystals.lattices import shortest_distance
from unimat.materials.crystals.structures import space_group_number
from unimat.progress import Progress, progress

METHOD = (
    "equal reduced formula, volume per atom rounded to 0.01 Å^3, shortest distance rounded to 0.01 Å and space group "
    "(spglib, within 0.01 Å); quick, but it misses copies that differ by more than rounding, and may join different "
    "crystals that agree in all four, as many of one composition do"
)
LEAKAGE = (
    "crystals whose reduced formula (or set of elements) occurs in the earlier split too: polymorphs, or the same "
    "phase; split.group_by keeps them together"
)
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplication modulo 2^64 loses nothing


def duplicates(tables: Mapping[str, Path]) -> dict[str, Any]:
    """Counts of likely duplicates, and of leaking compositions, of the splits' crystal tables; JSON-ready."""
    prints = fingerprints(tables)
    formulas = {split: _of_batches(path, reduced_composition_keys) for split, path in tables.items()}
    systems = {split: _of_batches(path, chemical_system_keys) for split, path in tables.items()}
    within = {
        split: {"count": len(values) - len(np.unique(values)), "of": len(values)} for split, values in prints.items()
    }
    return {
        "method": METHOD,
        "within": within,
        "across": _across(prints),
        "leakage": {"method": LEAKAGE, "reduced_formula": _across(formulas), "chemical_system": _across(systems)},
    }


def fingerprints(tables: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """(m,) uint64 fingerprint of each crystal of each table, as `METHOD` says.

    Distance and space group, which cost most, are found only where formula and volume occur more than once.
    """
    coarse = {split: _of_batches(path, _formulas_and_volumes) for split, path in tables.items()}
    values, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *coarse.values()]), return_counts=True)
    repeated = values[counts > 1]
    shared = {split: np.isin(keys, repeated) for split, keys in coarse.items()}
    with progress(total=sum(map(np.sum, shared.values())), desc="duplicates", unit="crystal") as bar:
        return {split: _refined(tables[split], keys, shared[split], bar) for split, keys in coarse.items()}


def _refined(path: Path, keys: np.ndarray, shared: np.ndarray, bar: Progress) -> np.ndarray:
    finer, start = keys.copy(), 0
    for batch in batches(path):
        for row in np.flatnonzero(shared[start : start + len(batch)]):
            finer[start + row] = _mixed(keys[start + row], *_distance_and_group(batch[int(row)]))
            bar.update()
        start += len(batch)
    return finer


def _formulas_and_volumes(table: CrystalTable) -> np.ndarray:
    volumes = np.abs(np.linalg.det(table.lattices)) / table.n_atoms
    return _mixed(reduced_composition_keys(table), np.rint(volumes * 100).astype(np.uint64))


def _distance_and_group(crystal: Crystal) -> tuple[np.uint64, np.uint64]:
    distance = shortest_distance(crystal.lattice, crystal.frac_coords)
    return np.uint64(round(distance * 100)), np.uint64(space_group_number(crystal))


def _mixed(keys: Any, *numbers: Any) -> Any:
    """Keys that depend on `keys` and on each of the numbers."""
    with np.errstate(over="ignore"):
        for number in numbers:
            keys = (keys ^ number) * _MIX
            keys = keys ^ (keys >> np.uint64(29))
    return keys


def _of_batches(path: Path, find: Any) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.uint64), *(find(batch) for batch in batches(path))])


def _across(keys: Mapping[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """Of each later split, how many occur in an earlier one."""
    splits = list(keys)
    return {
        f"{later} in {earlier}": {"count": int(np.isin(keys[later], keys[earlier]).sum()), "of": len(keys[later])}
        for index, earlier in enumerate(splits)
        for later in splits[index + 1 :]
    }
