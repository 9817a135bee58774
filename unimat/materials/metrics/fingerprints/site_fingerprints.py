"""CrystalNN fingerprints of the atoms of a crystal: matminer's preset "ops", for all atoms at once.

The numbers are those of matminer's `CrystalNNFingerprint` (Zimmermann and Jain, RSC Adv. 10, 6063, 2020). Where
rounding decides about them (two neighbours may change places, an angle stands on a threshold), and where a Voronoi
cell is open, matminer itself is asked, atom by atom.

All atoms are computed, also where symmetry makes them equal: to find the symmetry takes longer than what it saves.
"""

import functools
import warnings
from typing import Any

import numpy as np
from pymatgen.core import Element, Structure

from unimat.materials.metrics.fingerprints.motifs import MOTIFS, first_columns, labels
from unimat.materials.metrics.fingerprints.neighbours import Neighbours, Shells, elements, near_neighbours, shells
from unimat.materials.metrics.fingerprints.order_parameters import values
from unimat.materials.metrics.fingerprints.spherical_angles import globes

VERSION = 1  # of the numbers: to be raised with any change to them, so that no cache mixes old and new
_AT_ONCE = 256  # atoms; bounds memory


def mean_fingerprint(structure: Structure) -> tuple[np.ndarray, int]:
    """(61,) mean over sites of matminer's CrystalNNFingerprint, preset "ops", and for how many matminer was asked.

    Raises:
        Exception: whatever matminer raises, on an element without radius, say.
    """
    by_matminer = np.ones(len(structure), bool)
    prints = np.zeros((len(structure), len(labels())))
    if _is_plain(structure):
        numbers = np.array(structure.atomic_numbers)
        prints, by_matminer = site_fingerprints(structure.lattice.matrix, numbers, structure.frac_coords)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CrystalNN warns at each site without oxidation states or radii
        for site in np.flatnonzero(by_matminer).tolist():
            prints[site] = featurizer().featurize(structure, site)
    return prints.mean(axis=0), int(by_matminer.sum())


def site_fingerprints(
    lattice: np.ndarray, atomic_numbers: np.ndarray, frac_coords: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n, 61) fingerprints of all atoms, and (n,) bool, whether rounding decides about one.

    Args:
        lattice: (3, 3) Å, rows a, b, c.
        atomic_numbers: (n,) of elements with a covalent radius.
        frac_coords: (n, 3)
    """
    neighbours = near_neighbours(lattice, atomic_numbers, frac_coords)
    of_all = shells(neighbours)
    prints, uncertain = np.zeros((len(atomic_numbers), len(labels()))), neighbours.uncertain.copy()
    for number, column in first_columns().items():
        rows = np.flatnonzero(of_all.number == number)
        prints[of_all.atom[rows], column] = of_all.weight[rows]
        for start in range(0, len(rows) if number in MOTIFS else 0, _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            found, unsure = _motifs(number, neighbours, of_all, part)
            prints[of_all.atom[part], column + 1 : column + 1 + found.shape[1]] = of_all.weight[part, None] * found
            uncertain[of_all.atom[part]] |= unsure
    return prints, uncertain


@functools.cache
def featurizer() -> Any:  # matminer has no types
    """matminer's own featurizer."""
    from matminer.featurizers.site.fingerprint import CrystalNNFingerprint

    return CrystalNNFingerprint.from_preset("ops")


def _motifs(number: int, neighbours: Neighbours, of_all: Shells, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    members = of_all.first[rows, None] + np.arange(number)
    vectors = neighbours.vector[members]
    directions = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return values(tuple(MOTIFS[number].values()), globes(directions, neighbours.weight[members]))


def _is_plain(structure: Structure) -> bool:
    """Whether atoms are elements with a covalent radius, without charge, in a lattice periodic in all directions."""
    if not all(structure.lattice.pbc) or not structure.is_ordered:
        return False
    species = set(structure.species)
    if not all(isinstance(each, Element) and each is Element.from_Z(each.Z) for each in species):
        return False
    return not np.isnan(elements()[1][[each.Z for each in species]]).any()
