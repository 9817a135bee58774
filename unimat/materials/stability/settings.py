"""Settings of the stages that judge stability; importable without the packages that do the work."""

import dataclasses
from typing import Literal

from unimat.materials.metrics.settings import MatcherPreset

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
        known_of_model: crystals of the published dataset that another model was trained on make one not novel, too,
            where the run takes that model (`pretrained`) or begins with it (`train.initial`); the dataset is fetched.
        matcher: tolerances of uniqueness and novelty, by the name of their preset.
        max_seconds: for one comparison of two crystals; what takes longer counts as different.
    """

    reference: ReferenceSettings = dataclasses.field(default_factory=ReferenceSettings)
    references: dict[str, ReferenceSettings] = dataclasses.field(default_factory=dict)
    metastable: float = 0.025
    match_below: float = 0.1
    known: tuple[str, ...] = ()
    known_of_model: bool = True
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
        seed: of the bootstrap, and of the draw of pairs.
        max_pairs: rows of the table of pairs; of more pairs a draw is written down. The numbers are those of all.
    """

    bootstrap: int = 1000
    level: float = 0.95
    seed: int = 0
    max_pairs: int = 1_000_000
