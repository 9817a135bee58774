"""atomate2's job of an ASE calculator, with GPAW for it: a relaxation that leaves each step on disk, or one energy."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import Trajectory
from atomate2.ase.jobs import AseRelaxMaker
from atomate2.ase.schemas import AseResult
from atomate2.ase.utils import OPTIMIZERS, AseRelaxer
from pymatgen.core import Molecule, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from unimat.materials.relax.engine import MAX_VOLUME_RATIO
from unimat.materials.relax.gpaw.inputs import FUNCTIONAL, kpoint_mesh
from unimat.materials.relax.gpaw.settings import GpawSettings

log = logging.getLogger("unimat.relax")

LOG_FILE = "gpaw.txt"
TRAJECTORY_FILE = "relax.traj"
OPTIMIZER_LOG = "relax.log"


class GivenUp(Exception):
    """A relaxation has left what a crystal can be; the text says how."""


@dataclass
class GpawMaker(AseRelaxMaker):
    """A job of GPAW. With less than two `steps` it is one calculation at the given geometry.

    The mesh of k-points is one for a whole relaxation: if it changed with the cell, the energy would jump. Plane waves
    are those below the cutoff in the cell at hand.

    Attributes:
        kpoint_density: as in `GpawSettings`; chooses the mesh by the cell that the job starts from.
        mesh: points along each reciprocal vector instead, of a relaxation that is taken up again, say.
        optimizer: ASE's, by name.
        min_volume_per_atom: room at which a relaxation is given up, Å³.
    """

    name: str = "GPAW relaxation"
    kpoint_density: float = GpawSettings.kpoint_density
    mesh: list[int] | None = None
    optimizer: str = "BFGS"
    min_volume_per_atom: float = 0.0

    def _get_calculator(self, atoms: Atoms | None = None) -> Any:
        """GPAW for a crystal; without one, what tells its name to atomate2."""
        from gpaw import GPAW

        if atoms is None:
            return GPAW(**self.calculator_kwargs, txt=None)
        kpts = {"size": self.mesh or kpoint_mesh(atoms, self.kpoint_density), "gamma": True}
        return GPAW(**self.calculator_kwargs, kpts=kpts, txt=LOG_FILE)

    def run_ase(self, mol_or_struct: Structure | Molecule, prev_dir: str | Path | None = None) -> AseResult:
        """atomate2's relaxation, with each step written to a trajectory, and watched.

        Raises:
            GivenUp: if the crystal falls apart or collapses on the way.
        """
        calculator = self._get_calculator(AseAtomsAdaptor.get_atoms(mol_or_struct))
        watched: Any = self._watched
        relaxer = AseRelaxer(calculator, optimizer=watched, relax_cell=True)
        files = {"trajectory": TRAJECTORY_FILE, "append_trajectory": True, "logfile": OPTIMIZER_LOG}
        options: dict[str, Any] = {**self.relax_kwargs, **(files if self.steps > 1 else {})}
        options |= {"final_atoms_object_file": None}
        return relaxer.relax(mol_or_struct, steps=self.steps, **options)

    def _watched(self, atoms: Any, **options: Any) -> Any:
        """ASE's optimizer of a crystal (in a cell filter), which gives up a cell that has no meaning any more."""
        optimizer: Any = OPTIMIZERS[self.optimizer](atoms, **options)
        first = atoms.atoms.get_volume()

        def look() -> None:
            volume = atoms.atoms.get_volume()
            if volume > MAX_VOLUME_RATIO * first:
                limit = f"{volume / first:.3g} times its volume, the limit is {MAX_VOLUME_RATIO:g}"
                raise GivenUp(f"the cell expanded beyond bonding: {limit}")
            if (room := volume / len(atoms.atoms)) < self.min_volume_per_atom:
                raise GivenUp(f"the cell collapsed: {room:.3g} Å^3 per atom, the limit is {self.min_volume_per_atom:g}")

        optimizer.attach(look)
        return optimizer


def parameters(settings: GpawSettings, **changed: Any) -> dict[str, Any]:
    """What GPAW is told beside the k-points."""
    return {
        "mode": {"name": "pw", "ecut": settings.cutoff},
        "xc": FUNCTIONAL,
        "occupations": {"name": "fermi-dirac", "width": settings.smearing},
        "convergence": dict(settings.convergence),
        "maxiter": settings.max_electronic_steps,
        **changed,
    }


def steps_on_disk(folder: Path) -> list[Atoms]:
    """Geometries with energies that a relaxation has left in `folder`, in their order, but a torn one.

    A relaxation that was taken up again computes its first geometry once more; it counts once.
    """
    found: list[Atoms] = []
    try:
        with Trajectory(folder / TRAJECTORY_FILE) as trajectory:
            for index in range(len(trajectory)):
                frame = trajectory[index]
                frame.get_potential_energy()
                if not found or not _same(frame, found[-1]):
                    found.append(frame)
    except Exception as error:  # whatever a missing or torn file makes of a reader
        log.debug("%s: %s", folder, error)
    return found


def _same(one: Atoms, other: Atoms) -> bool:
    moved = abs(one.positions - other.positions).max(), abs(one.cell.array - other.cell.array).max()
    return bool(max(moved) < 1e-9)
