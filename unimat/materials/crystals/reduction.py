"""Other cells of the same crystal: Niggli-reduced, primitive, conventional; for many crystals at once.

CDVAE's preprocessing (arXiv 2110.06197) Niggli-reduces cells with pymatgen, and published lattice statistics rest on
that, so pymatgen's choice is kept where it is one: pymatgen looks for the reduced cell among bases of the same lengths
whose angles agree within 1 degree, and takes the first right-handed one (angles of 89.8, 90.2 and 89.8 degrees, say).
spglib reduces some fifty times as fast; only cells for which such a choice exists go to pymatgen.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import spglib
from pymatgen.core import Lattice

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.crystals.lattices import angles_of, lattice_matrices, lengths_of

EPS = 1e-5  # of spglib and pymatgen alike, relative to the cell's linear size
PYMATGEN_ANGLE_TOLERANCE = 1.0  # degrees; Lattice.find_mapping's default
# The 26 vectors around the origin, opposite ones 13 apart; no reduced basis has other vectors as short as its own.
_HALF = np.array([each for each in itertools.product((-1, 0, 1), repeat=3) if any(each)], np.float64)[:13]
_SHORT = np.concatenate([_HALF, -_HALF])
_AXES = [int(np.flatnonzero((np.abs(_HALF) == axis).all(1))[0]) for axis in np.eye(3)]
_NEXT, _AFTER_NEXT = [1, 2, 0], [2, 0, 1]


def reduced(crystals: Sequence[Crystal], kind: str, symmetry_tolerance: float = 0.01) -> list[Crystal]:
    """The same crystals in other cells, coordinates in [0, 1), lattices in pymatgen's orientation.

    Args:
        kind: "niggli" reduces the cell without making it primitive, "primitive" Niggli-reduces the primitive cell,
            "conventional" takes the cell of the International Tables, "none" changes nothing.
        symmetry_tolerance: Å, for "primitive" and "conventional"; a crystal in which spglib finds no symmetry keeps
            its cell, Niggli-reduced.

    Raises:
        CrystalRejected: if a lattice cannot be reduced.
    """
    if kind == "none" or not crystals:
        return list(crystals)
    if kind == "niggli":
        return _in_bases(crystals, niggli_lattices(np.array([crystal.lattice for crystal in crystals])))
    standard = [_standard(crystal, kind == "primitive", symmetry_tolerance) for crystal in crystals]
    lattices = np.array([crystal.lattice for crystal in standard])
    return _in_bases(standard, niggli_lattices(lattices) if kind == "primitive" else lattices)


def niggli_lattices(lattices: np.ndarray) -> np.ndarray:
    """(m, 3, 3) Niggli-reduced right-handed bases of the same lattices, Å; those that pymatgen finds.

    Raises:
        CrystalRejected: if neither spglib nor pymatgen finds one.
    """
    found = [spglib.niggli_reduce(lattice, EPS) for lattice in lattices]
    bases = np.array([np.eye(3) if basis is None else basis for basis in found])
    undecided = np.array([basis is None for basis in found]) | _near_the_borders(bases)
    for index in np.flatnonzero(undecided | _has_near_twins(bases)):
        bases[index] = _as_pymatgen(lattices[index], None if undecided[index] else found[index])
    return np.where(np.linalg.det(bases)[:, None, None] > 0, bases, -bases)


def _as_pymatgen(lattice: np.ndarray, basis: np.ndarray | None) -> np.ndarray:
    """The basis that pymatgen's Niggli reduction ends with; `basis` is a Niggli-reduced one, if known."""
    cell = Lattice(lattice)
    try:
        if basis is None:
            return cell.get_niggli_reduced_lattice().matrix
        # The last step of get_niggli_reduced_lattice; the steps before would find the parameters known already.
        parameters = Lattice.from_parameters(*lengths_of(basis), *angles_of(basis))
        mapped = cell.find_mapping(parameters, EPS * cell.volume ** (1 / 3), skip_rotation_matrix=True)
        return basis if mapped is None else mapped[0].matrix
    except (ValueError, ArithmeticError, LookupError) as error:
        raise CrystalRejected("degenerate_lattice", f"no Niggli-reduced cell was found ({error})") from error


def _near_the_borders(bases: np.ndarray) -> np.ndarray:
    """(m,) bool: a comparison of the reduction is so close that spglib's and pymatgen's tolerances may differ on it."""
    metric = bases @ bases.transpose(0, 2, 1)
    a, b, c = np.moveaxis(metric[:, [0, 1, 2], [0, 1, 2]], -1, 0)
    xi, eta, zeta = 2 * np.moveaxis(metric[:, [1, 0, 0], [2, 2, 1]], -1, 0)  # as in Křivý and Gruber (1976)
    x, y, z = np.abs([xi, eta, zeta])
    compared = np.abs([b - a, c - b, x, y, z, b - x, a - y, a - z, x - y, y - z, xi + eta + zeta + a + b])
    return np.any((compared > EPS / 4) & (compared < 4 * EPS * _linear_size(bases)), axis=0)


def _has_near_twins(bases: np.ndarray) -> np.ndarray:
    """(m,) bool: other vectors of the same lengths make angles that differ by more than rounding, and less than 1
    degree."""
    vectors = _SHORT @ bases  # (m, 26, 3)
    squares = (vectors * vectors).sum(2)
    own, lengths, angles = squares[:, _AXES, None], np.sqrt(squares), angles_of(bases)
    alike = np.abs(squares[:, None] - own) < 4 * EPS * _linear_size(bases)[:, None, None] * own  # (m, 3, 26)
    other = (np.abs(squares[:, None] - own) > EPS / 4) & alike
    cosines = (vectors[:, :13] @ vectors.transpose(0, 2, 1)) / (lengths[:, :13, None] * lengths[:, None])
    between = np.degrees(np.arccos(np.clip(cosines, -1, 1)))  # (m, 13, 26)
    pairs = alike[:, _NEXT, :13, None] & alike[:, _AFTER_NEXT, None, :]
    row, axis, first, second = np.nonzero(pairs)
    difference = np.abs(between[row, first, second] - angles[row, axis])
    near = (difference > EPS) & (difference < PYMATGEN_ANGLE_TOLERANCE + 1e-3)
    return other.any((1, 2)) | (np.bincount(row[near], minlength=len(bases)) > 0)


def _linear_size(bases: np.ndarray) -> np.ndarray:
    return np.cbrt(np.abs(np.linalg.det(bases)))


def _standard(crystal: Crystal, primitive: bool, tolerance: float) -> Crystal:
    cell = (crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.atomic_numbers.tolist())
    try:
        found = spglib.standardize_cell(cell, to_primitive=primitive, no_idealize=True, symprec=tolerance)
    except spglib.SpglibError:
        found = None
    if found is None:
        return reduced([crystal], "niggli")[0]
    lattice, coords, numbers = (np.asarray(each) for each in found)
    return dataclasses.replace(crystal, lattice=lattice, frac_coords=coords, atomic_numbers=numbers.astype(np.int64))


def _in_bases(crystals: Sequence[Crystal], bases: np.ndarray) -> list[Crystal]:
    """The crystals in `bases` (m, 3, 3), which span their lattices, turned to pymatgen's orientation."""
    lattices = lattice_matrices(lengths_of(bases), angles_of(bases))
    counts = [len(crystal.frac_coords) for crystal in crystals]
    changes = np.array([crystal.lattice for crystal in crystals]) @ np.linalg.inv(bases)
    coords = np.concatenate([crystal.frac_coords for crystal in crystals])
    coords = np.einsum("ni,nij->nj", coords, np.repeat(changes, counts, axis=0))
    coords -= np.floor(coords)
    coords[coords >= 1.0] = 0.0  # -1e-17 - floor(-1e-17) is 1
    parts = np.split(coords, np.cumsum(counts)[:-1])
    return [
        Crystal(crystal.material_id, lattice, crystal.atomic_numbers, part, crystal.properties)
        for crystal, lattice, part in zip(crystals, lattices, parts, strict=True)
    ]
