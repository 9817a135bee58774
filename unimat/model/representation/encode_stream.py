"""Encoding of datasets of any size: crystal tables in, shards out, in one pass.

Whether a crystal is taken depends on it and on the settings alone; L, the width of batches and the statistics of
the lattice are those of what was taken, so nothing has to be read twice. Only the lattice parameters of the
training split and its properties stay in memory, 48 bytes per crystal and 4 per property.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from unimat import parquet
from unimat.crystal_table import REJECTED_FIELDS, CrystalTable, Rejected
from unimat.errors import UserError
from unimat.files import write_json
from unimat.model.representation import lattice as lattice_forms
from unimat.model.representation.encoded import SHARDS, EncodedCrystals, Encoding
from unimat.model.representation.encoding import chosen_grid, encode_table
from unimat.model.representation.rejections import Rejections
from unimat.model.representation.shards import SHARD_ROWS, SplitWriter
from unimat.model.settings import EncodeSettings
from unimat.outputs import whole_folder
from unimat.periodic_table import Grid
from unimat.progress import Progress, progress

BLOCK = 65_536  # crystals whose matrices are looked at together
MIN_STD = (1e-3, 1e-3, 1e-3, 1e-2, 1e-2, 1e-2)  # lengths (log or Å), degrees: datasets of one lattice shape


def encode_dataset(
    tables: Mapping[str, Iterable[CrystalTable]],
    settings: EncodeSettings,
    folder: str | Path,
    shard_rows: int = SHARD_ROWS,
    n_crystals: int | None = None,
    force: bool = False,
) -> Encoding:
    """Write `<split>/shard-*.arrow`, `rejected.parquet` and, last, `encoding.json` into `folder`, all or nothing.

    Args:
        tables: the crystals of each split, `train` among them, in parts that fit into memory.
        shard_rows: crystals of a shard; no number depends on it.
        n_crystals: how many there are in all, for the progress bar.
        force: as `whole_folder`.

    Returns:
        What holds for all crystals.

    Raises:
        UserError: on bad settings, if no crystal of the training split can be used (other splits may be empty), if more
            of them are rejected than `settings.max_rejected` allows, or as `outputs.whole_folder`.
    """
    if shard_rows < 1:
        raise UserError(f"encode: a shard must hold at least one crystal, found {shard_rows} shard rows")
    grid, tally, index = chosen_grid(settings), Tally(), {}
    rejections = Rejections()
    with whole_folder(folder, "encode", last="encoding.json", complete=True, force=force) as new:
        with (
            progress(total=n_crystals, desc="encode", unit="crystal") as bar,
            _rejected_table(new / "rejected.parquet") as reject,
        ):
            for split, parts in tables.items():
                writer = SplitWriter(new / split, shard_rows)
                for table, (crystals, rejected) in _encoded(split, parts, grid, settings, bar):
                    crystals = tally.of_known_lengths(crystals)
                    writer.write(crystals)
                    reject(rejected)
                    tally.add(split, crystals, rejected)
                    if split == "train":
                        rejections.add(table, rejected)
                tally.finish(split)
                if split == "train":
                    rejections.check(settings)
                index[split] = dataclasses.asdict(writer.finish())
        encoding = tally.encoding(grid, settings)
        write_json(new / "encoding.json", {**encoding.to_json(), SHARDS: index})
    return encoding


def _encoded(
    split: str, parts: Iterable[CrystalTable], grid: Grid, settings: EncodeSettings, bar: Progress
) -> Iterator[tuple[CrystalTable, tuple[EncodedCrystals, list[Rejected]]]]:
    for table in parts:
        known = (settings.properties, settings.templates)
        yield table, encode_table(table, grid, settings.slots, settings.max_atoms, split, *known)
        bar.update(len(table))


@contextlib.contextmanager
def _rejected_table(path: Path) -> Iterator[Callable[[list[Rejected]], None]]:
    """Function that adds rows to the rejected table at `path`."""
    schema = pa.schema(REJECTED_FIELDS)
    with parquet.writing(path, schema) as file:

        def reject(rows: list[Rejected]) -> None:
            if rows:
                file.write_table(pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=schema))

        yield reject


class Tally:
    """What an `Encoding` says of its crystals, gathered part by part."""

    def __init__(self) -> None:
        self._n: collections.Counter[str] = collections.Counter()
        self._n_atoms: collections.Counter[int] = collections.Counter()
        self._n_rejected, self._slots = 0, 1
        self._first_rejected: Rejected | None = None
        self._lattices: list[np.ndarray] = []
        self._sizes: list[np.ndarray] = []
        self._properties: dict[str, list[np.ndarray]] = {}

    def add(self, split: str, crystals: EncodedCrystals, rejected: list[Rejected]) -> None:
        self._n[split] += len(crystals)
        self._n_atoms.update(crystals.n_atoms.tolist())
        self._n_rejected += len(rejected)
        self._slots = max(self._slots, int(crystals.slot.max(initial=0)) + 1)
        self._first_rejected = self._first_rejected or next(iter(rejected), None)
        if split == "train":
            self._lattices.append(crystals.lattice)
            self._sizes.append(crystals.n_atoms)
            for name, values in crystals.properties.items():
                self._properties.setdefault(name, []).append(values)

    def of_known_lengths(self, crystals: EncodedCrystals) -> EncodedCrystals:
        """The crystals, vectors that are all missing as long as those before; UserError on other lengths."""
        properties = {}
        for name, values in crystals.properties.items():
            first = self._properties.get(name, [values])[0]
            if values.shape[1:] == (0,):
                values = np.full((len(values), *first.shape[1:]), np.nan, np.float32)
            _refuse_other_length(name, values, first)
            properties[name] = values
        return dataclasses.replace(crystals, properties=properties)

    def finish(self, split: str) -> None:
        """No more crystals of `split` will come; UserError if that leaves nothing to train on."""
        self._n[split] += 0
        if split == "train" and not self._n[split]:
            first = self._first_rejected
            reason = f"; the first: {first.material_id}: {first.detail}" if first else ""
            raise UserError(f"encode: no usable crystal in the training split{reason}")

    def encoding(self, grid: Grid, settings: EncodeSettings) -> Encoding:
        return Encoding(
            grid_rows=grid.rows,
            grid_columns=grid.columns,
            slots=settings.slots or self._slots,
            max_atoms=max(self._n_atoms),
            coordinates=settings.coordinates,
            lattice_lengths=settings.lattice_lengths,
            **lattice_statistics(np.concatenate(self._lattices), np.concatenate(self._sizes), settings),
            n=dict(self._n),
            n_rejected=self._n_rejected,
            count_histogram={str(n): count for n, count in sorted(self._n_atoms.items())},
            properties={
                name: property_statistics(name, np.concatenate(parts)) for name, parts in self._properties.items()
            },
        )


def _refuse_other_length(name: str, values: np.ndarray, first: np.ndarray) -> None:
    found, wanted = (each.shape[1] if each.ndim > 1 else 1 for each in (values, first))
    if found != wanted:
        raise UserError(f"encode.properties: {name!r} has {wanted} numbers at first and {found} later; give one length")


def property_statistics(name: str, values: np.ndarray) -> dict[str, float | int]:
    """What `Encoding.properties` says of one property with values (m,) or (m, k) over the training split.

    Raises:
        UserError: if no crystal has a value.
    """
    values = values.reshape(len(values), -1).astype(np.float64)
    given = values[np.isfinite(values).all(1)]
    if not len(given):
        raise UserError(f"encode.properties names {name!r}, of which no crystal of the training split has a value")
    mean, std = _rounded(np.array([given.mean(), given.std()]))
    return {"mean": mean, "std": std or 1.0, "count": len(given), "size": values.shape[1]}


def lattice_statistics(parameters: np.ndarray, n_atoms: np.ndarray, settings: EncodeSettings) -> dict:
    """The fields of `Encoding` that speak of the lattices (m, 6) of the training split, of n_atoms (m,) each."""
    squares, radius = 0.0, 0.0
    corners = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), axis=-1).reshape(8, 3)
    for start in range(0, len(parameters), BLOCK):
        matrices = lattice_forms.to_matrices(parameters[start : start + BLOCK])
        squares += float((matrices**2).sum())
        radius = max(radius, float(np.linalg.norm(corners @ matrices, axis=-1).max()))
    if settings.coordinates == "cartesian":
        std = np.full(9, np.sqrt(squares / (9 * len(parameters))))
        mean, reach = np.zeros(9), np.full(9, np.abs(parameters[:, :3]).max())
        low, high = -reach / std, reach / std
    else:
        vectors = lattice_forms.to_vector(parameters, settings.lattice_lengths, n_atoms=n_atoms)
        mean, std, low, high = np.concatenate(_pooled(vectors, settings.lattice_lengths), axis=1)
        std = np.maximum(std, MIN_STD)
        low, high = (low - mean) / std, (high - mean) / std
    named = {"lattice_mean": mean, "lattice_std": std, "lattice_low": low, "lattice_high": high}
    return {name: _rounded(values) for name, values in named.items()} | {"cartesian_radius": radius}


def _pooled(vectors: np.ndarray, lengths: str) -> list[np.ndarray]:
    """Mean, standard deviation, least and largest of lattice vectors (m, 6), whatever the order of the axes.

    Returns:
        Arrays (4, k), side by side for the 6 components.
    """
    angles = _statistics(vectors[:, 3:].ravel(), 3)
    if lengths != "volume":
        return [_statistics(vectors[:, :3].ravel(), 3), angles]
    # All orders of the axes turn and mirror the plane of the two ratios: their mean is 0, their spreads are equal.
    farthest = np.hypot(vectors[:, 1], vectors[:, 2]).max()
    spread = np.sqrt((vectors[:, 1:3] ** 2).mean())
    ratios = np.repeat([[0.0], [spread], [-farthest], [farthest]], 2, axis=1)
    return [_statistics(vectors[:, 0], 1), ratios, angles]


def _statistics(values: np.ndarray, times: int) -> np.ndarray:
    return np.repeat([[values.mean()], [values.std()], [values.min()], [values.max()]], times, axis=1)


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{value:.9g}") for value in values)
