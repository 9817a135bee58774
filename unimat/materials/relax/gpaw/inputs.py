"""What a GPAW calculation is made of: PAW sets, k-points, magnetic moments, symmetry."""

import functools
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import kpts2sizeandoffsets
from ase.spacegroup.symmetrize import refine_symmetry
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp.sets import MPRelaxSet
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from unimat.distributions import imported, installed
from unimat.errors import UserError
from unimat.materials.relax.gpaw.settings import GpawSettings

FOLDER_VARIABLE = "GPAW_SETUP_PATH"
FUNCTIONAL = "PBE"
REMEDY = f"put {{symbol}}.{FUNCTIONAL}.gz into a folder that {FOLDER_VARIABLE} or relax.gpaw.setups names"
INSTALL = (
    "the engine gpaw needs GPAW: apt-get install libxc-dev libopenblas-dev libfftw3-dev libopenmpi-dev, then"
    " pip install 'unimat[gpaw]'"
)
# The ground state of the molecule is a triplet; its compounds get what their metals start with.
MOMENT_OF_PURE = {"O": 1.0}


def check_installed() -> None:
    """Raise UserError unless GPAW is installed, and started as one process."""
    imported("gpaw", "gpaw", INSTALL)
    world = imported("gpaw.mpi", "gpaw", INSTALL).world
    if world.size > 1:
        raise UserError(
            f"relax.engine gpaw runs in one process, found {world.size}; start unimat without mpiexec, and give the set"
            " more relax.shards, or the shard more relax.threads"
        )


def paw_folders(settings: GpawSettings) -> list[Path]:
    """Folders in which GPAW looks for PAW sets, its own and the configured one before them.

    Raises:
        UserError: if none of them holds a set.
    """
    import gpaw

    if settings.setups and settings.setups not in gpaw.setup_paths:
        gpaw.setup_paths.insert(0, settings.setups)
    folders = [Path(each) for each in gpaw.setup_paths]
    if not any(_sets_in(folder) for folder in folders):
        raise UserError(
            f"GPAW's PAW sets are not found in {', '.join(map(str, folders)) or 'any folder'}: pip install gpaw-data,"
            f" or set {FOLDER_VARIABLE} or relax.gpaw.setups to a folder that holds C.{FUNCTIONAL}.gz and its like"
        )
    return folders


def elements_without_set(structure: Structure, settings: GpawSettings) -> list[str]:
    """Symbols of the elements of a crystal that have no PAW set."""
    known = {path.name.split(".")[0] for folder in paw_folders(settings) for path in _sets_in(folder)}
    return sorted({element.symbol for element in structure.composition.elements} - known)


def paw_sets(settings: GpawSettings) -> str:
    """Which PAW sets are taken: the package's version, or the name of another folder and a digest of what it holds."""
    folder = next(each for each in paw_folders(settings) if _sets_in(each))
    if _is_of_package(folder):
        return f"gpaw-data {version('gpaw-data')}"
    return f"{folder.name} {_digest(folder)}"


def kpoint_mesh(atoms: Atoms, density: float) -> list[int]:
    """Points of a gamma-centred mesh along each reciprocal vector; `density` as in `GpawSettings`."""
    size, _ = kpts2sizeandoffsets(density=density, gamma=True, atoms=atoms)
    return [int(each) for each in size]


def with_moments(structure: Structure, settings: GpawSettings) -> Structure:
    """The same with the moments of a ferromagnetic start (μB) where it needs spin, and with none otherwise."""
    known = {**_moments_of_materials_project(), **settings.moments}
    symbols = [site.specie.symbol for site in structure]
    if set(symbols) <= MOMENT_OF_PURE.keys():
        known = {**MOMENT_OF_PURE, **known}
    structure = structure.copy()
    structure.remove_site_property("magmom") if "magmom" in structure.site_properties else None
    if settings.spin == "auto" and any(known.get(symbol) for symbol in symbols):
        structure.add_site_property("magmom", [known.get(symbol, 0.0) for symbol in symbols])
    return structure


def symmetrized(structure: Structure, tolerance: float) -> Structure:
    """The same crystal in its Niggli cell, put on the symmetry that it has within `tolerance` (Å), around its centre.

    GPAW sees rotations about the origin alone, and a skewed cell hides them from the mesh of k-points: 3C-SiC as a
    random search left it had 185 k-points, and 29 so. Where no symmetry can be found, the crystal stays as it is.
    """
    if not tolerance:
        return structure
    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    try:
        refine_symmetry(atoms, symprec=tolerance)
        found = AseAtomsAdaptor.get_structure(atoms).get_reduced_structure("niggli")
        dataset = SpacegroupAnalyzer(found, tolerance).get_symmetry_dataset()
        # spglib: coordinates in the standard cell are the matrix times those in ours, plus the shift.
        shift = np.linalg.solve(dataset.transformation_matrix, dataset.origin_shift)
        found.translate_sites(range(len(found)), shift)
    except Exception:  # spglib gives up on some cells, and symmetry only saves time
        return structure
    sound = np.isfinite(found.lattice.matrix).all() and np.isfinite(found.cart_coords).all()
    return found if sound and abs(found.volume / structure.volume - 1) < 0.1 else structure


@functools.cache
def _moments_of_materials_project() -> dict[str, float]:
    """Starting moments by element, those of a named oxidation state left out; 0.6 of all others counts as none."""
    moments: dict[str, Any] = MPRelaxSet.CONFIG["INCAR"]["MAGMOM"]
    return {symbol: float(moment) for symbol, moment in moments.items() if symbol.isalpha()}


@functools.cache
def _sets_in(folder: Path) -> tuple[Path, ...]:
    found = [*folder.glob(f"*.{FUNCTIONAL}"), *folder.glob(f"*.{FUNCTIONAL}.gz")]
    # Sets with another number of electrons have a second part in their names (Ag.11.PBE), and are not taken by default.
    return tuple(sorted(path for path in found if path.name.removesuffix(".gz").count(".") == 1))


def _is_of_package(folder: Path) -> bool:
    if not installed("gpaw-data"):
        return False
    import gpaw_data

    return folder.resolve() == Path(gpaw_data.datapath()).resolve()


@functools.cache
def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in _sets_in(folder):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]
