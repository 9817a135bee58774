"""Encoded crystals: compact arrays of some of them, and what holds for a whole dataset."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unimat.errors import UserError
from unimat.files import read_json
from unimat.periodic_table import Grid

FORMAT = 1
SPLITS = ("train", "val", "test")
TEMPLATE_COORDS, TEMPLATE_LATTICE = "template_coords", "template_lattice"  # columns of tables, entries of batches
TEMPLATE_SPECIES = "template_species"  # column of tables
TEMPLATE_CELL = "template_cell"  # entry of batches
SHARDS = "shards"  # the key of encoding.json that lists the files; see `unimat.model.representation.shards`


@dataclasses.dataclass(frozen=True)
class Encoding:
    """What holds for all crystals of an encoded dataset; `encoding.json`.

    Attributes:
        slots: L. max_atoms: A, the width of padded batches.
        lattice_mean, lattice_std: of the lattice vector over the training split; lengths share one pair and
            angles another, so that exchanging axes changes neither. Nine numbers for Cartesian coordinates,
            whose lattice is the matrix itself, so that it can rotate with the atoms.
        lattice_low, lattice_high: range of the standardised lattice vector.
        cartesian_radius: Å; no atom of a cell lies further from the cell's centre.
        properties: by name, in the order of a batch: `mean` and `std` over the training split, in the unit of the
            crystal tables, `count`, the crystals of that split that have a value, and `size`, 1 or the length of a
            vector, whose numbers share one mean and deviation.
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
    properties: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
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

    @property
    def property_columns(self) -> dict[str, slice]:
        """Which columns of `properties` (B, P) of a batch each property fills."""
        ends = np.cumsum([of["size"] for of in self.properties.values()], dtype=int).tolist()
        return {
            name: slice(end - of["size"], end) for (name, of), end in zip(self.properties.items(), ends, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        fields = dataclasses.asdict(self)
        if not fields["properties"]:
            del fields["properties"]
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
class Templates:
    """A known structure for each of m crystals of n atoms in all: the same atoms, each where it may be near.

    Attributes:
        coords: (n, 3) float32, fractional, in [0, 1); zeros of a crystal without a template.
        lattice: (m, 6) float64, as of `EncodedCrystals`; NaN of a crystal without a template.
        cell: (n,) int16, flat index of the cell from which the atom's element moved to its own; -1 of a crystal
            without a template, and of an element outside the grid.
    """

    coords: np.ndarray
    lattice: np.ndarray
    cell: np.ndarray

    def taken(self, atoms: slice | np.ndarray, crystals: slice | np.ndarray) -> "Templates":
        return Templates(self.coords[atoms], self.lattice[crystals], self.cell[atoms])


@dataclasses.dataclass(frozen=True)
class EncodedCrystals:
    """Compact arrays of m crystals with n atoms in all, crystal after crystal and without padding.

    Attributes:
        material_ids: (m,) strings.
        offsets: (m + 1,) int; the atoms of crystal i are rows `offsets[i]:offsets[i + 1]` of the arrays of atoms.
        cell: (n,) uint8, flat cell index h * W + w.
        slot: (n,) uint8 or uint16, below L.
        coords: (n, 3) float32, fractional, in [0, 1).
        lattice: (m, 6) float64, a b c in Å, α β γ in degrees; single precision would cost skewed cells 1e-5 Å.
        properties: by name, (m,) float32, or (m, k) of a vector; NaN where a crystal has no value.
        templates: of a dataset whose crystals have them; None of any other.
    """

    material_ids: pa.StringArray
    offsets: np.ndarray
    cell: np.ndarray
    slot: np.ndarray
    coords: np.ndarray
    lattice: np.ndarray
    properties: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    templates: Templates | None = None

    def __len__(self) -> int:
        return len(self.lattice)

    @property
    def n_atoms(self) -> np.ndarray:
        """(m,) atoms of each crystal."""
        return np.diff(self.offsets)

    def part(self, start: int, stop: int) -> "EncodedCrystals":
        """Crystals `start` to `stop`."""
        first, last = self.offsets[start], self.offsets[stop]
        ids, offsets = self.material_ids[start:stop], self.offsets[start : stop + 1] - first
        cell, slot, coords = (array[first:last] for array in (self.cell, self.slot, self.coords))
        properties = {name: values[start:stop] for name, values in self.properties.items()}
        templates = self.templates and self.templates.taken(slice(first, last), slice(start, stop))
        return EncodedCrystals(ids, offsets, cell, slot, coords, self.lattice[start:stop], properties, templates)

    def pad_into(self, batch: dict[str, np.ndarray], at: np.ndarray, rows: np.ndarray) -> None:
        """Put crystals `rows` (b,) on the rows `at` (b,) of a batch of `padding`."""
        n_atoms = self.offsets[rows + 1] - self.offsets[rows]
        before = np.cumsum(n_atoms) - n_atoms
        column = np.arange(n_atoms.sum()) - np.repeat(before, n_atoms)
        atom, row = np.repeat(self.offsets[rows], n_atoms) + column, np.repeat(at, n_atoms)
        for name in ("cell", "slot", "coords"):
            batch[name][row, column] = getattr(self, name)[atom]
        batch["lattice"][at] = self.lattice[rows]
        if self.properties:
            columns = [values[rows].reshape(len(rows), -1) for values in self.properties.values()]
            batch["properties"][at] = np.concatenate(columns, axis=1)
        if self.templates is not None:
            batch[TEMPLATE_COORDS][row, column] = self.templates.coords[atom]
            batch[TEMPLATE_CELL][row, column] = self.templates.cell[atom]
            batch[TEMPLATE_LATTICE][at] = self.templates.lattice[rows]

    @property
    def n_properties(self) -> int:
        """P, the numbers that the properties of one crystal are."""
        return sum(values.shape[1] if values.ndim > 1 else 1 for values in self.properties.values())


def padding(n: int, width: int, n_properties: int = 0, templates: bool = False) -> dict[str, np.ndarray]:
    """A batch of n crystals without atoms.

    `cell` (n, A) int16 is -1 where there is no atom; `slot` (n, A) int16, `coords` (n, A, 3) float32 and
    `lattice` (n, 6) float32 are zeros there. A is `width`. Of a dataset with properties it also has `properties`
    (n, P) float32, NaN where there is no value; of one with templates `template_coords` (n, A, 3), `template_cell`
    (n, A) int16, -1 where there is none, and `template_lattice` (n, 6) float32, NaN where there is none.
    """
    batch: dict[str, np.ndarray] = {
        "cell": np.full((n, width), -1, np.int16),
        "slot": np.zeros((n, width), np.int16),
        "coords": np.zeros((n, width, 3), np.float32),
        "lattice": np.zeros((n, 6), np.float32),
    }
    if n_properties:
        batch["properties"] = np.full((n, n_properties), np.nan, np.float32)
    if templates:
        batch[TEMPLATE_COORDS] = np.zeros((n, width, 3), np.float32)
        batch[TEMPLATE_CELL] = np.full((n, width), -1, np.int16)
        batch[TEMPLATE_LATTICE] = np.full((n, 6), np.nan, np.float32)
    return batch


def padded(crystals: EncodedCrystals, width: int) -> dict[str, np.ndarray]:
    """All of `crystals` as one batch."""
    batch = padding(len(crystals), width, crystals.n_properties, crystals.templates is not None)
    rows = np.arange(len(crystals))
    crystals.pad_into(batch, rows, rows)
    return batch


def concatenated(parts: Sequence[EncodedCrystals]) -> EncodedCrystals:
    """Crystals of one or more parts, in order."""
    if len(parts) == 1:
        return parts[0]
    ids = pa.concat_arrays([part.material_ids for part in parts])
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([part.n_atoms for part in parts]))])
    cell, slot, coords, lattice = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("cell", "slot", "coords", "lattice")
    )
    properties = {name: np.concatenate([part.properties[name] for part in parts]) for name in parts[0].properties}
    known = [part.templates for part in parts if part.templates is not None]
    templates = None
    if known:
        templates = Templates(
            *(np.concatenate([getattr(each, name) for each in known]) for name in ("coords", "lattice", "cell"))
        )
    return EncodedCrystals(ids, offsets, cell, slot, coords, lattice, properties, templates)


def read_encoding(folder: str | Path) -> Encoding:
    """What `encoding.json` of an encoded dataset says, its list of files aside."""
    values = read_json(Path(folder) / "encoding.json")
    return Encoding.from_json({key: value for key, value in values.items() if key != SHARDS})
