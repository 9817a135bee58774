"""pymatgen structures to and from rows of crystal tables, and the checks that every crystal passes."""

import collections
import dataclasses
import functools
import itertools
import os
import warnings
from collections.abc import Sequence

import numpy as np
import spglib
from pymatgen.core import Composition, Element, Lattice, Structure

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

SYMMETRY_TOLERANCE = 0.01  # Å, pymatgen's default for relaxed structures
MIN_VOLUME_PER_ATOM = 0.5  # Å^3; hydrogen metal at 500 GPa still takes more than 1
_SMALL_COMBINATIONS = np.array([each for each in itertools.product(range(-2, 3), repeat=3) if any(each)])


def to_structure(crystal: Crystal) -> Structure:
    """pymatgen Structure of a crystal; same lattice matrix, same order of atoms."""
    species = [SYMBOLS[z - 1] for z in crystal.atomic_numbers]
    return Structure(Lattice(crystal.lattice), species, crystal.frac_coords, to_unit_cell=False)


def from_structure(structure: Structure, material_id: str, **properties: object) -> Crystal:
    """Crystal of an ordered pymatgen Structure; oxidation states and site properties are dropped.

    Raises:
        CrystalRejected: on no atoms, partial occupancy, or a species that is no element.
    """
    if len(structure) == 0:
        raise CrystalRejected("no_atoms", "the crystal has no atoms")
    numbers = []
    for site in structure:
        if not site.is_ordered:
            raise CrystalRejected("partial_occupancy", f"site at {site.frac_coords.round(4)} holds {site.species}")
        element = site.specie if isinstance(site.specie, Element) else getattr(site.specie, "element", None)
        # To pymatgen deuterium is an element with hydrogen's symbol; only its name tells.
        if not isinstance(element, Element) or element.name not in ATOMIC_NUMBER:
            raise CrystalRejected("not_an_element", f"species {getattr(element, 'name', site.species_string)!r}")
        numbers.append(element.Z)
    return Crystal(
        material_id, np.array(structure.lattice.matrix), np.array(numbers), np.array(structure.frac_coords), properties
    )


def check_crystal(
    crystal: Crystal, min_distance: float = 0.5, min_volume_per_atom: float = MIN_VOLUME_PER_ATOM
) -> None:
    """Refuse what no later stage could use.

    Args:
        min_distance: smallest distance between two atoms, periodic images included, Å.
        min_volume_per_atom: Å^3.

    Raises:
        CrystalRejected: on a degenerate lattice, coordinates that are not finite, atomic numbers of no element, or
            overlapping atoms.
    """
    lattice = np.asarray(crystal.lattice)
    if not (np.isfinite(lattice).all() and np.isfinite(crystal.frac_coords).all()):
        raise CrystalRejected("degenerate_lattice", "the lattice or a coordinate is not finite")
    volume = abs(np.linalg.det(lattice))
    n_atoms = len(crystal.atomic_numbers)
    if n_atoms == 0:
        raise CrystalRejected("no_atoms", "the crystal has no atoms")
    strange = [int(z) for z in crystal.atomic_numbers if not 1 <= z <= len(SYMBOLS)]
    if strange:
        raise CrystalRejected("not_an_element", f"atomic number {strange[0]}")
    if volume < min_volume_per_atom * n_atoms:
        raise CrystalRejected(
            "degenerate_lattice", f"{volume / n_atoms:.3g} Å^3 per atom, the limit is {min_volume_per_atom}"
        )
    distance = shortest_distance(crystal)
    if distance < min_distance:
        raise CrystalRejected("overlapping_atoms", f"{distance:.3f} Å between two atoms, the limit is {min_distance} Å")


def shortest_distance(crystal: Crystal) -> float:
    """Shortest distance between any two atoms, an atom and its own periodic images included; Å."""
    lattice = Lattice(crystal.lattice)
    between = np.inf
    if len(crystal.frac_coords) > 1:
        distances = lattice.get_all_distances(crystal.frac_coords, crystal.frac_coords)
        between = distances[np.triu_indices(len(distances), k=1)].min()
    # A vector of the reduced lattice need not be its shortest, which is a small combination of them.
    translations = np.linalg.norm(_SMALL_COMBINATIONS @ lattice.get_lll_reduced_lattice().matrix, axis=1)
    return float(min(between, translations.min()))


def lattice_matrix(lengths: Sequence[float] | np.ndarray, angles: Sequence[float] | np.ndarray) -> np.ndarray:
    """(3, 3) matrix, Å, in pymatgen's orientation (c along z, a in the xz plane).

    Args:
        lengths: (3,) a, b, c in Å.
        angles: (3,) alpha, beta, gamma in degrees.

    Raises:
        CrystalRejected: if no cell has these angles.
    """
    cosines = np.cos(np.radians(angles))
    volume_squared = 1 - (cosines**2).sum() + 2 * cosines.prod()
    if not volume_squared > 1e-12:
        raise CrystalRejected("degenerate_lattice", f"no cell has the angles {list(map(float, angles))} degrees")
    return np.array(Lattice.from_parameters(*map(float, lengths), *map(float, angles)).matrix)


def niggli_reduced(crystal: Crystal) -> Crystal:
    """The same crystal in its Niggli cell, coordinates in [0, 1), lattice in pymatgen's orientation.

    The cell is reduced, not made primitive: CDVAE's preprocessing (arXiv 2110.06197) does the same.
    """
    reduced = to_structure(crystal).get_reduced_structure("niggli")
    coords = reduced.frac_coords % 1.0
    coords[coords == 1.0] = 0.0  # -1e-17 % 1 is 1
    lattice = lattice_matrix(reduced.lattice.abc, reduced.lattice.angles)
    return dataclasses.replace(crystal, lattice=lattice, frac_coords=coords)


def reduced_formula(atomic_numbers: np.ndarray) -> str:
    """Reduced formula as pymatgen writes it, e.g. SiO2 for Si3 O6."""
    return _reduced_formula(tuple(sorted(int(z) for z in atomic_numbers)))


def chemical_system(atomic_numbers: np.ndarray) -> str:
    """Elements in alphabetical order, e.g. O-Si."""
    return "-".join(sorted({SYMBOLS[int(z) - 1] for z in atomic_numbers}))


@functools.lru_cache(maxsize=100_000)
def _reduced_formula(atomic_numbers: tuple[int, ...]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it sorts by electronegativity, and warns of helium, which has none
        return Composition(collections.Counter(SYMBOLS[z - 1] for z in atomic_numbers)).reduced_formula


def space_group_number(crystal: Crystal, tolerance: float = SYMMETRY_TOLERANCE) -> int:
    """International number of the space group that spglib finds within `tolerance` (Å); 0 if it finds none."""
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # its C code would write to stderr for each crystal it gives up
    cell = (crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.atomic_numbers.tolist())
    try:
        found = spglib.get_symmetry_dataset(cell, symprec=tolerance)
    except spglib.SpglibError:
        return 0
    return int(found.number) if found else 0
