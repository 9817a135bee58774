"""Crystal tables too large for memory: read in batches of rows, written batch after batch."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from unimat import parquet
from unimat.crystal_table import CrystalTable, checked, refuse_other_schema

BATCH = 8192  # crystals; some 10 MB at 30 atoms each


def batches(path: str | Path, rows: int = BATCH) -> Iterator[CrystalTable]:
    """The rows of a crystal table's file in order, at most `rows` at a time; nothing of an empty table.

    Raises:
        UserError: if the file is missing, is not readable Parquet or is no crystal table.
    """
    schema = _crystal_schema(path)
    # Buffered ahead, it would keep every byte of the file until the end.
    with parquet.opened(path, pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(rows, use_threads=False):
            yield checked(pa.Table.from_batches([batch]).replace_schema_metadata(schema.metadata), path)


def empty_like(path: str | Path) -> CrystalTable:
    """The table of a file without its rows: columns, units and metadata."""
    return CrystalTable(_crystal_schema(path).empty_table())


def n_rows(path: str | Path) -> int:
    """Number of crystals in a file, from its footer."""
    _crystal_schema(path)
    return parquet.n_rows(path)


class Writer:
    """Writes tables of one schema to a file, one after the other; see `writing`."""

    def __init__(self, file: pq.ParquetWriter):
        self._file = file
        self._waiting: list[pa.Table] = []
        self.n_rows = 0

    def write(self, table: CrystalTable) -> None:
        self._waiting.append(table.arrow.replace_schema_metadata(self._file.schema.metadata))
        self.n_rows += len(table)
        if sum(map(len, self._waiting)) >= BATCH:  # small row groups would cost time and space
            self.flush()

    def flush(self) -> None:
        joined = pa.concat_tables(self._waiting) if self._waiting else None
        self._waiting = []
        if joined:
            self._file.write_table(joined)


@contextlib.contextmanager
def writing(path: str | Path, empty: CrystalTable, compression: str = "zstd") -> Iterator[Writer]:
    """Writer of a crystal table's file, which appears whole when the block ends, or not at all.

    Args:
        empty: a table without rows (or whose rows do not matter) that has the columns, units and metadata.
    """
    schema = empty.with_metadata().arrow.schema
    with parquet.writing(path, schema, compression) as file:
        writer = Writer(file)
        yield writer
        writer.flush()


def _crystal_schema(path: str | Path) -> pa.Schema:
    schema = parquet.read_schema(path)
    refuse_other_schema(schema, path)
    return schema
