"""One calculation of a crystal (relax 1, relax 2, static) in a folder of its own, where it is taken up again.

Each step of a relaxation is on disk when it is done. What comes out of a finished calculation is written last and
whole, so that it is read from then on; one that was cut off goes on from its last step.
"""

import copy
import dataclasses
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from emmet.core.types.enums import TaskState
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from unimat.errors import UserError
from unimat.files import read_json, write_json
from unimat.materials.relax.gpaw.inputs import kpoint_mesh
from unimat.materials.relax.gpaw.job import TRAJECTORY_FILE, GivenUp, GpawMaker, steps_on_disk
from unimat.materials.relax.jobs.context import labelled
from unimat.materials.relax.jobs.run import JobFailed, run

log = logging.getLogger("unimat.relax")

STATIC = "static"
RESULT_FILE = "result.json"
REMEDY_FILE = "mended.json"
NOT_CONVERGED = "KohnShamConvergenceError"
# What GPAW's own pages advise where self-consistency is not reached: less of the new density, longer memory of waves.
SLOW_MIXING = {"backend": "pulay", "beta": 0.02, "nmaxold": 5, "weight": 100}
NO_SPACE = ("No space left on device", "Disk quota exceeded", "File too large")


class StageFailed(Exception):
    """A calculation failed for good; the text says in which stage and why."""


@dataclasses.dataclass(frozen=True)
class StageResult:
    """Attributes: energies in eV per cell (of the last and the first geometry), largest force in eV/Å, ionic steps,
    moments in μB by atom (None without spin)."""

    structure: Structure
    energy: float
    first_energy: float
    fmax: float
    n_steps: int
    converged: bool
    magmoms: list[float] | None

    def with_moments(self) -> Structure:
        """The structure with its moments for the next calculation to start from."""
        structure = self.structure.copy()
        if self.magmoms is not None:
            structure.add_site_property("magmom", self.magmoms)
        return structure


@dataclasses.dataclass(frozen=True)
class Stage:
    """One of the calculations: its name, which is its folder's, and the maker of its job."""

    name: str
    maker: GpawMaker

    def mesh(self, structure: Structure) -> list[int]:
        """Mesh of k-points of a calculation that starts from `structure`."""
        return kpoint_mesh(AseAtomsAdaptor.get_atoms(structure), self.maker.kpoint_density)

    def result(self, folder: Path, structure: Structure, max_steps: int) -> StageResult:
        """What comes out of the stage: read from `folder` if it is finished there, computed otherwise.

        Args:
            structure: where it starts, unless a relaxation has left a later step in `folder`.
            max_steps: ionic steps of a relaxation, those in `folder` included.

        Raises:
            StageFailed: if self-consistency is not reached even slowly, or the crystal falls apart.
            UserError: if the disk is full.
        """
        if finished := read_finished(folder):
            return finished
        mended = read_mended(folder)
        for remedy in [SLOW_MIXING] if mended else [None, SLOW_MIXING]:
            try:
                result = self._run(folder, structure, max_steps, remedy)
            except JobFailed as error:
                if NOT_CONVERGED in str(error) and remedy is None:
                    write_json(folder / REMEDY_FILE, {"mended": [_entry(self.name, "mixer beta = 0.02")]})
                    log.warning("%s: self-consistency not reached; tried once more with slow mixing", folder)
                    continue
                if NOT_CONVERGED in str(error):
                    write_json(folder / REMEDY_FILE, {"mended": [_entry(self.name, "mixer beta = 0.02", "not mended")]})
                raise StageFailed(f"{self.name} failed, {_why(str(error), folder, self.maker)}") from error
            write_json(folder / RESULT_FILE, _as_json(result))
            return result
        raise AssertionError("the loop returns or raises")

    def _run(self, folder: Path, structure: Structure, max_steps: int, remedy: dict[str, Any] | None) -> StageResult:
        before = [] if self.name == STATIC else steps_on_disk(folder)
        if not before:
            (folder / TRAJECTORY_FILE).unlink(missing_ok=True)  # a torn file would be added to
        maker = copy.deepcopy(self.maker)
        maker.mesh = self.mesh(structure)
        if self.name != STATIC:
            # atomate2 computes one energy and no more with less than two steps, and calls it converged.
            maker.steps = max(max_steps - max(len(before) - 1, 0), 2)
        if remedy is not None:
            maker.calculator_kwargs |= {"mixer": remedy}
        start = _structure(before[-1], structure) if before else structure
        with labelled(stage=self.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ASE's and jobflow's on their own ways, at every step
            [document] = run(maker.make(start), folder)
        return _result(document, steps_on_disk(folder))


def read_finished(folder: Path) -> StageResult | None:
    """Result of the stage in `folder`; None unless it came to its end, and its file is as it was written."""
    if not (folder / RESULT_FILE).exists():
        return None
    try:
        found = read_json(folder / RESULT_FILE, needed=[field.name for field in dataclasses.fields(StageResult)])
        return StageResult(**{**found, "structure": Structure.from_dict(found["structure"])})
    except (UserError, OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be used, the stage is computed again: %s", folder / RESULT_FILE, error)
        return None


def read_mended(folder: Path) -> list[dict[str, Any]]:
    """Errors of the stage in `folder` that were mended, or given up on, as `custodian_log.mended` lists them."""
    try:
        return list(read_json(folder / REMEDY_FILE)["mended"])
    except (UserError, OSError, KeyError, TypeError):
        return []


def _entry(stage: str, *changed: str) -> dict[str, Any]:
    return {"stage": stage, "error": "self-consistency not reached", "count": len(changed), "changed": list(changed)}


def _result(document: Any, frames: list[Any]) -> StageResult:
    output = document.output
    energies = [frame.get_potential_energy() for frame in frames] or [output.energy]
    moments = output.ionic_steps[-1].magmoms if output.ionic_steps else None
    return StageResult(
        structure=_plain(output.mol_or_struct),
        energy=float(output.energy),
        first_energy=float(energies[0]),
        fmax=float(np.linalg.norm(output.forces, axis=1).max()),
        n_steps=max(len(frames) - 1, 0),
        # Of a single calculation always; of a relaxation the optimizer's own verdict, cell included.
        converged=document.state == TaskState.SUCCESS,
        magmoms=None if moments is None or not np.any(moments) else np.asarray(moments, float).tolist(),
    )


def _structure(frame: Any, like: Structure) -> Structure:
    """Geometry of a step on disk, with its moments or those of `like`."""
    found = _plain(AseAtomsAdaptor.get_structure(frame))
    magmoms = frame.calc.results.get("magmoms") if frame.calc else None
    if "magmom" in like.site_properties:
        found.add_site_property("magmom", like.site_properties["magmom"] if magmoms is None else list(magmoms))
    return found


def _plain(structure: Structure) -> Structure:
    return Structure(structure.lattice, structure.species, structure.frac_coords)


def _as_json(result: StageResult) -> dict[str, Any]:
    values = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return {**values, "structure": result.structure.as_dict()}


def _why(message: str, folder: Path, maker: GpawMaker) -> str:
    """Reason of a failure; UserError of one that every crystal would share."""
    if any(sign in message for sign in NO_SPACE):
        raise UserError(f"the disk of {folder} is full; free some space and run again, finished crystals are kept")
    if NOT_CONVERGED in message:
        steps = maker.calculator_kwargs["maxiter"]
        return f"self-consistency not reached in {steps} electronic steps, nor with slow mixing"
    if GivenUp.__name__ in message:
        return message.partition(f"{GivenUp.__name__}: ")[2]
    return f"calculation failed: {message}"
