"""Parquet, Feather and Arrow files in batches of rows."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from unimat import parquet
from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers.opening import MAX_TEXT, one_line, told_if_broken, too_large

ROWS = 512  # rows made into Python values at a time
_FILE_MAGIC = b"ARROW1"


def arrow_header(path: Path) -> list[str]:
    with told_if_broken(path, _form(path), *parquet.BROKEN), _opened(path, None) as (header, _):
        return header


def arrow_rows(path: Path, indices: list[int]) -> Iterator[tuple[list[Any], CrystalRejected | None]]:
    """Values of the columns at `indices`, None where null or NaN, and why a row must be rejected, if it must.

    Raises:
        UserError: if the file is broken.
    """
    for batch in arrow_batches(path, indices):
        for start in range(0, batch.num_rows, ROWS):
            part = batch.slice(start, ROWS)
            for row in zip(*(_values(part.column(at)) for at in range(part.num_columns)), strict=True):
                fault = next((value for value in row if isinstance(value, CrystalRejected)), None)
                yield [None if isinstance(value, CrystalRejected) else value for value in row], fault


def arrow_batches(path: Path, indices: list[int]) -> Iterator[pa.RecordBatch]:
    """Batches of the columns at `indices`, in that order."""
    with told_if_broken(path, _form(path), *parquet.BROKEN), _opened(path, indices) as (_, batches):
        for batch in batches:
            # By place among those read: the file's order, which need not be the one asked for.
            yield batch.select([sorted(set(indices)).index(index) for index in indices])


def _form(path: Path) -> str:
    return "Parquet" if path.suffix.lower() == ".parquet" else "Feather"


@contextlib.contextmanager
def _opened(path: Path, indices: list[int] | None) -> Iterator[tuple[list[str], Iterator[pa.RecordBatch]]]:
    if _form(path) == "Parquet":
        parquet.check(path)
        # Not `parquet.opened`: what is broken here somebody got elsewhere, and is to get again.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            header = file.schema_arrow.names
            wanted = [header[index] for index in sorted(set(indices or []))]
            yield header, file.iter_batches(4 * ROWS, columns=wanted, use_threads=False)
        return
    options = pa.ipc.IpcReadOptions(included_fields=sorted(set(indices)) if indices else [])
    with pa.memory_map(str(path)) as source:
        if source.read(len(_FILE_MAGIC)) == _FILE_MAGIC:
            source.seek(0)
            file = pa.ipc.open_file(source)
            header = file.schema.names
            chosen = pa.ipc.open_file(source, options=options)
            yield header, (chosen.get_batch(number) for number in range(chosen.num_record_batches))
        else:
            source.seek(0)
            header = pa.ipc.open_stream(source).schema.names
            source.seek(0)
            yield header, iter(pa.ipc.open_stream(source, options=options))


def _values(array: pa.Array) -> list[Any]:
    if _is_text(array.type) and (pc.max(pc.binary_length(array)).as_py() or 0) > MAX_TEXT:
        return [_value_or_rejection(item) for item in array]
    try:
        return [None if value != value else value for value in array.to_pylist()]
    except (ValueError, OverflowError, pa.ArrowException):  # text that is no UTF-8, a date out of Python's range
        return [_value_or_rejection(item) for item in array]


def _value_or_rejection(item: pa.Scalar) -> Any:
    try:
        if _is_text(item.type) and item.is_valid and len(item.as_buffer()) > MAX_TEXT:
            return too_large(len(item.as_buffer()))
        return item.as_py()
    except (ValueError, OverflowError, pa.ArrowException) as error:
        if _is_text(item.type):
            return item.as_buffer().to_pybytes().decode("utf-8", errors="replace")
        return CrystalRejected("unreadable", one_line(error))


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
