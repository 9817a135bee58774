"""Crystals of any form as a stream of records: `records_of(path)` picks the reader by the file's name."""

from collections.abc import Callable, Iterator
from pathlib import Path

from unimat.errors import UserError
from unimat.files import existing
from unimat.materials.readers import archives, arrays, tables
from unimat.materials.readers.records import Columns, Record

READABLE = (
    "a folder or zip of CIF and POSCAR files; .cif; POSCAR, CONTCAR, .vasp; .csv, .csv.gz, .feather or .parquet with a "
    "column of CIF or POSCAR text; a crystal table; .extxyz; .json or .json.zip of POSCAR or CIF text; CDVAE's .pt"
)

_BY_SUFFIX: dict[str, Callable[[Path, Columns], Iterator[Record]]] = {
    ".csv": tables.csv_records,
    ".csv.gz": tables.csv_records,
    ".feather": tables.feather_records,
    ".parquet": tables.parquet_records,
    ".extxyz": arrays.extxyz_records,
    ".xyz": arrays.extxyz_records,
    ".pt": arrays.tensor_records,
    ".json": archives.json_records,
    ".json.zip": archives.json_records,
    ".zip": archives.zip_records,
}


def records_of(path: str | Path, columns: Columns | None = None) -> Iterator[Record]:
    """Every crystal of a file or folder, in a fixed order.

    Args:
        columns: which columns hold ids, structures and properties, for tables.

    Raises:
        UserError: if the path is missing, or its form is none of `READABLE`, or it is broken as a whole.
    """
    path, columns = existing(path), columns or Columns()
    if path.is_dir():
        return archives.folder_records(path, columns)
    name = path.name.lower()
    for suffix in sorted(_BY_SUFFIX, key=len, reverse=True):
        if name.endswith(suffix):
            return _BY_SUFFIX[suffix](path, columns)
    if archives.is_structure_file(path.name):
        return archives.single_file_records(path, columns)
    raise UserError(f"{path} is of no form that can be read; readable: {READABLE}")
