"""Where a dataset's crystals come from, and what their property columns and table metadata are."""

import dataclasses
import importlib.resources
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unimat import crystal_table
from unimat.crystal_table import STRUCTURE_COLUMNS, Crystal, CrystalTable
from unimat.errors import UserError
from unimat.materials.datasets import Dataset, dataset_named
from unimat.materials.fetch import read_manifest
from unimat.materials.ingest_settings import ConvertSettings, IngestSettings, PropertyColumn
from unimat.materials.readers import records_of
from unimat.materials.readers.records import Columns, Record

_TYPES = {"float": pa.float64(), "int": pa.int64(), "string": pa.string()}


@dataclasses.dataclass(frozen=True)
class Source:
    """One file or folder.

    Attributes:
        split: the split of all its crystals, or None.
        of_several: whether the file holds several splits, of which only `split` is wanted.
    """

    path: Path
    split: str | None = None
    of_several: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be ingested.

    Attributes:
        fields: property columns of the tables to make, by the source's column name.
        metadata: entries for the tables' metadata.
        files: what is known of the files, for the data card.
    """

    name: str
    title: str
    sources: tuple[Source, ...]
    columns: Columns
    fields: Mapping[str, pa.Field]
    metadata: Mapping[str, Any]
    files: Sequence[Mapping[str, Any]] = ()
    n_rows: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def records(self, limit: int | None = None) -> Iterator[Record]:
        """Records of all sources, in order; of each source the first `limit`."""
        for source in self.sources:
            records = records_of(source.path, self.columns)
            if source.of_several:
                records = (record for record in records if record.split == source.split)
            for record in itertools.islice(records, limit):
                yield dataclasses.replace(record, split=source.split or record.split)

    def table(self, crystals: Sequence[Crystal], **metadata: Any) -> CrystalTable:
        """Crystal table of `crystals` with the plan's property columns; what is missing or no number is null."""
        bare = [dataclasses.replace(crystal, properties={}) for crystal in crystals]
        table = crystal_table.from_crystals(bare, **{**self.metadata, **metadata})
        for column, field in self.fields.items():
            values = [_converted(crystal.properties.get(column), field.type) for crystal in crystals]
            about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
            table = table.with_column(field.name, pa.array(values, field.type), **about)
        return table


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


def _published_plan(dataset: Dataset, files: Path) -> Plan:
    manifest = read_manifest(files, dataset.name)
    sources = []
    for entry in manifest["files"]:
        several = any(form.name == entry["name"] and len(form.splits) > 1 for form in dataset.other_forms)
        sources += [Source(files / entry["name"], split, several) for split in entry["splits"]]
    wanted = tuple(column.column or name for name, column in dataset.properties.items())
    metadata = {
        "name": dataset.name,
        "source": dataset.homepage,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "energy_type": dataset.energy_type,
        "complete": manifest["complete"],
    }
    columns = Columns(dataset.id_column, dataset.structure_column, wanted)
    fields = _fields(dataset.properties)
    return Plan(
        dataset.name, dataset.title, tuple(sources), columns, fields, metadata, manifest["files"], dataset.n_rows
    )


def plan_of_path(path: Path, settings: ConvertSettings) -> Plan:
    """Plan for one file or folder of crystals, of any readable form."""
    return _plan_of_sources((Source(path),), settings, path.name)


def _custom_plan(settings: IngestSettings) -> Plan:
    given = settings.source if isinstance(settings.source, dict) else {None: settings.source}
    sources = tuple(Source(Path(path).expanduser(), split) for split, path in given.items() if path)
    return _plan_of_sources(sources, settings, "custom")


def _plan_of_sources(sources: tuple[Source, ...], settings: IngestSettings | ConvertSettings, name: str) -> Plan:
    wanted = tuple(column.column or key for key, column in settings.properties.items())
    columns = Columns(settings.id_column, settings.structure_column, wanted)
    tables = [table for source in sources if (table := _crystal_table(source.path)) is not None]
    fields = {column: field for table in tables for column, field in _table_fields(table).items()}
    metadata = {"name": name, "source": ", ".join(source.path.name for source in sources), "complete": True}
    if tables and len(tables) == len(sources):
        metadata = {**metadata, **_shared([table.metadata for table in tables])}
    fields = {**fields, **_fields(settings.properties)}
    return Plan(name, f"Crystals of {metadata['source']}", sources, columns, fields, metadata)


def _embedded_plan(dataset: Dataset) -> Plan:
    resource = importlib.resources.files("unimat.materials") / "data" / dataset.name / "crystals.parquet"
    path = Path(str(resource))
    if not path.is_file():
        raise UserError(f"the embedded dataset {dataset.name} is missing from this installation; reinstall unimat")
    table = crystal_table.read(path)
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
    if path.suffix != ".parquet" or not path.is_file():
        return None
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not readable as Parquet (truncated?); get it again") from error
    return crystal_table.read(path) if set(STRUCTURE_COLUMNS) <= set(names) else None


def _table_fields(table: CrystalTable) -> dict[str, pa.Field]:
    fields = (table.arrow.schema.field(name) for name in table.property_names if name != "split")
    return {field.name: field for field in fields}


def _shared(metadata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Entries that all the tables agree on."""
    first = metadata[0]
    return {key: first[key] for key in first if all(other.get(key) == first[key] for other in metadata)}


def _converted(value: Any, kind: pa.DataType) -> Any:
    if value is None or not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return str(value) if value is not None and pa.types.is_string(kind) else value
    try:
        number = float(value)
        return number if pa.types.is_floating(kind) else int(number)
    except (TypeError, ValueError, OverflowError):
        logging.getLogger("unimat.ingest").debug("%r is no number: taken as missing", value)
        return None
