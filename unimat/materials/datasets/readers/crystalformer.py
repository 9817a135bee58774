"""Rows that CrystalFormer samples: a space group, and a representative of each Wyckoff orbit.

Columns of Python lists: L lengths and angles, X fractional coordinates, A atomic numbers, W Wyckoff letters, M
multiplicities, all but L padded with zeros. The space group is the number at the end of the file's name, or a column.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

import gemmi
import numpy as np

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.crystals.lattices import lattice_matrix
from unimat.materials.datasets.readers.literals import parsed

COLUMNS = ("L", "X", "A", "W")
MULTIPLICITIES = "M"
GROUP = "space_group"
GROUP_COLUMNS = ("G", "g", "spacegroup", "space_group", "spacegroup_number", "space_group_number", "spacegroup.number")
_SAME_POINT = 1e-4  # fractional; coordinates are single precision
_FILE_NAME = re.compile(r"_(\d+)\.csv$", re.IGNORECASE)
_N_GROUPS = 230


def group_in(name: str) -> int | None:
    """Space group that the name of a file ends with, as output_225.csv does."""
    found = _FILE_NAME.search(name)
    return int(found[1]) if found and 1 <= int(found[1]) <= _N_GROUPS else None


def crystal_of_row(row: Mapping[str, Any], material_id: str) -> Crystal:
    """Crystal of a row: `COLUMNS` as lists or as their text, the number of the space group as `GROUP`, and M if given.

    Groups are in the settings of the International Tables that PyXtal takes: unique axis b, second origin, hexagonal.

    Raises:
        CrystalRejected: if the lists do not fit each other, or an orbit has another number of sites than M says.
    """
    cells = {name: parsed(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
    lattice = np.array(cells["L"], np.float64)
    if lattice.shape != (6,) or not (lattice > 0).all():
        raise CrystalRejected("degenerate_lattice", f"lengths and angles {np.round(lattice, 4).tolist()}")
    numbers, sites = np.array(cells["A"], np.int64), np.array(cells["X"], np.float64).reshape(-1, 3)
    multiplicities = np.array(cells.get(MULTIPLICITIES, np.zeros_like(numbers)), np.int64)
    if not len(numbers) == len(multiplicities) == len(sites):
        raise CrystalRejected("unreadable", f"{len(numbers)} atoms, {len(sites)} sites, {len(multiplicities)} in M")
    if not np.isfinite(sites).all():
        raise CrystalRejected("unreadable", "a coordinate is not finite")
    occupied = np.flatnonzero(numbers)
    if not len(occupied):
        raise CrystalRejected("no_atoms", "A has no atom")
    group = int(float(cells[GROUP]))
    if not 1 <= group <= _N_GROUPS:
        raise CrystalRejected("symmetry_unclear", f"space group {group}, expected 1 to {_N_GROUPS}")
    orbits = [_orbit(sites[at], *_operations(group)) for at in occupied]
    for at, orbit in zip(occupied, orbits, strict=True):
        if MULTIPLICITIES in cells and len(orbit) != multiplicities[at]:
            detail = f"M is {multiplicities[at]}; what was read of site {at} is an orbit of {len(orbit)}"
            raise CrystalRejected("contradicts_source", detail)
    species = np.repeat(numbers[occupied], [len(orbit) for orbit in orbits])
    return Crystal(material_id, lattice_matrix(lattice[:3], lattice[3:]), species, np.concatenate(orbits))


@functools.lru_cache(maxsize=_N_GROUPS)
def _operations(group: int) -> tuple[np.ndarray, np.ndarray]:
    operations = list(gemmi.get_spacegroup_reference_setting(group).operations())
    return tuple(np.array([getattr(each, part) for each in operations]) / gemmi.Op.DEN for part in ("rot", "tran"))  # type: ignore[return-value]


def _orbit(site: np.ndarray, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
    """(m, 3) distinct images of a site, in [0, 1)."""
    images = rotations @ site + translations
    images -= np.floor(images)
    difference = images[:, None] - images
    is_same = (np.abs(difference - np.round(difference)) < _SAME_POINT).all(-1)
    return images[is_same.argmax(axis=1) == np.arange(len(images))]
