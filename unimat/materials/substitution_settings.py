"""Settings of substitution; importable without the packages that do the work."""

import dataclasses

AFLOW = "aflow"  # among templates: the prototypes that pymatgen carries


@dataclasses.dataclass(frozen=True)
class SubstitutionSettings:
    """Candidates from known crystals, their elements exchanged.

    Attributes:
        templates: the known crystals: splits of the dataset, sets, aflow, or files of crystals in any readable form.
        compositions: formulas of whole cells such as "Sr1Ti1O3", or a file of them: a CSV with the column formula and,
            if wanted, count and truth_id, a text with a formula in each line, or crystals in any readable form.
        count: candidates of each composition.
        any_units: take cells of any number of formula units alike; else those of the formula come first.
        without_own: leave out the template whose id is the composition's truth_id, so that a table that holds the
            truths can be asked for them.
    """

    templates: tuple[str, ...] | str = ()
    compositions: tuple[str, ...] | str = ()
    count: int = 20
    any_units: bool = False
    without_own: bool = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count is a number of candidates from 1, found {self.count}")
