"""Relaxation by a force field of any name, by atomate2's force-field maker with its calculators."""

import contextlib
import dataclasses
import io
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from atomate2.forcefields.jobs import ForceFieldRelaxMaker
from emmet.core.types.enums import TaskState
from jobflow import Job
from pymatgen.core import Structure

from unimat.errors import UserError
from unimat.materials.crystals.corrections import uncorrected_entry
from unimat.materials.relax.engine import PLAUSIBLE_ENERGIES, Relaxation, cell_failure, energy_failure
from unimat.materials.relax.force_fields import documents as force_field_documents
from unimat.materials.relax.force_fields import settings as force_field_settings
from unimat.materials.relax.force_fields.isolation import unfelt
from unimat.materials.relax.force_fields.known import (
    ASE,
    FORCE_FIELDS,
    MP2020,
    arguments,
    demand_installed,
    unknown_elements,
)
from unimat.materials.relax.jobs import context as job_context
from unimat.materials.relax.jobs.run import run
from unimat.materials.relax.relaxation_monitor import CellFilter, Watch, WatchedRelaxMaker
from unimat.materials.relax.settings import RelaxSettings

# Same numbers, sooner than atomate2's.
OWN_CALCULATORS = {"chgnet": "unimat.materials.relax.force_fields.chgnet_model.calculator"}


class ForceFieldEngine:
    """Relaxation of positions and cell; one process loads the force field once and relaxes many crystals.

    Raises:
        UserError: if the force field's package is not installed, or its model cannot be loaded.
    """

    def __init__(self, settings: RelaxSettings):
        demand_installed(settings.engine, settings.force_field.calculator)
        torch.set_num_threads(settings.threads)
        self.settings, self.known = settings, FORCE_FIELDS[settings.engine]
        self.energy_type = force_field_settings.energy_type(settings.engine, settings.force_field)
        self.stage_names = force_field_documents.STAGES
        # A model of the user's own may have any zero of energy.
        self.plausible = PLAUSIBLE_ENERGIES if self.known.model else None
        self.maker = self._watched_maker()
        self._load()
        self._scratch = tempfile.TemporaryDirectory(prefix="unimat-")

    def flow(self, structure: Structure) -> Job:
        """The relaxation of one crystal as a job for jobflow's managers; its document is atomate2's."""
        return self._maker().make(structure)  # type: ignore[misc]  # jobflow's decorator is untyped

    def outcome(self, structure: Structure, documents: Sequence[Any]) -> Relaxation:
        """The same as `relax`, from the document that such a job has left in a job store."""
        found = force_field_documents.outcome(documents[0], structure, self.settings, self.plausible)
        if found.structure is None:
            return found
        if lonely := self._unfelt(found.structure, np.array(documents[0].output.forces)):
            return dataclasses.replace(found, structure=None, energy_per_atom=None, converged=False, failure=lonely)
        if self.energy_type["corrections"] != MP2020:
            return found
        return dataclasses.replace(found, parameters=_parameters(found.structure))

    def relax(self, structure: Structure, folder: Path | None = None) -> Relaxation:
        """Relax one structure; its few files are not worth keeping, so `folder` is left alone."""
        if unknown := self._unknown_elements(structure):
            return Relaxation(None, failure=f"not relaxed, {self.known.label} was not trained on: {', '.join(unknown)}")
        WatchedRelaxMaker.last = Watch(**self.maker.limits)
        try:
            with _quiet(self._scratch.name):
                relaxed, converged = self._run(structure)
            outcome = self._outcome(structure, relaxed, converged)
            lonely = outcome.structure and self._unfelt(relaxed, WatchedRelaxMaker.last.forces)
        except Exception as error:  # a calculator may raise anything; the next crystal is another one
            return self._failed(structure, f"calculation failed: {_in_a_line(error)}")
        return self._failed(structure, lonely) if lonely else outcome

    def _unfelt(self, relaxed: Structure, forces: np.ndarray | None) -> str | None:
        if forces is None:  # no step was looked at
            return None
        with _quiet(self._scratch.name):
            return unfelt(relaxed, forces, self.maker.calculator)

    def _run(self, structure: Structure) -> tuple[Structure, bool]:
        """Relaxed structure, and the optimizer's own verdict, cell included.

        Forces alone vanish by symmetry in many a strained crystal. What a job does beside the relaxation costs as much
        as some ten steps of it, so that one is made only where its document is wanted.
        """
        if job_context.recorder():
            [document] = run(self.maker.make(structure))  # type: ignore[misc]  # jobflow's decorator is untyped
            return document.output.mol_or_struct, document.state == TaskState.SUCCESS
        result = self.maker._run_ase_safe(structure)
        return result.final_mol_or_struct, bool(result.converged)

    def _outcome(self, initial: Structure, relaxed: Structure, converged: bool) -> Relaxation:
        watch, n_atoms = WatchedRelaxMaker.last, len(initial)
        energy = watch.energies[-1] / n_atoms
        reason = None if converged and (watch.reason or "").startswith("out of time") else watch.reason
        reason = reason or energy_failure(energy, self.plausible) or cell_failure(initial, relaxed, self.settings)
        if reason:
            return self._failed(initial, reason)
        return Relaxation(
            structure=relaxed,
            energy_per_atom=energy,
            initial_energy_per_atom=watch.energies[0] / n_atoms,
            fmax=watch.fmax,
            n_steps=watch.n_steps,
            converged=converged,
            parameters=_parameters(relaxed) if self.energy_type["corrections"] == MP2020 else None,
        )

    def _failed(self, initial: Structure, reason: str) -> Relaxation:
        watch = WatchedRelaxMaker.last
        first = watch.energies[0] / len(initial) if watch.energies and np.isfinite(watch.energies[0]) else None
        return Relaxation(None, initial_energy_per_atom=first, n_steps=watch.n_steps, failure=reason)

    def _unknown_elements(self, structure: Structure) -> list[str]:
        own = self.settings.force_field.model is not None
        symbols = {element.symbol for element in structure.composition.elements}
        return [] if own else unknown_elements(self.settings.engine, symbols)

    def _maker(self, kind: type[ForceFieldRelaxMaker] = ForceFieldRelaxMaker, **options: Any) -> ForceFieldRelaxMaker:
        settings, given = self.settings, self.settings.force_field
        by_name = given.calculator if settings.engine == ASE else self.known.calculator
        path = by_name if "." in str(by_name) else None
        return kind(
            force_field_name="Forcefield" if path else str(by_name),
            calculator_meta=path,
            calculator_kwargs=arguments(settings.engine, given.model, given.device, given.calculator_kwargs),
            relax_cell=True,
            steps=max(settings.max_steps, 2),  # with less, atomate2 runs no optimizer and says that it converged
            relax_kwargs={"fmax": settings.fmax, "verbose": False, **options.pop("relax_kwargs", {})},
            optimizer_kwargs={"optimizer": settings.optimizer},
            ionic_step_data=("energy",),
            **options,
        )

    def _watched_maker(self) -> Any:
        settings = self.settings
        limits = {
            "max_steps": settings.max_steps,
            "min_volume_per_atom": settings.min_volume_per_atom,
            "plausible": self.plausible,
            "max_seconds": settings.max_seconds,
        }
        # Without a document nobody sees the frames between the first and the last.
        interval = 1 if job_context.recorder() else settings.max_steps + 1
        return self._maker(
            WatchedRelaxMaker,
            own_calculator=OWN_CALCULATORS.get(settings.engine),
            relax_kwargs={"cell_filter": CellFilter, "final_atoms_object_file": None, "interval": interval},
            limits=limits,
        )

    def _load(self) -> None:
        """Load the force field now, once: what is wrong with it is wrong for every crystal."""
        WatchedRelaxMaker.calculators.clear()  # of another engine of this process
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _ = self.maker.calculator
        except Exception as error:
            raise UserError(
                f"relax.engine {self.settings.engine!r}: {self.energy_type['calculator']} cannot be loaded"
                f" ({_in_a_line(error)}); see relax.force_field, and the --debug flag"
            ) from error


def _parameters(structure: Structure) -> dict[str, Any]:
    """Run type and Hubbard U that the Materials Project, whose energies were learned, gives such a crystal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen's, of noble gases, which have no electronegativity
        return dict(uncorrected_entry(structure.composition, 0.0, "relaxed").parameters)


@contextlib.contextmanager
def _quiet(folder: str) -> Any:
    """Force fields print, write files where they are, and warn of isolated atoms and cell filters at every step."""
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _in_a_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
