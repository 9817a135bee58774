"""Somebody's own energies: a reference made earlier, or a CSV or Parquet table with ids, formulas and energies."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from unimat import parquet
from unimat.crystal_table import METADATA_KEY
from unimat.errors import UserError
from unimat.files import sha256
from unimat.materials.crystals import corrections as mp
from unimat.materials.stability.references import reference
from unimat.materials.stability.references.entries import Entries, table_of
from unimat.materials.stability.references.files import find_file, read_csv
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.references.rows import Rows, checked
from unimat.materials.stability.settings import ColumnSettings, SourceSettings


def from_table(settings: SourceSettings, n_processes: int = 2) -> Reference:
    """Reference of a local table; one made by `unimat reference` is taken as it is.

    Raises:
        UserError: if the file is unreadable, a column is missing, no row can be used, or the configuration does not say
            what the energies are.
    """
    path = find_file(str(settings.path))
    if path.suffix == ".parquet" and _is_reference(path):
        return _with_input(reference.read(path), path)
    said = {"functional": settings.functional, "calculator": settings.calculator, "corrections": settings.corrections}
    for key, value in said.items():
        if value is None:
            raise UserError(f"hull.reference.{key} is missing: {path.name} does not say what its energies are")
    frame, columns = _frame(path, settings.columns), settings.columns
    rows = checked(
        frame[columns.entry_id], frame[columns.formula], frame[columns.energy], columns.unit == "eV", path.name
    )
    return of_rows(rows, path, settings, f"{path.name}: {len(rows.kept)} of {len(frame)} rows", n_processes)


def of_rows(rows: Rows, path: Path, settings: SourceSettings, source: str, n_processes: int) -> Reference:
    """Reference of rows whose energies are what the settings say, corrected if the settings want it."""
    scheme, version = settings.corrections, None
    energies, per_atom, run_types = rows.energy_per_atom, None, None
    guessed = {}
    if settings.apply_mp2020:
        if scheme != mp.NONE:
            raise UserError(
                f"hull.reference.apply_mp2020: {path.name} carries the corrections {scheme!r} already; they are added"
                f" to energies with `corrections: {mp.NONE}` alone"
            )
        n_atoms = [sum(amounts) for amounts in rows.amounts]
        cells = [energy * n for energy, n in zip(energies, n_atoms, strict=True)]
        found = mp.corrections(list(zip(rows.formula, rows.entry_id, cells, strict=True)), n_processes)
        per_atom = [change / n for (change, _), n in zip(found, n_atoms, strict=True)]
        energies = [energy + change for energy, change in zip(energies, per_atom, strict=True)]
        guessed = {"guessed_from_formula": mp.guessed_types(rows.elements, [()] * len(rows.kept))}
        run_types, scheme, version = [run_type for _, run_type in found], mp.MP2020, mp.pymatgen_version()
    said = {
        "calculator": settings.calculator,
        "functional": settings.functional,
        "corrections": scheme,
        "correction_version": version,
        "quantity": "total energy",
        "pseudopotentials": settings.pseudopotentials,
    }
    energy_type = {key: value for key, value in said.items() if value is not None}
    columns = rows.columns() | {
        "energy_per_atom": energies,
        "source": path.name,
        "functional": settings.functional,
        "run_type": run_types,
        "correction_scheme": scheme,
        "correction_version": version,
        "correction_per_atom": per_atom if per_atom else (0.0 if scheme == mp.NONE else None),
        "calculator": settings.calculator,
        "pseudopotentials": settings.pseudopotentials,
    }
    return Reference(
        name=path.stem,
        entries=Entries(table_of(columns)),
        energy_type=energy_type,
        source=source,
        licence=settings.licence or "",
        details={"inputs": {path.name: sha256(path)}, **rows.left_out(), **guessed},
    )


def _is_reference(path: Path) -> bool:
    return METADATA_KEY in (parquet.read_schema(path).metadata or {})


def _with_input(found: Reference, path: Path) -> Reference:
    inputs: Mapping[str, str] = found.details.get("inputs", {})
    return found.replaced(found.entries.table, details={**found.details, "inputs": {**inputs, path.name: sha256(path)}})


def _frame(path: Path, columns: ColumnSettings) -> pd.DataFrame:
    names = (columns.entry_id, columns.formula, columns.energy)
    if path.suffix != ".parquet":
        return read_csv(path, names, "the columns that hull.reference.columns names")
    table = parquet.read(path)
    for name in names:
        if name not in table.column_names:
            raise UserError(f"{path}: no column {name!r}; hull.reference.columns names {', '.join(names)}")
    return table.select(list(dict.fromkeys(names))).to_pandas()
