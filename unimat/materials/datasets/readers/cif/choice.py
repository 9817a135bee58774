"""Which of the symmetries that a CIF may mean makes the crystal that it describes."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from scipy.spatial import cKDTree

from unimat.errors import CrystalRejected
from unimat.materials.crystals.lattices import LARGE, pairs_of
from unimat.materials.datasets.readers.cif.claims import Claims, Contents, Standing, Verdict
from unimat.materials.datasets.readers.cif.names import Candidate
from unimat.materials.datasets.readers.cif.operations import SAME_SITE
from unimat.materials.datasets.readers.cif.sites import Sites
from unimat.materials.datasets.readers.cif.symmetry import Symmetry

_APART = 0.5  # Å; of several readings, one that brings atoms closer than this is none
_COMPARED = 1000  # atoms; larger crystals are not compared pair by pair
Atoms = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Cell:
    """The lattice (3, 3), Å, the sites, and what the file says of what they make."""

    lattice: np.ndarray
    sites: Sites
    claims: Claims


@dataclasses.dataclass(frozen=True, eq=False)
class _Reading:
    """The atoms that a candidate makes of the sites, and how they stand with what the file says.

    Attributes:
        fault: reason to reject the crystal for, should the verdict be against it.
    """

    candidate: Candidate
    atoms: Atoms
    verdict: Verdict
    fault: str = "contradicts_source"

    @property
    def standing(self) -> Standing:
        return self.verdict.standing


def chosen_atoms(cell: Cell, symmetry: Symmetry) -> Atoms:
    """(n,) atomic numbers and (n, 3) fractional coordinates of all atoms of the cell.

    Raises:
        CrystalRejected: if no reading is possible, or several are and the file decides for none.
    """
    if len(symmetry.candidates) == 1 and not symmetry.doubt and len(symmetry.candidates[0].operations) == 1:
        return _listed(cell)
    readings = [_reading(cell, each, bool(symmetry.doubt)) for each in symmetry.candidates]
    best = max((each.standing for each in readings), default=Standing.CONTRADICTED)
    if best is Standing.CONTRADICTED and symmetry.last:
        last = _reading(cell, symmetry.last, doubted=True)
        if last.standing is Standing.CONFIRMED:
            return last.atoms
    winners = _different([each for each in readings if each.standing is best], cell)
    if best is Standing.CONTRADICTED:
        _refuse(symmetry, winners)
    if len(winners) > 1 or (winners[0].candidate.to_confirm and best is not Standing.CONFIRMED):
        raise CrystalRejected("symmetry_unclear", f"{symmetry.doubt}, and the contents of the cell do not tell")
    return winners[0].atoms


def _listed(cell: Cell) -> Atoms:
    """The sites as they are, which in most files are all atoms."""
    numbers = cell.sites.numbers
    verdict = _verdict(cell, numbers, [1] * len(numbers), 1)
    if verdict.standing is Standing.CONTRADICTED:
        raise CrystalRejected("contradicts_source", verdict.reason)
    return numbers, cell.sites.coords


def _refuse(symmetry: Symmetry, readings: Sequence[_Reading]) -> NoReturn:
    if not readings:
        raise CrystalRejected("symmetry_unclear", symmetry.doubt)
    reason = readings[0].verdict.reason
    if not symmetry.doubt:
        raise CrystalRejected(readings[0].fault, reason)
    raise CrystalRejected("symmetry_unclear", f"{symmetry.doubt}; {readings[0].candidate.name}: {reason}")


def _reading(cell: Cell, candidate: Candidate, doubted: bool) -> _Reading:
    sites, operations = cell.sites, candidate.operations
    listed = (sites.numbers, sites.coords)
    if not operations.fit(cell.lattice):
        reason = f"{candidate.name} does not map the cell onto itself"
        return _Reading(candidate, listed, Verdict(Standing.CONTRADICTED, reason), "symmetry_unclear")
    orbits = [operations.orbit(site, cell.lattice) for site in sites.coords]
    sizes = [len(orbit) for orbit in orbits]
    atoms = (np.repeat(sites.numbers, sizes), np.concatenate(orbits))
    fault = _fault(cell, atoms[1], sizes, len(operations), _APART if doubted else SAME_SITE)
    if len(operations) > 1 and (fault or doubted) and _complete(cell, orbits):
        whole = dataclasses.replace(candidate, to_confirm=False)
        return _Reading(whole, listed, _verdict(cell, sites.numbers, None, 1))
    if fault:
        return _Reading(candidate, atoms, Verdict(Standing.CONTRADICTED, fault), "overlapping_atoms")
    return _Reading(candidate, atoms, _verdict(cell, atoms[0], sizes, len(operations)))


def _verdict(cell: Cell, numbers: np.ndarray, sizes: list[int] | None, order: int) -> Verdict:
    counts = collections.Counter(numbers.tolist())
    return cell.claims.verdict(Contents(counts, cell.lattice, sizes, order))


def _fault(cell: Cell, coords: np.ndarray, sizes: Sequence[int], order: int, distance: float) -> str:
    """Why the atoms cannot be: two in one place, or a site that is neither on a special position nor off it."""
    labels = cell.sites.labels
    for label, size in zip(labels, sizes, strict=True):
        if order % size:
            return f"site {label} lies some {SAME_SITE} Å from a special position: {size} images of {order}"
    pair = _close_pair(cell.lattice, coords, distance)
    if pair is None:
        return ""
    owners = np.repeat(np.arange(len(sizes)), sizes)
    first, second = (labels[owners[atom]] for atom in pair)
    return f"sites {first} and {second} put two atoms less than {distance} Å apart"


def _close_pair(lattice: np.ndarray, coords: np.ndarray, distance: float) -> tuple[int, int] | None:
    """Two atoms closer than `distance` (Å), in cells less flat than twice that."""
    pairs = pairs_of(len(coords)) if len(coords) <= LARGE else _near_pairs(lattice, coords, distance)
    difference = coords[pairs[0]] - coords[pairs[1]]
    vectors = (difference - np.round(difference)) @ lattice
    close = np.flatnonzero((vectors * vectors).sum(1) < distance * distance)
    return (int(pairs[0][close[0]]), int(pairs[1][close[0]])) if len(close) else None


def _near_pairs(lattice: np.ndarray, coords: np.ndarray, distance: float) -> np.ndarray:
    """(2, m) pairs of atoms whose fractional coordinates differ by no more than a vector of that length (Å) can."""
    reach = distance * np.linalg.norm(np.linalg.inv(lattice), axis=0).max()
    inside = coords - np.floor(coords)
    inside[inside >= 1] = 0
    return cKDTree(inside, boxsize=1).query_pairs(min(reach, 0.5), p=np.inf, output_type="ndarray").T


def _complete(cell: Cell, orbits: Sequence[np.ndarray]) -> bool:
    """Whether the list of sites holds every image of each, so that it is the whole cell."""
    sites = cell.sites
    return all(
        _all_among(orbit, sites.coords[sites.numbers == number], cell.lattice)
        for orbit, number in zip(orbits, sites.numbers, strict=True)
    )


def _all_among(points: np.ndarray, others: np.ndarray, lattice: np.ndarray) -> bool:
    if len(points) > len(others):
        return False
    difference = points[:, None] - others
    difference -= np.round(difference)
    return bool((np.linalg.norm(difference @ lattice, axis=2).min(axis=1) <= SAME_SITE).all())


def _different(readings: Sequence[_Reading], cell: Cell) -> list[_Reading]:
    """Readings that make different crystals; of those that make the same, the one that needs least to be confirmed.

    Of settings of one group, those that make the stated formula once, as of a whole cell, come before others.
    """
    if len({len(each.candidate.operations) for each in readings}) == 1:
        readings = [each for each in readings if each.verdict.makes_one] or readings
    found: list[_Reading] = []
    for each in sorted(readings, key=lambda each: each.candidate.to_confirm):
        if not any(_same(each.atoms, other.atoms, cell.lattice) for other in found):
            found.append(each)
    return found


def _same(first: Atoms, second: Atoms, lattice: np.ndarray) -> bool:
    if first is second:
        return True
    if not len(first[0]) == len(second[0]) <= _COMPARED:
        return False
    return all(
        _all_among(first[1][first[0] == number], second[1][second[0] == number], lattice) for number in set(first[0])
    )
