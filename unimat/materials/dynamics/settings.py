"""Settings of molecular dynamics; importable without the packages that do the work."""

import dataclasses
from collections.abc import Iterable

from unimat.materials.relax.force_fields import settings as force_field_settings
from unimat.materials.relax.force_fields.known import FORCE_FIELDS
from unimat.materials.relax.force_fields.settings import ForceFieldSettings
from unimat.materials.relax.settings import VaspSettings

ENGINES = (*FORCE_FIELDS, "vasp")
HYDROGEN = 1
TIME_STEP = 2.0  # fs, Appendix 7 of the paper
TIME_STEP_WITH_HYDROGEN = 0.5  # fs, the same


@dataclasses.dataclass(frozen=True)
class MdSettings:
    """Molecular dynamics at constant number of atoms, volume and temperature (NVT), as Appendix 7 of the paper has it:
    2 fs, 0.5 fs with hydrogen, no spin polarisation. The paper names neither temperature, nor length, nor supercell.

    Attributes:
        engine: `vasp`, or a force field of `force_fields.FORCE_FIELDS`.
        take: how many of the converged crystals, those of lowest decomposition energy first; None takes all of them.
        temperature: K; atomate2's default.
        time_step: fs; None is the paper's: 2, and 0.5 for a crystal that holds hydrogen.
        duration: ps, equilibration included; a usual length of AIMD.
        equilibration: share of the run, from its start, that no mean and no displacement is taken of.
        sample_every: steps between two frames that are kept.
        restart_every: steps between two restart points on disk; what a killed process loses at most. A multiple of
            `sample_every`.
        thermostat_period: period of the Nosé-Hoover thermostat of force fields, in time steps; VASP's SMASS = 0 has 40.
        min_length: the cell is repeated until its faces are this far apart, Å; gamma-point AIMD is customary from here.
        max_atoms: fewer repetitions are made rather than have more atoms; a crystal whose own cell has more stays as it
            is.
        reciprocal_density: k-points of `vasp` per Å^-3; None is the gamma point alone, as in pymatgen's MPMDSet.
        seed: of the velocities at the start.
        threads: CPU threads of a force field.
        force_field: settings of the force fields, as for relaxation.
        vasp: settings of the engine `vasp`, as for relaxation; `corrections` are left out: a constant moves no atom.
    """

    engine: str = "chgnet"
    take: int | None = 3
    temperature: float = 300.0
    time_step: float | None = None
    duration: float = 10.0
    equilibration: float = 0.2
    sample_every: int = 10
    restart_every: int = 100
    thermostat_period: float = 40.0
    min_length: float = 10.0
    max_atoms: int = 200
    reciprocal_density: int | None = None
    seed: int = 0
    threads: int = 1
    force_field: ForceFieldSettings = dataclasses.field(default_factory=ForceFieldSettings)
    vasp: VaspSettings = dataclasses.field(default_factory=VaspSettings)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"engine {self.engine!r} runs no molecular dynamics; those that do: {', '.join(ENGINES)}")
        if self.engine in FORCE_FIELDS:
            force_field_settings.check(self.engine, self.force_field)
        for name in ("temperature", "duration", "sample_every", "restart_every", "thermostat_period", "max_atoms"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, found {getattr(self, name)}")
        for name in ("take", "time_step", "reciprocal_density"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, or null, found {value}")
        if not 0 <= self.equilibration < 1:
            raise ValueError(f"equilibration must be a share from 0 to below 1, found {self.equilibration}")
        if self.restart_every % self.sample_every:
            raise ValueError(
                f"restart_every must be a multiple of sample_every, found {self.restart_every} and {self.sample_every}"
            )

    def step_of(self, atomic_numbers: Iterable[int]) -> float:
        """Time step of a crystal of these elements, fs."""
        if self.time_step is not None:
            return self.time_step
        return TIME_STEP_WITH_HYDROGEN if HYDROGEN in set(atomic_numbers) else TIME_STEP

    def n_steps_of(self, atomic_numbers: Iterable[int]) -> int:
        """Steps of a crystal of these elements."""
        return max(1, round(1000 * self.duration / self.step_of(atomic_numbers)))
