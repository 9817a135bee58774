"""Data card of an ingested dataset: what is in it, what was refused and why, and whose it is."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unimat import parquet
from unimat.crystal_stream import batches, empty_like
from unimat.crystal_table import CrystalTable, Rejected
from unimat.errors import REJECTION_REASONS
from unimat.materials.crystals.compositions import element_counts
from unimat.materials.datasets.duplicates import duplicates
from unimat.materials.datasets.ingest import Ingested
from unimat.materials.datasets.plan import Plan
from unimat.materials.datasets.settings import IngestSettings
from unimat.periodic_table import SYMBOLS
from unimat.settings import as_dict


@dataclasses.dataclass(frozen=True)
class Distributions:
    """Values of each crystal of one split, for quantiles and histograms; single precision, 40 bytes a crystal.

    Attributes:
        n_atoms: (m,) atoms per cell.
        lattice: what `lattice_values` gives, (m,) each.
        elements: (119,) crystals that hold each element, by atomic number.
    """

    n_atoms: np.ndarray
    lattice: dict[str, np.ndarray]
    elements: np.ndarray


def distributions(path: Path) -> Distributions:
    """Distributions of the crystal table in a file, read in batches."""
    n_atoms, lattices, elements = [np.zeros(0, np.int32)], [], np.zeros(len(SYMBOLS) + 1, np.int64)
    for batch in batches(path):
        n_atoms.append(batch.n_atoms.astype(np.int32))
        lattices.append({name: values.astype(np.float32) for name, values in lattice_values(batch).items()})
        elements += (element_counts(batch) > 0).sum(0)
    names = lattices[0] if lattices else {}
    lattice = {name: np.concatenate([values[name] for values in lattices]) for name in names}
    return Distributions(np.concatenate(n_atoms), lattice, elements)


def data_card(
    plan: Plan, ingested: Ingested, settings: IngestSettings, values: Mapping[str, Distributions]
) -> dict[str, Any]:
    """The card as a JSON-ready mapping; every rate has its numerator and denominator.

    Args:
        values: distributions of each split.
    """
    n_read = sum(ingested.n_read.values())
    elements = np.sum([each.elements for each in values.values()], axis=0)
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
        "crystals": dict(ingested.n),
        "rejected": _rejected(ingested.rejected, n_read),
        "atoms_per_cell": {split: _counted(each.n_atoms) for split, each in values.items()},
        "elements": {SYMBOLS[z - 1]: int(elements[z]) for z in np.flatnonzero(elements)},
        "lattice": {split: _lattice_summary(each.lattice) for split, each in values.items()},
        "properties": _properties(ingested.tables),
        "duplicates": duplicates(ingested.tables),
        "settings": {key: value for key, value in as_dict(settings).items() if key not in ("mirror", "files")},
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


def _lattice_summary(values: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    return {name: _quantiles(each) for name, each in values.items() if len(each)}


def _quantiles(values: np.ndarray) -> dict[str, float]:
    low, median, high = (float(value) for value in np.quantile(values, [0.0, 0.5, 1.0]))
    return {
        "min": round(low, 4),
        "median": round(median, 4),
        "max": round(high, 4),
        "mean": round(float(values.mean(dtype=np.float64)), 4),
    }


def _properties(tables: Mapping[str, Path]) -> dict[str, Any]:
    empty = empty_like(next(iter(tables.values())))
    return {name: _property(name, empty.unit(name), tables.values()) for name in empty.property_names}


def _property(name: str, unit: str, tables: Iterable[Path]) -> dict[str, Any]:
    # One column at a time: all of them would not fit where the rows are millions.
    columns = [parquet.read(path, [name]).column(0) for path in tables]
    n, n_null = sum(map(len, columns)), sum(column.null_count for column in columns)
    entry: dict[str, Any] = {"unit": unit, "with_value": {"count": n - n_null, "of": n}}
    if pa.types.is_floating(columns[0].type):  # a mean of space group numbers would mean nothing
        values = np.concatenate([column.to_numpy() for column in columns])
        finite = values[np.isfinite(values)]
        entry.update(_quantiles(finite) if len(finite) else {})
    return entry
