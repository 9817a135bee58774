"""A quick test that rules out most pairs before a structure matcher is asked.

A StructureMatcher without supercells first looks for a basis of one lattice whose lengths and angles are near those
of the other's reduced cell. For most pairs of polymorphs there is none. That search needs nothing but the lattices,
so it is done here for many at once, from lists of lattice vectors that are made once, with tolerances a little wider
than the matcher's own: what is ruled out here, the matcher would have refused. Where lists would grow too long, in
cells far longer than wide, nothing is ruled out.
"""

from typing import Any

import numpy as np
from pymatgen.core import Lattice

from unimat.materials.crystals.lattices import angles_of, lengths_of

_MARGIN = 1e-6  # relative on lengths, degrees on angles: far above rounding, far below any tolerance
_MAX_REACH = 6.0  # cube roots of the cell's volume: a thousand vectors
_AT_ONCE = 2_000_000  # cosines held in memory


class Lattices:
    """Lists of the vectors of m lattices.

    Args:
        matrices: (m, 3, 3) reduced cells, Å; scaled to unit volume if the matcher scales.

    Attributes:
        lengths: (m, 3) of the cells.
        angles: (m, 3) degrees.
    """

    def __init__(self, matrices: np.ndarray):
        self._matrices = matrices.reshape(-1, 3, 3)
        self.lengths, self.angles = lengths_of(self._matrices), angles_of(self._matrices)
        volumes = np.abs(np.linalg.det(self._matrices))
        self._limit = _MAX_REACH * np.cbrt(volumes.min()) if len(volumes) else 0.0
        self._reach = 0.0
        self._distances = np.zeros((len(self._matrices), 0))
        self._directions = np.zeros((len(self._matrices), 0, 3))

    def have_basis_like(self, lengths: np.ndarray, angles: np.ndarray, ltol: float, angle_tol: float) -> np.ndarray:
        """(m,) bool: whether three vectors of each lattice have about these lengths (3,) and angles (3,).

        True also where that cannot be said without long lists of vectors.
        """
        factor = (1 + ltol) * (1 + _MARGIN)
        if not lengths.max() * factor <= self._limit:
            return np.ones(len(self._matrices), bool)
        self._list_up_to(lengths.max() * factor)
        first = np.array([(self._distances < length / factor).sum(1) for length in lengths])
        last = np.array([(self._distances <= length * factor).sum(1) for length in lengths])
        found = np.asarray((first < last).all(0))
        cosines = _cosine_ranges(angles, angle_tol)
        rows = np.flatnonzero(found)
        widths = np.sort((last - first)[:, rows].max(1)) if len(rows) else np.ones(3)
        step = max(1, int(_AT_ONCE / (widths[1] * widths[2])))
        for part in (rows[start : start + step] for start in range(0, len(rows), step)):
            vectors = [self._between(part, *limits) for limits in zip(first[:, part], last[:, part], strict=True)]
            found[part] = _have_triple(vectors, cosines)
        return found

    def _between(self, rows: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """(r, k, 3) unit vectors from the first to the last of each row, padded with NaN."""
        at = first[:, None] + np.arange((last - first).max())
        inside = at < last[:, None]
        vectors = self._directions[rows[:, None], np.where(inside, at, 0)]
        return np.where(inside[..., None], vectors, np.nan)

    def _list_up_to(self, reach: float) -> None:
        if reach <= self._reach:
            return
        self._reach = min(1.25 * reach, self._limit)
        lists = [_vectors(matrix, self._reach) for matrix in self._matrices]
        width = max(map(len, lists))
        self._distances = np.full((len(lists), width), np.inf)
        self._directions = np.zeros((len(lists), width, 3))
        for row, vectors in enumerate(lists):
            distances = np.linalg.norm(vectors, axis=1)
            order = np.argsort(distances)
            self._distances[row, : len(order)] = distances[order]
            self._directions[row, : len(order)] = vectors[order] / distances[order, None]


def _vectors(matrix: np.ndarray, reach: float) -> np.ndarray:
    """(k, 3) lattice vectors up to a length, without the zero vector."""
    points: Any = Lattice(matrix).get_points_in_sphere([[0, 0, 0]], [0, 0, 0], reach, zip_results=False)
    coefficients = np.asarray(points[0])
    return coefficients[np.any(coefficients != 0, axis=1)] @ matrix


def _cosine_ranges(angles: np.ndarray, angle_tol: float) -> list[tuple[float, float]]:
    """Smallest and largest cosine allowed of each angle."""
    largest = np.cos(np.deg2rad(np.clip(angles - angle_tol - _MARGIN, 0, 180))) + _MARGIN
    smallest = np.cos(np.deg2rad(np.clip(angles + angle_tol + _MARGIN, 0, 180))) - _MARGIN
    return list(zip(smallest, largest, strict=True))


def _have_triple(vectors: list[np.ndarray], cosines: list[tuple[float, float]]) -> np.ndarray:
    """(r,) bool: whether some a with some b and some c of a row, each at the right angle to the other two."""
    a, b, c = vectors
    with np.errstate(invalid="ignore"):
        bc, ac, ab = (
            (low <= (products := one @ other.transpose(0, 2, 1))) & (products <= high)
            for (one, other), (low, high) in zip(((b, c), (a, c), (a, b)), cosines, strict=True)
        )
    return (((ab.astype(np.float32) @ bc.astype(np.float32)) > 0) & ac).any((1, 2))
