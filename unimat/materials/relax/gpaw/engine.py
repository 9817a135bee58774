"""Relaxation by GPAW: PBE in plane waves, free of charge.

The protocol is the paper's (Appendix 7) as near as another code comes: a relaxation of all geometric degrees of
freedom, a second one where the new cell has another mesh of k-points, and a static calculation; 520 eV, PAW sets,
ferromagnetic start. (VASP needs the second always, since it keeps the plane waves of the first cell; GPAW takes those
of the cell at hand.) There is no +U and no correction scheme: these were fitted to another code's energies.
"""

import gzip
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jobflow import Flow
from pymatgen.core import Structure

from unimat.errors import UserError
from unimat.materials.relax.engine import Relaxation, cell_failure
from unimat.materials.relax.gpaw import inputs as gpaw_inputs
from unimat.materials.relax.gpaw.job import (
    LOG_FILE,
    OPTIMIZER_LOG,
    TRAJECTORY_FILE,
    GpawMaker,
    parameters,
    steps_on_disk,
)
from unimat.materials.relax.gpaw.settings import GpawSettings
from unimat.materials.relax.gpaw.stage import STATIC, Stage, StageFailed, StageResult, read_mended
from unimat.materials.relax.settings import RelaxSettings

STAGES = ("relax_1", "relax_2", STATIC)
RAW_FILES = (LOG_FILE, OPTIMIZER_LOG, TRAJECTORY_FILE)


class GpawEngine:
    """GPAW double relaxation and static calculation, one crystal at a time, taken up again where it was cut off.

    Raises:
        UserError: if GPAW or its PAW sets are not there.
    """

    stage_names = STAGES

    def __init__(self, settings: RelaxSettings):
        gpaw_inputs.check_installed()
        self.settings = settings
        self.energy_type = energy_type(settings.gpaw)

    def stages(self) -> list[Stage]:
        """The jobs of one crystal, one by one."""
        settings = self.settings
        return [
            Stage(
                name,
                GpawMaker(
                    name=f"GPAW {name}",
                    steps=1 if name == STATIC else settings.max_steps,
                    relax_kwargs={"fmax": settings.fmax},
                    calculator_kwargs=parameters(settings.gpaw),
                    kpoint_density=settings.gpaw.kpoint_density,
                    optimizer=settings.optimizer,
                    min_volume_per_atom=settings.min_volume_per_atom,
                ),
            )
            for name in STAGES
        ]

    def flow(self, structure: Structure) -> Flow:
        """The jobs of one crystal as a flow for jobflow's managers; the second relaxation is always among them."""
        jobs: list[Any] = []
        start: Any = self.start(structure)
        for stage in self.stages():
            jobs.append(stage.maker.make(start))
            start = jobs[-1].output.structure
        return Flow(jobs, output=jobs[-1].output, name="GPAW double relaxation and static")

    def start(self, structure: Structure) -> Structure:
        """What the first job starts from: the crystal on its symmetry, with the moments of a ferromagnetic start."""
        on_symmetry = gpaw_inputs.symmetrized(structure, self.settings.gpaw.symmetrize)
        return gpaw_inputs.with_moments(on_symmetry, self.settings.gpaw)

    def relax(self, structure: Structure, folder: Path | None = None) -> Relaxation:
        """Relax one structure, raw files in `folder`; what GPAW cannot compute is an outcome with its reason.

        Raises:
            UserError: if no crystal can be computed: the disk is full.
        """
        if missing := gpaw_inputs.elements_without_set(structure, self.settings.gpaw):
            remedy = gpaw_inputs.REMEDY.format(symbol=missing[0])
            failure = f"not relaxed, no PAW set for {', '.join(missing)}: GPAW's package has none; {remedy}"
            return Relaxation(None, failure=failure, transient=True)
        with tempfile.TemporaryDirectory(prefix="unimat-") as temporary:
            return self._relax(self.start(structure), (folder or Path(temporary)).resolve())

    def _relax(self, structure: Structure, folder: Path) -> Relaxation:
        results: list[StageResult] = []
        try:
            for stage in self.stages():
                start = results[-1].with_moments() if results else structure
                if stage.name == "relax_2" and stage.mesh(start) == stage.mesh(structure):
                    continue
                left = self.settings.max_steps - sum(each.n_steps for each in results)
                results.append(stage.result(folder / stage.name, start, left))
                if failure := cell_failure(structure, results[-1].structure, self.settings):
                    raise StageFailed(failure)
                if not results[-1].converged:
                    break
        except StageFailed as error:
            return _failed(str(error), folder, len(structure))
        outcome = _outcome(results, mended(folder))
        tidy(folder, self.settings.gpaw)
        return outcome


def energy_type(settings: GpawSettings) -> dict[str, str]:
    """What the energies are; `numerics` holds what must agree for two of them to share a hull."""
    try:
        code = version("gpaw")
    except PackageNotFoundError as error:
        raise UserError(gpaw_inputs.INSTALL) from error
    sets = gpaw_inputs.paw_sets(settings)
    points = f"{settings.kpoint_density:g} k-points per Å⁻¹"
    spin = "" if settings.spin == "auto" else ", no spin"
    return {
        "calculator": f"GPAW {code} ({sets})",
        "functional": gpaw_inputs.FUNCTIONAL,
        "corrections": "none",
        "quantity": "total energy",
        "numerics": f"{sets}, {settings.cutoff:g} eV, {points}, Fermi-Dirac {settings.smearing:g} eV{spin}",
    }


def mended(folder: Path) -> list[dict]:
    """Errors of all stages in the folder of a crystal, as `custodian_log.mended` lists them."""
    return [entry for name in STAGES for entry in read_mended(folder / name)]


def tidy(folder: Path, settings: GpawSettings) -> None:
    """Remove or compress those raw outputs of a finished crystal that the settings do not want as they are."""
    if settings.raw_outputs == "remove":
        shutil.rmtree(folder)
    elif settings.raw_outputs == "compress":
        for path in [folder / stage / name for stage in STAGES for name in RAW_FILES]:
            if path.is_file():
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()


def _failed(failure: str, folder: Path, n_atoms: int) -> Relaxation:
    """What is known of a crystal that has failed, from the steps that it leaves in `folder`."""
    steps = [found for name in STAGES if (found := steps_on_disk(folder / name))]
    return Relaxation(
        None,
        initial_energy_per_atom=steps[0][0].get_potential_energy() / n_atoms if steps else None,
        n_steps=sum(len(each) - 1 for each in steps),
        failure=failure,
        mended=mended(folder),
    )


def _outcome(results: list[StageResult], errors: list[dict]) -> Relaxation:
    last, n_atoms = results[-1], len(results[-1].structure)
    return Relaxation(
        structure=last.structure,
        energy_per_atom=last.energy / n_atoms,
        initial_energy_per_atom=results[0].first_energy / n_atoms,
        fmax=last.fmax,
        n_steps=sum(each.n_steps for each in results),
        converged=last.converged,
        mended=errors,
    )
