"""Lattices as lengths and angles, as matrices, and how near points in them come to each other."""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from pymatgen.core import Lattice

from unimat.errors import CrystalRejected

LARGE = 200  # atoms; the pairs of larger cells are not held in memory together with those of other crystals
_SMALL_COMBINATIONS = np.array([each for each in itertools.product(range(-2, 3), repeat=3) if any(each)])


def lengths_of(lattices: np.ndarray) -> np.ndarray:
    """(..., 3) a, b, c in Å of lattices (..., 3, 3)."""
    return np.sqrt((lattices * lattices).sum(-1))


def angles_of(lattices: np.ndarray) -> np.ndarray:
    """(..., 3) alpha, beta, gamma in degrees of lattices (..., 3, 3)."""
    directions = lattices / lengths_of(lattices)[..., None]
    cosines = (directions[..., [1, 0, 0], :] * directions[..., [2, 2, 1], :]).sum(-1)
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


def lattice_matrices(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(..., 3, 3) matrices, Å, in pymatgen's orientation (c along z, a in the xz plane).

    Args:
        lengths: (..., 3) a, b, c in Å.
        angles: (..., 3) alpha, beta, gamma in degrees; those of no cell give NaN.
    """
    a, b, c = np.moveaxis(np.asarray(lengths, np.float64), -1, 0)
    cosines = np.cos(np.radians(angles))
    cos_a, cos_b, cos_c = np.moveaxis(cosines, -1, 0)
    sin_a, sin_b = np.sqrt(1 - cos_a**2), np.sqrt(1 - cos_b**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        cos_star = (cos_a * cos_b - cos_c) / (sin_a * sin_b)  # of the reciprocal cell's gamma
        sin_star = np.sqrt(1 - cos_star**2)
    zero = np.zeros_like(a)
    rows = (
        (a * sin_b, zero, a * cos_b),
        (-b * sin_a * cos_star, b * sin_a * sin_star, b * cos_a),
        (zero, zero, c),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def lattice_matrix(lengths: Sequence[float] | np.ndarray, angles: Sequence[float] | np.ndarray) -> np.ndarray:
    """(3, 3) matrix, Å, in pymatgen's orientation (c along z, a in the xz plane).

    Args:
        lengths: (3,) a, b, c in Å.
        angles: (3,) alpha, beta, gamma in degrees.

    Raises:
        CrystalRejected: if no cell has these lengths or angles.
    """
    # For one cell plain arithmetic is several times as fast as `lattice_matrices`.
    a, b, c = map(float, lengths)
    if a < 0 or b < 0 or c < 0:  # would turn the cell inside out and pass for sound
        raise CrystalRejected("degenerate_lattice", f"a negative length among {a:g}, {b:g}, {c:g} Å")
    cos_a, cos_b, cos_c = (math.cos(math.radians(angle)) for angle in angles)
    squared_volume = 1 - cos_a**2 - cos_b**2 - cos_c**2 + 2 * cos_a * cos_b * cos_c  # of a cell of unit lengths
    if not squared_volume > 1e-12:
        raise CrystalRejected("degenerate_lattice", f"no cell has the angles {list(map(float, angles))} degrees")
    sin_a, sin_b = math.sqrt(1 - cos_a**2), math.sqrt(1 - cos_b**2)
    cos_star = max(-1.0, min(1.0, (cos_a * cos_b - cos_c) / (sin_a * sin_b)))  # of the reciprocal cell's gamma
    sin_star = math.sqrt(1 - cos_star**2)
    return np.array(
        [[a * sin_b, 0.0, a * cos_b], [-b * sin_a * cos_star, b * sin_a * sin_star, b * cos_a], [0.0, 0.0, c]]
    )


def come_closer_than(distance: float, lattices: Sequence[np.ndarray], frac_coords: Sequence[np.ndarray]) -> np.ndarray:
    """(m,) bool: in which crystals two atoms, periodic images included, lie less than `distance` (Å) apart.

    A vector shorter than half the spacing of every family of lattice planes has components below one half, so that
    the nearest images are those of rounded differences; flatter cells take the slower way.

    Args:
        lattices: m matrices (3, 3), Å, with a volume.
        frac_coords: m arrays (n, 3).
    """
    spacings = 1 / np.sqrt((np.linalg.inv(np.array(lattices)) ** 2).sum(1))
    flat = (spacings.min(1) <= 2 * distance) | [len(coords) > LARGE for coords in frac_coords]
    close = np.zeros(len(flat), bool)
    for index in np.flatnonzero(flat).tolist():
        close[index] = shortest_distance(lattices[index], frac_coords[index]) < distance
    usual = np.flatnonzero(~flat).tolist()
    pairs = [_differences(frac_coords[index]) @ lattices[index] for index in usual]
    vectors = np.concatenate([np.zeros((0, 3)), *pairs])
    crystal = np.repeat(np.array(usual, np.int64), [len(each) for each in pairs])
    close[crystal[(vectors * vectors).sum(1) < distance * distance]] = True
    return close


def _differences(coords: np.ndarray) -> np.ndarray:
    """(n (n - 1) / 2, 3) differences of fractional coordinates, each rounded into [-1/2, 1/2]."""
    first, second = pairs_of(len(coords))
    difference = coords[first] - coords[second]
    return difference - np.round(difference)


@functools.lru_cache(maxsize=LARGE)
def pairs_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second of each of the n (n - 1) / 2 pairs of n things."""
    return np.triu_indices(n, k=1)


def shortest_distance(lattice: np.ndarray, frac_coords: np.ndarray) -> float:
    """Shortest distance between any two atoms, an atom and its own periodic images included; Å."""
    cell = Lattice(lattice)
    between = np.inf
    if len(frac_coords) > 1:
        distances = cell.get_all_distances(frac_coords, frac_coords)
        between = distances[np.triu_indices(len(distances), k=1)].min()
    # A vector of the reduced lattice need not be its shortest, which is a small combination of them.
    translations = np.linalg.norm(_SMALL_COMBINATIONS @ cell.get_lll_reduced_lattice().matrix, axis=1)
    return float(min(between, translations.min()))
