"""One crystal out of CIF text: the reading that the file itself bears out, or a rejection that says why not."""

import numpy as np

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.crystals.lattices import lattice_matrix
from unimat.materials.datasets.readers.cif.choice import Cell, chosen_atoms
from unimat.materials.datasets.readers.cif.claims import Claims
from unimat.materials.datasets.readers.cif.document import Block, structure_blocks
from unimat.materials.datasets.readers.cif.sites import number_in, sites_of
from unimat.materials.datasets.readers.cif.symmetry import symmetry_of

_LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
_ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
_MODULATED = ("_cell_modulation_dimension", "_space_group_ssg_name", "_space_group_magn_ssg_name")
_MODULATED_LISTS = (
    "_space_group_symop_ssg_",
    "_space_group_symop_magn_ssg_",
    "_cell_wave_vector_",
    "_atom_site_fourier_",
)


def crystal_of_cif(text: str, material_id: str) -> Crystal:
    """Crystal of the only structure in CIF text, its symmetry expanded; coordinates of listed sites stay as they are.

    Raises:
        CrystalRejected: if it cannot be read, or read in one way only; if a site is partly occupied, a species is no
            element, or the contents are not what the file says of itself.
    """
    blocks = structure_blocks(text)
    if len(blocks) != 1:
        raise CrystalRejected("unreadable", f"{len(blocks)} structures in one CIF, expected one")
    return _crystal(blocks[0], material_id)


def _crystal(block: Block, material_id: str) -> Crystal:
    if block.first(*_MODULATED) not in ("", "0") or any(tag.startswith(_MODULATED_LISTS) for tag in block.tags):
        raise CrystalRejected("unreadable", "a modulated structure: no cell repeats in it")
    lattice = _lattice(block)
    sites = sites_of(block)
    cell = Cell(lattice, sites, Claims.of(block, sites.multiplicities))
    numbers, coords = chosen_atoms(cell, symmetry_of(block, lattice))
    return Crystal(material_id, lattice, numbers, coords)


def _lattice(block: Block) -> np.ndarray:
    """(3, 3), Å. An angle left out is 90 degrees, as the dictionary says, if the volume bears that out."""
    lengths = [number_in(block.first(tag)) for tag in _LENGTHS]
    absent = [tag for tag in _ANGLES if tag not in block]
    angles = [90.0 if tag in absent else number_in(block.first(tag)) for tag in _ANGLES]
    if absent and not block.first("_cell_volume"):
        raise CrystalRejected("unreadable", f"no {absent[0]}, and no _cell_volume to bear out 90 degrees")
    if min(lengths) <= 0 or min(angles) <= 0 or max(angles) >= 180:
        raise CrystalRejected("degenerate_lattice", f"lengths {lengths} Å, angles {angles} degrees")
    return lattice_matrix(lengths, angles)
