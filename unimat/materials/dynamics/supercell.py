"""Cells that are large enough for molecular dynamics."""

import numpy as np
from pymatgen.core import Structure


def repetitions(structure: Structure, min_length: float, max_atoms: int) -> tuple[int, int, int]:
    """How often the cell is repeated along a, b and c, so that opposite faces are `min_length` (Å) apart.

    Where that takes more than `max_atoms`, the direction in which the cell has become longest loses a repetition, again
    and again until the atoms are few enough; each direction keeps one.
    """
    matrix = structure.lattice.matrix
    crosses = np.array([np.cross(matrix[(i + 1) % 3], matrix[(i + 2) % 3]) for i in range(3)])
    heights = structure.volume / np.linalg.norm(crosses, axis=1)
    # A cell that misses the length by the rounding of its file is long enough.
    counts = np.maximum(1, np.ceil(min_length / heights - 1e-6)).astype(int)
    while counts.prod() * len(structure) > max_atoms and (counts > 1).any():
        counts[np.argmax(np.where(counts > 1, counts * heights, -np.inf))] -= 1
    return int(counts[0]), int(counts[1]), int(counts[2])


def supercell(structure: Structure, min_length: float, max_atoms: int) -> Structure:
    """The repeated structure as VASP needs it: atoms sorted by element, cell vectors right-handed."""
    large = structure.make_supercell(repetitions(structure, min_length, max_atoms), in_place=False)
    if np.linalg.det(large.lattice.matrix) < 0:  # pymatgen would mirror the crystal when it writes a POSCAR
        large = Structure(-large.lattice.matrix, large.species, -large.frac_coords)
    return large.get_sorted_structure()
