"""Symmetry operations: read from triplets, completed to a group, held against a cell, and applied to a site."""

import dataclasses
import functools
import math
import re
from fractions import Fraction

import gemmi
import numpy as np
import spglib
from pymatgen.core.operations import SymmOp

from unimat.errors import CrystalRejected

SAME_SITE = 0.1  # Å; three printed digits put images of one site up to 0.05 Å apart in a 30 Å cell
ISOMETRY_WITHIN = 0.01  # of a squared length of the cell: edges to 0.5 %, right angles to 0.6 degrees
MAX_OPERATIONS = 1536  # eight conventional cells of the largest groups
_TRIPLET = re.compile(r"(?:[-+xyz0-9/*. ]+,){2}[-+xyz0-9/*. ]+")
_TWENTY_FOURTHS = 24  # all shifts of the International Tables are multiples of 1/24
_NOISE, _ROUNDING = 2e-3, 5e-4  # by which a shift may miss such a multiple, and another simple fraction
_GRID = 5040  # a translation falls on a point of it: halves to sevenths, eighths, twelfths


@dataclasses.dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations on fractional coordinates, no two of them the same but for a lattice translation.

    Attributes:
        rotations: (m, 3, 3) integers.
        translations: (m, 3), in [0, 1).
    """

    rotations: np.ndarray
    translations: np.ndarray

    def __len__(self) -> int:
        return len(self.rotations)

    @functools.cached_property
    def group_number(self) -> int | None:
        """Number of the space group in the International Tables, in whatever setting; None if they form none."""
        found = spglib.get_spacegroup_type_from_symmetry(self.rotations, self.translations)
        return found.number if found else None

    @functools.cached_property
    def completed(self) -> "Operations":
        """The smallest group that holds them: themselves if none is missing.

        Raises:
            CrystalRejected: if there is no such group of fewer than `MAX_OPERATIONS`.
        """
        known, latest = self, self
        while len(latest) and len(known) <= MAX_OPERATIONS:
            latest = _different(latest.times(self), known._set)
            known = Operations(*(np.concatenate(pair) for pair in zip(_arrays(known), _arrays(latest), strict=True)))
        if len(known) > MAX_OPERATIONS:
            raise CrystalRejected("symmetry_unclear", f"{len(self)} symmetry operations form no group of use")
        return self if len(known) == len(self) else known

    def times(self, other: "Operations") -> "Operations":
        """Every operation of these after every one of the `other`."""
        rotations = np.einsum("aij,bjk->abik", self.rotations, other.rotations).reshape(-1, 3, 3)
        moved = np.einsum("aij,bj->abi", self.rotations, other.translations) + self.translations[:, None]
        return _different(Operations(rotations, moved.reshape(-1, 3) % 1))

    def are(self, other: "Operations") -> bool:
        """Whether both are the same operations, in whatever order."""
        return self._set == other._set

    @functools.cached_property
    def _set(self) -> frozenset[bytes]:
        return frozenset(map(bytes, _keys(self)))

    def fit(self, lattice: np.ndarray) -> bool:
        """Whether each maps the lattice (3, 3), Å, onto itself, lengths and angles included."""
        if len(self) == 1:  # the identity
            return True
        metric = lattice @ lattice.T
        mapped = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        lengths = np.sqrt(np.diag(metric))
        return bool((np.abs(mapped - metric) <= ISOMETRY_WITHIN * np.outer(lengths, lengths)).all())

    def orbit(self, site: np.ndarray, lattice: np.ndarray) -> np.ndarray:
        """(n, 3) distinct images of a site, fractional; the site itself stays first, as it is.

        Images closer than `SAME_SITE` to one already there are the same atom on a special position.
        """
        left = self.rotations @ site + self.translations
        left -= np.floor(left)
        kept = [site]
        while True:
            difference = left - kept[-1]
            difference -= np.round(difference)
            left = left[np.linalg.norm(difference @ lattice, axis=1) > SAME_SITE]
            if not len(left):
                return np.array(kept)
            kept.append(left[0])


IDENTITY = Operations(np.eye(3)[None], np.zeros((1, 3)))


def _arrays(operations: Operations) -> tuple[np.ndarray, np.ndarray]:
    return operations.rotations, operations.translations


def _keys(operations: Operations) -> np.ndarray:
    """(m, 12) integers that are equal for operations that are the same."""
    shifts = np.rint(operations.translations * _GRID) % _GRID
    return np.concatenate([operations.rotations.reshape(-1, 9), shifts], axis=1).astype(np.int64)


def _different(operations: Operations, known: frozenset[bytes] = frozenset()) -> Operations:
    """The first of those that are the same, of those that are not `known`."""
    places: dict[bytes, int] = {}
    for place, key in enumerate(map(bytes, _keys(operations))):
        if key not in known:
            places.setdefault(key, place)
    new = list(places.values())
    return Operations(operations.rotations[new], operations.translations[new])


@functools.lru_cache(maxsize=1024)
def operations_of(triplets: tuple[str, ...]) -> Operations:
    """The different ones of operations written as x,y,z.

    Raises:
        CrystalRejected: if one cannot be read, or is no operation on a lattice.
    """
    if len(triplets) > MAX_OPERATIONS:
        raise CrystalRejected("symmetry_unclear", f"{len(triplets)} symmetry operations, the limit is {MAX_OPERATIONS}")
    pairs = [_operation(each) for each in triplets]
    rotations, translations = (np.array(part) for part in zip(*pairs, strict=True))
    operations = _different(Operations(rotations, translations % 1))
    return IDENTITY if operations.are(IDENTITY) else operations


def operations_of_group(group: gemmi.GroupOps) -> Operations:
    return operations_of(tuple(operation.triplet() for operation in group))


def _simple(shift: float) -> float:
    """The simple fraction that a shift means, NaN if it means none."""
    # pymatgen writes 499/999 and 1/1000 of cells that are symmetric within its tolerance.
    nearest = round(shift * _TWENTY_FOURTHS) / _TWENTY_FOURTHS if math.isfinite(shift) else math.nan
    if abs(nearest - shift) <= _NOISE:
        return nearest
    other = float(Fraction(shift).limit_denominator(_TWENTY_FOURTHS)) if math.isfinite(shift) else math.nan
    return other if abs(other - shift) <= _ROUNDING else math.nan


def _operation(triplet: str) -> tuple[np.ndarray, np.ndarray]:
    text = triplet.lower()
    try:
        found = gemmi.Op(text)
        rotation, translation = np.array(found.rot) / gemmi.Op.DEN, np.array(found.tran) / gemmi.Op.DEN
    except (ValueError, RuntimeError) as error:  # gemmi knows no fifths, as in cells of five magnetic layers
        if not _TRIPLET.fullmatch(text):
            raise CrystalRejected("unreadable", f"symmetry operation {triplet!r}") from error
        try:
            affine = SymmOp.from_xyz_str(text)
        except (ValueError, ArithmeticError) as unreadable:  # a shift of "." or 1/0
            raise CrystalRejected("unreadable", f"symmetry operation {triplet!r}") from unreadable
        rotation = affine.rotation_matrix
        translation = np.array([_simple(float(each)) for each in affine.translation_vector])
        if np.isnan(translation).any():
            raise CrystalRejected(
                "unreadable", f"symmetry operation {triplet!r}: a shift by no simple fraction"
            ) from error
    if not np.array_equal(rotation, np.rint(rotation)) or round(abs(np.linalg.det(rotation))) != 1:
        raise CrystalRejected("unreadable", f"symmetry operation {triplet!r} maps no lattice onto itself")
    return rotation, translation
