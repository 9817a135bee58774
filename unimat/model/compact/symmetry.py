"""Symmetry of a template, and displacements and lattices that keep it.

The network knows no symmetry, so that what it predicts for a symmetric template breaks it a little. Averaged over the
template's operations, displacements and strain keep its space group, and atoms on special positions stay there.
"""

import dataclasses
import functools
import itertools

import numpy as np

from unimat.model.representation import lattice as lattice_forms

TOLERANCE = 0.1  # Å, by which an operation may miss an atom; cells of known crystals are that exact


@dataclasses.dataclass(frozen=True)
class Operations:
    """Operations of a crystal of n atoms: an atom at x (fractional) goes to x R + t, which is another atom's place.

    Attributes:
        rotations: (s, 3, 3) R. images: (s, n) the atom whose place each atom goes to.
    """

    rotations: np.ndarray
    images: np.ndarray

    def displacements(self, moved: np.ndarray) -> np.ndarray:
        """(n, 3) mean of fractional displacements `moved` (n, 3) over all operations, each brought to its image."""
        total = np.zeros_like(moved)
        for rotation, images in zip(self.rotations, self.images, strict=True):
            total[images] += moved @ rotation
        return total / len(self.rotations)

    def parameters(self, parameters: np.ndarray) -> np.ndarray:
        """(6,) lattice parameters of the mean metric of those of `parameters` (6,) in all settings."""
        matrix = lattice_forms.to_matrices(parameters)
        metric = (self.rotations @ (matrix @ matrix.T) @ self.rotations.transpose(0, 2, 1)).mean(0)
        return np.asarray(lattice_forms.to_parameters(np.linalg.cholesky(metric)))


def operations(matrix: np.ndarray, coords: np.ndarray, cells: np.ndarray, tolerance: float = TOLERANCE) -> Operations:
    """Operations of a crystal, the identity among them.

    Found are those of reduced cells, whose rotations are matrices of -1, 0 and 1.

    Args:
        matrix: (3, 3), rows a, b, c in Å. coords: (n, 3) fractional. cells: (n,) what tells elements apart.
        tolerance: Å.
    """
    metric, inverse = matrix @ matrix.T, np.linalg.inv(matrix)
    rotations = _rotations()
    strain = inverse @ (rotations @ metric @ rotations.transpose(0, 2, 1)) @ inverse.T - np.eye(3)
    size = np.cbrt(abs(np.linalg.det(matrix)))
    rotations = rotations[np.sqrt((strain**2).sum((1, 2))) / 2 * size < tolerance]
    kinds, counts = np.unique(cells, return_counts=True)
    others = np.flatnonzero(cells == kinds[np.argmin(counts)])
    turned = np.einsum("ni,sij->snj", coords, rotations)
    shifts = coords[others] - turned[:, others[:1]]  # (s, k, 3)
    places = (turned[:, None] + shifts[:, :, None]).reshape(-1, len(coords), 3)
    between = places[:, :, None] - coords
    between -= np.round(between)
    distances = np.where(cells[:, None] == cells, np.sqrt(((between @ matrix) ** 2).sum(-1)), np.inf)
    images = distances.argmin(2)
    sound = (distances.min(2).max(1) < tolerance) & (np.sort(images, axis=1) == np.arange(len(cells))).all(1)
    return Operations(np.repeat(rotations, len(others), axis=0)[sound], images[sound])


@functools.cache
def _rotations() -> np.ndarray:
    """(6960, 3, 3) matrices of -1, 0, 1 with determinant 1 or -1."""
    every = np.array(list(itertools.product((-1, 0, 1), repeat=9)), float).reshape(-1, 3, 3)
    found: np.ndarray = every[np.abs(np.abs(np.linalg.det(every)) - 1) < 1e-6]
    return found
