"""Settings of relaxation; importable without the packages that do the work."""

import dataclasses
from typing import Literal

from unimat.materials.relax.force_fields import settings as force_field_settings
from unimat.materials.relax.force_fields.known import FORCE_FIELDS
from unimat.materials.relax.force_fields.settings import ForceFieldSettings
from unimat.materials.relax.gpaw.settings import GpawSettings
from unimat.materials.relax.jobs.store_names import check_store_name

# Of `VaspSettings`: what belongs to the machine or to finished energies, and changes nothing of what VASP computes.
VASP_WITHOUT_EFFECT = (
    "command", "gamma_command", "corrections", "raw_outputs", "hang_timeout", "poll_interval", "monitor_interval",
    "wall_time_margin",
)  # fmt: skip
# Elements for which the paper, as GNoME, took newer potentials than the Materials Project's (Appendix 7).
NEWER_POTENTIALS = ("Li", "Na", "Mg", "Ge", "Ga")


@dataclasses.dataclass(frozen=True)
class VaspSettings:
    """The paper's DFT settings (Appendix 7) where they differ from atomate2's Materials Project defaults.

    Attributes:
        command: how VASP is called, e.g. ``srun --overlap -n 32 vasp_std``; None takes ATOMATE2_VASP_CMD or atomate2's
            own setting.
        gamma_command: the same of the version for the gamma point alone; None takes ATOMATE2_VASP_GAMMA_CMD.
        user_incar_settings: INCAR tags on top of the Materials Project's.
        potcars: potential of an element by name, e.g. ``{"Li": "Li_sv_new"}``. The newer files of Li, Na, Mg, Ge and Ga
            are named all five or not at all: the energies are then on GNoME's scale, which a hull must know.
        corrections: `MP2020` adds the Materials Project's corrections to the energies, `none` leaves them as VASP has
            them. Energies are kept without, so that a change computes nothing again.
        max_errors: errors of one calculation that custodian mends before it gives up (atomate2's default).
        raw_outputs: what stays of VASP's files once a crystal is finished: `keep` (all, as they are), `compress` (all,
            gzipped), `slim` (gzipped, without wave functions and densities), `remove`. A failed crystal's files stay.
        hang_timeout: seconds without output after which VASP counts as hanging (custodian's default, 6 h).
        poll_interval: seconds between two looks at whether VASP still runs (custodian's default).
        monitor_interval: seconds between two looks at its outputs while it runs (custodian's default).
        wall_time_margin: seconds before the end of a Slurm job at which VASP is told to stop after its ionic step.
    """

    command: str | None = None
    gamma_command: str | None = None
    user_incar_settings: dict[str, int | float | str | bool] = dataclasses.field(default_factory=dict)
    potcars: dict[str, str] = dataclasses.field(default_factory=dict)
    corrections: Literal["MP2020", "none"] = "MP2020"
    max_errors: int = 5
    raw_outputs: Literal["keep", "compress", "slim", "remove"] = "slim"
    hang_timeout: float = 21600.0
    poll_interval: float = 10.0
    monitor_interval: float = 300.0
    wall_time_margin: float = 600.0

    def __post_init__(self) -> None:
        missing = [symbol for symbol in NEWER_POTENTIALS if symbol not in self.potcars]
        if 0 < len(missing) < len(NEWER_POTENTIALS):
            raise ValueError(
                f"potcars names newer potentials of some of {', '.join(NEWER_POTENTIALS)}, but not of"
                f" {', '.join(missing)}; name all five or none, so that all energies are on one scale"
            )
        if self.max_errors < 1:
            raise ValueError(f"max_errors must be at least 1, found {self.max_errors}")
        for name in ("hang_timeout", "poll_interval", "monitor_interval"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, found {getattr(self, name)}")

    @property
    def newer_potentials(self) -> bool:
        """Whether energies are on GNoME's scale."""
        return all(symbol in self.potcars for symbol in NEWER_POTENTIALS)


@dataclasses.dataclass(frozen=True)
class RelaxSettings:
    """Relaxation of all geometric degrees of freedom.

    Attributes:
        engine: `vasp`, `gpaw`, or a force field of `force_fields.FORCE_FIELDS`: `chgnet`, or another one whose package
            is installed; `ase` for any other ASE calculator.
        fmax: largest force at which a crystal counts as converged, eV/Å; `vasp` takes the Materials Project's EDIFFG.
        max_steps: ionic steps after which a crystal counts as unconverged; `vasp` takes NSW and custodian's patience.
        optimizer: ASE optimizer. BFGS needs a third of FIRE's steps on cells of up to 8 atoms (measured on
            Si-C random structures: 14 s against 36 s for 8 crystals).
        min_distance: a crystal with two atoms closer than this (periodic images included) is not relaxed, Å; CDVAE's
            limit of validity. One that ends so has failed.
        min_volume_per_atom: nor is one with less room per atom, Å^3; diamond, the densest solid in atoms, has 5.7. Its
            neighbour lists would take minutes and gigabytes for a result that means nothing. LeMat-GenBench's limit.
            One that gets there is given up.
        max_seconds: time after which a force field gives a crystal up, s, between two steps; None: never.
        threads: CPU threads of one shard.
        store: where the documents of atomate2's jobs go, beside the results: `memory` (they are forgotten), `embedded`
            (SQLite files in the work folder), `jobflow` (the JOB_STORE of jobflow's own configuration), a MongoDB as
            ``mongodb://user@host/database``, or a file that describes a JobStore. The environment variable
            UNIMAT_JOB_STORE goes before it. Without effect on results.
        force_field: settings of the force fields alone.
        vasp: settings of the `vasp` engine alone.
        gpaw: settings of the `gpaw` engine alone.
    """

    engine: Literal[
        "chgnet", "vasp", "gpaw", "mace_mp_0", "mace_mp_0b3", "mace_mpa_0", "m3gnet", "matpes_pbe", "matpes_r2scan",
        "sevennet", "mattersim", "orb", "fairchem", "upet", "nep", "gap", "deepmd", "nequip", "allegro", "ase",
    ] = "chgnet"  # fmt: skip
    fmax: float = 0.05
    max_steps: int = 500
    optimizer: Literal["BFGS", "FIRE", "LBFGS", "BFGSLineSearch"] = "BFGS"
    min_distance: float = 0.5
    min_volume_per_atom: float = 2.0
    max_seconds: float | None = None
    threads: int = 1
    store: str = "memory"
    force_field: ForceFieldSettings = dataclasses.field(default_factory=ForceFieldSettings)
    vasp: VaspSettings = dataclasses.field(default_factory=VaspSettings)
    gpaw: GpawSettings = dataclasses.field(default_factory=GpawSettings)

    def __post_init__(self) -> None:
        check_store_name(self.store)
        if self.engine in FORCE_FIELDS:
            force_field_settings.check(self.engine, self.force_field)
