"""The Materials Project's corrections on the energies of relaxed crystals."""

import dataclasses

from pymatgen.entries.computed_entries import ComputedStructureEntry

from unimat.errors import UserError
from unimat.materials.crystals.corrections import correction_of
from unimat.materials.relax.engine import Relaxation
from unimat.materials.stability.references.given import RUN_TYPES


def corrected(relaxation: Relaxation) -> Relaxation:
    """The same with MP2020 corrections in both energies, or a failure if the scheme refuses the calculation.

    The scheme sees the relaxed structure (peroxides and superoxides have corrections of their own), the run type and
    the Hubbard U of the calculation. Relaxations that failed, or name no parameters, stay as they are.
    """
    structure, parameters = relaxation.structure, relaxation.parameters
    if structure is None or parameters is None or relaxation.energy_per_atom is None:
        return relaxation
    energy = relaxation.energy_per_atom * len(structure)
    entry = ComputedStructureEntry(
        structure, energy, parameters=scheme_parameters(parameters), entry_id="this calculation"
    )
    try:
        correction, _ = correction_of(entry)
    except UserError as error:
        failure = f"{error}"
        return Relaxation(None, failure=failure, n_steps=relaxation.n_steps, mended=relaxation.mended)
    share, first = correction / len(structure), relaxation.initial_energy_per_atom
    return dataclasses.replace(
        relaxation,
        energy_per_atom=relaxation.energy_per_atom + share,
        initial_energy_per_atom=None if first is None else first + share,
        correction_per_atom=share,
    )


def scheme_parameters(parameters: dict) -> dict:
    """Parameters as pymatgen's schemes know them: emmet's PBE and PBE+U would be dropped without a word."""
    run_type = str(parameters["run_type"])
    hubbards = parameters.get("hubbards") or {}
    return {
        "run_type": RUN_TYPES.get(run_type, run_type),
        "is_hubbard": any(hubbards.values()),
        "hubbards": hubbards if any(hubbards.values()) else {},
    }
