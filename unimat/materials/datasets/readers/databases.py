"""ASE databases, read some hundred rows at a time."""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.arrays import plain_value, scaled_positions
from unimat.materials.datasets.readers.opening import one_line, told_if_broken
from unimat.materials.datasets.readers.records import Columns, Record
from unimat.materials.datasets.readers.stated import stated_of
from unimat.materials.datasets.settings import SPLITS

_ROWS = 500  # ASE fetches all the rows of a selection at once
_SQLITE = b"SQLite format 3\x00"


def ase_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of an ASE database (.db of SQLite; .aselmdb if ase-db-backends is installed), by row number.

    Ids are the key-value pair `material_id`, or made of the row's number; properties are key-value pairs, or what ASE
    itself keeps of a row (energy, calculator...).

    Raises:
        UserError: if the file is no ASE database, or its backend is not installed.
    """
    with told_if_broken(path, "an ASE database", sqlite3.DatabaseError, ValueError, LookupError, TypeError):
        database = _connected(path)
        for row in _rows(database):
            yield _record(path.name, row, columns)


def _connected(path: Path) -> Any:
    from ase.db import connect

    with path.open("rb") as stream:
        if path.suffix.lower() == ".db" and stream.read(len(_SQLITE)) != _SQLITE:
            raise UserError(f"{path} is no SQLite database (ASE would make it one); get it again")
    try:
        database = connect(path, use_lock_file=False)
    except ModuleNotFoundError as error:
        raise UserError(f"{path}: reading it needs {error.name}; pip install ase-db-backends") from error
    if path.suffix.lower() == ".db" and not _has_systems(path):
        raise UserError(f"{path} is an SQLite database, but not one of ASE; export it as CSV")
    return database


def _has_systems(path: Path) -> bool:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name='systems'").fetchone()[0] > 0
    finally:
        connection.close()


def _rows(database: Any) -> Iterator[Any]:
    last = max((row.id for row in database.select(sort="-id", limit=1, columns=["id"], include_data=False)), default=0)
    for start in range(0, last, _ROWS):
        yield from database.select([("id", ">", start), ("id", "<=", start + _ROWS)])


def _record(origin: str, row: Any, columns: Columns) -> Record:
    pairs = row.key_value_pairs
    given = pairs.get(columns.material_id or "material_id")
    material_id = str(given) if given is not None else f"{origin.split('.')[0]}-{row.id}"
    content: Crystal | CrystalRejected
    try:
        atoms = row.toatoms()
        content = Crystal(material_id, atoms.cell.array, atoms.numbers, scaled_positions(atoms))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        content = CrystalRejected("unreadable", one_line(error))
    split = pairs.get("split")
    properties = {name: plain_value(row.get(name)) for name in columns.properties}
    stated = {"pbc": row.pbc.tolist(), **stated_of([pairs, _data(row)])}
    return Record(material_id, f"{origin}:{row.id}", content, split if split in SPLITS else None, properties, stated)


def _data(row: Any) -> Mapping[str, Any]:
    """What was stored beside the atoms: `info` of ASE's CIF reader, say, which holds its occupancies."""
    try:
        data = row.data
    except (ValueError, TypeError, LookupError, AttributeError):  # not of ASE's form: says nothing
        return {}
    inner = data.get("info")
    return {**(inner if isinstance(inner, Mapping) else {}), **data}
