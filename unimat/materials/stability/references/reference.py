"""Hull references: named collections of phases whose energies mean the same thing.

A reference table (Parquet) has one row per phase, with the columns of `references.entries.SCHEMA`: what it is, its
energy on the scale of the reference, and how it came by that energy. All phases are kept in the file; a phase diagram
needs only the lowest of each composition and takes no others. The metadata say what the energies are (`energy_type`),
where they come from, under which licence, and what was read, shifted and left out (`details`).
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition, Element

from unimat import parquet
from unimat.crystal_table import METADATA_KEY, Crystal, CrystalTable
from unimat.errors import UserError
from unimat.materials.stability.references.entries import Entries, in_schema, table_of
from unimat.materials.stability.references.lost import Lost, lost
from unimat.materials.stability.references.rows import checked
from unimat.materials.stability.relaxed_rows import has_converged

ABOUT = ("name", "energy_type", "source", "licence", "details")


@dataclasses.dataclass(frozen=True, init=False)
class Reference:
    """Phases that stabilities are judged against.

    Attributes:
        entries: one per phase; energies in eV per formula as written. A plain sequence of pymatgen's entries becomes
            `Entries`.
        energy_type: calculator, functional, corrections and quantity of every energy; correction_version and
            pseudopotentials where they are known.
        details: files read with their checksums, shifts applied, entries left out and why, versions.
    """

    name: str
    entries: Entries
    energy_type: dict[str, str]
    source: str = ""
    licence: str = ""
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __init__(
        self,
        name: str,
        entries: Sequence[PDEntry],
        energy_type: dict[str, str],
        source: str = "",
        licence: str = "",
        details: dict[str, Any] | None = None,
    ):
        phases = entries if isinstance(entries, Entries) else Entries.of(entries, **_columns_of(energy_type))
        values = (name, phases, energy_type, source, licence, details or {})
        for field, value in zip(dataclasses.fields(self), values, strict=True):
            object.__setattr__(self, field.name, value)

    def replaced(self, table: pa.Table, **changes: Any) -> "Reference":
        """The same with other entries, and other attributes as named."""
        return dataclasses.replace(self, entries=Entries(table), **changes)

    @property
    def elements(self) -> set[Element]:
        return self.entries.elements

    @property
    def pure_elements(self) -> set[Element]:
        """Elements that have a phase of their own; formation energies are defined for systems of these alone."""
        return self.entries.pure_elements

    @property
    def missing_elements(self) -> list[str]:
        """Symbols of the elements that occur and have no phase of their own."""
        return sorted(element.symbol for element in self.elements - self.pure_elements)


def from_relaxed(table: CrystalTable, name: str) -> Reference:
    """Reference of the converged rows of a relaxed table.

    Raises:
        UserError: if no row converged, or an element that occurs has no elemental phase.
    """
    energy_type = table.metadata.get("energy_type", {})
    converged = [crystal for crystal in table if has_converged(crystal)]
    if not converged:
        _refuse_empty(name)
    rows = checked(
        (crystal.material_id for crystal in converged),
        (_formula(crystal) for crystal in converged),
        (crystal.properties.get("energy_per_atom") for crystal in converged),
        per_cell=False,
        where=f"the relaxed set {name!r}",
    )
    reference = Reference(
        name=name,
        entries=Entries(table_of(rows.columns() | _columns_of(energy_type) | {"source": name})),
        energy_type=energy_type,
        source=f"{len(rows.kept)} of {len(table)} crystals of the set {name!r}, relaxed by the same engine",
        licence=table.metadata.get("licence", ""),
        details={"dropped": rows.dropped, "lost": rows.lost + _unconverged(table)},
    )
    refuse_missing_elements(reference)
    return reference


def _unconverged(table: CrystalTable) -> list[Lost]:
    """Crystals that should have been phases, and whose relaxation came to nothing."""
    return [
        lost(
            crystal.material_id,
            _formula(crystal),
            crystal.properties.get("failure") or "its relaxation did not converge",
        )
        for crystal in table
        if not has_converged(crystal)
    ]


def refuse_missing_elements(reference: Reference) -> None:
    """UserError if the reference is empty or lacks the pure phase of an element that occurs in it."""
    if not len(reference.entries):
        _refuse_empty(reference.name)
    if missing := reference.missing_elements:
        raise UserError(
            f"hull reference {reference.name!r} has no elemental phase of {', '.join(missing)}, so that formation"
            " energies are undefined; add crystals of the pure elements to that set, or choose another reference"
        )


def _refuse_empty(name: str) -> None:
    raise UserError(f"hull reference {name!r} has no phase; relax more crystals or raise relax.max_steps")


def write(reference: Reference, path: str | Path) -> None:
    """Write the reference as Parquet, with its meaning in the metadata."""
    about = {key: getattr(reference, key) for key in ABOUT}
    about["details"] = {"n_entries": len(reference.entries), "unimat": version("unimat"), **reference.details}
    table = reference.entries.table.replace_schema_metadata({METADATA_KEY: json.dumps(about)})
    parquet.write(table, path)


def read(path: str | Path) -> Reference:
    """Reference of a Parquet file written by `write`.

    Raises:
        UserError: if the file is missing, unreadable or no reference table.
    """
    table = parquet.read(path)
    try:
        about = json.loads(table.schema.metadata[METADATA_KEY])
        known = {key: about[key] for key in ABOUT if key in about}
        return Reference(entries=Entries(in_schema(table)), **known)
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no hull reference; make it with `unimat reference`") from error


def _formula(crystal: Crystal) -> str:
    return str(Composition(Counter(Element.from_Z(int(number)) for number in crystal.atomic_numbers)).formula)


def _columns_of(energy_type: dict[str, str]) -> dict[str, str | None]:
    """What `energy_type` says of every entry, as columns."""
    return {
        "functional": energy_type.get("functional"),
        "correction_scheme": scheme_of(energy_type),
        "correction_version": version_of(energy_type),
        "calculator": energy_type.get("calculator"),
        "pseudopotentials": energy_type.get("pseudopotentials"),
    }


def scheme_of(energy_type: dict[str, str]) -> str | None:
    """Name of the correction scheme; an engine may write its version after a comma ("MP2020, learned")."""
    return str(energy_type["corrections"]).split(",")[0].strip() if "corrections" in energy_type else None


def version_of(energy_type: dict[str, str]) -> str | None:
    """Version of the correction scheme, where it is said."""
    after_comma = str(energy_type.get("corrections", "")).partition(",")[2].strip()
    return energy_type.get("correction_version") or after_comma or None
