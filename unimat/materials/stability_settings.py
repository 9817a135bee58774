"""Settings of the stages that judge stability; importable without the packages that do the work."""

import dataclasses
from typing import Literal

from unimat.materials.metrics_settings import MatcherPreset


@dataclasses.dataclass(frozen=True)
class AirssSettings:
    """Random structure search.

    Attributes:
        elements: symbols to combine, e.g. ("C", "Si").
        n: number of structures.
        max_atoms: largest number of atoms in a primitive cell.
        compositions: formulas such as "Si4C4" to draw from instead of all combinations of `elements`.
        volume_factor: range that the cell volume is drawn from, as multiples of the volume estimated from covalent
            radii. The paper's Appendix 8 spans 0.4 to 1.2 times an estimate from atomic radii.
        seed: every structure is drawn from this seed and its index.
    """

    elements: tuple[str, ...] = ()
    n: int = 100
    max_atoms: int = 8
    compositions: tuple[str, ...] = ()
    volume_factor: tuple[float, float] = (0.4, 1.2)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.elements and not self.compositions:
            raise ValueError("give `elements` to combine or `compositions` to search")
        if not 0 < self.volume_factor[0] <= self.volume_factor[1]:
            raise ValueError(f"volume_factor must be a rising range above 0, found {self.volume_factor}")


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
        command: how VASP is called, e.g. ``srun vasp_std``; None takes ATOMATE2_VASP_CMD or atomate2's own setting.
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
        engine: `chgnet`, or `vasp`.
        fmax: largest force at which a crystal counts as converged, eV/Å; `vasp` takes the Materials Project's EDIFFG.
        max_steps: ionic steps after which a crystal counts as unconverged; `vasp` takes NSW and custodian's patience.
        optimizer: ASE optimizer. BFGS needs a third of FIRE's steps on cells of up to 8 atoms (measured on
            Si-C random structures: 14 s against 36 s for 8 crystals).
        min_distance: a crystal with two atoms closer than this (periodic images included) is not relaxed, Å; CDVAE's
            limit of validity.
        min_volume_per_atom: nor is one with less room per atom, Å^3; diamond, the densest solid in atoms, has 5.7. Its
            neighbour lists would take minutes and gigabytes for a result that means nothing. LeMat-GenBench's limit.
        threads: CPU threads of one shard.
        vasp: settings of the `vasp` engine alone.
    """

    engine: Literal["chgnet", "vasp"] = "chgnet"
    fmax: float = 0.05
    max_steps: int = 500
    optimizer: Literal["BFGS", "FIRE", "LBFGS", "BFGSLineSearch"] = "BFGS"
    min_distance: float = 0.5
    min_volume_per_atom: float = 2.0
    threads: int = 1
    vasp: VaspSettings = dataclasses.field(default_factory=VaspSettings)


SourceKind = Literal["set", "materials_project", "gnome", "materials_project_api", "entries", "table"]
ReferenceKind = Literal["set", "materials_project", "gnome", "materials_project_api", "entries", "table", "combined"]


@dataclasses.dataclass(frozen=True)
class ColumnSettings:
    """Columns of a table of somebody's own energies, for kind `table`.

    Attributes:
        entry_id: column of ids.
        formula: column of formulas, with as many atoms as `energy` is for when that is per cell.
        energy: column of total energies.
        unit: `eV/atom`, or `eV` for energies per cell.
    """

    entry_id: str = "entry_id"
    formula: str = "formula"
    energy: str = "energy_per_atom"
    unit: Literal["eV/atom", "eV"] = "eV/atom"


@dataclasses.dataclass(frozen=True)
class SourceSettings:
    """One source of reference phases.

    Attributes:
        kind: `set` (a relaxed set of this run), `materials_project` (mp_materials_summary.csv as published with
            GNoME), `gnome` (the summaries of GNoME's bucket), `materials_project_api`, `entries` (a JSON of pymatgen
            entries), `table` (a reference made earlier, or any CSV or Parquet table).
        set: name of the relaxed set, for kind `set`.
        path: local file of all kinds but `set` and `materials_project_api`; a relative path is also looked for under
            UNIMAT_DATA_DIR.
        chemical_systems: such as "Si-C", subsystems included, for kind `materials_project_api`.
        corrections: scheme that the energies of the file carry already, `MP2020` or `none` or a name of your own; None
            takes what the file says, or is known to hold.
        apply_mp2020: add the Materials Project's corrections to energies that carry none (kinds `entries`, `table`).
            Kinds `materials_project` and `gnome` do so by themselves.
        functional: of kind `table`; of kind `entries` where the file names none.
        calculator: of kind `table`; of kind `entries` where it is not VASP.
        pseudopotentials: `Materials Project` or `GNoME`, which differ for Ga, Ge, Li, Mg and Na; None takes what the
            kind is known for.
        licence: of kinds `entries` and `table`.
        columns: of kind `table`.
    """

    kind: SourceKind = "set"
    set: str = "reference"
    path: str | None = None
    chemical_systems: tuple[str, ...] = ()
    corrections: str | None = None
    apply_mp2020: bool = False
    functional: str | None = None
    calculator: str | None = None
    pseudopotentials: Literal["Materials Project", "GNoME"] | None = None
    licence: str | None = None
    columns: ColumnSettings = dataclasses.field(default_factory=ColumnSettings)

    def __post_init__(self) -> None:
        if self.kind in ("materials_project", "gnome", "entries", "table") and self.path is None:
            raise ValueError(f"path is missing: a reference of kind {self.kind!r} is read from a file")
        if self.kind == "materials_project_api" and not self.chemical_systems:
            raise ValueError('chemical_systems is missing: name the systems to ask for, such as ["Si-C"]')


@dataclasses.dataclass(frozen=True)
class ReferenceSettings(SourceSettings):
    """What stabilities are judged against: one source, or several combined.

    Attributes:
        kind: as in `SourceSettings`, or `combined` for all of `sources` together.
        name: what to call the reference; None: by its kind.
        sources: by name, for kind `combined`.
    """

    kind: ReferenceKind = "set"  # type: ignore[assignment]  # one choice more than a source has
    name: str | None = None
    sources: dict[str, SourceSettings] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.sources) != (self.kind == "combined"):
            raise ValueError("`sources` and `kind: combined` go together: a mapping of names to sources")

    @property
    def parts(self) -> dict[str, SourceSettings]:
        """Sources by name; a single one has the name of its kind, or of its set."""
        if self.kind == "combined":
            return self.sources
        return {self.set if self.kind == "set" else self.kind: self}


@dataclasses.dataclass(frozen=True)
class HullSettings:
    """Judging of relaxed sets against hulls.

    Attributes:
        reference: the hull reference whose verdicts the report and comparisons show.
        references: further references by name, that the same crystals are judged against; verdicts that differ between
            any two are listed.
        metastable: decomposition energy below which a crystal that is not stable counts as metastable, eV/atom
            (25 meV/atom, Table 3 of the paper).
        match_below: crystals with a decomposition energy below this (against one of the references) are tested for
            uniqueness and novelty, eV/atom.
        known: crystal tables beside the training split that make a crystal not novel.
        matcher: tolerances of uniqueness and novelty, by the name of their preset.
        max_seconds: for one comparison of two crystals; what takes longer counts as different.
    """

    reference: ReferenceSettings = dataclasses.field(default_factory=ReferenceSettings)
    references: dict[str, ReferenceSettings] = dataclasses.field(default_factory=dict)
    metastable: float = 0.025
    match_below: float = 0.1
    known: tuple[str, ...] = ()
    matcher: MatcherPreset = "pymatgen"
    max_seconds: float = 60.0

    @property
    def all_references(self) -> tuple[ReferenceSettings, ...]:
        return (self.reference, *self.references.values())


@dataclasses.dataclass(frozen=True)
class CompareSettings:
    """Per-composition comparison of two sets.

    Attributes:
        bootstrap: number of bootstrap draws.
        level: coverage of the confidence intervals.
        seed: of the bootstrap.
    """

    bootstrap: int = 1000
    level: float = 0.95
    seed: int = 0
