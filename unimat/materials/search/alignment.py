"""Which atom of a template becomes which atom of a crystal, and the crystal in the template's cell.

A cell can be written in many settings: other axes of the same lattice, another origin, atoms of an element in another
order. A path from a template to a crystal means something only between settings that lie near to each other. Two
primitive cells of similar lattices are compared as `StructureMatcher` of pymatgen does it: by lattice vectors that are
small sums of the crystal's own, by the assignment of atoms of equal elements, by the origin. Where no setting is near,
the nearest one is the answer, other than there.
"""

import dataclasses
import functools
import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment

from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.materials.crystals.reduction import niggli_lattices

SETTINGS = 48  # of least strain, that are looked at: a cubic lattice has 24 without any
ASSIGNMENTS = 24  # at most, solved for one pair
ENOUGH = 1e-8  # of the squared length of an atom's radius: nothing nearer is looked for


@dataclasses.dataclass(frozen=True)
class Alignment:
    """A crystal in the setting of a template.

    Attributes:
        crystal: the given one, or its mirror image: lattice vectors near to the template's but for scale and
            orientation, atoms in the template's order, fractional coordinates (n, 3) within half a cell of its.
        rms: root mean square of the atoms' displacements, over the cube root of the volume per atom. strain: Frobenius
            norm of the strain between the lattices at equal volume.
    """

    crystal: Crystal
    rms: float
    strain: float


def aligned(crystal: Crystal, template: Crystal) -> Alignment:
    """`crystal` written in the setting of `template`, which has the same atoms in any order.

    The mean displacement of the atoms is zero: the origin follows the template, too. A mirror image counts as the same
    crystal, as in pymatgen.

    Raises:
        UserError: if the atoms are not the same.
    """
    ours, theirs = crystal.atomic_numbers, template.atomic_numbers
    if not np.array_equal(np.sort(ours), np.sort(theirs)):
        raise UserError(f"{crystal.material_id} and its template {template.material_id} are not of the same atoms")
    unit = (abs(np.linalg.det(template.lattice)) / len(theirs)) ** (1 / 3)
    matrix = template.lattice / unit
    changes, strains = _settings(crystal.lattice, matrix)
    turned = np.einsum("ni,sij->snj", crystal.frac_coords, np.linalg.inv(changes))
    turned = np.concatenate([turned, -turned])  # and the mirror image
    alike = theirs[:, None] == ours
    anchor, others = _rarest(theirs, ours)
    origins = template.frac_coords[anchor] - turned[:, others]  # (2s, k, 3)
    moved = (turned[:, None] + origins[:, :, None]).reshape(-1, len(ours), 3)
    squares = _squares(template.frac_coords, moved, matrix, alike)
    bound = np.maximum(squares.min(1).sum(1), squares.min(2).sum(1)) / len(ours)
    # A strain moves the atoms of a cell by its part of their distance from the middle.
    spread = (matrix**2).sum() / 36
    extra = np.repeat(np.tile(strains**2 * spread, 2), len(others))
    best: tuple[float, int, np.ndarray, float] | None = None
    for at in np.argsort(bound + extra, kind="stable")[:ASSIGNMENTS]:
        if best is not None and (bound[at] + extra[at] >= best[0] or best[0] < ENOUGH):
            break
        coords, square = _assigned(template.frac_coords, moved[at], matrix, alike, squares[at])
        if best is None or square + extra[at] < best[0]:
            best = (square + extra[at], int(at), coords, square)
    assert best is not None  # there is at least one setting, and one anchor
    setting = best[1] // len(others) % len(changes)
    lattice = changes[setting] @ crystal.lattice
    found = dataclasses.replace(crystal, lattice=lattice, atomic_numbers=theirs.copy(), frac_coords=best[2])
    return Alignment(found, float(np.sqrt(best[3])), float(strains[setting]))


def _settings(lattice: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Changes of axes (s, 3, 3) that bring `lattice` nearest to `matrix` but for volume, and the strains (s,) left."""
    ours, theirs = reduced = niggli_lattices(np.stack([lattice, matrix]))
    before, after = np.round(reduced @ np.linalg.inv(np.stack([lattice, matrix])))
    scale = abs(np.linalg.det(theirs) / np.linalg.det(ours)) ** (1 / 3)
    changes, inverse = _changes(), np.linalg.inv(theirs)
    metrics = changes @ (scale**2 * ours @ ours.T) @ changes.transpose(0, 2, 1)
    strains = np.sqrt((((inverse @ metrics @ inverse.T - np.eye(3)) / 2) ** 2).sum((1, 2)))
    chosen = np.argsort(strains, kind="stable")[:SETTINGS]
    return np.linalg.inv(after) @ changes[chosen] @ before, strains[chosen]


@functools.cache
def _changes() -> np.ndarray:
    """(3480, 3, 3) matrices of -1, 0, 1 with determinant 1: the lattice stays the same."""
    every = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    found: np.ndarray = every[np.round(np.linalg.det(every)) == 1].astype(float)
    return found


def _rarest(theirs: np.ndarray, ours: np.ndarray) -> tuple[int, np.ndarray]:
    """An atom of the template of the rarest element, and the atoms (k,) of the crystal that it can become."""
    elements, counts = np.unique(theirs, return_counts=True)
    element = elements[np.argmin(counts)]
    return int(np.flatnonzero(theirs == element)[0]), np.flatnonzero(ours == element)


def _squares(start: np.ndarray, ends: np.ndarray, matrix: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """(..., n, n) squared distances from `start` (n, 3) to `ends` (..., n, 3); infinite where atoms are not alike."""
    between = ends[..., None, :, :] - start[:, None]
    between -= np.round(between)
    return np.where(alike, ((between @ matrix) ** 2).sum(-1), np.inf)


def _assigned(
    start: np.ndarray, end: np.ndarray, matrix: np.ndarray, alike: np.ndarray, squares: np.ndarray
) -> tuple[np.ndarray, float]:
    """Coordinates (n, 3) of `end` in the order of `start` and near to it, and the mean squared distance."""
    for again in (True, False):  # the assignment may change once the origin has moved
        _, order = linear_sum_assignment(np.where(alike, squares, 1e6))
        between = end[order] - start
        between -= np.round(between)
        between -= between.mean(0)
        if again:
            end = start + between
            squares = _squares(start, end, matrix, alike := alike[:, order])
    return start + between, float(((between @ matrix) ** 2).sum(-1).mean())
