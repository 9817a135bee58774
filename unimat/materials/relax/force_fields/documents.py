"""Results of relaxations by a force field from documents of a job store."""

from typing import Any

import numpy as np
from emmet.core.types.enums import TaskState
from pymatgen.core import Structure

from unimat.materials.relax.engine import Relaxation, cell_failure, energy_failure
from unimat.materials.relax.force_fields.known import version_of
from unimat.materials.relax.settings import RelaxSettings

STAGES = ("relax",)


def outcome(
    document: Any, initial: Structure, settings: RelaxSettings, plausible: tuple[float, float] | None
) -> Relaxation:
    """What a document says of a relaxation from `initial`.

    Args:
        plausible: range that the energy (eV/atom) must lie in.
    """
    if stranger := _other_version(document, settings):
        return Relaxation(None, failure=stranger, transient=True)
    output = document.output
    relaxed, energy = output.mol_or_struct, output.energy_per_atom
    first = output.ionic_steps[0].energy / len(initial) if output.ionic_steps else None
    # atomate2 counts frames: the initial one, one after each step, and the last once more.
    n_steps = max((output.n_steps or 0) - 2, 0)
    failure = energy_failure(energy, plausible) or cell_failure(initial, relaxed, settings)
    if failure:
        return Relaxation(None, initial_energy_per_atom=first, n_steps=n_steps, failure=failure)
    return Relaxation(
        structure=relaxed,
        energy_per_atom=float(energy),
        initial_energy_per_atom=first,
        fmax=float(np.linalg.norm(output.forces, axis=1).max()),
        n_steps=n_steps,
        # `is_force_converged` looks at atoms alone and is true of any crystal whose forces vanish by symmetry, however
        # strained; the task's state is the optimizer's own verdict, cell included.
        converged=document.state == TaskState.SUCCESS and settings.max_steps > 1,
    )


def _other_version(document: Any, settings: RelaxSettings) -> str | None:
    """Why a worker's result is not this machine's, if so: another release of the package may hold another model."""
    if not str(document.forcefield_name).startswith("MLFF."):  # atomate2 knows the packages of its own names alone
        return None
    here = version_of(settings.engine, settings.force_field.calculator)
    there = f"{here.rpartition(' ')[0]} {document.forcefield_version}"
    return None if there == here else f"computed by {there} on the worker, here is {here}; install the same on both"
