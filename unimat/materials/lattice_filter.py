"""A quick test that rules out most pairs before a structure matcher is asked.

A StructureMatcher without supercells first looks for a basis of one lattice whose lengths and angles are near those
of the other's reduced cell. For most pairs of polymorphs there is none. That search needs nothing but the two
lattices, so it is done here from lists of lattice vectors that are made once per crystal, with tolerances a little
wider than the matcher's own: what is ruled out here, the matcher would have refused.
"""

from typing import Any

import numpy as np
from pymatgen.core import Lattice

_MARGIN = 1e-6  # relative on lengths, degrees on angles: far above rounding, far below any tolerance


class ScaledLattice:
    """A reduced lattice, scaled to unit volume as the matcher compares them.

    Attributes:
        lengths: (3,) of the cell.
        angles: (3,) degrees.
    """

    def __init__(self, lattice: Lattice):
        self._lattice = Lattice(lattice.matrix / lattice.volume ** (1 / 3))
        self.lengths = np.array(self._lattice.lengths)
        self.angles = np.array(self._lattice.angles)
        self._reach = 0.0
        self._distances = np.zeros(0)
        self._directions = np.zeros((0, 3))

    def has_basis_like(self, other: "ScaledLattice", ltol: float, angle_tol: float) -> bool:
        """Whether three vectors of this lattice have lengths and angles near those of `other`'s cell."""
        factor = (1 + ltol) * (1 + _MARGIN)
        a, b, c = (self._vectors_between(length / factor, length * factor) for length in other.lengths)
        if not (len(a) and len(b) and len(c)):
            return False
        smallest = np.cos(np.deg2rad(np.clip(other.angles + angle_tol + _MARGIN, 0, 180)))
        largest = np.cos(np.deg2rad(np.clip(other.angles - angle_tol - _MARGIN, 0, 180)))
        bc, ac, ab = (
            (low - _MARGIN <= cosines) & (cosines <= high + _MARGIN)
            for cosines, low, high in zip((b @ c.T, a @ c.T, a @ b.T), smallest, largest, strict=True)
        )
        # Some a with some b and some c, each at the right angle to the other two.
        return bool((((ab.astype(np.float32) @ bc.astype(np.float32)) > 0) & ac).any())

    def _vectors_between(self, shortest: float, longest: float) -> np.ndarray:
        """Unit vectors (k, 3) along the lattice vectors of these lengths."""
        if longest > self._reach:
            self._reach = 1.5 * longest
            points: Any = self._lattice.get_points_in_sphere([[0, 0, 0]], [0, 0, 0], self._reach, zip_results=False)
            coords, found = points[:2]
            order = np.argsort(found)[1:]  # without the zero vector
            self._distances = np.asarray(found)[order]
            self._directions = self._lattice.get_cartesian_coords(coords)[order] / self._distances[:, None]
        first, last = np.searchsorted(self._distances, [shortest, longest])
        return self._directions[first : last + 1]
