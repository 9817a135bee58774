"""Structures joined to a table that has their properties but not the structures, as GNoME publishes them."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.arrow_table import arrow_batches
from unimat.materials.datasets.readers.opening import plain_name, told_if_broken
from unimat.materials.datasets.readers.records import ID_NAMES, Columns, Record
from unimat.materials.datasets.readers.stated import is_formula_name
from unimat.materials.datasets.readers.tables import Table, table_at
from unimat.materials.datasets.settings import SPLITS

_CHUNK = 8192  # rows of a CSV file made into one Arrow array


def joined_records(
    structures: Iterator[Record], table: Path, columns: Columns, key: str | None = None
) -> Iterator[Record]:
    """Records of `structures` with the properties of the table's rows of the same id, then rows without a structure.

    A structure's id is looked up as it is, else its last part: `by_id/000006a8c4` finds the row 000006a8c4. The record
    then has the row's id, and the first column of formulas is compared with what is read. To be rejected are structures
    that the table does not list (not_in_table), a second structure of one row and a second row of one id
    (duplicate_id), and rows without a structure (structure_missing).

    In memory are the table's columns in question and 17 bytes a row, and of the structures the one at hand.

    Args:
        table: CSV, Feather or Parquet file.
        columns: the table's columns of ids and properties; the one of structures is not used.
        key: column that holds the names of the structures, if that is not the column of ids. Of rows that share a name
            the first takes the structure.

    Raises:
        UserError: if the table cannot be read or lacks a column.
    """
    rows = _Rows(table_at(table), columns, key)
    return itertools.chain((rows.joined(structure) for structure in structures), rows.left_over())


class _Rows:
    """The rows of a table, found by id or key; each gives its properties to one structure."""

    def __init__(self, table: Table, columns: Columns, key: str | None):
        id_column = columns.material_id or table.usual(ID_NAMES)
        if id_column is None:
            raise UserError(f"{table.path}: no column of ids among {table.names}; name it by id_column")
        self._id, self._key, self._split = id_column, key or id_column, table.usual(("split",))
        self._properties = columns.properties
        self._origin = table.path.name
        named = {self._id: "id_column", self._key: "key", **dict.fromkeys(columns.properties, "properties")}
        for name, setting in named.items():
            table.require(name, setting)
        formulas = [name for name in table.header if is_formula_name(name) and table.header.count(name) == 1]
        self._stated = formulas[:1]
        self._cells, self._faults = _read(table, tuple(dict.fromkeys([*named, *self._also])))
        for name in (self._id, self._key):
            with told_if_broken(table.path, f"a table with ids in {name!r}", pa.ArrowException):
                self._cells[name] = self._cells[name].cast(pa.string())
        # Sorted hashes take 16 bytes a row, a dict of the names some 200.
        hashes = _hashes(self._cells[self._key])
        self._order = np.argsort(hashes, kind="stable")  # of equal names the first row comes first
        self._hashes = hashes[self._order]
        self._taken = np.zeros(len(hashes), bool)

    @property
    def _also(self) -> list[str]:
        return [*([self._split] if self._split else []), *self._stated]

    def joined(self, structure: Record) -> Record:
        """`structure` with the properties of its row, or rejected."""
        row = self._found(structure.material_id)
        if row is None:
            row = self._found(PurePosixPath(structure.material_id).name)
        if row is None:
            detail = f"{self._origin} has no row of that {self._key}"
            return dataclasses.replace(structure, content=CrystalRejected("not_in_table", detail))
        if self._taken[row]:
            detail = f"an earlier structure belongs to the same row of {self._origin}"
            return dataclasses.replace(structure, content=CrystalRejected("duplicate_id", detail))
        self._taken[row] = True
        return self._record(row, structure)

    def left_over(self) -> Iterator[Record]:
        """Rows that no structure took, in order, to reject."""
        for row in np.flatnonzero(~self._taken).tolist():
            yield self._record(row, Record("", f"{self._origin}:{row}", self._why_left(row)))

    def _found(self, name: str) -> int | None:
        """The first row of that name."""
        wanted, names = hash(name), self._cells[self._key]
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self._hashes) and self._hashes[at] == wanted:
            if names[row := int(self._order[at])].as_py() == name:
                return row
            at += 1
        return None

    def _why_left(self, row: int) -> CrystalRejected:
        name = self._cells[self._key][row].as_py()
        first = None if name is None else self._found(name)
        if first not in (None, row) and self._key == self._id:
            return CrystalRejected("duplicate_id", f"row {first} of {self._origin} has the same id")
        if first is None or not self._taken[first]:
            return CrystalRejected("structure_missing", f"no structure is named {name}")
        detail = f"the archive holds one structure for {name}, and row {first} of {self._origin} has it"
        return CrystalRejected("structure_missing", detail)

    def _record(self, row: int, structure: Record) -> Record:
        cells = {name: column[row].as_py() for name, column in self._cells.items()}
        split = cells[self._split] if self._split else None
        properties = {name: None if cells[name] != cells[name] else cells[name] for name in self._properties}
        return Record(
            cells[self._id] or f"{self._origin.split('.')[0]}-{row}",
            structure.origin,
            self._faults.get(row, structure.content),
            split if split in SPLITS else structure.split,
            {**structure.properties, **properties},
            {**structure.stated, **{name: cells[name] for name in self._stated}},
        )


def _hashes(names: pa.ChunkedArray) -> np.ndarray:
    """(n,) int64: Python's hash of each text, any number for null."""
    return np.fromiter((hash(name.as_py()) for name in names), np.int64, len(names))


def _read(table: Table, names: tuple[str, ...]) -> tuple[dict[str, pa.ChunkedArray], dict[int, CrystalRejected]]:
    """Columns of the table, and why some of its rows must be rejected."""
    faults: dict[int, CrystalRejected] = {}
    if plain_name(table.path.name).lower().endswith(".csv"):
        chunks = list(_csv_chunks(table, names, faults))
    else:
        indices = [table.header.index(name) for name in names]
        chunks = [batch.columns for batch in arrow_batches(table.path, indices)]
    if not chunks:
        return {name: pa.chunked_array([], pa.string()) for name in names}, faults
    # The parts stay parts: while they became one, the table would be in memory twice.
    return {
        name: pa.chunked_array(list(parts)) for name, parts in zip(names, zip(*chunks, strict=True), strict=True)
    }, faults


def _csv_chunks(table: Table, names: tuple[str, ...], faults: dict[int, CrystalRejected]) -> Iterator[list[pa.Array]]:
    rows, n_read = table.cells(names), 0
    while chunk := list(itertools.islice(rows, _CHUNK)):
        faults.update({n_read + at: fault for at, (_, fault) in enumerate(chunk) if fault})
        n_read += len(chunk)
        yield [pa.array(column, pa.string()) for column in zip(*(cells for cells, _ in chunk), strict=True)]
