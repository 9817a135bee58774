"""Crystals as compact arrays: for each atom its cell of the periodic table, its slot, its coordinates.

The dense UniMat tensor (L, H, W, 3) is scattered from these on the accelerator (`unimat.model.representation.tensors`);
on disk it would be nearly all null. Coordinates are stored as fractions of the cell, wrapped into [0, 1), in
either mode; Cartesian ones are computed from them and the lattice where the tensor is made.
"""

import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.errors import CrystalRejected, UserError
from unimat.model.representation import lattice as lattice_forms
from unimat.model.representation.encoded import (
    TEMPLATE_COORDS,
    TEMPLATE_LATTICE,
    TEMPLATE_SPECIES,
    EncodedCrystals,
    Encoding,
    Templates,
)
from unimat.model.settings import EncodeSettings
from unimat.periodic_table import SYMBOLS, Grid, grid_of_elements

MAX_SLOTS = 2**15 - 1  # atoms of one element where L is free: slots of a batch are int16
MIN_VOLUME = 0.1  # Å^3 per cell: the limit of CDVAE's evaluation, below which nothing counts as a crystal


def chosen_grid(settings: EncodeSettings) -> Grid:
    if settings.elements is not None:
        return grid_of_elements(list(settings.elements))
    full = Grid()
    try:
        return Grid(settings.rows or full.rows, settings.columns or full.columns)
    except ValueError as error:
        raise UserError(f"encode: {error}") from error


def encode_table(
    table: CrystalTable,
    grid: Grid,
    slots: int | None = None,
    max_atoms: int | None = None,
    source: str = "",
    properties: Sequence[str] = (),
    templates: bool = False,
) -> tuple[EncodedCrystals, list[Rejected]]:
    """Compact arrays of a crystal table's rows, in their order, without those that cannot be encoded.

    Args:
        slots: L; crystals of more atoms of one element are rejected. None: no limit.
        max_atoms: crystals of more atoms are rejected; None: no limit.
        source: written into the rejected rows.
        properties: columns of the table to take along.
        templates: take the columns of templates along; see `templates_of`.

    Raises:
        UserError: on a property that the table does not have, or that is no number or vector; on templates that the
            table does not have, or that do not have its crystals' numbers of atoms.
    """
    ids, n_atoms, matrices = table.arrow.column("material_id").combine_chunks(), table.n_atoms, table.lattices
    cells = cells_of(table.flat_atomic_numbers, grid)
    crystal = np.repeat(np.arange(len(table)), n_atoms)
    slot = _ranks(crystal, cells, grid)
    rejected = _rejections(table, cells, slot, slots or MAX_SLOTS, max_atoms)
    keep = np.ones(len(table), bool)
    keep[list(rejected)] = False
    chosen, matrices = keep[crystal], matrices[keep]
    known = templates_of(table, grid) if templates else None
    encoded = EncodedCrystals(
        pc.filter(ids, pa.array(keep)),
        np.concatenate([[0], np.cumsum(n_atoms[keep])]),
        cells[chosen].astype(np.uint8),
        slot[chosen].astype(np.uint16),
        _wrapped(table.flat_frac_coords[chosen], np.repeat(_handedness(matrices), n_atoms[keep])),
        lattice_forms.to_parameters(matrices),
        {name: property_values(table, name)[keep] for name in properties},
        known and known.taken(chosen, keep),
    )
    return encoded, [Rejected(ids[i].as_py(), source, r.reason, r.detail) for i, r in sorted(rejected.items())]


def property_values(table: CrystalTable, name: str) -> np.ndarray:
    """(m,) float32 of a column of numbers, (m, k) of one of vectors; NaN where there is no finite value.

    Raises:
        UserError: if the table has no such column, or it holds something else.
    """
    table.column(name)  # names those that there are
    column = table.arrow.column(name).combine_chunks()
    try:
        if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
            values = _vectors(column)
        else:
            values = column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
    except (pa.ArrowException, ValueError) as error:
        raise UserError(
            f"encode.properties names {name!r}, a column of {column.type}; give one of numbers, or of vectors of one "
            "length"
        ) from error
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def templates_of(table: CrystalTable, grid: Grid) -> Templates:
    """Templates of the crystals of a table.

    Its columns are `template_lattice` (nine numbers, Å), `template_coords` (three for each atom) and `template_species`
    (an atomic number for each atom, of the element whose place the atom's takes).

    Raises:
        UserError: if a column is missing, or a template has another number of atoms than its crystal.
    """
    values = []
    of_atoms = (TEMPLATE_COORDS, 3 * table.n_atoms), (TEMPLATE_SPECIES, table.n_atoms)
    for name, sizes in ((TEMPLATE_LATTICE, np.full(len(table), 9)), *of_atoms):
        table.column(name)  # names those that there are
        column = table.arrow.column(name).combine_chunks().cast(pa.list_(pa.float64()))
        given = np.asarray(column.is_valid())
        found = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
        for row in np.flatnonzero(given & (found != sizes)).tolist():
            raise UserError(
                f"{name} of {table.material_ids[row]}: {found[row]} numbers in place of {sizes[row]}; a template has "
                "the atoms of its crystal, in the same order"
            )
        filled = np.full(sizes.sum(), np.nan)
        filled[np.repeat(given, sizes)] = column.drop_null().flatten().to_numpy(zero_copy_only=False)
        values.append(filled)
    matrices, places = values[0].reshape(-1, 3, 3), values[1].reshape(-1, 3)
    finite: np.ndarray = np.asarray(np.isfinite(places).all(1))
    known: np.ndarray = np.isfinite(matrices).all((1, 2)) & (np.bincount(_crystals(table), ~finite, len(table)) == 0)
    lattice = np.full((len(table), 6), np.nan)
    lattice[known] = lattice_forms.to_parameters(matrices[known])
    # Turned round where the crystal's axes are, so that both stay in one setting.
    coords = _wrapped(np.where(finite[:, None], places, 0.0), np.repeat(_handedness(table.lattices), table.n_atoms))
    return Templates(coords, lattice, cells_of(np.nan_to_num(values[2]).astype(np.int64), grid).astype(np.int16))


def _crystals(table: CrystalTable) -> np.ndarray:
    """(n,) row of each atom."""
    return np.repeat(np.arange(len(table)), table.n_atoms)


def _vectors(column: pa.Array) -> np.ndarray:
    """(m, k) float32 of lists of k numbers each, NaN for a missing one; k = 0 where all are missing."""
    sizes = set(pc.list_value_length(column).drop_null().to_pylist()) or {0}
    if len(sizes) > 1:
        raise ValueError(f"vectors of {len(sizes)} lengths")
    values = np.full((len(column), sizes.pop()), np.nan, np.float32)
    given = np.asarray(column.is_valid())
    values[given] = (
        column.drop_null()
        .flatten()
        .cast(pa.float64())
        .to_numpy(zero_copy_only=False)
        .reshape(given.sum(), values.shape[1])
    )
    return values


def cells_of(atomic_numbers: np.ndarray, grid: Grid) -> np.ndarray:
    """(n,) flat cell of each atom; -1 outside the grid."""
    lookup = np.full(len(SYMBOLS) + 1, -1, np.int64)
    lookup[list(grid.cell_of)] = list(grid.cell_of.values())
    return lookup[np.where(_is_element(atomic_numbers), atomic_numbers, 0)]


def _is_element(atomic_numbers: np.ndarray) -> np.ndarray:
    return (atomic_numbers >= 1) & (atomic_numbers <= len(SYMBOLS))


def _handedness(matrices: np.ndarray) -> np.ndarray:
    """(m,) 1 or -1. Lengths and angles cannot tell a left-handed basis; (-a, -b, -c) spans the same lattice."""
    return np.where(np.linalg.det(matrices) < 0, -1.0, 1.0)


def _wrapped(frac_coords: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """(n, 3) float32 coordinates in [0, 1), axes turned round where `sign` (n,) is -1."""
    frac = np.mod(frac_coords * sign[:, None], 1.0).astype(np.float32)
    frac[frac >= 1] = 0  # rounding up of what lies just below the border
    return frac


def decode(encoding: Encoding, crystals: EncodedCrystals, index: int) -> Crystal:
    """Crystal of row `index`; its lattice is oriented as in `lattice.to_matrices`, its atoms go cell by cell."""
    here = slice(crystals.offsets[index], crystals.offsets[index + 1])
    cells = crystals.cell[here]
    order = np.lexsort((crystals.slot[here], cells))
    numbers = _atomic_numbers(encoding.grid_rows, encoding.grid_columns)[cells[order]]
    material_id = crystals.material_ids[index].as_py()
    return checked_crystal(material_id, crystals.lattice[index], numbers, crystals.coords[here][order])


@functools.lru_cache(maxsize=8)
def _atomic_numbers(rows: tuple[int, ...], columns: tuple[int, ...]) -> np.ndarray:
    """(H * W,) atomic number of each flat cell."""
    return np.array(Grid(rows, columns).atomic_number_at)


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
    """Why each row that cannot be encoded cannot."""
    n_atoms = table.n_atoms
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
    misplaced = np.flatnonzero((cells < 0) | (slot >= slots))
    numbers, (indices, first) = table.flat_atomic_numbers, np.unique(crystal[misplaced], return_index=True)
    for index, atom in zip(indices.tolist(), misplaced[first].tolist(), strict=True):
        if index not in found:
            found[index] = _misplaced(int(numbers[atom]), numbers[crystal == index], cells[atom] >= 0, slots)
    return found


def _misplaced(number: int, numbers: np.ndarray, in_grid: bool, slots: int) -> CrystalRejected:
    """Why an atom of a crystal of atomic numbers `numbers` finds no slot."""
    if not _is_element(np.array(number)):
        return CrystalRejected("not_an_element", f"{number} is the atomic number of no element")
    symbol = SYMBOLS[number - 1]
    if not in_grid:
        return CrystalRejected("outside_grid", f"{symbol} has no cell in the grid")
    count = int((numbers == number).sum())
    return CrystalRejected("too_many_of_element", f"{count} atoms of {symbol}, the limit is L = {slots}")
