"""Molecular dynamics by a force field, through atomate2's maker of such runs.

The thermostat is a Nosé-Hoover chain, of the same kind as VASP's and, unlike atomate2's default (Langevin), with an
energy that it conserves, so that a drift can be told from the thermostat's own work.
"""

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.nose_hoover_chain import NoseHooverChainNVT, NoseHooverChainThermostat
from atomate2.forcefields.md import ForceFieldMDMaker
from emmet.core.types.enums import StoreTrajectoryOption
from pymatgen.core import Structure

from unimat.materials.crystals.corrections import MP2020
from unimat.materials.dynamics.engine import Impossible, refuse_explosion
from unimat.materials.dynamics.frames import Frames, State, degrees_of_freedom
from unimat.materials.dynamics.settings import MdSettings
from unimat.materials.relax.force_fields.known import unknown_elements
from unimat.materials.relax.jobs.run import JobFailed, run


class NoseHoover(NoseHooverChainNVT):
    """ASE's Nosé-Hoover chain, started from a `State` and with its frames kept.

    ASE's chain counts 3n degrees of freedom; with the centre of mass at rest 3n - 3 of them move, and a cell of two
    atoms would be kept at twice the temperature.

    Attributes:
        start: where the run starts.
        record: where its frames go.
    """

    start: State
    record: "Log"

    @classmethod
    def of(cls, start: State, log: "Log") -> type["NoseHoover"]:
        """This class with both; jobflow writes a maker's arguments out as JSON, which they are not."""
        return type(cls.__name__, (cls,), {"start": start, "record": log, "__module__": __name__})

    def __init__(self, atoms: Atoms, timestep: float, temperature_K: float, tdamp: float, **kwargs: Any):
        start = self.start
        atoms.set_positions(start.positions)
        atoms.set_velocities(start.velocities / units.fs)
        super().__init__(atoms=atoms, timestep=timestep, temperature_K=temperature_K, tdamp=tdamp, **kwargs)
        self._temperature_K = temperature_K  # atomate2 sets it at every step
        self._thermostat = NoseHooverChainThermostat(
            num_atoms_global=len(atoms) - 1, masses=self.masses, temperature_K=temperature_K, tdamp=tdamp
        )
        if start.thermostat.size:
            self._thermostat._eta, self._thermostat._p_eta = start.thermostat.copy()
        self.attach(self._keep)

    def _keep(self) -> None:
        step, potential = self.start.step + self.nsteps, float(self.atoms.get_potential_energy())
        kinetic = float(self.atoms.get_kinetic_energy())
        temperature = 2 * kinetic / (units.kB * degrees_of_freedom(len(self.atoms)))
        try:
            refuse_explosion(step, temperature, potential, self._temperature_K)
        except Exception as error:
            self.record.trouble = error  # jobflow keeps a traceback's text alone
            raise
        # A run that goes on from another one has the first frame already.
        if step % self.record.sample_every == 0 and (self.nsteps or step == 0):
            conserved = potential + kinetic + self._thermostat.get_thermostat_energy()
            self.record.rows.append((step, self.atoms.get_positions(), potential, kinetic, conserved))
        thermostat = np.array([self._thermostat._eta, self._thermostat._p_eta])
        self.record.state = State(step, self.atoms.get_positions(), self.atoms.get_velocities() * units.fs, thermostat)


class Log:
    """What a run leaves: kept frames, its last state, and what ended it before its time."""

    def __init__(self, sample_every: int):
        self.sample_every = sample_every
        self.rows: list[tuple[int, np.ndarray, float, float, float]] = []
        self.state: State | None = None
        self.trouble: Exception | None = None

    def frames(self, n_atoms: int) -> Frames:
        columns = list(zip(*self.rows, strict=True)) or [()] * 5
        step, positions, potential, kinetic, conserved = (np.array(column) for column in columns)
        return Frames(
            step.astype(np.int64), positions.reshape(-1, n_atoms, 3), potential, kinetic, conserved,
            np.zeros(len(step), np.int64),
        )  # fmt: skip


def uncorrected(energy_type: dict[str, str]) -> dict[str, str]:
    """The same energies before the Materials Project's corrections are added; a constant moves no atom."""
    if energy_type.get("corrections") != MP2020:
        return energy_type
    return {key: value for key, value in energy_type.items() if key != "correction_version"} | {"corrections": "none"}


class ForceFieldMdEngine:
    """NVT by the force field of an engine of relaxation.

    Args:
        relaxer: that engine; its maker knows the force field, and its energy type is ours.
    """

    def __init__(self, settings: MdSettings, relaxer: Any):
        self.settings = settings
        self.energy_type = uncorrected(relaxer.energy_type)
        self.maker = ForceFieldMDMaker(
            force_field_name=relaxer.maker.force_field_name,
            calculator_meta=relaxer.maker.calculator_meta,
            calculator_kwargs=relaxer.maker.calculator_kwargs,
            temperature=settings.temperature,
            store_trajectory=StoreTrajectoryOption.NO,
            ionic_step_data=("energy",),
        )
        self.maker._calculator = relaxer.maker.calculator  # loaded already

    def check(self, structure: Structure) -> None:
        symbols = {element.symbol for element in structure.composition.elements}
        if unknown := unknown_elements(self.settings.engine, symbols):
            label = self.energy_type["calculator"]
            raise Impossible(f"not run, {label} was not trained on: {', '.join(unknown)}")

    def mended(self, folder: Path) -> list[dict[str, Any]]:
        """Nothing is mended."""
        return []

    def advance(
        self, structure: Structure, state: State, n_steps: int, time_step: float, folder: Path
    ) -> tuple[Frames, State]:
        log = Log(self.settings.sample_every)
        # A chain's period is 2 pi / sqrt(2) of its damping time (Q = N_f kT tau^2, omega^2 = 2 N_f kT / Q).
        damping = self.settings.thermostat_period * time_step / (np.sqrt(2) * np.pi)
        maker: Any = copy.copy(self.maker)  # keeps the calculator that was loaded
        maker.n_steps, maker.traj_interval, maker.time_step = n_steps, n_steps, time_step
        maker.dynamics, maker.ase_md_kwargs = NoseHoover.of(state, log), {"tdamp": damping * units.fs}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # force fields and ASE warn at every step
            try:
                run(maker.make(structure))
            except JobFailed as error:
                raise (log.trouble or Impossible(f"calculation failed: {error}")) from error
        assert log.state is not None
        return log.frames(len(structure)), log.state
