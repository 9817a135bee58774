"""pymatgen structures to and from rows of crystal tables, and the checks that every crystal passes."""

import collections
import functools
import os
import warnings

import numpy as np
import spglib
from pymatgen.core import Composition, Element, Lattice, Structure

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.crystals.lattices import come_closer_than, shortest_distance
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

SYMMETRY_TOLERANCE = 0.01  # Å, pymatgen's default for relaxed structures
MIN_VOLUME_PER_ATOM = 0.5  # Å^3; hydrogen metal at 500 GPa still takes more than 1
MAX_LENGTH = 1e4  # Å; ten times the longest cell of a protein crystal, and squares stay far from overflow


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
        min_distance: smallest distance between two atoms, periodic images included, Å; 0 lets all pass.
        min_volume_per_atom: Å^3.

    Raises:
        CrystalRejected: on a degenerate lattice, coordinates that are not finite, atomic numbers of no element, or
            overlapping atoms.
    """
    lattice = crystal.lattice
    if not (np.isfinite(lattice).all() and np.isfinite(crystal.frac_coords).all()):
        raise CrystalRejected("degenerate_lattice", "the lattice or a coordinate is not finite")
    if np.abs(lattice).max() > MAX_LENGTH:
        raise CrystalRejected("degenerate_lattice", f"a cell vector is longer than {MAX_LENGTH:g} Å")
    volume = abs(np.linalg.det(lattice))
    n_atoms = len(crystal.atomic_numbers)
    if n_atoms == 0:
        raise CrystalRejected("no_atoms", "the crystal has no atoms")
    strange = crystal.atomic_numbers[(crystal.atomic_numbers < 1) | (crystal.atomic_numbers > len(SYMBOLS))]
    if len(strange):
        raise CrystalRejected("not_an_element", f"atomic number {strange[0]}")
    if volume < min_volume_per_atom * n_atoms:
        raise CrystalRejected(
            "degenerate_lattice", f"{volume / n_atoms:.3g} Å^3 per atom, the limit is {min_volume_per_atom}"
        )
    if min_distance and come_closer_than(min_distance, [lattice], [crystal.frac_coords])[0]:
        distance = shortest_distance(lattice, crystal.frac_coords)
        raise CrystalRejected("overlapping_atoms", f"{distance:.3f} Å between two atoms, the limit is {min_distance} Å")


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
