"""Heads of tables of crystals, and how many crystals a source holds, read in no time and without any reader."""

import bz2
import csv
import functools
import gzip
import lzma
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from unimat.errors import UserError

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
MOST_BYTES = 100_000_000  # of a table whose rows are counted
MOST_FILES = 20_000  # of a folder that are looked for
STRUCTURE = re.compile(r"(^|/)((POSCAR|CONTCAR)[^/]*|[^/]*\.(cif|mcif|vasp|res))(\.(gz|bz2|xz))?$", re.IGNORECASE)
csv.field_size_limit(2**31 - 1)  # texts of structures are long


def columns(path: Path) -> list[str] | None:
    """Names of the columns of a table; None of any other form, and of a file that cannot be read as what it is called.

    What is wrong with it, ingestion says in its own words.
    """
    name = path.name.lower()
    plain = name.removesuffix(".gz").removesuffix(".bz2").removesuffix(".xz")
    try:
        if plain.endswith(".csv"):
            with _text(path) as stream:
                return next(csv.reader(stream), None)
        if name.endswith(".parquet"):
            import pyarrow.parquet as pq

            return list(pq.read_schema(path).names)
        if name.endswith((".feather", ".arrow")):
            import pyarrow as pa

            with pa.memory_map(str(path)) as source:
                return list(pa.ipc.open_file(source).schema.names)
    except (OSError, ValueError, EOFError, csv.Error, lzma.LZMAError):
        return None
    return None


def crystals(path: Path) -> int | None:
    """How many crystals a source holds; None where only reading it whole would tell."""
    name = path.name.lower()
    try:
        if path.is_dir():
            return _files(path)
        if name.endswith(".parquet"):
            import pyarrow.parquet as pq

            return pq.read_metadata(path).num_rows
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                return _members(archive)
        if name.endswith((".csv", ".csv.gz", ".csv.bz2", ".csv.xz")) and path.stat().st_size <= MOST_BYTES:
            with _text(path) as stream:
                return max(sum(1 for row in csv.reader(stream) if row) - 1, 0)
    except (OSError, ValueError, EOFError, csv.Error, lzma.LZMAError, zipfile.BadZipFile, UserError):
        return None
    return None


def _text(path: Path) -> IO[str]:
    opener = OPENERS.get(path.suffix.lower(), open)
    return opener(path, "rt", encoding="utf-8-sig", newline="")


def _files(folder: Path) -> int | None:
    """Crystals in a folder's files."""
    total = 0
    for index, path in enumerate(_walk(folder)):
        if index >= MOST_FILES:
            return None
        if STRUCTURE.search(path.name):
            found = _structures(path.name, path.read_bytes)
            if found is None:
                return None
            total += found
    return total or None


def _members(archive: zipfile.ZipFile) -> int | None:
    """Crystals in a zip's files."""
    files = [each for each in archive.infolist() if STRUCTURE.search(each.filename) and "/." not in f"/{each.filename}"]
    if len(files) > MOST_FILES or sum(each.file_size for each in files) > MOST_BYTES:
        return None
    counts = [_structures(each.filename, functools.partial(archive.read, each)) for each in files]
    return None if None in counts else sum(filter(None, counts)) or None


def _structures(name: str, read: Callable[[], bytes]) -> int | None:
    """Crystals in one file, by the blocks of a CIF and the titles of a .res; None of a compressed one."""
    plain = name.lower()
    if plain.endswith(tuple(OPENERS)):
        return None
    mark = rb"^data_" if plain.endswith((".cif", ".mcif")) else rb"^[ \t]*TITL\b" if plain.endswith(".res") else None
    return max(len(re.findall(mark, read(), re.MULTILINE | re.IGNORECASE)), 1) if mark else 1


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder, links to folders followed as ingestion follows them, each folder once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        paths = (Path(place, name) for name in names if not name.startswith("."))
        yield from (path for path in paths if path.is_file())
