"""Crystals of any form as a stream of records: `records_of(path)` picks the reader by the file's name."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from unimat.errors import UserError
from unimat.files import existing
from unimat.materials.datasets.readers import (
    archives,
    arrays,
    databases,
    extxyz,
    folders,
    json_files,
    tables,
    trajectories,
)
from unimat.materials.datasets.readers.opening import plain_name, refuse_impostor
from unimat.materials.datasets.readers.records import Columns, Record

READABLE = (
    "a folder, zip or tar of CIF, POSCAR and .res files; .cif, .mcif; POSCAR, CONTCAR, .vasp; .res; .csv, .feather, "
    ".arrow or .parquet with a column of CIF, POSCAR or JSON text; a crystal table; .extxyz; .json, .jsonl or "
    ".json.zip of texts, pymatgen entries or OPTIMADE structures; ASE's .db and .traj; CDVAE's .pt; text forms also "
    "as .gz, .bz2 and .xz"
)

Reader = Callable[[Path, Columns], Iterator[Record]]
_TEXT_FORMS: dict[str, Reader] = {
    ".csv": tables.table_records,
    ".extxyz": extxyz.extxyz_records,
    ".xyz": extxyz.extxyz_records,
    ".json": json_files.json_records,
    ".jsonl": json_files.json_records,
    ".ndjson": json_files.json_records,
    ".tar": archives.tar_records,
}
_BINARY_FORMS: dict[str, Reader] = {
    ".feather": tables.table_records,
    ".arrow": tables.table_records,
    ".parquet": tables.table_records,
    ".pt": arrays.tensor_records,
    ".db": databases.ase_records,
    ".aselmdb": databases.ase_records,
    ".traj": trajectories.trajectory_records,
    ".zip": archives.zip_records,
    ".tgz": archives.tar_records,
}
_TOLD_BY_THE_READER = (tables.table_records, arrays.tensor_records)


def records_of(path: str | Path, columns: Columns | None = None) -> Iterator[Record]:
    """Every crystal of a file or folder, in a fixed order, one at a time: the memory needed is that of a few crystals.

    Args:
        columns: which columns hold ids, structures and properties, for tables and entries.

    Raises:
        UserError: if the path is missing, or its form is none of `READABLE`, or it is broken as a whole.
    """
    path, columns = existing(path), columns or Columns()
    if path.is_dir():
        return _told_of_absent(archives.folder_records(path, columns), path, columns)
    reader = _reader(path)
    refuse_impostor(path)
    records = reader(path, columns)
    return records if reader in _TOLD_BY_THE_READER else _told_of_absent(records, path, columns)


def _reader(path: Path) -> Reader:
    suffix, plain = path.suffix.lower(), Path(plain_name(path.name.lower()))
    reader = _TEXT_FORMS.get(plain.suffix) or _BINARY_FORMS.get(suffix)
    if reader is None and folders.is_structure_file(plain.name):
        reader = archives.single_file_records
    if reader is None:
        raise UserError(f"{path} is of no form that can be read; readable: {READABLE}")
    return reader


def _told_of_absent(records: Iterator[Record], path: Path, columns: Columns) -> Iterator[Record]:
    """The same records, with a warning at the end for properties that none of them has."""
    absent = set(columns.properties)
    for record in records:
        if absent:
            absent = {name for name in absent if record.properties.get(name) is None}
        yield record
    for name in sorted(absent):
        logging.getLogger("unimat.readers").warning("%s: no crystal has the property %r", path.name, name)
