"""Tables with a column of structures, or with their parts in columns (OPTIMADE, CrystalFormer), and crystal tables."""

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from unimat import parquet
from unimat.crystal_table import STRUCTURE_COLUMNS, Crystal, CrystalTable
from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers import crystalformer
from unimat.materials.datasets.readers.arrow_table import arrow_header, arrow_rows
from unimat.materials.datasets.readers.csv_table import Row, csv_header, csv_rows
from unimat.materials.datasets.readers.entries import OPTIMADE, content_of
from unimat.materials.datasets.readers.opening import one_line, plain_name
from unimat.materials.datasets.readers.records import ID_NAMES, STRUCTURE_NAMES, Columns, Record
from unimat.materials.datasets.readers.stated import is_stated_name
from unimat.materials.datasets.settings import SPLITS

log = logging.getLogger("unimat.readers")
SUFFIXES = (".csv", ".feather", ".arrow", ".parquet")


@dataclasses.dataclass(frozen=True)
class Table:
    """A file of rows under named columns.

    Attributes:
        rows: the rows, given the places of the columns wanted; to be called as often as needed.
    """

    path: Path
    header: list[str]
    rows: Callable[[list[int]], Iterator[Row]]

    def cells(self, names: tuple[str, ...]) -> Iterator[Row]:
        """Cells of the columns `names`, row by row."""
        return self.rows([self.header.index(name) for name in names])

    def require(self, name: str, setting: str) -> None:
        """Refuse a column that is not there, or is there twice.

        Raises:
            UserError: with the columns that are there.
        """
        if self.header.count(name) > 1:
            raise UserError(f"{self.path} has {self.header.count(name)} columns {name!r}; leave one")
        if name not in self.header:
            raise UserError(f"{self.path}: no column {name!r} ({setting}); its columns: {self.names}")

    def usual(self, names: tuple[str, ...]) -> str | None:
        return next((name for name in names if name in self.header), None)

    @property
    def names(self) -> str:
        """The names of the columns, for a message of one line."""
        listed = ", ".join(" ".join(name.split()) for name in self.header)
        return listed if len(listed) <= 1000 else f"{listed[:1000]}..."


def is_table(path: Path) -> bool:
    """Whether a file of that name is a table, compressed or not."""
    return plain_name(path.name).lower().endswith(SUFFIXES)


def table_at(path: Path) -> Table:
    """The table in a CSV, Feather, Arrow or Parquet file; only its header is read.

    Raises:
        UserError: if it is of no such form, or cannot be read.
    """
    name = plain_name(path.name).lower()
    if name.endswith(".csv"):
        return Table(path, csv_header(path), lambda indices: csv_rows(path, indices))
    if path.name.lower().endswith(SUFFIXES):
        return Table(path, arrow_header(path), lambda indices: arrow_rows(path, indices))
    raise UserError(f"{path} is no table that can be read; readable: {', '.join(SUFFIXES)}")


def table_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of a table, row by row; of a crystal table with all its property columns.

    Raises:
        UserError: if the file is broken, or a column is missing or there twice.
    """
    table = table_at(path)
    if set(STRUCTURE_COLUMNS) <= set(table.header) and columns.structure is None:
        return _crystal_table_records(path)
    return _records(table, _layout(table, columns))


def _crystal_table_records(path: Path) -> Iterator[Record]:
    row = itertools.count()
    # Not `crystal_stream.batches`, which refuses a whole table for one row that is no crystal.
    with parquet.opened(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(1024, use_threads=False):
            table = CrystalTable(pa.Table.from_batches([batch]))
            for index in range(len(table)):
                yield _crystal_table_record(table, index, f"{path.name}:{next(row)}")


def _crystal_table_record(table: CrystalTable, index: int, origin: str) -> Record:
    content: Crystal | CrystalRejected
    try:
        content = table[index]
        if len(content.frac_coords) != len(content.atomic_numbers):
            raise ValueError(f"{len(content.frac_coords)} places of {len(content.atomic_numbers)} atoms")
    except (TypeError, ValueError) as error:  # a lattice of null, say
        rejection = CrystalRejected("unreadable", one_line(error))
        return Record(str(table.arrow.column("material_id")[index].as_py()), origin, rejection)
    split = content.properties.get("split")
    return Record(content.material_id, origin, content, split if split in SPLITS else None, dict(content.properties))


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Columns of one table: ids (None if there are none), structures, properties, and the split if there is one.

    Attributes:
        stated: what the table says of the crystals beside their structures.
        group: space group of all rows, for CrystalFormer's.
    """

    material_id: str | None
    structure: tuple[str, ...]
    properties: tuple[str, ...]
    split: str | None
    stated: tuple[str, ...] = ()
    group: int | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        named = (self.material_id, *self.structure, *self.properties, self.split, *self.stated)
        return tuple(dict.fromkeys(name for name in named if name))


def _layout(table: Table, columns: Columns) -> _Layout:
    structure = _structure_columns(table, columns)
    material_id = columns.material_id or table.usual(ID_NAMES)
    beside = [name for name in table.header if is_stated_name(name) and table.header.count(name) == 1]
    stated = tuple(name for name in beside if name not in (material_id, *structure))
    layout = _Layout(
        material_id,
        structure,
        columns.properties,
        table.usual(("split",)),
        stated,
        crystalformer.group_in(plain_name(table.path.name)),
    )
    for name in layout.wanted:
        table.require(name, "id_column" if name == material_id else "properties")
    return layout


def _structure_columns(table: Table, columns: Columns) -> tuple[str, ...]:
    name = columns.structure or table.usual(STRUCTURE_NAMES)
    if name:
        table.require(name, "structure_column")
        others = [each for each in STRUCTURE_NAMES if each in table.header and each != name]
        if others and not columns.structure:
            message = "%s has structures in the columns %s and %s; %s is read, structure_column names another"
            log.warning(message, table.path.name, name, ", ".join(others), name)
        return (name,)
    if set(OPTIMADE) <= set(table.header):
        return (*OPTIMADE, *(name for name in ("species", "structure_features") if name in table.header))
    if set(crystalformer.COLUMNS) <= set(table.header):
        group = table.usual(crystalformer.GROUP_COLUMNS)
        if group is None and crystalformer.group_in(plain_name(table.path.name)) is None:
            raise UserError(f"{table.path}: of which space group? name it as CrystalFormer does, output_225.csv say")
        also = (crystalformer.MULTIPLICITIES, group)
        return (*crystalformer.COLUMNS, *(name for name in also if name in table.header))
    raise UserError(f"{table.path}: no structure column among {table.names}; name it by structure_column")


def _records(table: Table, layout: _Layout) -> Iterator[Record]:
    origin = table.path.name
    if layout.material_id is None:
        log.warning("%s has no id column; ids are made of the row number", origin)
    names = layout.wanted
    for index, (cells, fault) in enumerate(table.cells(names)):
        row = dict(zip(names, cells, strict=True))
        row_id = row[layout.material_id] if layout.material_id else None
        material_id = str(row_id) if row_id is not None else f"{origin.split('.')[0]}-{index}"
        split = row[layout.split] if layout.split else None
        yield Record(
            material_id,
            f"{origin}:{index}",
            fault or content_of(_structure(row, layout), material_id),
            split if split in SPLITS else None,
            {name: row[name] for name in layout.properties},
            {name: row[name] for name in layout.stated if row[name] is not None},
        )


def _structure(row: dict[str, Any], layout: _Layout) -> Any:
    if len(layout.structure) == 1:
        return row[layout.structure[0]]
    parts = {name: row[name] for name in layout.structure}
    group = next((parts[name] for name in crystalformer.GROUP_COLUMNS if name in parts), layout.group)
    return {**parts, crystalformer.GROUP: group}
