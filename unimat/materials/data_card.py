"""Data card of an ingested dataset: what is in it, what was refused and why, and whose it is."""

import collections
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.errors import REJECTION_REASONS
from unimat.materials.ingest import Ingested
from unimat.materials.ingest_settings import IngestSettings
from unimat.materials.sources import Plan
from unimat.materials.structures import reduced_formula, shortest_distance, space_group_number
from unimat.periodic_table import SYMBOLS
from unimat.settings import as_dict

FINGERPRINT = (
    "equal reduced formula, volume per atom rounded to 0.01 Å^3, shortest distance rounded to 0.01 Å and space group "
    "(spglib, within 0.01 Å); quick, but it misses copies that differ by more than rounding, and may join different "
    "crystals that agree in all four, as many of one composition do"
)


def data_card(plan: Plan, ingested: Ingested, settings: IngestSettings) -> dict[str, Any]:
    """The card as a JSON-ready mapping; every rate has its numerator and denominator."""
    tables, n_read = ingested.tables, sum(ingested.n_read.values())
    return {
        "format": 1,
        "name": plan.name,
        "title": plan.title,
        "licence": plan.metadata.get("licence"),
        "citation": plan.metadata.get("citation"),
        "source": plan.metadata.get("source"),
        "complete": plan.metadata.get("complete", True),
        "completeness": _completeness(plan, ingested.n_read),
        "files": list(plan.files),
        "split": ingested.split_method,
        "rows_read": n_read,
        "rows_read_by_split": {split or "not given": n for split, n in sorted(ingested.n_read.items())},
        "crystals": {split: len(table) for split, table in tables.items()},
        "rejected": _rejected(ingested.rejected, n_read),
        "atoms_per_cell": {split: _counted(table.n_atoms) for split, table in tables.items()},
        "elements": _elements(tables),
        "lattice": {split: _lattice_summary(table) for split, table in tables.items()},
        "properties": _properties(tables),
        "duplicates": _duplicates(tables),
        "settings": {key: value for key, value in as_dict(settings).items() if key not in ("mirror", "n_processes")},
    }


def lattice_values(table: CrystalTable) -> dict[str, np.ndarray]:
    """Lengths (Å), angles (degrees), volume per atom (Å^3) and density (g/cm^3) of each crystal."""
    from pymatgen.core import Element

    masses = np.array([0.0, *(float(Element(symbol).atomic_mass) for symbol in SYMBOLS)])
    lattices = table.lattices
    lengths = np.linalg.norm(lattices, axis=2)
    a, b, c = np.moveaxis(lattices / lengths[..., None], 1, 0)
    cosines = {"alpha": (b * c).sum(1), "beta": (a * c).sum(1), "gamma": (a * b).sum(1)}
    volumes = np.abs(np.linalg.det(lattices))
    n = len(table)
    mass = np.bincount(np.repeat(np.arange(n), table.n_atoms), masses[table.flat_atomic_numbers], minlength=n)
    return {
        **dict(zip("abc", lengths.T, strict=True)),
        **{name: np.degrees(np.arccos(np.clip(value, -1, 1))) for name, value in cosines.items()},
        "volume_per_atom": volumes / table.n_atoms,
        "density": mass / volumes * 1.66053906660,  # g/cm^3 of 1 u/Å^3 (CODATA 2018)
    }


def fingerprints(tables: Mapping[str, CrystalTable]) -> dict[str, list[tuple[Any, ...]]]:
    """Fingerprint of each crystal of each table, as `FINGERPRINT` says.

    Distance and space group, which cost most, are found only where formula and volume occur more than once.
    """
    coarse = {split: _formulas_and_volumes(table) for split, table in tables.items()}
    occurrences = collections.Counter(itertools.chain.from_iterable(coarse.values()))
    n_shared = sum(count for count in occurrences.values() if count > 1)
    with tqdm(total=n_shared, desc="duplicates", unit=" crystals", disable=None) as bar:
        return {
            split: [
                (*key, *_finer(tables[split][index], bar)) if occurrences[key] > 1 else key
                for index, key in enumerate(keys)
            ]
            for split, keys in coarse.items()
        }


def _formulas_and_volumes(table: CrystalTable) -> list[tuple[str, float]]:
    if not len(table):
        return []
    numbers = np.split(table.flat_atomic_numbers, table.atom_offsets[1:-1])
    volumes = np.abs(np.linalg.det(table.lattices)) / table.n_atoms
    return [(reduced_formula(z), round(float(volume), 2)) for z, volume in zip(numbers, volumes, strict=True)]


def _finer(crystal: Crystal, bar: tqdm) -> tuple[float, int]:
    bar.update()
    return round(shortest_distance(crystal), 2), space_group_number(crystal)


def _completeness(plan: Plan, n_read: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Rows read against rows published, for each split that has a published number."""
    return {split: {"count": n_read.get(split, 0), "of": n} for split, n in plan.n_rows.items()}


def _rejected(rows: Sequence[Rejected], n_read: int) -> dict[str, Any]:
    counts = collections.Counter(row.reason for row in rows)
    reasons = {
        reason: {"count": count, "of": n_read, "meaning": REJECTION_REASONS.get(reason, "")}
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    }
    return {"count": len(rows), "of": n_read, "reasons": reasons}


def _counted(values: np.ndarray) -> dict[str, int]:
    return {str(value): int(count) for value, count in zip(*np.unique(values, return_counts=True), strict=True)}


def _elements(tables: Mapping[str, CrystalTable]) -> dict[str, int]:
    """Number of crystals, over all splits, that hold each element."""
    counts = np.zeros(len(SYMBOLS) + 1, np.int64)
    for table in tables.values():
        rows = np.repeat(np.arange(len(table)), table.n_atoms)
        pairs = np.unique(np.stack([rows, table.flat_atomic_numbers], axis=1), axis=0)
        counts += np.bincount(pairs[:, 1], minlength=len(counts))
    return {SYMBOLS[z - 1]: int(counts[z]) for z in np.flatnonzero(counts)}


def _lattice_summary(table: CrystalTable) -> dict[str, dict[str, float]]:
    if not len(table):
        return {}
    return {name: _quantiles(values) for name, values in lattice_values(table).items()}


def _quantiles(values: np.ndarray) -> dict[str, float]:
    low, median, high = (float(value) for value in np.quantile(values, [0.0, 0.5, 1.0]))
    return {
        "min": round(low, 4),
        "median": round(median, 4),
        "max": round(high, 4),
        "mean": round(float(values.mean()), 4),
    }


def _properties(tables: Mapping[str, CrystalTable]) -> dict[str, Any]:
    names = dict.fromkeys(name for table in tables.values() for name in table.property_names)
    return {
        name: _property(name, [table for table in tables.values() if name in table.property_names]) for name in names
    }


def _property(name: str, tables: Sequence[CrystalTable]) -> dict[str, Any]:
    columns = [table.arrow.column(name) for table in tables]
    n, n_null = sum(map(len, columns)), sum(column.null_count for column in columns)
    entry: dict[str, Any] = {"unit": tables[0].unit(name), "with_value": {"count": n - n_null, "of": n}}
    values = np.concatenate([table.column(name) for table in tables])
    if pa.types.is_floating(columns[0].type):  # a mean of space group numbers would mean nothing
        finite = values[np.isfinite(values)]
        entry.update(_quantiles(finite) if len(finite) else {})
    return entry


def _duplicates(tables: Mapping[str, CrystalTable]) -> dict[str, Any]:
    prints = fingerprints(tables)
    within = {split: {"count": len(values) - len(set(values)), "of": len(values)} for split, values in prints.items()}
    splits = list(prints)
    across = {
        f"{later} in {earlier}": {"count": sum(p in set_of_earlier for p in prints[later]), "of": len(prints[later])}
        for i, earlier in enumerate(splits)
        for set_of_earlier in [set(prints[earlier])]
        for later in splits[i + 1 :]
    }
    return {"method": FINGERPRINT, "within": within, "across": across}
