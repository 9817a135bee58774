"""Files of an encoded split: shards in Arrow IPC, written as crystals stream in and read by mapping them into memory.

A shard is one record batch, uncompressed, so that the arrays of `EncodedCrystals` are views of the file. Opening reads
it once, for its checksum, and keeps nothing; later, only pages that are asked for are read. The atoms of a crystal are
one list of structs, since a padded column would give every crystal the width of the largest.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unimat.errors import UserError
from unimat.files import read_json, sha256, whole_file
from unimat.model.representation.encoded import (
    SHARDS,
    TEMPLATE_CELL,
    TEMPLATE_COORDS,
    TEMPLATE_LATTICE,
    EncodedCrystals,
    Templates,
    concatenated,
    padding,
)
from unimat.settings import load_settings

SHARD_ROWS = 131_072  # crystals; some 30 MB of MP-20's kind. Smaller ones make batches of 2.2 million slower to gather
PROPERTY = "property:"  # before a property's name, which may be any text
REMEDY = "run `unimat encode` again"


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of a split.

    Attributes:
        name: within the split's folder. rows: crystals. bytes: size of the file. sha256: of the file.
    """

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class SplitIndex:
    """What `encoding.json` says of one split.

    Attributes:
        content: SHA-256 of the crystals in order, the same however they are cut into shards.
    """

    content: str
    files: tuple[Shard, ...]


def read_index(folder: str | Path, split: str) -> SplitIndex:
    """Index of a split of the encoded dataset in `folder`; UserError if its `encoding.json` has none."""
    path = Path(folder) / "encoding.json"
    values = read_json(path).get(SHARDS, {}).get(split)
    if not isinstance(values, dict):
        raise UserError(f"{path} lists no shards of {split} (made by an older version?); {REMEDY}")
    return load_settings(SplitIndex, values, f"{path}: {SHARDS}.{split}")


class SplitWriter:
    """Cuts the crystals of a split into shards of `shard_rows` and writes each as soon as it is full."""

    def __init__(self, folder: Path, shard_rows: int = SHARD_ROWS):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._shard_rows = folder, shard_rows
        self._waiting: list[EncodedCrystals] = []
        self._files: list[Shard] = []
        self._content = ContentHash()

    def write(self, crystals: EncodedCrystals) -> None:
        self._content.update(crystals)
        while len(crystals):
            room = self._shard_rows - sum(map(len, self._waiting))
            self._waiting.append(crystals.part(0, min(room, len(crystals))))
            crystals = crystals.part(len(self._waiting[-1]), len(crystals))
            if sum(map(len, self._waiting)) == self._shard_rows:
                self._write_shard()

    def finish(self) -> SplitIndex:
        """Write what is left; the split's index."""
        if self._waiting:
            self._write_shard()
        return SplitIndex(self._content.hexdigest(), tuple(self._files))

    def _write_shard(self) -> None:
        path = self._folder / f"shard-{len(self._files):05d}.arrow"
        rows = write_shard(concatenated(self._waiting), path)
        self._files.append(Shard(path.name, rows, path.stat().st_size, sha256(path)))
        self._waiting = []


class ContentHash:
    """SHA-256 of crystals, whatever parts they come in."""

    def __init__(self) -> None:
        self._columns = [hashlib.sha256() for _ in range(6)]
        self._properties: dict[str, Any] = {}
        self._templates: list[Any] = []

    def update(self, crystals: EncodedCrystals) -> None:
        columns = (
            crystals.n_atoms.astype("<i4"),
            crystals.cell,
            crystals.slot.astype("<u2"),
            crystals.coords.astype("<f4"),
            crystals.lattice.astype("<f8"),
        )
        for digest, column in zip(self._columns[1:], columns, strict=True):
            digest.update(np.ascontiguousarray(column).data)
        self._columns[0].update("".join(f"{each}\n" for each in crystals.material_ids.to_pylist()).encode())
        for name, values in crystals.properties.items():
            digest = self._properties.setdefault(name, hashlib.sha256(name.encode()))
            digest.update(np.ascontiguousarray(values.astype("<f4")).data)
        if crystals.templates is not None:
            self._templates = self._templates or [hashlib.sha256(b"templates"), hashlib.sha256()]
            for digest, values in zip(
                self._templates, (crystals.templates.coords.astype("<f4"), crystals.templates.lattice), strict=True
            ):
                digest.update(np.ascontiguousarray(values).data)

    def hexdigest(self) -> str:
        return hashlib.sha256(
            b"".join(digest.digest() for digest in (*self._columns, *self._properties.values(), *self._templates))
        ).hexdigest()


def write_shard(crystals: EncodedCrystals, path: Path) -> int:
    """Write `crystals` as one shard, slots in the smallest integer that holds them; the number of crystals."""
    slot = crystals.slot.astype(np.uint8 if crystals.slot.max(initial=0) < 256 else np.uint16)
    coords = pa.FixedSizeListArray.from_arrays(pa.array(crystals.coords.ravel()), 3)
    atoms = pa.StructArray.from_arrays([pa.array(crystals.cell), pa.array(slot), coords], ["cell", "slot", "coords"])
    columns: dict[str, Any] = {
        # A slice would write its neighbours' names along, and the bytes would depend on the parts it came in.
        "material_id": pa.array(crystals.material_ids.to_pylist(), pa.string()),
        "atoms": pa.ListArray.from_arrays(pa.array(crystals.offsets, pa.int32()), atoms),
        "lattice": pa.FixedSizeListArray.from_arrays(pa.array(crystals.lattice.ravel()), 6),
    }
    for name, values in crystals.properties.items():
        flat = pa.array(values.ravel())
        columns[PROPERTY + name] = (
            flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        )
    if crystals.templates is not None:
        flat = pa.array(crystals.templates.coords.astype(np.float32).ravel())
        triples = pa.FixedSizeListArray.from_arrays(flat, 3)
        offsets = pa.array(crystals.offsets, pa.int32())
        columns[TEMPLATE_COORDS] = pa.ListArray.from_arrays(offsets, triples)
        columns[TEMPLATE_CELL] = pa.ListArray.from_arrays(offsets, pa.array(crystals.templates.cell))
        lattice = pa.array(crystals.templates.lattice.ravel())
        columns[TEMPLATE_LATTICE] = pa.FixedSizeListArray.from_arrays(lattice, 6)
    batch = pa.record_batch(columns)
    with whole_file(path) as unfinished, pa.ipc.new_file(str(unfinished), batch.schema) as writer:
        writer.write_batch(batch)
    return len(crystals)


def open_shard(path: Path, shard: Shard) -> EncodedCrystals:
    """Crystals of a shard, in arrays that are views of the file.

    Raises:
        UserError: if the file is missing, or not the one that the index speaks of.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; {REMEDY}")
    if (size := path.stat().st_size) != shard.bytes:
        raise UserError(f"{path} has {size} bytes, {shard.bytes} in encoding.json (truncated?); {REMEDY}")
    if sha256(path) != shard.sha256:
        raise UserError(f"{path} is not what was written (its SHA-256 is not that of encoding.json); {REMEDY}")
    try:
        crystals = _views(pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0))
    except (pa.ArrowException, OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a shard of encoded crystals ({type(error).__name__}); {REMEDY}") from error
    if len(crystals) != shard.rows:
        raise UserError(f"{path} has {len(crystals)} crystals, {shard.rows} in encoding.json; {REMEDY}")
    return crystals


def _views(batch: pa.RecordBatch) -> EncodedCrystals:
    atoms, lattice = batch.column("atoms"), batch.column("lattice")
    cell, slot, coords = (atoms.values.field(name) for name in ("cell", "slot", "coords"))
    return EncodedCrystals(
        batch.column("material_id"),
        atoms.offsets.to_numpy(),
        cell.to_numpy(),
        slot.to_numpy(),
        coords.values.to_numpy().reshape(-1, 3),
        lattice.values.to_numpy().reshape(-1, 6),
        {
            name.removeprefix(PROPERTY): _values(batch.column(name))
            for name in batch.schema.names
            if name.startswith(PROPERTY)
        },
        _templates(batch),
    )


def _templates(batch: pa.RecordBatch) -> Templates | None:
    if TEMPLATE_COORDS not in batch.schema.names:
        return None
    coords, lattice = batch.column(TEMPLATE_COORDS).values.values, batch.column(TEMPLATE_LATTICE).values
    cell = batch.column(TEMPLATE_CELL).values.to_numpy()
    return Templates(coords.to_numpy().reshape(-1, 3), lattice.to_numpy().reshape(-1, 6), cell)


def _values(column: pa.Array) -> np.ndarray:
    if pa.types.is_fixed_size_list(column.type):
        return column.values.to_numpy().reshape(len(column), -1)
    return column.to_numpy()


class EncodedSplit:
    """The crystals of one split, in shards on disk.

    Attributes:
        content: hash of the crystals; see `SplitIndex`.
        shards: the crystals of each file.
    """

    def __init__(self, folder: str | Path, split: str):
        """Map the files of `split` in the encoded dataset `folder`; UserError as in `open_shard`."""
        index = read_index(folder, split)
        self.content = index.content
        self.shards = [open_shard(Path(folder) / split / shard.name, shard) for shard in index.files]
        self._starts = np.cumsum([0, *(shard.rows for shard in index.files)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def has_templates(self) -> bool:
        """Whether crystals of this split have templates."""
        return any(shard.templates is not None for shard in self.shards)

    def batch(self, rows: np.ndarray, width: int) -> dict[str, np.ndarray]:
        """Crystals `rows` (b,) of the split, padded to `width` atoms; see `encoded.padding`."""
        first = self.shards[0] if self.shards else None
        batch = padding(len(rows), width, first.n_properties if first else 0, self.has_templates)
        which = np.searchsorted(self._starts, rows, side="right") - 1
        for index in np.unique(which).tolist():
            at = np.flatnonzero(which == index)
            self.shards[index].pad_into(batch, at, rows[at] - self._starts[index])
        return batch
