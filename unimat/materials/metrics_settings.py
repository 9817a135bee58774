"""Settings of the metrics stage; importable without pymatgen, so that a configuration can be checked by them."""

import dataclasses
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
    """When two crystals are the same: pymatgen's StructureMatcher, its defaults, primitive cells, volumes scaled.

    Attributes:
        ltol: fractional tolerance of cell lengths.
        stol: tolerance of sites, in units of (volume per atom)^(1/3).
        angle_tol: tolerance of cell angles, degrees.
    """

    ltol: float = 0.2
    stol: float = 0.3
    angle_tol: float = 5.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value <= 0:
                raise ValueError(f"matcher {name} must be positive, found {value}")


@dataclasses.dataclass(frozen=True)
class MetricsSettings:
    """Settings of `unimat metrics`; the defaults are the rules of CDVAE's evaluation (Xie et al., ICLR 2022).

    Attributes:
        min_distance: two atoms closer than this make a structure invalid, Å.
        min_volume: a smaller cell makes a structure invalid, Å^3.
        oxidation_states: smact's list of oxidation states; "smact14" is the one that CDVAE's rule was written for.
        cutoffs: of coverage; two numbers, or the name of the dataset whose published ones are meant.
        coverage_take: fingerprint a seeded draw of this many crystals of each side; null takes all.
        distribution_take: compare the distributions of a seeded draw of this many valid crystals (CDVAE: 1,000,
            unseeded); null takes all.
        matcher: of uniqueness and novelty.
        symprec: tolerance by which space groups are found, Å; the Materials Project's value.
        seed: of the draws.
    """

    min_distance: float = 0.5
    min_volume: float = 0.1
    oxidation_states: Literal["smact14", "icsd16", "icsd24", "pymatgen_sp"] = "smact14"
    cutoffs: Cutoffs | Literal["mp_20", "perov_5", "carbon_24"] = "mp_20"
    coverage_take: int | None = None
    distribution_take: int | None = None
    matcher: MatcherSettings = MatcherSettings()
    symprec: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("min_distance", "min_volume", "symprec"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        for name in ("coverage_take", "distribution_take"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or null for all, found {value}")

    @property
    def coverage_cutoffs(self) -> Cutoffs:
        return CUTOFFS_OF_DATASET[self.cutoffs] if isinstance(self.cutoffs, str) else self.cutoffs
