"""What is to be ingested: a stream of records, and the columns and metadata of the tables to make of them."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from unimat import crystal_table
from unimat.crystal_table import CrystalTable
from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.joined import joined_records
from unimat.materials.datasets.readers.records import Columns, Record


@dataclasses.dataclass(frozen=True)
class Source:
    """One file or folder.

    Attributes:
        split: the split of all its crystals, or None.
        of_several: whether the file holds several splits, of which only `split` is wanted.
        lacks: property columns of the plan that this file does not have.
    """

    path: Path
    split: str | None = None
    of_several: bool = False
    lacks: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of properties, whose rows are joined to the structures of all sources.

    Attributes:
        key: column that names the structures; None if it is the column of ids.
        lacks: property columns of the plan that this table does not have.
    """

    path: Path
    key: str | None = None
    lacks: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be ingested.

    Attributes:
        fields: property columns of the tables to make, by the source's column name.
        metadata: entries for the tables' metadata.
        files: what is known of the files, for the data card.
        n_rows: rows of each split, as published.
        joined_to: table that `sources` are joined to; None if they have their properties themselves.
        missing: values that stand for none in the source's property columns.
    """

    name: str
    title: str
    sources: tuple[Source, ...]
    columns: Columns
    fields: Mapping[str, pa.Field]
    metadata: Mapping[str, Any]
    files: Sequence[Mapping[str, Any]] = ()
    n_rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    joined_to: Table | None = None
    missing: frozenset[Any] = frozenset()

    def records(self, limit: int | None = None) -> Iterator[Record]:
        """Records of all sources, in order; of each source the first `limit`."""
        records = self._joined(self.joined_to, limit) if self.joined_to else self._separate(limit)
        return (self._without_missing(record) for record in records) if self.missing else records

    def empty_table(self, **metadata: Any) -> CrystalTable:
        """Crystal table of no rows, with the plan's property columns and metadata."""
        return crystal_table.from_crystals([], fields=list(self.fields.values()), **{**self.metadata, **metadata})

    def _separate(self, limit: int | None) -> Iterator[Record]:
        for source in self.sources:
            yield from self._records_of(source, _columns(self.columns, source.lacks), limit)

    def _joined(self, table: Table, limit: int | None) -> Iterator[Record]:
        parts = (self._records_of(source, Columns(), limit) for source in self.sources)
        structures = itertools.chain.from_iterable(parts)
        records = joined_records(structures, table.path, _columns(self.columns, table.lacks), key=table.key)
        # Most rows have no structure among the first few, and that would be no news.
        return records if limit is None else itertools.takewhile(_has_structure, records)

    def _records_of(self, source: Source, columns: Columns, limit: int | None) -> Iterator[Record]:
        records = records_of(source.path, columns)
        if source.of_several:
            records = (record for record in records if record.split == source.split)
        for record in itertools.islice(records, limit):
            yield dataclasses.replace(record, split=source.split) if source.split else record

    def _without_missing(self, record: Record) -> Record:
        given = record.properties
        stand_ins = [name for name, value in given.items() if isinstance(value, str | float) and value in self.missing]
        return dataclasses.replace(record, properties={**given, **dict.fromkeys(stand_ins)}) if stand_ins else record


def _columns(columns: Columns, lacks: frozenset[str]) -> Columns:
    kept = tuple(name for name in columns.properties if name not in lacks)
    return dataclasses.replace(columns, properties=kept)


def _has_structure(record: Record) -> bool:
    return not (isinstance(record.content, CrystalRejected) and record.content.reason == "structure_missing")
