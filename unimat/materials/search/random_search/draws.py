"""One random structure: symmetry, volume and positions, before any relaxation.

PyXtal (Fredericks et al., Comput. Phys. Commun. 261, 107810, 2021) finds Wyckoff positions that fit the composition.
"""

import dataclasses
import functools

import numpy as np
import spglib
from pymatgen.core import Lattice, Structure
from pyxtal import pyxtal
from pyxtal.database.element import Element
from pyxtal.tolerance import Tol_matrix

from unimat.materials.search.random_search.compositions import Counts
from unimat.materials.search.random_search.settings import AirssSettings
from unimat.periodic_table import SYMBOLS

N_SPACE_GROUPS = 230
MAX_DRAWS = 200  # of a space group, before a composition is given up: few groups may fit it
LEAST_DISTANCE = 0.5  # Å; what every later stage asks for
ROOMY, LOOSE = 1.5, 0.6  # factors on PyXtal's volume and distances where soft spheres follow: quickly placed
SAME_ATOMS = 1e-3  # Å; symmetry of what PyXtal placed is exact but for rounding


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A structure in its primitive cell, and what was drawn for it.

    Attributes:
        volume_factor: volume over the estimated one; None where PyXtal chose the volume.
    """

    structure: Structure
    spacegroup: int
    volume_factor: float | None


@functools.lru_cache(maxsize=1)
def covalent_radii() -> np.ndarray:
    """(119,) Å by atomic number, from PyXtal's table; NaN where it has none."""
    return _radii(6)


@functools.lru_cache(maxsize=1)
def _van_der_waals_radii() -> np.ndarray:
    return _radii(7)


def _radii(column: int) -> np.ndarray:
    """A radius that PyXtal lacks is the covalent one, as in its own distances."""
    radii = np.full(len(SYMBOLS) + 1, np.nan)
    for row in Element("H").elements_list:
        radii[row[0]] = row[column] or row[6] or np.nan
    return radii


def estimated_volume(atomic_numbers: np.ndarray) -> float:
    """Volume in Å^3 of spheres whose radii lie half-way between the covalent and the van der Waals radius.

    Appendix 8 of the paper considers "relevant atomic radii" without naming them. Over MP-20's test split the volume
    of a crystal is 0.96 times this in the median, 0.66 to 1.65 times in 9 of 10
    (`tests/materials/search/random_search/test_airss.py`).
    """
    radii = (covalent_radii() + _van_der_waals_radii())[atomic_numbers] / 2
    return float(4 / 3 * np.pi * (radii**3).sum())


def wanted_distances(atomic_numbers: np.ndarray, factor: float) -> np.ndarray:
    """(n, n) smallest distance of each pair, Å: `factor` times the sum of covalent radii."""
    radii = covalent_radii()[atomic_numbers]
    return np.maximum(factor * (radii[:, None] + radii), LEAST_DISTANCE)


def draw(counts: Counts, settings: AirssSettings, index: int, attempt: int) -> Drawn | None:
    """Structure `index` in its `attempt`; None if PyXtal cannot place the atoms in `MAX_DRAWS` space groups.

    It depends on the seed, the index and the attempt alone.
    """
    entropy = [settings.seed, index, attempt] if attempt else [settings.seed, index]
    rng = np.random.default_rng(entropy)
    for _ in range(MAX_DRAWS):
        group = int(rng.integers(1, N_SPACE_GROUPS + 1))
        factor = float(rng.uniform(*settings.volume_factor))
        group = 1 if _goes_without_symmetry(settings, index) else group
        place = _at_volume if settings.soft_spheres else _placed
        structure = place(counts, group, factor, rng)
        if structure is not None:
            return Drawn(structure, group, factor if settings.soft_spheres else None)
    return None


def _goes_without_symmetry(settings: AirssSettings, index: int) -> bool:
    """By index, not by draw: without symmetry nearly every draw succeeds, which would raise the share."""
    return bool(np.random.default_rng([settings.seed, index, 2**32]).uniform() < settings.without_symmetry)


def _at_volume(counts: Counts, group: int, factor: float, rng: np.random.Generator) -> Structure | None:
    """Structure in a reduced primitive cell of `factor` times the estimated volume; distances are for later."""
    crystal = _from_pyxtal(counts, group, rng, factor=ROOMY, tm=_loose_distances(), max_count=1)
    if crystal is None:
        return None
    structure = crystal.to_pymatgen()
    cell = structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers
    found = spglib.find_primitive(cell, symprec=SAME_ATOMS)
    if found is None:
        return None
    lattice, coords, numbers = found
    symbols = [SYMBOLS[z - 1] for z in numbers]
    reduced = Structure(Lattice(lattice), symbols, coords).get_reduced_structure("LLL")
    reduced.scale_lattice(factor * estimated_volume(np.asarray(numbers)))
    return reduced


def _placed(counts: Counts, group: int, factor: float, rng: np.random.Generator) -> Structure | None:
    """Structure as PyXtal makes it, distances and all, in a primitive cell."""
    crystal = _from_pyxtal(counts, group, rng, factor=factor)
    return None if crystal is None else crystal.to_pymatgen().get_primitive_structure(tolerance=0.01)


@functools.lru_cache(maxsize=1)
def _loose_distances() -> Tol_matrix:
    return Tol_matrix(prototype="atomic", factor=LOOSE)


def _from_pyxtal(counts: Counts, group: int, rng: np.random.Generator, **options: object) -> pyxtal | None:
    crystal = pyxtal()
    try:
        crystal.from_random(3, group, list(counts), list(counts.values()), random_state=rng, **options)
    except Exception:  # besides its own two, PyXtal raises RuntimeError, IndexError and more; another group may do
        return None
    return crystal if crystal.valid else None
