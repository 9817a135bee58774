"""Hull references: named collections of phases whose energies mean the same thing.

A reference table (Parquet) has one row per phase: `entry_id`, `formula` (of the cell), `energy_per_atom` (eV/atom,
total energy). Its metadata say what the energies are (`energy_type`), where they come from and under which licence.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition, Element

from unimat.crystal_table import METADATA_KEY, CrystalTable
from unimat.errors import UserError
from unimat.files import existing, written_whole
from unimat.materials.structures import to_structure


@dataclasses.dataclass(frozen=True)
class Reference:
    """Phases that stabilities are judged against.

    Attributes:
        entries: one per phase; energies in eV per formula as written.
        energy_type: calculator, functional, corrections and quantity of every energy.
    """

    name: str
    entries: Sequence[PDEntry]
    energy_type: dict[str, str]
    source: str = ""
    licence: str = ""

    @property
    def elements(self) -> set[Element]:
        return {Element(symbol) for entry in self.entries for symbol in entry.composition.get_el_amt_dict()}

    @property
    def pure_elements(self) -> set[Element]:
        """Elements that have a phase of their own; formation energies are defined for systems of these alone."""
        return {Element(entry.composition.elements[0].symbol) for entry in self.entries if entry.is_element}


def from_relaxed(table: CrystalTable, name: str) -> Reference:
    """Reference of the converged rows of a relaxed table.

    Raises:
        UserError: if no row converged, or an element that occurs has no elemental phase.
    """
    entries = [
        _entry(crystal.material_id, to_structure(crystal).composition, crystal.properties["energy_per_atom"])
        for crystal in table
        if crystal.properties["converged"]
    ]
    reference = Reference(
        name=name,
        entries=entries,
        energy_type=table.metadata.get("energy_type", {}),
        source=f"{len(entries)} of {len(table)} crystals of the set {name!r}, relaxed by the same engine",
        licence=table.metadata.get("licence", ""),
    )
    refuse_missing_elements(reference)
    return reference


def refuse_missing_elements(reference: Reference) -> None:
    """UserError if the reference is empty or lacks the pure phase of an element that occurs in it."""
    if not reference.entries:
        raise UserError(f"hull reference {reference.name!r} has no phase; relax more crystals or raise relax.max_steps")
    if missing := sorted(element.symbol for element in reference.elements - reference.pure_elements):
        raise UserError(
            f"hull reference {reference.name!r} has no elemental phase of {', '.join(missing)}, so that formation"
            " energies are undefined; add crystals of the pure elements to that set, or choose another reference"
        )


def write(reference: Reference, path: str | Path) -> None:
    """Write the reference as Parquet, with its meaning in the metadata."""
    columns = {
        "entry_id": [entry.name for entry in reference.entries],
        "formula": [entry.composition.formula for entry in reference.entries],
        "energy_per_atom": [entry.energy_per_atom for entry in reference.entries],
    }
    about = {key: getattr(reference, key) for key in ("name", "energy_type", "source", "licence")}
    table = pa.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(about)})
    with written_whole(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")


def read(path: str | Path) -> Reference:
    """Reference of a Parquet file written by `write`.

    Raises:
        UserError: if the file is missing, unreadable or no reference table.
    """
    try:
        table = pq.read_table(existing(path))
        about = json.loads(table.schema.metadata[METADATA_KEY])
        frame: pd.DataFrame = table.select(["entry_id", "formula", "energy_per_atom"]).to_pandas()
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no hull reference; make it with `unimat reference`") from error
    entries = [
        _entry(row.entry_id, Composition(row.formula), row.energy_per_atom) for row in frame.itertuples(index=False)
    ]
    return Reference(entries=entries, **about)


def find_file(path: str) -> Path:
    """`path`, or the file of that name under UNIMAT_DATA_DIR."""
    candidates = [Path(path), Path(os.environ.get("UNIMAT_DATA_DIR", "")) / path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise UserError(f"hull.reference.path: no file {path!r} here or under UNIMAT_DATA_DIR")


def _entry(entry_id: str, composition: Composition, energy_per_atom: float) -> PDEntry:
    return PDEntry(composition, energy_per_atom * composition.num_atoms, name=entry_id)
