"""Molecular dynamics by VASP under custodian, as Appendix 7 of the paper has it.

The input set is the Materials Project's for molecular dynamics (pymatgen's MPMDSet: no spin polarisation, Nosé's
thermostat, k-point gamma, no symmetry), with what the paper says of all its calculations: 520 eV and +U. The run is one
calculation after the other, each from the CONTCAR of the one before, which holds positions and velocities.
"""

import dataclasses
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from atomate2.vasp.jobs.md import MDMaker
from pymatgen.core import Structure
from pymatgen.io.vasp.inputs import Kpoints, Poscar
from pymatgen.io.vasp.outputs import Vasprun
from pymatgen.io.vasp.sets import BadInputSetWarning, MPMDSet

from unimat.materials.dynamics.engine import Impossible, refuse_explosion
from unimat.materials.dynamics.frames import Frames, State
from unimat.materials.dynamics.settings import MdSettings
from unimat.materials.relax.vasp import custodian_log
from unimat.materials.relax.vasp.engine import LARGE_FILES, energy_type
from unimat.materials.relax.vasp.inputs import InputsMissing, check_potentials, check_potentials_folder, vasp_command
from unimat.materials.relax.vasp.stage import Stage, StageFailed, attempts

log = logging.getLogger("unimat.md")

# On top of MPMDSet: the paper's cutoff; the Nosé-Hoover thermostat by its number (ISIF = 2 belongs to it); no wave
# functions, which each calculation would write and none reads.
INCAR = {"ENCUT": 520, "MDALGO": 2, "SMASS": 0, "ISIF": 2, "ISPIN": 1, "LWAVE": False}


@dataclasses.dataclass
class PaperMDSet(MPMDSet):
    """pymatgen's MPMDSet with the paper's cutoff and +U, which it leaves out."""

    @property
    def incar_updates(self) -> dict[str, Any]:
        updates = {**super().incar_updates, **INCAR}
        updates.pop("LDAU")  # that of the Materials Project's relaxations stands, where an element has a U
        # Written as it is, which VASP does not know; EDIFF would be that of relaxations, five times as large.
        updates["EDIFF"] = updates.pop("EDIFF_PER_ATOM") * len(self.structure or ())
        return updates


@dataclasses.dataclass(frozen=True)
class MdStage(Stage):
    """One calculation of a run; cut off, it starts anew; where VASP was told to stop, it counts as far as it came."""

    handlers: ClassVar[Any] = MDMaker().run_vasp_kwargs["handlers"]

    def start(self, folder: Path, structure: Structure) -> Structure:
        return structure

    def finished(self, folder: Path) -> Any:
        runs = custodian_log.read_log(folder)
        if not (custodian_log.ended_well(runs) or custodian_log.out_of_time(runs)):
            return None
        try:
            return read(folder)
        except Exception as error:  # whatever a torn file makes of a parser
            log.warning("%s is computed again, its files cannot be read (%s)", folder, error)
            return None

    def outcome(self, folder: Path, document: Any) -> Any:
        return read(folder)

    def _run(self, *args: Any) -> list[Any]:
        with warnings.catch_warnings():
            # emmet's documents want velocities as tuples, pymatgen reads them as arrays; nothing is lost.
            warnings.filterwarnings("ignore", message="Pydantic serializer warnings")
            return super()._run(*args)


def read(folder: Path) -> tuple[Vasprun, Structure]:
    """What VASP wrote of all its steps, and the structure after them with site property `velocities` (Å/fs)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of missing POTCAR files, which are not looked at
        vasprun = Vasprun(_of(folder, "vasprun.xml"), parse_dos=False, parse_eigen=False, parse_potcar_file=False)
        last = Poscar.from_file(_of(folder, "CONTCAR"), check_for_potcar=False).structure
    if "velocities" not in last.site_properties:
        raise ValueError(f"{folder}/CONTCAR holds no velocities")
    return vasprun, last


class VaspMdEngine:
    """NVT by VASP; a stretch of steps is one calculation in a folder of its own."""

    def __init__(self, settings: MdSettings):
        self.settings = settings
        # What moves atoms is no energy of a hull: corrections are left out.
        self.energy_type = energy_type(dataclasses.replace(settings.vasp, corrections="none"))

    def check(self, structure: Structure) -> None:
        vasp_command(self.settings.vasp)
        check_potentials_folder()
        try:
            check_potentials(structure, self.input_set(1, 1.0))
        except InputsMissing as error:
            reason = str(error).replace("not relaxed", "not run").replace("relax.vasp", "md.vasp")
            raise Impossible(reason, error.transient) from error

    def advance(
        self, structure: Structure, state: State, n_steps: int, time_step: float, folder: Path
    ) -> tuple[Frames, State]:
        place = (folder / f"vasp_{state.step:09d}").resolve()
        started = Structure(
            structure.lattice, structure.species, state.positions, coords_are_cartesian=True,
            site_properties={"velocities": state.velocities.tolist()},
        )  # fmt: skip
        try:
            vasprun, last = self.stage(place.name, n_steps, time_step).result(place, started, None, self.settings.vasp)
        except StageFailed as error:
            raise Impossible(str(error)) from error
        frames, after = frames_of(vasprun, last, state)
        temperatures = frames.temperature()
        for step, temperature, potential in zip(frames.step, temperatures, frames.potential, strict=True):
            refuse_explosion(int(step), temperature, potential, self.settings.temperature)
        tidy(place, self.settings)
        return frames[frames.step % self.settings.sample_every == 0], after

    def stage(self, name: str, n_steps: int, time_step: float) -> MdStage:
        """The calculation of that name: atomate2's maker with the paper's inputs and our patience."""
        own = self.settings.vasp
        commands = {"vasp_cmd": own.command, "vasp_gamma_cmd": own.gamma_command}
        maker = MDMaker(input_set_generator=self.input_set(n_steps, time_step))  # type: ignore[arg-type]
        maker.run_vasp_kwargs = {
            **maker.run_vasp_kwargs,
            **{key: command for key, command in commands.items() if command},
            "max_errors": own.max_errors,
            "custodian_kwargs": {
                "polling_time_step": own.poll_interval,
                "monitor_freq": max(1, round(own.monitor_interval / own.poll_interval)),
            },
        }
        return MdStage(name, maker)

    def input_set(self, n_steps: int, time_step: float) -> PaperMDSet:
        own, temperature = self.settings.vasp, self.settings.temperature
        density = self.settings.reciprocal_density
        points: Any = {"reciprocal_density": density} if density else Kpoints.gamma_automatic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BadInputSetWarning)  # of potentials by other names, which are wanted
            return PaperMDSet(
                start_temp=temperature,
                end_temp=temperature,
                nsteps=n_steps,
                time_step=time_step,  # never None: pymatgen would take four times the steps with hydrogen
                user_incar_settings=own.user_incar_settings,
                user_kpoints_settings=points,
                user_potcar_settings=own.potcars,
                force_gamma=True,
            )

    def mended(self, folder: Path) -> list[dict[str, Any]]:
        """Errors of all calculations of a run that custodian mended, or gave up on."""
        places = sorted(path for path in folder.glob("vasp_*") if "attempt" not in path.name)
        return custodian_log.mended(
            ("md", custodian_log.read_log(each)) for place in places for each in [*attempts(place), place]
        )


def frames_of(vasprun: Vasprun, last: Structure, state: State) -> tuple[Frames, State]:
    """Every step of a calculation that started from `state`, and the state after it.

    VASP wraps atoms into the cell; they are followed from one step to the next, over less than half a cell.
    """
    steps = vasprun.ionic_steps
    matrix = last.lattice.matrix
    fractional = np.array([step["structure"].frac_coords for step in steps] + [last.frac_coords])
    before = state.positions @ np.linalg.inv(matrix)
    changes = np.diff(np.concatenate([before[None], fractional]), axis=0)
    positions = (before + np.cumsum(changes - np.round(changes), axis=0)) @ matrix
    energies = {
        ours: np.array([step.get(theirs, np.nan) for step in steps], float)
        for ours, theirs in {"potential": "e_fr_energy", "kinetic": "kinetic", "conserved": "total"}.items()
    }
    numbers = state.step + np.arange(len(steps))
    stretch = np.full(len(steps), state.step)
    velocities = np.array(last.site_properties["velocities"], float)
    return Frames(numbers, positions[:-1], **energies, stretch=stretch), State(
        state.step + len(steps), positions[-1], velocities
    )


def tidy(folder: Path, settings: MdSettings) -> None:
    """Remove those raw outputs of a finished calculation that the settings do not want."""
    if settings.vasp.raw_outputs == "remove":
        shutil.rmtree(folder)
    elif settings.vasp.raw_outputs == "slim":
        for pattern in LARGE_FILES:
            for path in folder.glob(pattern):
                path.unlink()


def _of(folder: Path, name: str) -> Path:
    plain, zipped = folder / name, folder / f"{name}.gz"
    return plain if plain.exists() else zipped
