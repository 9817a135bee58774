"""Parquet files with checksums: how every stage writes its tables, and reads them.

Pages carry the CRC-32 of Parquet's own standard. It covers neither the headers of pages nor the footer, where row
counts and the table's metadata stand. So the SHA-256 of the whole file stands between the last page and the footer, a
place that readers of Parquet pass over. A file without it, made by another program, is read as it is.
"""

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from unimat.errors import UserError
from unimat.files import existing, remedy, whole_file

if TYPE_CHECKING:
    import pandas as pd

MAGIC = b"PAR1"
TAIL = 8  # bytes at the end: length of the footer, and the magic
MARK = b"unimat-sha256="
SEAL = len(MARK) + hashlib.sha256().digest_size * 2
BLOCK = 1 << 20
KINDS: dict[str, tuple[Callable[[pa.DataType], bool], ...]] = {
    "text": (pa.types.is_string, pa.types.is_large_string),
    "number": (pa.types.is_floating, pa.types.is_integer),
    "flag": (pa.types.is_boolean,),
}
BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError, OverflowError)


@contextlib.contextmanager
def writing(path: str | Path, schema: pa.Schema, compression: str = "zstd") -> Iterator[pq.ParquetWriter]:
    """Writer of a sealed file, which appears whole when the block ends, or not at all."""
    with whole_file(path) as unfinished:
        with pq.ParquetWriter(unfinished, schema, compression=compression, write_page_checksum=True) as file:
            yield file
        seal(unfinished)


def write(table: pa.Table, path: str | Path) -> None:
    """Write `table` to a sealed file, whole or not at all."""
    with writing(path, table.schema) as file:
        file.write_table(table)


def write_frame(frame: "pd.DataFrame", path: str | Path) -> None:
    """Write the columns of `frame`, without its index."""
    write(pa.Table.from_pandas(frame, preserve_index=False), path)


def read(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a Parquet file, or those columns of it.

    Raises:
        UserError: if the file is missing, no Parquet, not what was written, or lacks a column.
    """
    with opened(path) as file:
        refuse_missing(columns or (), file.schema_arrow.names, path)
        return file.read(columns=None if columns is None else list(columns))


def read_frame(path: str | Path, needed: Mapping[str, str] | None = None) -> "pd.DataFrame":
    """The table of a file as a data frame.

    Args:
        needed: columns that must be there, and the kind of each: text, number or flag.

    Raises:
        UserError: as `read`, or if a needed column is missing or of another kind.
    """
    table = read(path)
    refuse_missing(needed or (), table.column_names, path)
    for name, kind in (needed or {}).items():
        found = table.schema.field(name).type
        if not (pa.types.is_null(found) or any(is_one(found) for is_one in KINDS[kind])):
            raise UserError(f"{path}: column {name!r} is {found}, not a {kind}; {remedy(path)}")
    return table.to_pandas()


def read_schema(path: str | Path) -> pa.Schema:
    """Columns and metadata of a file; UserError as `read`."""
    with opened(path) as file:
        return file.schema_arrow


def n_rows(path: str | Path) -> int:
    """Number of rows; UserError as `read`."""
    with opened(path) as file:
        return file.metadata.num_rows


@contextlib.contextmanager
def opened(path: str | Path, **options: Any) -> Iterator[pq.ParquetFile]:
    """The file, checked as a whole when it is opened and each page when it is read; its faults become UserErrors.

    Args:
        options: of `pyarrow.parquet.ParquetFile`.
    """
    check(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, **options) as file:
            yield file
    except BROKEN as error:
        raise _unreadable(path) from error


def _unreadable(path: str | Path) -> UserError:
    return UserError(f"{path} is not readable as Parquet (truncated?); {remedy(path)}")


def refuse_missing(needed: Iterable[str], there: Sequence[str], path: str | Path) -> None:
    """UserError if the table lacks one of the `needed` columns."""
    missing = [name for name in needed if name not in there]
    if missing:
        raise UserError(f"{path} has no column {missing[0]!r}: it is another table than is needed here; {remedy(path)}")


def seal(path: str | Path) -> None:
    """Put the SHA-256 of a finished Parquet file before its footer."""
    path = Path(path)
    with path.open("r+b") as stream:
        footer = _footer_start(stream, path.stat().st_size)
        digest = _digest(stream, footer, footer)
        stream.seek(footer)
        tail = stream.read()
        stream.seek(footer)
        stream.write(MARK + digest + tail)


def is_sealed(path: str | Path) -> bool:
    """Whether a file carries the seal of `write`, sound or broken."""
    path = Path(path)
    with path.open("rb") as stream:
        size = path.stat().st_size
        return _seal(stream, _footer_start(stream, size), size) is not None


def check(path: str | Path) -> None:
    """UserError if a file is missing, a folder, or sealed and not what was written."""
    path = existing(path)
    if not path.is_file():
        raise UserError(f"{path} is a folder; give a Parquet file")
    about = path.stat()
    _check(path, about.st_size, about.st_mtime_ns, about.st_ino)


@functools.lru_cache(maxsize=1024)  # a stage opens the same file for its columns, its size and its rows
def _check(path: Path, size: int, _changed: int, _inode: int) -> None:
    try:
        with path.open("rb") as stream:
            footer = _footer_start(stream, size)
            sealed = _seal(stream, footer, size)
            if sealed == b"":
                raise _unreadable(path)
            if sealed is not None and sealed != _digest(stream, footer - SEAL, footer):
                raise UserError(f"{path} is not what was written (its SHA-256 does not fit); {remedy(path)}")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error


def _footer_start(stream: Any, size: int) -> int:
    """Where the footer begins; the end of the file if it is no Parquet file."""
    stream.seek(max(size - TAIL, 0))
    tail = stream.read(TAIL)
    start = size - TAIL - int.from_bytes(tail[:4], "little")
    return start if len(tail) == TAIL and tail[4:] == MAGIC and start >= 0 else size


def _seal(stream: Any, footer: int, size: int) -> bytes | None:
    """What is written as the digest: nothing where it is out of place, None in a file that has none."""
    stream.seek(max(footer - SEAL, 0))
    found = stream.read(SEAL)
    if footer >= SEAL and found.startswith(MARK):
        return found[len(MARK) :]
    # With a wrong length of the footer, or a magic that is none, the seal lies elsewhere near the end.
    stream.seek(max(size - BLOCK, 0))
    return b"" if MARK in stream.read() else None


def _digest(stream: Any, stop: int, start: int) -> bytes:
    """Hexadecimal SHA-256 of the bytes up to `stop` and of those from `start`."""
    digest = hashlib.sha256()
    stream.seek(0)
    while stop > 0 and (block := stream.read(min(BLOCK, stop))):
        digest.update(block)
        stop -= len(block)
    stream.seek(start)
    while block := stream.read(BLOCK):
        digest.update(block)
    return digest.hexdigest().encode()
