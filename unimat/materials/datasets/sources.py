"""Where a dataset's crystals come from: plans for published, embedded and custom ones, and for single files."""

import importlib.resources
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from unimat import parquet
from unimat.crystal_stream import empty_like
from unimat.crystal_table import STRUCTURE_COLUMNS, CrystalTable
from unimat.errors import UserError
from unimat.files import existing
from unimat.materials.datasets.fetching.fetch import read_manifest
from unimat.materials.datasets.known import Dataset, dataset_named
from unimat.materials.datasets.plan import Plan, Source, Table
from unimat.materials.datasets.readers.records import Columns
from unimat.materials.datasets.readers.tables import is_table, table_at
from unimat.materials.datasets.settings import ConvertSettings, IngestSettings, PropertyColumn

__all__ = ["Plan", "Source", "Table", "plan_of", "plan_of_path"]

log = logging.getLogger("unimat.ingest")
_TYPES = {"float": pa.float64(), "int": pa.int64(), "string": pa.string()}


def plan_of(settings: IngestSettings, files: Path | None) -> Plan:
    """Plan for the dataset that `settings` name.

    Args:
        files: folder that `unimat fetch` filled; not needed for custom and embedded datasets.

    Raises:
        UserError: if the dataset is unknown or its files are missing.
    """
    if settings.name == "custom":
        return _custom_plan(settings)
    dataset = dataset_named(settings.name)
    if dataset.embedded:
        return _embedded_plan(dataset)
    if files is None:
        raise UserError(
            f"dataset {dataset.name}: --files is missing; give the folder that "
            f"`unimat fetch --dataset {dataset.name}` filled"
        )
    return _published_plan(dataset, files)


def plan_of_path(path: Path, settings: ConvertSettings) -> Plan:
    """Plan for one file or folder of crystals, of any readable form."""
    return _plan_of_sources((Source(path),), settings, path.name)


def _published_plan(dataset: Dataset, files: Path) -> Plan:
    manifest = read_manifest(files, dataset.name)
    wanted = tuple(column.column or name for name, column in dataset.properties.items())
    table, sources = _joined(dataset, manifest, files, wanted) if dataset.join else (None, [])
    for entry in manifest["files"]:
        several = any(form.name == entry["name"] and len(form.keys) > 1 for form in dataset.other_forms)
        lacks = _lacks(existing(files / entry["name"]), wanted) if entry["splits"] else frozenset()
        sources += [Source(files / entry["name"], split, several, lacks) for split in entry["splits"]]
    metadata = {
        "name": dataset.name,
        "source": dataset.homepage,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "energy_type": dataset.energy_type,
        "complete": manifest["complete"],
    }
    return Plan(
        dataset.name,
        dataset.title,
        tuple(sources),
        Columns(dataset.id_column, None if table else dataset.structure_column, wanted),
        _fields(dataset.properties),
        metadata,
        manifest["files"],
        dataset.n_rows,
        table,
        dataset.missing,
    )


def _joined(
    dataset: Dataset, manifest: Mapping[str, Any], files: Path, wanted: tuple[str, ...]
) -> tuple[Table, list[Source]]:
    assert dataset.join is not None
    paths = {entry["key"]: existing(files / entry["name"]) for entry in manifest["files"]}
    structures, table = paths[dataset.join.structures], paths[dataset.join.table]
    key = dataset.join.column_of(_first_member(structures))
    by = None if key == dataset.id_column else key
    return Table(table, by, _lacks(table, wanted)), [Source(structures)]


def _first_member(archive: Path) -> str:
    """Path of the first CIF file in `archive`."""
    try:
        # Its local header says, where the whole list of a million members would take half a minute.
        with archive.open("rb") as stream:
            header = stream.read(30)
            name = stream.read(int.from_bytes(header[26:28], "little")).decode("utf-8", "replace")
        if header.startswith(b"PK\3\4") and name.lower().endswith(".cif"):
            return name
        with zipfile.ZipFile(archive) as opened:
            return next((name for name in opened.namelist() if name.lower().endswith(".cif")), "")
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{archive} is not readable as a zip (truncated?); delete it and run fetch again") from error


def _lacks(path: Path, wanted: Sequence[str]) -> frozenset[str]:
    """Which of the `wanted` columns a table does not have; they become nulls."""
    if not is_table(path):  # structures only
        return frozenset()
    header = table_at(path).header
    lacks = [name for name in wanted if name not in header]
    if lacks:
        log.warning("%s has no column %s: null in the crystal table", path.name, ", ".join(map(repr, lacks)))
    return frozenset(lacks)


def _custom_plan(settings: IngestSettings) -> Plan:
    given = settings.source if isinstance(settings.source, dict) else {None: settings.source}
    sources = tuple(Source(Path(path).expanduser(), split) for split, path in given.items() if path)
    return _plan_of_sources(sources, settings, "custom")


def _plan_of_sources(sources: tuple[Source, ...], settings: IngestSettings | ConvertSettings, name: str) -> Plan:
    wanted = tuple(column.column or key for key, column in settings.properties.items())
    columns = Columns(settings.id_column, settings.structure_column, wanted)
    tables = [table for source in sources if (table := _crystal_table(source.path)) is not None]
    fields = {column: field for table in tables for column, field in _table_fields(table).items()}
    metadata: dict[str, Any] = {"name": name, "source": ", ".join(source.path.name for source in sources)}
    metadata["complete"] = True
    if tables and len(tables) == len(sources):
        metadata = {**metadata, **_shared([table.metadata for table in tables])}
    beside = settings.table if isinstance(settings, IngestSettings) else None
    joined_to = Table(existing(Path(beside).expanduser())) if beside else None
    fields = {**fields, **_fields(settings.properties)}
    return Plan(name, f"Crystals of {metadata['source']}", sources, columns, fields, metadata, joined_to=joined_to)


def _embedded_plan(dataset: Dataset) -> Plan:
    resource = importlib.resources.files("unimat.materials.datasets") / "embedded" / dataset.name / "crystals.parquet"
    path = Path(str(resource))
    if not path.is_file():
        raise UserError(f"the embedded dataset {dataset.name} is missing from this installation; reinstall unimat")
    table = empty_like(path)
    defaults = {"name": dataset.name, "licence": dataset.licence, "citation": dataset.citation, "complete": True}
    metadata = {**defaults, **_shared([table.metadata])}
    return Plan(dataset.name, dataset.title, (Source(path),), Columns(), _table_fields(table), metadata)


def _fields(properties: Mapping[str, PropertyColumn]) -> dict[str, pa.Field]:
    return {
        column.column or name: pa.field(
            name, _TYPES[column.kind], metadata={"unit": column.unit, "description": column.description}
        )
        for name, column in properties.items()
    }


def _crystal_table(path: Path) -> CrystalTable | None:
    """The crystal table at `path` without its rows; None if it is something else."""
    if path.suffix != ".parquet" or not path.is_file():
        return None
    return empty_like(path) if set(STRUCTURE_COLUMNS) <= set(parquet.read_schema(path).names) else None


def _table_fields(table: CrystalTable) -> dict[str, pa.Field]:
    fields = (table.arrow.schema.field(name) for name in table.property_names if name != "split")
    return {field.name: field for field in fields}


def _shared(metadata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Entries that all the tables agree on."""
    first = metadata[0]
    return {key: first[key] for key in first if all(other.get(key) == first[key] for other in metadata)}
