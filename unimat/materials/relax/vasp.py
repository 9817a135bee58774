"""Relaxation by VASP under custodian, with the Materials Project's settings: the paper's Appendix 7.

atomate2's Materials Project flow is the paper's protocol: two relaxations of all geometric degrees of freedom, then a
static calculation; PBE with PAW potentials, +U where the Materials Project has it, 520 eV, ferromagnetic start. Its
k-point meshes are gamma-centred for every cell, hexagonal ones included. custodian's handlers mend VASP's errors.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from atomate2.vasp.flows.mp import MPGGADoubleRelaxStaticMaker
from jobflow import Flow
from pymatgen.core import Structure

from unimat.materials.relax.engine import Relaxation
from unimat.materials.relax.jobs import JobFailed, run
from unimat.materials.stability_settings import RelaxSettings


class VaspEngine:
    """VASP double relaxation and static calculation, one crystal at a time, raw files kept."""

    energy_type: ClassVar[dict[str, str]] = {
        "calculator": "VASP",
        "functional": "PBE/PBE+U mixed, as the Materials Project",
        "corrections": "none",
        "quantity": "total energy",
    }

    def __init__(self, settings: RelaxSettings):
        self.settings = settings

    def flow(self, structure: Structure) -> Flow:
        """The jobs of one crystal: relax 1, relax 2, static."""
        maker = MPGGADoubleRelaxStaticMaker()
        double: Any = maker.relax_maker
        stages: list[Any] = [double.relax_maker1, double.relax_maker2, maker.static_maker]
        for each in stages:
            generator = each.input_set_generator
            generator.user_incar_settings = {**generator.user_incar_settings, **self.settings.vasp.user_incar_settings}
            generator.user_potcar_settings = {
                **(generator.user_potcar_settings or {}),
                **self.settings.vasp.potcars,
            }
            if self.settings.vasp.command:
                each.run_vasp_kwargs = {**each.run_vasp_kwargs, "vasp_cmd": self.settings.vasp.command}
        return maker.make(structure)

    def relax(self, structure: Structure, folder: Path | None = None) -> Relaxation:
        """Relax one structure, raw files kept in `folder`; what custodian gives up on is an outcome with its reason."""
        try:
            *_, static = run(self.flow(structure), folder)
        except JobFailed as error:
            return Relaxation(None, failure=f"calculation failed: {error}")
        return _outcome(static)


def _outcome(static: Any) -> Relaxation:
    structure = static.output.structure
    return Relaxation(
        structure=structure,
        energy_per_atom=float(static.output.energy) / len(structure),
        fmax=float(np.linalg.norm(static.output.forces, axis=1).max()),
        converged=True,  # an unconverged relaxation raises in custodian's UnconvergedErrorHandler
    )
