"""Rows that CrystalFormer samples: a space group, and a representative of each Wyckoff orbit.

Columns of Python lists: L lengths and angles, X fractional coordinates, A atomic numbers, W Wyckoff letters, M
multiplicities, all but L padded with zeros. The space group is the number at the end of the file's name.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

import gemmi
import numpy as np

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.lattices import lattice_matrix
from unimat.materials.readers.literals import parsed

COLUMNS = ("L", "X", "A", "W", "M")
GROUP = "space_group"
_SAME_POINT = 1e-4  # fractional; coordinates are single precision
_FILE_NAME = re.compile(r"_(\d+)\.csv$", re.IGNORECASE)
_N_GROUPS = 230


def group_in(name: str) -> int | None:
    """Space group that the name of a file ends with, as output_225.csv does."""
    found = _FILE_NAME.search(name)
    return int(found[1]) if found and 1 <= int(found[1]) <= _N_GROUPS else None


def crystal_of_row(row: Mapping[str, Any], material_id: str) -> Crystal:
    """Crystal of a row: `COLUMNS` as lists or as their text, and the number of the space group as `GROUP`.

    Groups are in the settings of the International Tables that PyXtal takes: unique axis b, second origin, hexagonal.

    Raises:
        CrystalRejected: if the lists do not fit each other, or an orbit has another number of sites than M says.
    """
    cells = {name: parsed(cell) if isinstance(cell := row[name], str) else cell for name in COLUMNS}
    lattice = np.array(cells["L"], np.float64)
    if lattice.shape != (6,) or not (lattice > 0).all():
        raise CrystalRejected("degenerate_lattice", f"lengths and angles {np.round(lattice, 4).tolist()}")
    numbers, multiplicities = (np.array(cells[name], np.int64) for name in ("A", "M"))
    sites = np.array(cells["X"], np.float64).reshape(-1, 3)
    if not len(numbers) == len(multiplicities) == len(sites):
        raise CrystalRejected("unreadable", f"{len(numbers)} atoms, {len(sites)} sites, {len(multiplicities)} in M")
    occupied = np.flatnonzero(numbers)
    orbits = [_orbit(sites[at], *_operations(int(row[GROUP]))) for at in occupied]
    for at, orbit in zip(occupied, orbits, strict=True):
        if len(orbit) != multiplicities[at]:
            detail = f"M is {multiplicities[at]}; what was read of site {at} is an orbit of {len(orbit)}"
            raise CrystalRejected("contradicts_source", detail)
    if not orbits:
        raise CrystalRejected("no_atoms", "A has no atom")
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
