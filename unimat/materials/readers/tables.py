"""Tables with a column of CIF or POSCAR text, and crystal tables."""

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unimat import crystal_table
from unimat.crystal_table import STRUCTURE_COLUMNS
from unimat.errors import UserError
from unimat.materials.ingest_settings import SPLITS
from unimat.materials.readers.records import Columns, Record

ID_NAMES = ("material_id", "MaterialId", "mp_id", "id", "ID")
STRUCTURE_NAMES = ("cif", "structure", "poscar", "POSCAR", "CIF")


def csv_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of a CSV file, gzipped or not."""
    try:
        header = list(pd.read_csv(path, nrows=0))
        layout = _layout(path, header, columns)
        # Ids stay text (00123 is not 123), and floats come back as they were printed.
        frame = pd.read_csv(
            path,
            usecols=layout.wanted,
            dtype={name: str for name in (layout.material_id, layout.structure) if name},
            float_precision="round_trip",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError, EOFError) as error:
        raise UserError(f"{path} is not readable as CSV ({_line(error)}); get it again") from error
    return _frame_records(path.name, frame, layout)


def feather_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of a Feather file."""
    try:
        frame = pd.read_feather(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not readable as Feather ({_line(error)}); get it again") from error
    layout = _layout(path, list(frame), columns)
    return _frame_records(path.name, frame, layout)


def parquet_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of a crystal table, with all its property columns, or of a Parquet file with a text column."""
    try:
        arrow = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not readable as Parquet (truncated?); get it again") from error
    if set(STRUCTURE_COLUMNS) <= set(arrow.column_names):
        return _crystal_table_records(path.name, crystal_table.CrystalTable(arrow))
    frame = arrow.to_pandas()
    layout = _layout(path, list(frame), columns)
    return _frame_records(path.name, frame, layout)


def _crystal_table_records(origin: str, table: crystal_table.CrystalTable) -> Iterator[Record]:
    for index, crystal in enumerate(table):
        properties = dict(crystal.properties)
        split = properties.get("split")
        yield Record(crystal.material_id, f"{origin}:{index}", crystal, split if split in SPLITS else None, properties)


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Columns of one table: ids (None if there are none), structures, properties, and the split if there is one."""

    material_id: str | None
    structure: str
    properties: tuple[str, ...]
    split: str | None

    @property
    def wanted(self) -> list[str]:
        named = (self.material_id, self.structure, *self.properties, self.split)
        return list(dict.fromkeys(name for name in named if name))


def _layout(path: Path, header: list[str], columns: Columns) -> _Layout:
    structure = _named(path, header, columns.structure, STRUCTURE_NAMES, "structure_column")
    if structure is None:
        raise UserError(f"{path}: no structure column among {', '.join(header)}; name it by structure_column")
    material_id = _named(path, header, columns.material_id, ID_NAMES, "id_column")
    missing = [name for name in columns.properties if name not in header]
    if missing:
        raise UserError(f"{path}: no column {missing[0]!r}; its columns: {', '.join(header)}")
    return _Layout(material_id, structure, columns.properties, "split" if "split" in header else None)


def _named(path: Path, header: list[str], given: str | None, usual: tuple[str, ...], setting: str) -> str | None:
    if given is not None and given not in header:
        raise UserError(f"{path}: no column {given!r} ({setting}); its columns: {', '.join(header)}")
    return given or next((name for name in usual if name in header), None)


def _frame_records(origin: str, frame: pd.DataFrame, layout: _Layout) -> Iterator[Record]:
    if layout.material_id is None:
        logging.getLogger("unimat.readers").warning("%s has no id column; ids are made of the row number", origin)
    columns = {name: frame[name].tolist() for name in layout.wanted}
    for index in range(len(frame)):
        row = {name: _value(values[index]) for name, values in columns.items()}
        row_id = row[layout.material_id] if layout.material_id else None
        split = row[layout.split] if layout.split else None
        yield Record(
            str(row_id) if row_id is not None else f"{origin.split('.')[0]}-{index}",
            f"{origin}:{index}",
            row[layout.structure],
            split if split in SPLITS else None,
            {name: row[name] for name in layout.properties},
        )


def _value(value: Any) -> Any:
    """`value` as plain Python, None if missing."""
    missing = value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value)
    return None if missing else value


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
