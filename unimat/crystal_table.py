"""Crystal tables: the one Parquet format between all stages.

One row is one crystal: ``material_id``, ``lattice`` (Å, rows a, b, c, nine numbers), ``atomic_numbers``,
``frac_coords`` (three numbers per atom), then whatever columns later stages add. A column's unit and
meaning stand in its field metadata; what holds for the whole table (source, licence, energy type and
reference) stands in the table's metadata as JSON.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from unimat import parquet
from unimat.errors import UserError

FORMAT = 1
METADATA_KEY = b"unimat"
STRUCTURE_FIELDS = (
    pa.field("material_id", pa.string(), nullable=False),
    pa.field("lattice", pa.list_(pa.float64(), 9), nullable=False, metadata={"unit": "Å"}),
    pa.field("atomic_numbers", pa.list_(pa.int16()), nullable=False),
    pa.field("frac_coords", pa.list_(pa.float64()), nullable=False),
)
STRUCTURE_COLUMNS = tuple(field.name for field in STRUCTURE_FIELDS)
MAKE_ANEW = "`unimat ingest` makes a crystal table from any format"
REJECTED_FIELDS = (
    pa.field("material_id", pa.string()),
    pa.field("source", pa.string(), metadata={"description": "file and row that the crystal came from"}),
    pa.field("reason", pa.string()),
    pa.field("detail", pa.string()),
)


@dataclasses.dataclass(frozen=True)
class Crystal:
    """One crystal.

    Attributes:
        lattice: (3, 3) float64, Å, rows a, b, c.
        atomic_numbers: (n,) int.
        frac_coords: (n, 3) float64.
        properties: further columns of its row.
    """

    material_id: str
    lattice: np.ndarray
    atomic_numbers: np.ndarray
    frac_coords: np.ndarray
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class CrystalTable:
    """A crystal table in memory: columns as numpy arrays, rows as `Crystal`s; never changed in place."""

    def __init__(self, table: pa.Table):
        self.arrow = table

    def __len__(self) -> int:
        return self.arrow.num_rows

    def __iter__(self) -> Iterator[Crystal]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Crystal:
        row = {name: self.arrow.column(name)[index].as_py() for name in self.arrow.column_names}
        material_id, lattice, numbers, coords = (row.pop(name) for name in STRUCTURE_COLUMNS)
        return Crystal(
            material_id,
            np.asarray(lattice, np.float64).reshape(3, 3),
            np.asarray(numbers, np.int64),
            np.asarray(coords, np.float64).reshape(-1, 3),
            row,
        )

    @property
    def material_ids(self) -> list[str]:
        return self.arrow.column("material_id").to_pylist()

    @property
    def lattices(self) -> np.ndarray:
        """(m, 3, 3) float64, Å."""
        return _flat(self.arrow, "lattice").reshape(-1, 3, 3)

    @property
    def n_atoms(self) -> np.ndarray:
        """(m,) int64."""
        return np.diff(self.atom_offsets)

    @property
    def atom_offsets(self) -> np.ndarray:
        """(m + 1,) int64: atoms of crystal i are rows ``offsets[i]:offsets[i + 1]`` of the flat arrays."""
        lengths = pa.compute.list_value_length(self.arrow.column("atomic_numbers")).to_numpy()
        return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

    @property
    def flat_atomic_numbers(self) -> np.ndarray:
        """(sum of n,) int64, crystal after crystal."""
        return _flat(self.arrow, "atomic_numbers").astype(np.int64)

    @property
    def flat_frac_coords(self) -> np.ndarray:
        """(sum of n, 3) float64, crystal after crystal."""
        return _flat(self.arrow, "frac_coords").reshape(-1, 3)

    @property
    def property_names(self) -> list[str]:
        return [name for name in self.arrow.column_names if name not in STRUCTURE_COLUMNS]

    def column(self, name: str) -> np.ndarray:
        """Values of a property column as a numpy array (nulls of float columns become NaN)."""
        if name not in self.arrow.column_names:
            known = ", ".join(self.property_names) or "none"
            raise UserError(f"the crystal table has no column {name!r}; its property columns: {known}")
        return self.arrow.column(name).to_numpy(zero_copy_only=False)

    def unit(self, name: str) -> str:
        metadata = self.arrow.schema.field(name).metadata or {}
        return metadata.get(b"unit", b"").decode()

    @property
    def metadata(self) -> dict[str, Any]:
        return json.loads((self.arrow.schema.metadata or {}).get(METADATA_KEY, b"{}"))

    def with_metadata(self, **entries: Any) -> "CrystalTable":
        """The same rows with `entries` added to (or replaced in) the table's metadata."""
        merged = {"format": FORMAT, **self.metadata, **entries}
        return CrystalTable(self.arrow.replace_schema_metadata({METADATA_KEY: json.dumps(merged)}))

    def with_column(
        self, name: str, values: Sequence[Any] | np.ndarray | pa.Array, unit: str = "", description: str = ""
    ) -> "CrystalTable":
        """The same rows with one column added or replaced; None is a missing value."""
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
        field = pa.field(name, array.type, metadata={"unit": unit, "description": description})
        kept = self.arrow.drop_columns(name) if name in self.arrow.column_names else self.arrow
        return CrystalTable(kept.append_column(field, array))

    def take(self, indices: Sequence[int] | np.ndarray) -> "CrystalTable":
        """Rows by index, or by a boolean mask of the table's length."""
        indices = np.asarray(indices)
        if indices.dtype == bool:
            indices = np.flatnonzero(indices)
        return CrystalTable(self.arrow.take(pa.array(indices, pa.int64())))


def from_crystals(
    crystals: Iterable[Crystal],
    units: Mapping[str, str] | None = None,
    descriptions: Mapping[str, str] | None = None,
    fields: Sequence[pa.Field] | None = None,
    unique: bool = True,
    **metadata: Any,
) -> CrystalTable:
    """Crystal table of `crystals`; their properties become columns, in the order first seen.

    Args:
        units: unit of each property column, e.g. ``{"band_gap": "eV"}``.
        descriptions: meaning of each property column.
        fields: the property columns to make, with their types, in place of all that occur.
        unique: refuse ids that occur twice.
        metadata: entries for the table's metadata.

    Raises:
        UserError: if a material_id occurs twice.
    """
    crystals = list(crystals)
    if unique:
        _refuse_duplicates([crystal.material_id for crystal in crystals])
    table = CrystalTable(pa.Table.from_arrays(_structure_arrays(crystals), schema=pa.schema(STRUCTURE_FIELDS)))
    if fields is not None:
        for field in fields:
            values = pa.array([crystal.properties.get(field.name) for crystal in crystals], field.type)
            table = CrystalTable(table.arrow.append_column(field, values))
        return table.with_metadata(**metadata)
    for name in dict.fromkeys(name for crystal in crystals for name in crystal.properties):
        values = [crystal.properties.get(name) for crystal in crystals]
        table = table.with_column(name, values, (units or {}).get(name, ""), (descriptions or {}).get(name, ""))
    return table.with_metadata(**metadata)


def _structure_arrays(crystals: Sequence[Crystal]) -> list[pa.Array]:
    counts = [len(crystal.atomic_numbers) for crystal in crystals]
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    lattices = np.array([crystal.lattice for crystal in crystals], np.float64).ravel()
    numbers = np.concatenate([np.zeros(0, np.int16), *(crystal.atomic_numbers for crystal in crystals)])
    coords = np.concatenate([np.zeros((0, 3)), *(crystal.frac_coords for crystal in crystals)])
    return [
        pa.array([crystal.material_id for crystal in crystals], pa.string()),
        pa.FixedSizeListArray.from_arrays(pa.array(lattices), 9).cast(STRUCTURE_FIELDS[1].type),
        pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(numbers.astype(np.int16))),
        pa.ListArray.from_arrays(pa.array(3 * starts, pa.int32()), pa.array(coords.ravel())),
    ]


def concatenate(tables: Sequence[CrystalTable]) -> CrystalTable:
    """One table of all rows; columns missing in some are null there; the first table's metadata stay."""
    try:
        joined = pa.concat_tables([table.arrow for table in tables], promote_options="permissive")
    except pa.ArrowException as error:
        raise UserError(f"the tables do not fit together ({error}); make them again with one version") from error
    _refuse_duplicates(joined.column("material_id").to_pylist())
    return CrystalTable(joined).with_metadata(**tables[0].metadata)


def read(path: str | Path) -> CrystalTable:
    """Crystal table of a Parquet file.

    Raises:
        UserError: if the file is missing, is not readable Parquet (truncated, say) or is no crystal table.
    """
    return checked(parquet.read(path), path)


def checked(arrow: pa.Table, path: str | Path) -> CrystalTable:
    """The rows of a file as a crystal table.

    Raises:
        UserError: if a column of the structure is missing, of another type, or does not fit the others.
    """
    refuse_other_schema(arrow.schema, path)
    try:
        for index, field in enumerate(STRUCTURE_FIELDS):
            column = arrow.column(field.name)
            if column.null_count:
                raise UserError(f"{path}: {field.name!r} has {column.null_count} empty values; {MAKE_ANEW}")
            if column.type != field.type:  # another program's: large strings, wider integers
                place = arrow.schema.get_field_index(field.name)
                arrow = arrow.set_column(place, STRUCTURE_FIELDS[index], column.cast(field.type))
    except pa.ArrowException as error:
        raise UserError(f"{path}: column {field.name!r} is no {field.type} ({error}); {MAKE_ANEW}") from error
    atoms, numbers = (pa.compute.list_value_length(arrow.column(name)) for name in ("atomic_numbers", "frac_coords"))
    if not pa.compute.all(pa.compute.equal(pa.compute.multiply(atoms, 3), numbers), min_count=0).as_py():
        raise UserError(f"{path}: 'frac_coords' are not three numbers for each of 'atomic_numbers'; {MAKE_ANEW}")
    return CrystalTable(arrow)


def refuse_other_schema(schema: pa.Schema, path: str | Path) -> None:
    """UserError if a file with these columns and metadata is no crystal table."""
    missing = [name for name in STRUCTURE_COLUMNS if name not in schema.names]
    if missing:
        raise UserError(f"{path} is no crystal table: column {missing[0]!r} is missing; {MAKE_ANEW}")
    try:
        metadata = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise UserError(f"{path}: the table's metadata are no JSON mapping; {MAKE_ANEW}")


def write(table: CrystalTable, path: str | Path) -> None:
    """Write `table` to `path`, whole or not at all."""
    parquet.write(table.with_metadata().arrow, path)


@dataclasses.dataclass(frozen=True)
class Rejected:
    """One crystal that could not be used: a row of the rejected table."""

    material_id: str
    source: str
    reason: str
    detail: str


def write_rejected(rows: Iterable[Rejected], path: str | Path) -> None:
    columns = [dataclasses.asdict(row) for row in rows]
    parquet.write(pa.Table.from_pylist(columns, schema=pa.schema(REJECTED_FIELDS)), path)


def read_rejected(path: str | Path) -> list[Rejected]:
    """The rows of a rejected table; UserError as `parquet.read`."""
    return [Rejected(**row) for row in parquet.read(path, [field.name for field in REJECTED_FIELDS]).to_pylist()]


def _flat(table: pa.Table, name: str) -> np.ndarray:
    return table.column(name).combine_chunks().flatten().to_numpy(zero_copy_only=False)


def _refuse_duplicates(material_ids: list[str]) -> None:
    if len(set(material_ids)) < len(material_ids):
        seen: set[str] = set()
        twice = next(each for each in material_ids if each in seen or seen.add(each))  # type: ignore[func-returns-value]
        raise UserError(f"material_id {twice!r} occurs twice; ids must be unique within a table")
