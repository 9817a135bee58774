"""Relaxation by a universal force field, through atomate2's force-field maker."""

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from atomate2.forcefields.jobs import ForceFieldRelaxMaker
from emmet.core.types.enums import TaskState
from pymatgen.core import Structure

from unimat.materials.relax.engine import Relaxation, cell_failure
from unimat.materials.relax.jobs import JobFailed, run
from unimat.materials.relax.settings import RelaxSettings

# CHGNet 0.3.0 was trained on Materials Project energies with the MP2020 corrections applied (Deng et al., Nat. Mach.
# Intell. 5, 1031, 2023), so that its energies go into a hull as they are, and never beside uncorrected ones.
ENERGY_TYPES = {
    "chgnet": {
        "calculator": f"CHGNet (chgnet {version('chgnet')})",
        "functional": "PBE/PBE+U mixed, as the Materials Project",
        "corrections": "MP2020, learned",
        "quantity": "total energy",
    }
}
FORCE_FIELD_NAMES = {"chgnet": "CHGNet"}


class ForceFieldEngine:
    """CHGNet relaxation of positions and cell; one process relaxes many crystals."""

    def __init__(self, settings: RelaxSettings):
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.energy_type = ENERGY_TYPES[settings.engine]
        self.maker = ForceFieldRelaxMaker(
            force_field_name=FORCE_FIELD_NAMES[settings.engine],
            relax_cell=True,
            steps=settings.max_steps,
            relax_kwargs={"fmax": settings.fmax, "verbose": False},
            optimizer_kwargs={"optimizer": settings.optimizer},
            ionic_step_data=("energy",),
        )

    def relax(self, structure: Structure, folder: Path | None = None) -> Relaxation:
        """Relax one structure; its few files are not worth keeping, so `folder` is left alone."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CHGNet and ASE warn about isolated atoms and cell filters at every step
            try:
                [document] = run(self.maker.make(structure))  # type: ignore[misc]  # jobflow's decorator is untyped
            except JobFailed as error:
                return Relaxation(None, failure=f"calculation failed: {error}")
        return self._outcome(structure, document)

    def _outcome(self, initial: Structure, document: Any) -> Relaxation:
        output = document.output
        relaxed, energy = output.mol_or_struct, output.energy_per_atom
        first = output.ionic_steps[0].energy / len(initial) if output.ionic_steps else None
        if relaxed is None or energy is None or not np.isfinite(energy):
            return Relaxation(None, initial_energy_per_atom=first, failure="the energy is not finite")
        # atomate2 counts frames: the initial one, one after each step, and the last once more.
        n_steps = max(output.n_steps - 2, 0)
        if failure := cell_failure(initial, relaxed):
            return Relaxation(None, initial_energy_per_atom=first, n_steps=n_steps, failure=failure)
        return Relaxation(
            structure=relaxed,
            energy_per_atom=float(energy),
            initial_energy_per_atom=first,
            fmax=float(np.linalg.norm(output.forces, axis=1).max()),
            n_steps=n_steps,
            # `is_force_converged` looks at atoms alone and is true of any crystal whose forces vanish by symmetry,
            # however strained; the task's state is the optimizer's own verdict, cell included.
            converged=document.state == TaskState.SUCCESS,
        )
