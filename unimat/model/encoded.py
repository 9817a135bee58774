"""An encoded dataset and its files: compact arrays in Arrow IPC, and what they share in `encoding.json`."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unimat import crystal_table
from unimat.crystal_table import Rejected
from unimat.errors import UserError
from unimat.files import existing, read_json, write_json, written_whole
from unimat.periodic_table import Grid

FORMAT = 1
SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class Encoding:
    """What holds for all crystals of an encoded dataset; `encoding.json`.

    Attributes:
        slots: L. max_atoms: A, the width of the compact arrays.
        lattice_mean, lattice_std: of the lattice vector over the training split; lengths share one pair and
            angles another, so that exchanging axes changes neither. Nine numbers for Cartesian coordinates,
            whose lattice is the matrix itself, so that it can rotate with the atoms.
        lattice_low, lattice_high: range of the standardised lattice vector.
        cartesian_radius: Å; no atom of a cell lies further from the cell's centre.
    """

    grid_rows: tuple[int, ...]
    grid_columns: tuple[int, ...]
    slots: int
    max_atoms: int
    coordinates: str
    lattice_lengths: str
    lattice_mean: tuple[float, ...]
    lattice_std: tuple[float, ...]
    lattice_low: tuple[float, ...]
    lattice_high: tuple[float, ...]
    cartesian_radius: float
    n: dict[str, int]
    n_rejected: int
    count_histogram: dict[str, int]
    format: int = FORMAT

    @property
    def grid(self) -> Grid:
        return Grid(self.grid_rows, self.grid_columns)

    @property
    def tensor_shape(self) -> tuple[int, int, int]:
        """(L, H, W)."""
        return self.slots, *self.grid.shape

    @property
    def lattice_size(self) -> int:
        """Length of the lattice vector: 6, or 9 for Cartesian coordinates."""
        return len(self.lattice_mean)

    @property
    def element_mask(self) -> np.ndarray:
        """(H, W) bool: the cells that belong to an element."""
        return np.array(self.grid.atomic_number_at).reshape(self.grid.shape) > 0

    def to_json(self) -> dict[str, Any]:
        fields = dataclasses.asdict(self)
        return {
            "format": fields.pop("format"),
            **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Encoding":
        if values.get("format") != FORMAT:
            raise UserError(f"encoding format {values.get('format')!r} is not {FORMAT}; run `unimat encode` again")
        try:
            fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**fields)
        except TypeError as error:
            raise UserError(f"encoding.json does not fit this version ({error}); run `unimat encode` again") from error


@dataclasses.dataclass(frozen=True)
class EncodedSplit:
    """Compact arrays of m crystals.

    Attributes:
        cell: (m, A) int16, flat cell index h * W + w; -1 where there is no atom.
        slot: (m, A) int16, below L.
        coords: (m, A, 3) float32, fractional, in [0, 1).
        lattice: (m, 6) float64, a b c in Å, α β γ in degrees; single precision would cost skewed cells 1e-5 Å.
    """

    material_ids: tuple[str, ...]
    cell: np.ndarray
    slot: np.ndarray
    coords: np.ndarray
    lattice: np.ndarray

    def __len__(self) -> int:
        return len(self.cell)


def write_split(split: EncodedSplit, path: str | Path) -> None:
    """Write `split` as an Arrow IPC file, whole or not at all."""
    width = split.cell.shape[1]
    columns = {
        "material_id": pa.array(split.material_ids, pa.string()),
        "cell": pa.FixedSizeListArray.from_arrays(split.cell.ravel(), width),
        "slot": pa.FixedSizeListArray.from_arrays(split.slot.ravel(), width),
        "coords": pa.FixedSizeListArray.from_arrays(split.coords.ravel(), 3 * width),
        "lattice": pa.FixedSizeListArray.from_arrays(split.lattice.ravel(), 6),
    }
    table = pa.table(columns)
    with written_whole(path) as unfinished, pa.ipc.new_file(unfinished, table.schema) as writer:
        writer.write_table(table)


def read_split(path: str | Path) -> EncodedSplit:
    """Split of an Arrow IPC file that `write_split` wrote; UserError if it is missing or broken."""
    try:
        with pa.ipc.open_file(existing(path)) as reader:
            table = reader.read_all()
        flat = {name: table.column(name).combine_chunks() for name in ("cell", "slot", "coords", "lattice")}
        values = {name: column.flatten().to_numpy(zero_copy_only=False) for name, column in flat.items()}
        ids = tuple(table.column("material_id").to_pylist())
    except (pa.ArrowException, OSError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is not an encoded split (truncated?); run `unimat encode` again") from error
    m = len(ids)
    return EncodedSplit(
        ids,
        values["cell"].reshape(m, flat["cell"].type.list_size),
        values["slot"].reshape(m, flat["slot"].type.list_size),
        values["coords"].reshape(m, flat["cell"].type.list_size, 3),
        values["lattice"].reshape(m, 6),
    )


def read_encoding(folder: str | Path) -> Encoding:
    return Encoding.from_json(read_json(Path(folder) / "encoding.json"))


def write_dataset(
    folder: str | Path, splits: Mapping[str, EncodedSplit], encoding: Encoding, rejected: Sequence[Rejected]
) -> None:
    """Write `<split>.arrow`, `rejected.parquet` and, last, `encoding.json` into `folder`."""
    folder = Path(folder)
    for name, split in splits.items():
        write_split(split, folder / f"{name}.arrow")
    crystal_table.write_rejected(rejected, folder / "rejected.parquet")
    write_json(folder / "encoding.json", encoding.to_json())
