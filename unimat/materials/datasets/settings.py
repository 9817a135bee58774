"""Settings of ingestion; importable without pymatgen, so that the workflow can check a configuration early."""

import dataclasses
from typing import Literal

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class PropertyColumn:
    """One property column to carry into the crystal table; the key it stands under is its name there.

    Attributes:
        unit: unit of the values, e.g. "eV/atom"; empty for none.
        column: its name in the source; None if it is the same.
        description: what the values are.
        kind: type of the values.
    """

    unit: str = ""
    column: str | None = None
    description: str = ""
    kind: Literal["float", "int", "string"] = "float"


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """How crystals are divided into train, val and test.

    Attributes:
        kind: "given" takes the source's own split, "fractions" draws one; "auto" is "given" where the source has
            a split and "fractions" where it has none.
        fractions: shares of train, val and test; they sum to one.
        group_by: crystals of one group never part, so that no composition (or chemical system) of the test split
            was seen in training.
        keep_val: so many crystals of the val split stay in it, drawn by seed, and the rest is trained on; None keeps
            all. For a final model, or where a part of the train split cannot be had. The test split is never touched.
        seed: of the draws.
    """

    kind: Literal["auto", "given", "fractions"] = "auto"
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)  # CDVAE (arXiv 2110.06197), section 5
    group_by: Literal["none", "reduced_formula", "chemical_system"] = "none"
    keep_val: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.keep_val is not None and self.keep_val < 1:
            raise ValueError(f"split.keep_val must be at least 1 crystal, found {self.keep_val}")
        if self.keep_val is not None and self.group_by != "none":
            raise ValueError("split.keep_val would part the groups of split.group_by; give one of the two")
        if min(self.fractions) < 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError(f"split fractions must be shares that sum to 1, found {list(self.fractions)}")


@dataclasses.dataclass(frozen=True)
class IngestSettings:
    """The `dataset` section of a configuration.

    Attributes:
        name: a dataset of `unimat.materials.datasets.known`, or "custom".
        mirror: folder that holds <dataset>/<file>, read before the network; UNIMAT_DATA_DIR if None. Used by fetch.
        files: local files under any name in place of published ones, by split (for GNoME: table and structures). Used
            by fetch.
        source: for "custom": a file or folder of crystals, or a mapping of split to file or folder.
        table: for "custom": a table of ids and properties whose rows are joined to the crystals of `source`.
        id_column: column of the ids in tables with a structure column; None looks for a usual name.
        structure_column: column of CIF or POSCAR text; None looks for a usual name.
        properties: property columns to keep, for "custom"; crystal tables keep all of theirs.
        split: division into train, val and test.
        min_distance: smallest distance between two atoms, periodic images included, Å.
        max_atoms: largest number of atoms per cell; None is no limit.
        elements: the only elements allowed; None allows all.
        reduction: "niggli" reduces each cell (not to a primitive one), "primitive" reduces the primitive cell,
            "conventional" takes the cell of the International Tables, "none" keeps the source's.
        symmetry_tolerance: Å, for "primitive" and "conventional".
        limit: first so many rows of each source file only, for trials.
    """

    name: str = "silicon_carbon"
    mirror: str | None = None
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    source: str | dict[str, str] | None = None
    table: str | None = None
    id_column: str | None = None
    structure_column: str | None = None
    properties: dict[str, PropertyColumn] = dataclasses.field(default_factory=dict)
    split: SplitSettings = SplitSettings()
    min_distance: float = 0.5  # CDVAE's structural validity (arXiv 2110.06197), section 5.1
    max_atoms: int | None = None
    elements: tuple[str, ...] | None = None
    reduction: Literal["niggli", "primitive", "conventional", "none"] = "niggli"  # CDVAE's preprocessing, primitive off
    symmetry_tolerance: float = 0.01  # pymatgen's default
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.name == "custom" and not self.source:
            raise ValueError("dataset 'custom' needs source: a file or folder of crystals, or one for each split")
        if self.name != "custom" and self.source:
            raise ValueError(f"source is for dataset 'custom' only; dataset {self.name!r} knows its own files")
        if self.table and self.name != "custom":
            raise ValueError(f"table is for dataset 'custom' only; dataset {self.name!r} knows its own files")
        if isinstance(self.source, dict) and not set(self.source) <= set(SPLITS):
            raise ValueError(f"source: splits are {', '.join(SPLITS)}, found {', '.join(self.source)}")
        for name, value in (("max_atoms", self.max_atoms), ("limit", self.limit)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, found {value}")
        if self.min_distance < 0:
            raise ValueError(f"min_distance must not be negative, found {self.min_distance} Å")
        if not 0 < self.symmetry_tolerance <= 1:
            raise ValueError(f"symmetry_tolerance must be above 0 and at most 1 Å, found {self.symmetry_tolerance}")


@dataclasses.dataclass(frozen=True)
class ConvertSettings:
    """Settings of conversion of one file or folder.

    Attributes:
        id_column: column of the ids in tables with a structure column; None looks for a usual name.
        structure_column: column of CIF or POSCAR text; None looks for a usual name.
        properties: property columns to keep; crystal tables keep all of theirs.
        min_distance: smallest distance between two atoms, periodic images included, Å; 0 lets all pass.
    """

    id_column: str | None = None
    structure_column: str | None = None
    properties: dict[str, PropertyColumn] = dataclasses.field(default_factory=dict)
    min_distance: float = 0.0
