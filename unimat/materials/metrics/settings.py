"""Settings of the metrics stage; importable without pymatgen, so that a configuration can be checked by them."""

import dataclasses
import re
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Cutoffs:
    """Fingerprint distances within which a crystal counts as covered.

    Attributes:
        structure: Euclidean distance of CrystalNN fingerprints.
        composition: Euclidean distance of standardised Magpie fingerprints.
    """

    structure: float
    composition: float

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value <= 0:
                raise ValueError(f"the {name} cut-off must be positive, found {value}")


# CDVAE's cut-offs for its three datasets (Xie et al., ICLR 2022; scripts/compute_metrics.py, COV_Cutoffs).
CUTOFFS_OF_DATASET = {
    "mp_20": Cutoffs(structure=0.4, composition=10.0),
    "perov_5": Cutoffs(structure=0.2, composition=4.0),
    "carbon_24": Cutoffs(structure=0.2, composition=4.0),
}


@dataclasses.dataclass(frozen=True)
class MatcherSettings:
    """When two crystals are the same: tolerances of pymatgen's StructureMatcher; its defaults.

    Attributes:
        ltol: fractional tolerance of cell lengths.
        stol: tolerance of sites, in units of (volume per atom)^(1/3).
        angle_tol: tolerance of cell angles, degrees.
        primitive_cell: reduce to primitive cells first.
        scale: scale both to the same volume first.
        attempt_supercell: where the numbers of sites differ, try supercells of the smaller.
        allow_subset: let one match a part of the other.
    """

    ltol: float = 0.2
    stol: float = 0.3
    angle_tol: float = 5.0
    primitive_cell: bool = True
    scale: bool = True
    attempt_supercell: bool = False
    allow_subset: bool = False

    def __post_init__(self) -> None:
        for name in ("ltol", "stol", "angle_tol"):
            if not getattr(self, name) > 0:
                raise ValueError(f"matcher {name} must be positive, found {getattr(self, name)}")


MatcherPreset = Literal["pymatgen", "mattergen", "cdvae"]
# MatterGen's is that of its evaluation of ordered crystals; its variant for disordered ones lets elements of like
# radius and electronegativity stand for each other, which crystals whose sites hold one element each do not need.
# CDVAE's is that of its reconstruction and of all structure prediction since (DiffCSP: RecEval).
MATCHERS: dict[str, MatcherSettings] = {
    "pymatgen": MatcherSettings(),
    "mattergen": MatcherSettings(attempt_supercell=True, allow_subset=True),
    "cdvae": MatcherSettings(ltol=0.3, stol=0.5, angle_tol=10.0),
}


def matcher_settings(matcher: MatcherSettings | MatcherPreset | None) -> MatcherSettings:
    """Settings themselves, or those of a preset's name; None is pymatgen's."""
    if isinstance(matcher, MatcherSettings):
        return matcher
    return MATCHERS[matcher or "pymatgen"]


@dataclasses.dataclass(frozen=True)
class MetricsSettings:
    """Settings of `unimat metrics`; those of the mode `cdvae` are CDVAE's evaluation (Xie et al., ICLR 2022).

    Attributes:
        min_distance: two atoms closer than this make a structure invalid, Å.
        min_volume: a smaller cell makes a structure invalid, Å^3.
        oxidation_states: smact's list of oxidation states in the mode `cdvae`; "smact14" is the one that CDVAE's rule
            was written for.
        strict_oxidation_states: the same in the mode `strict`; "smact_default" is what the installed smact takes when
            no list is named.
        cutoffs: of coverage; two numbers, or the name of the dataset whose published ones are meant.
        coverage_take: fingerprint a seeded draw of this many crystals of each side; null takes all.
        distribution_take: the mode `cdvae` compares the distributions of a seeded draw of this many valid crystals
            (CDVAE: unseeded); null takes all, as the mode `strict` does.
        energy_predictor: of the energy distribution: none, chgnet, or module:function (structures to eV/atom).
        matcher: of uniqueness and novelty.
        matching_take: uniqueness and novelty of a seeded draw of this many generated crystals; null takes all. Within
            one composition pairs are compared, which takes long where a set has few.
        symprec: tolerance by which space groups are found, Å; the Materials Project's value.
        max_seconds: for the fingerprint, geometry or energy of one crystal; one that takes longer is a failure.
        resamples: of the bootstrap behind the intervals of distances; 0 leaves these intervals out.
        seed: of the draws and the bootstrap.
    """

    min_distance: float = 0.5
    min_volume: float = 0.1
    oxidation_states: Literal["smact14", "icsd16", "icsd24", "pymatgen_sp", "smact_default"] = "smact14"
    strict_oxidation_states: Literal["smact14", "icsd16", "icsd24", "pymatgen_sp", "smact_default"] = "smact_default"
    cutoffs: Cutoffs | Literal["mp_20", "perov_5", "carbon_24"] = "mp_20"
    coverage_take: int | None = None
    distribution_take: int | None = 1000
    energy_predictor: str = "none"
    matcher: MatcherSettings | MatcherPreset = MatcherSettings()
    matching_take: int | None = None
    symprec: float = 0.1
    max_seconds: float = 60.0
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("min_distance", "min_volume", "symprec", "max_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        for name in ("coverage_take", "distribution_take", "matching_take"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or null for all, found {value}")
        if self.resamples < 0 or self.seed < 0:
            raise ValueError(f"resamples and seed must not be negative, found {self.resamples} and {self.seed}")
        if self.energy_predictor not in ("none", "chgnet") and not _FUNCTION.fullmatch(self.energy_predictor):
            raise ValueError(f"energy_predictor {self.energy_predictor!r} is not none, chgnet or module:function")

    @property
    def coverage_cutoffs(self) -> Cutoffs:
        return CUTOFFS_OF_DATASET[self.cutoffs] if isinstance(self.cutoffs, str) else self.cutoffs


_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
