"""Neighbours of all atoms of a crystal by CrystalNN's default settings (Pan et al., Inorg. Chem. 60, 1590, 2021).

The numbers are those of pymatgen's `CrystalNN.get_nn_data`, which works through one atom at a time.
"""

import dataclasses
import functools
import warnings

import numpy as np
from pymatgen.core import Element
from pymatgen.core.local_env import CovalentRadius

from unimat.materials.metrics.fingerprints.voronoi import voronoi_faces

SEARCH_RADIUS = 7.0  # Å
FULL_WEIGHT, NO_WEIGHT = 0.5, 1.0  # Å beyond the sum of the covalent radii
ELECTRONEGATIVITY_WEIGHT = 3.0
LARGEST_DIFFERENCE = 3.3  # of two electronegativities, Pauling's scale
_ROUNDING = 1e-5  # thousandths


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Neighbours of n atoms, those of one atom together, the heaviest first.

    Attributes:
        atom: (f,) int, whose; not decreasing.
        vector: (f, 3) from atom to neighbour, Å.
        weight: (f,) 1 for an atom's best neighbour, more than 0.
        uncertain: (n,) bool, whether rounding decides about the neighbours of an atom.
    """

    atom: np.ndarray
    vector: np.ndarray
    weight: np.ndarray
    uncertain: np.ndarray


@dataclasses.dataclass(frozen=True)
class Shells:
    """Coordination shells: of each atom, one for each coordination number that it has to some degree.

    Attributes:
        atom: (m,) int, whose.
        first: (m,) int, row of its first neighbour.
        number: (m,) int, the coordination number: its neighbours are so many rows from `first` on.
        weight: (m,) of this coordination number; those of an atom sum to at most 1.
    """

    atom: np.ndarray
    first: np.ndarray
    number: np.ndarray
    weight: np.ndarray


def near_neighbours(lattice: np.ndarray, atomic_numbers: np.ndarray, frac_coords: np.ndarray) -> Neighbours:
    """Neighbours of all atoms; each element must have a covalent radius.

    Args:
        lattice: (3, 3) Å, rows a, b, c.
        atomic_numbers: (n,)
        frac_coords: (n, 3)
    """
    n = len(atomic_numbers)
    faces = voronoi_faces(lattice, frac_coords, SEARCH_RADIUS)
    electronegativity, radius = elements()
    here, there = atomic_numbers[faces.atom], atomic_numbers[faces.neighbour]
    difference = np.nan_to_num(np.abs(electronegativity[here] - electronegativity[there]))
    # Solid angle per area: faces across a pore are large and far away.
    weight = faces.solid_angle * (faces.solid_angle / faces.area)
    weight *= 1 + ELECTRONEGATIVITY_WEIGHT * np.sqrt(difference / LARGEST_DIFFERENCE)
    weight /= _largest(weight, faces.atom, n)[faces.atom]
    weight *= _share_within_reach(np.linalg.norm(faces.vector, axis=1) - radius[here] - radius[there])
    order = np.lexsort((-weight, faces.atom))
    order = order[weight[order] > 0]
    atom, vector, weight = faces.atom[order], faces.vector[order], weight[order]
    half_way = np.abs(1000 * weight % 1 - 0.5) < _ROUNDING
    return Neighbours(atom, vector, weight, ~faces.closed | (np.bincount(atom[half_way], minlength=n) > 0))


def shells(neighbours: Neighbours) -> Shells:
    """Coordination shells of all atoms.

    Weights are rounded to thousandths, as CrystalNN does. The shell of all neighbours of weight w or more has the
    area under a quarter circle between w and the next lower weight.
    """
    thousandths = np.rint(1000 * neighbours.weight)
    atom, weight = neighbours.atom[thousandths > 0], thousandths[thousandths > 0] / 1000
    other_atom = np.append(atom[1:] != atom[:-1], True)[: len(atom)]
    last = np.flatnonzero(other_atom | np.append(weight[1:] != weight[:-1], True)[: len(atom)])
    first = np.searchsorted(atom, atom[last])
    area = _quarter_circle(weight[last])
    lower = np.where(other_atom[last], 0.0, np.append(area[1:], 0.0)[: len(last)])
    # Neighbours of no weight come last among those of their atom, so the first rows are where they were.
    return Shells(atom[last], np.searchsorted(neighbours.atom, atom[last]), last - first + 1, area - lower)


@functools.cache
def elements() -> tuple[np.ndarray, np.ndarray]:
    """(119,) Pauling's electronegativities and covalent radii (Å), by atomic number; NaN where there is none."""
    tables = np.full((2, 119), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen's, of each noble gas
        for element in map(Element.from_Z, range(1, 119)):
            tables[:, element.Z] = element.X, CovalentRadius.radius.get(element.symbol, np.nan)
    return tables[0], tables[1]


def _share_within_reach(beyond: np.ndarray) -> np.ndarray:
    """(f,) from 1 to 0 for neighbours so far `beyond` the sum of the radii, Å."""
    turn = np.clip((beyond - FULL_WEIGHT) / (NO_WEIGHT - FULL_WEIGHT), 0.0, 1.0)
    return 0.5 * (1 + np.cos(np.pi * turn))


def _quarter_circle(x: np.ndarray) -> np.ndarray:
    """Share of a quarter circle of radius 1 that lies left of `x`."""
    return (x * np.sqrt(1 - x**2) + np.arcsin(x)) * 2 / np.pi


def _largest(values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    found = np.zeros(n_groups)
    np.maximum.at(found, group, values)
    return found
