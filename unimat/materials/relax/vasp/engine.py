"""Relaxation by VASP under custodian, with the Materials Project's settings: the paper's Appendix 7.

atomate2's Materials Project flow is the paper's protocol: two relaxations of all geometric degrees of freedom, then a
static calculation; PBE with PAW potentials, +U where the Materials Project has it, 520 eV, ferromagnetic start. Its
k-point meshes are gamma-centred for every cell, hexagonal ones included. custodian's handlers mend VASP's errors.
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atomate2.vasp.flows.mp import MPGGADoubleRelaxStaticMaker
from jobflow import Flow
from pymatgen.core import Structure

from unimat.materials.crystals.corrections import pymatgen_version
from unimat.materials.relax.engine import PLAUSIBLE_ENERGIES, Relaxation, cell_failure, energy_failure
from unimat.materials.relax.settings import RelaxSettings, VaspSettings
from unimat.materials.relax.vasp import custodian_log
from unimat.materials.relax.vasp import documents as vasp_documents
from unimat.materials.relax.vasp.inputs import (
    InputsMissing,
    check_potentials,
    check_potentials_folder,
    vasp_command,
)
from unimat.materials.relax.vasp.stage import (
    STATIC,
    Stage,
    StageFailed,
    StageResult,
    attempts,
    first_energy,
    stage_result,
)
from unimat.materials.stability.references.pseudopotentials import GNOME, MATERIALS_PROJECT

LARGE_FILES = ("WAVECAR*", "CHG*", "AECCAR*", "ELFCAR*", "LOCPOT*", "WAVEDER*", "PROCAR*", "vaspwave.h5*")


class VaspEngine:
    """VASP double relaxation and static calculation, one crystal at a time, taken up again where it was cut off."""

    def __init__(self, settings: RelaxSettings):
        self.settings = settings
        self.energy_type = energy_type(settings.vasp)
        self.stage_names = vasp_documents.STAGES

    def flow(self, structure: Structure) -> Flow:
        """The jobs of one crystal, relax 1, relax 2 and static, as a flow for jobflow's other managers."""
        return self._maker().make(structure)

    def stages(self) -> list[Stage]:
        """The same jobs, one by one."""
        maker = self._maker()
        double: Any = maker.relax_maker
        return [
            Stage("relax_1", double.relax_maker1),
            Stage("relax_2", double.relax_maker2),
            Stage(STATIC, maker.static_maker),
        ]

    def relax(self, structure: Structure, folder: Path | None = None) -> Relaxation:
        """Relax one structure, raw files in `folder`; what custodian gives up on is an outcome with its reason.

        Raises:
            UserError: if no crystal can be computed: no VASP, no potentials, no disk space, no time left.
        """
        vasp_command(self.settings.vasp)
        check_potentials_folder()
        try:
            check_potentials(structure, self.stages()[0].maker.input_set_generator)
        except InputsMissing as error:
            return Relaxation(None, failure=str(error), transient=error.transient)
        with tempfile.TemporaryDirectory(prefix="unimat-") as temporary:
            return self._relax(structure, (folder or Path(temporary)).resolve())

    def outcome(self, structure: Structure, documents: Sequence[Any]) -> Relaxation:
        """The same from documents of a job store, one of each stage, without files."""
        results: list[StageResult] = []
        errors = vasp_documents.mended(documents)
        for document in documents:
            results.append(stage_result(document))
            if failure := self._failure(structure, results[-1]):
                steps = sum(each.n_steps for each in results)
                return Relaxation(None, n_steps=steps, failure=failure, mended=errors)
        return _outcome(results, errors)

    def _failure(self, initial: Structure, result: StageResult) -> str | None:
        """Why the result of a stage means nothing, if so."""
        energy = result.energy / len(initial)
        return cell_failure(initial, result.structure, self.settings) or energy_failure(energy, PLAUSIBLE_ENERGIES)

    def _relax(self, structure: Structure, folder: Path) -> Relaxation:
        results: list[StageResult] = []
        try:
            for stage, previous in zip(self.stages(), [None, "relax_1", "relax_2"], strict=True):
                start = results[-1].structure if results else structure
                before = folder / previous if previous else None
                results.append(stage.result(folder / stage.name, start, before, self.settings.vasp))
                if failure := self._failure(structure, results[-1]):
                    raise StageFailed(failure)
        except StageFailed as error:
            steps = sum(each.n_steps for each in results)
            return Relaxation(None, n_steps=steps, failure=str(error), mended=mended(folder))
        given = first_energy(folder / "relax_1", results[0].first_energy)
        results[0] = dataclasses.replace(results[0], first_energy=given)
        outcome = _outcome(results, mended(folder))
        tidy(folder, self.settings.vasp)
        return outcome

    def _maker(self) -> MPGGADoubleRelaxStaticMaker:
        maker, settings = MPGGADoubleRelaxStaticMaker(), self.settings.vasp
        double: Any = maker.relax_maker
        stages: list[Any] = [double.relax_maker1, double.relax_maker2, maker.static_maker]
        for each in stages:
            given = each.input_set_generator
            # A new one: pymatgen merges the names of potentials at construction, and ignores later ones without a word.
            each.input_set_generator = dataclasses.replace(
                given,
                user_incar_settings={**given.user_incar_settings, **settings.user_incar_settings},
                user_potcar_settings={**(given.user_potcar_settings or {}), **settings.potcars},
            )
            commands = {"vasp_cmd": settings.command, "vasp_gamma_cmd": settings.gamma_command}
            each.run_vasp_kwargs = {
                **each.run_vasp_kwargs,
                **{key: command for key, command in commands.items() if command},
                "max_errors": settings.max_errors,
                "custodian_kwargs": {
                    "polling_time_step": settings.poll_interval,
                    "monitor_freq": max(1, round(settings.monitor_interval / settings.poll_interval)),
                },
            }
        return maker


def energy_type(settings: VaspSettings) -> dict[str, str]:
    """What the energies are; whose pseudopotentials they are by decides about a shift before they meet a hull."""
    corrected = {"corrections": "MP2020", "correction_version": pymatgen_version()}
    return {
        "calculator": "VASP",
        "functional": "PBE/PBE+U mixed, as the Materials Project",
        **(corrected if settings.corrections == "MP2020" else {"corrections": "none"}),
        "quantity": "total energy",
        "pseudopotentials": GNOME if settings.newer_potentials else MATERIALS_PROJECT,
    }


def mended(folder: Path) -> list[dict[str, Any]]:
    """Errors of all stages and attempts in the folder of a crystal, as `custodian_log.mended` lists them."""
    logs = []
    for name in vasp_documents.STAGES:
        for each in [*attempts(folder / name), folder / name]:
            logs.append((name, custodian_log.read_log(each)))
    return custodian_log.mended(logs)


def tidy(folder: Path, settings: VaspSettings) -> None:
    """Remove those raw outputs of a finished crystal that the settings do not want."""
    if settings.raw_outputs == "remove":
        shutil.rmtree(folder)
    elif settings.raw_outputs == "slim":
        for pattern in LARGE_FILES:
            for path in folder.glob(f"*/{pattern}"):
                path.unlink()


def _outcome(results: list[StageResult], errors: list[dict[str, Any]]) -> Relaxation:
    static, n_atoms = results[-1], len(results[-1].structure)
    return Relaxation(
        structure=static.structure,
        energy_per_atom=static.energy / n_atoms,
        initial_energy_per_atom=results[0].first_energy / n_atoms,
        fmax=static.fmax,
        n_steps=sum(each.n_steps for each in results[:-1]),
        converged=True,  # an unconverged relaxation is a failure: atomate2 raises, after custodian's patience
        mended=errors,
        parameters=static.parameters,
    )
