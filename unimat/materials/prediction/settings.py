"""Settings of the crystal structure prediction metrics; importable without pymatgen."""

import dataclasses
from typing import Literal

from unimat.materials.metrics.settings import MatcherPreset, MatcherSettings, matcher_settings

Rule = Literal["rms_dist", "fit"]


@dataclasses.dataclass(frozen=True)
class PredictionSettings:
    """Settings of `unimat match`; the defaults are those of CDVAE and DiffCSP (scripts/compute_metrics.py, RecEval).

    Attributes:
        matcher: tolerances, or the name of a preset.
        rule: when a sample matches: `rms_dist`, pymatgen's StructureMatcher.get_rms_dist finds a mapping, as CDVAE,
            DiffCSP and those after them count; or `fit`, StructureMatcher.fit says so, which holds the largest
            displacement of an atom to the tolerance and not their root mean square.
        samples: rates are given for the first so many samples of each truth; None: for 1 and for all.
        metre: compare every sample with every truth of its composition, too, for METRe and cRMSE. Where all truths
            are of one composition (Carbon-24) these are millions of pairs, and days.
        min_distance: two atoms closer than this make a structure invalid, Å.
        min_volume: a smaller cell makes a structure invalid, Å^3.
        oxidation_states: smact's list of oxidation states, of the validity of compositions.
        bootstrap: draws of the confidence intervals; 0 gives none.
        level: of the intervals.
        seed: of the draws.
        max_seconds: for one comparison; what takes longer is no match.
    """

    matcher: MatcherSettings | MatcherPreset = "cdvae"
    rule: Rule = "rms_dist"
    samples: tuple[int, ...] | None = None
    metre: bool = True
    min_distance: float = 0.5
    min_volume: float = 0.1
    oxidation_states: Literal["smact14", "icsd16", "icsd24", "pymatgen_sp"] = "smact14"
    bootstrap: int = 1000
    level: float = 0.95
    seed: int = 0
    max_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("min_distance", "min_volume", "max_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if self.samples is not None and (not self.samples or min(self.samples) < 1):
            raise ValueError(f"samples must be numbers of at least 1, found {list(self.samples)}")
        if self.bootstrap < 0:
            raise ValueError(f"bootstrap must not be negative, found {self.bootstrap}")
        if not 0 < self.level < 1:
            raise ValueError(f"level must lie between 0 and 1, found {self.level}")

    @property
    def matcher_settings(self) -> MatcherSettings:
        return matcher_settings(self.matcher)
