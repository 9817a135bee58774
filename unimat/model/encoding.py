"""Crystals as compact arrays: for each atom its cell of the periodic table, its slot, its coordinates.

The dense UniMat tensor (L, H, W, 3) is scattered from these on the accelerator (`unimat.model.tensors`); on
disk it would be nearly all null. Coordinates are stored as fractions of the cell, wrapped into [0, 1), in
either mode; Cartesian ones are computed from them and the lattice where the tensor is made.
"""

from collections.abc import Mapping

import numpy as np

from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.errors import CrystalRejected, UserError
from unimat.model import lattice as lattice_forms
from unimat.model.encoded import EncodedSplit, Encoding
from unimat.model.settings import EncodeSettings
from unimat.periodic_table import SYMBOLS, Grid, grid_of_elements

MIN_STD = (1e-3, 1e-3, 1e-3, 1e-2, 1e-2, 1e-2)  # lengths (log or Å), degrees: datasets of one lattice shape
MIN_VOLUME = 0.1  # Å^3 per cell: the limit of CDVAE's evaluation, below which nothing counts as a crystal


def chosen_grid(settings: EncodeSettings) -> Grid:
    if settings.elements is not None:
        return grid_of_elements(list(settings.elements))
    full = Grid()
    try:
        return Grid(settings.rows or full.rows, settings.columns or full.columns)
    except ValueError as error:
        raise UserError(f"encode: {error}") from error


def encode_dataset(
    tables: Mapping[str, CrystalTable], settings: EncodeSettings
) -> tuple[dict[str, EncodedSplit], Encoding, list[Rejected]]:
    """Compact arrays of each split, their common `Encoding`, and the crystals that could not be encoded.

    Raises:
        UserError: if no crystal of the training split can be used.
    """
    grid = chosen_grid(settings)
    slots, width = _limits(tables, grid, settings)
    splits, rejected = {}, []
    for name, table in tables.items():
        splits[name], refused = encode_table(table, grid, slots, width, settings.max_atoms, name)
        rejected += refused
    if not len(splits["train"]):
        reason = f"; the first: {rejected[0].material_id}: {rejected[0].detail}" if rejected else ""
        raise UserError(f"encode: no usable crystal in the training split{reason}")
    return splits, _describe(splits, grid, (slots, width), settings, len(rejected)), rejected


def encode_table(
    table: CrystalTable, grid: Grid, slots: int, width: int, max_atoms: int | None = None, source: str = ""
) -> tuple[EncodedSplit, list[Rejected]]:
    """Compact arrays of a crystal table's rows, in their order, without those that cannot be encoded.

    Args:
        slots: L, most atoms of one element.
        width: A, columns of the compact arrays.
        max_atoms: crystals of more atoms are rejected; None: no limit.
        source: written into the rejected rows.
    """
    offsets, n_atoms = table.atom_offsets, table.n_atoms
    cells = _cell_lookup(grid)[table.flat_atomic_numbers]
    crystal = np.repeat(np.arange(len(table)), n_atoms)
    slot = _ranks(crystal, cells, grid)
    matrices = table.lattices
    rejected = _rejections(table, cells, slot, slots, max_atoms)
    keep = np.array([index not in rejected for index in range(len(table))], bool)
    # Lengths and angles cannot tell a left-handed basis; (-a, -b, -c) is right-handed and spans the same lattice.
    handed = np.where(np.linalg.det(np.where(keep[:, None, None], matrices, np.eye(3))) < 0, -1.0, 1.0)
    frac = np.mod(table.flat_frac_coords * handed[crystal, None], 1.0).astype(np.float32)
    frac[frac >= 1] = 0  # rounding up of what lies just below the border
    atom = np.arange(len(crystal)) - offsets[crystal]
    chosen = keep[crystal]
    row, atom = (np.cumsum(keep) - 1)[crystal[chosen]], atom[chosen]
    split = EncodedSplit(
        tuple(np.array(table.material_ids, object)[keep]),
        np.full((keep.sum(), width), -1, np.int16),
        np.zeros((keep.sum(), width), np.int16),
        np.zeros((keep.sum(), width, 3), np.float32),
        lattice_forms.to_parameters(matrices[keep]),
    )
    split.cell[row, atom], split.slot[row, atom], split.coords[row, atom] = cells[chosen], slot[chosen], frac[chosen]
    ids = table.material_ids
    return split, [Rejected(ids[i], source, r.reason, r.detail) for i, r in sorted(rejected.items())]


def decode(encoding: Encoding, split: EncodedSplit, index: int) -> Crystal:
    """Crystal of row `index` of a split; its lattice is oriented as in `lattice.to_matrices`."""
    occupied = split.cell[index] >= 0
    order = np.lexsort((split.slot[index][occupied], split.cell[index][occupied]))
    numbers = np.array(encoding.grid.atomic_number_at)[split.cell[index][occupied][order]]
    coords = split.coords[index][occupied][order]
    return checked_crystal(split.material_ids[index], split.lattice[index], numbers, coords)


def checked_crystal(material_id: str, parameters: np.ndarray, numbers: np.ndarray, coords: np.ndarray) -> Crystal:
    """Crystal of lattice parameters (6,), atomic numbers (n,) and fractional coordinates (n, 3).

    Raises:
        CrystalRejected: on no atoms, a number that is not finite, or a lattice that does not close; a bad
            lattice is never repaired.
    """
    parameters = np.asarray(parameters, np.float64)
    if not (np.isfinite(parameters).all() and np.isfinite(coords).all()):
        raise CrystalRejected("degenerate_lattice", "a lattice parameter or coordinate is not finite")
    if not lattice_forms.closes(parameters):
        shown = ", ".join(f"{value:.4g}" for value in parameters)
        raise CrystalRejected("degenerate_lattice", f"a, b, c, α, β, γ = {shown} (Å, degrees) cannot close")
    matrix = lattice_forms.to_matrices(parameters)
    volume = float(np.linalg.det(matrix))
    if volume < MIN_VOLUME:
        raise CrystalRejected("degenerate_lattice", f"the cell has {volume:.3g} Å^3, the limit is {MIN_VOLUME}")
    if len(numbers) == 0:
        raise CrystalRejected("no_atoms", "every slot decoded as null")
    return Crystal(material_id, matrix, np.asarray(numbers), np.mod(np.asarray(coords, np.float64), 1.0))


def _cell_lookup(grid: Grid) -> np.ndarray:
    """(256,) flat cell of each atomic number; -1 outside the grid."""
    lookup = np.full(256, -1, np.int64)
    for number, cell in grid.cell_of.items():
        lookup[number] = cell
    return lookup


def _ranks(crystal: np.ndarray, cells: np.ndarray, grid: Grid) -> np.ndarray:
    """(atoms,) how many earlier atoms of the same crystal share the cell."""
    height, width = grid.shape
    key = crystal * (height * width + 1) + cells + 1
    order = np.argsort(key, kind="stable")
    starts = np.concatenate([[True], key[order][1:] != key[order][:-1]]) if len(key) else np.zeros(0, bool)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(key)), 0))
    ranks = np.empty(len(key), np.int64)
    ranks[order] = np.arange(len(key)) - first
    return ranks


def _rejections(
    table: CrystalTable, cells: np.ndarray, slot: np.ndarray, slots: int, max_atoms: int | None
) -> dict[int, CrystalRejected]:
    offsets, n_atoms = table.atom_offsets, table.n_atoms
    found: dict[int, CrystalRejected] = {}
    sound = np.isfinite(table.lattices).all((1, 2))
    sound[sound] = np.abs(np.linalg.det(table.lattices[sound])) >= MIN_VOLUME
    crystal = np.repeat(np.arange(len(table)), n_atoms)
    for index in np.flatnonzero(n_atoms == 0).tolist():
        found[index] = CrystalRejected("no_atoms", "the crystal has no atoms")
    for index in np.unique(crystal[~np.isfinite(table.flat_frac_coords).all(1)]).tolist():
        found[index] = CrystalRejected("degenerate_lattice", "a coordinate is not finite")
    for index in np.flatnonzero(~sound).tolist():
        found[index] = CrystalRejected("degenerate_lattice", f"the cell has less than {MIN_VOLUME} Å^3")
    for index in np.flatnonzero(n_atoms > (max_atoms or np.inf)).tolist():
        detail = f"{n_atoms[index]} atoms, the limit is {max_atoms}"
        found.setdefault(index, CrystalRejected("too_many_atoms", detail))
    for atom in np.flatnonzero((cells < 0) | (slot >= slots)):
        index = int(crystal[atom])
        if index in found:
            continue
        here = slice(offsets[index], offsets[index + 1])
        symbol = SYMBOLS[table.flat_atomic_numbers[atom] - 1]
        if cells[atom] < 0:
            found[index] = CrystalRejected("outside_grid", f"{symbol} has no cell in the grid")
        else:
            count = int((cells[here] == cells[atom]).sum())
            found[index] = CrystalRejected(
                "too_many_of_element", f"{count} atoms of {symbol}, the limit is L = {slots}"
            )
    return found


def _limits(tables: Mapping[str, CrystalTable], grid: Grid, settings: EncodeSettings) -> tuple[int, int]:
    """L and A: as configured, or the largest that occur among crystals inside the grid."""
    slots, atoms = 1, 1
    for table in tables.values():
        cells = _cell_lookup(grid)[table.flat_atomic_numbers]
        crystal = np.repeat(np.arange(len(table)), table.n_atoms)
        outside = np.isin(np.arange(len(table)), crystal[cells < 0])
        usable = ~outside & (table.n_atoms <= (settings.max_atoms or np.inf))
        ranks = _ranks(crystal, cells, grid)
        if settings.slots is not None:
            usable[crystal[ranks >= settings.slots]] = False
        slots = max(slots, int(ranks[usable[crystal]].max(initial=0)) + 1)
        atoms = max(atoms, int(table.n_atoms[usable].max(initial=1)))
    return settings.slots or slots, atoms


def _describe(
    splits: Mapping[str, EncodedSplit], grid: Grid, limits: tuple[int, int], settings: EncodeSettings, n_rejected: int
) -> Encoding:
    parameters = splits["train"].lattice
    matrices = lattice_forms.to_matrices(parameters)
    corners = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), axis=-1).reshape(8, 3)
    if settings.coordinates == "cartesian":
        std = np.full(9, np.sqrt((matrices**2).mean()))
        mean, reach = np.zeros(9), np.full(9, np.abs(parameters[:, :3]).max())
        low, high = -reach / std, reach / std
    else:
        vectors = lattice_forms.to_vector(parameters, settings.lattice_lengths)
        pooled = vectors.reshape(-1, 2, 3)  # lengths, angles
        mean = np.repeat(pooled.mean((0, 2)), 3)
        std = np.maximum(np.repeat(pooled.std((0, 2)), 3), MIN_STD)
        low = (np.repeat(pooled.min((0, 2)), 3) - mean) / std
        high = (np.repeat(pooled.max((0, 2)), 3) - mean) / std
    counts = np.concatenate([(split.cell >= 0).sum(1) for split in splits.values()])
    histogram = {str(n): int(count) for n, count in zip(*np.unique(counts, return_counts=True), strict=True)}
    return Encoding(
        grid_rows=grid.rows,
        grid_columns=grid.columns,
        slots=limits[0],
        max_atoms=limits[1],
        coordinates=settings.coordinates,
        lattice_lengths=settings.lattice_lengths,
        lattice_mean=_rounded(mean),
        lattice_std=_rounded(std),
        lattice_low=_rounded(low),
        lattice_high=_rounded(high),
        cartesian_radius=float(np.linalg.norm(corners @ matrices, axis=-1).max()),
        n={name: len(split) for name, split in splits.items()},
        n_rejected=n_rejected,
        count_histogram=histogram,
    )


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{value:.9g}") for value in values)
