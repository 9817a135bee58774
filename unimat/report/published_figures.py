"""What the paper reports for its own models, Tables 1, 2, 3 and 5 (arXiv:2311.09235), and others for theirs.

Rates are fractions here, percentages there. Names of datasets are those of `unimat.materials.datasets.known`.
"""

import dataclasses
from collections.abc import Mapping

SOURCE = "Yang et al., arXiv:2311.09235"
DIFFCSP = "Jiao et al., arXiv:2309.04475"
CRYSTALITE = "Hadži Veljković et al., arXiv:2604.02270"


@dataclasses.dataclass(frozen=True)
class Proxy:
    """A row of Tables 1 and 5; None where the paper prints none.

    Attributes:
        structure_valid, composition_valid, cov_recall, cov_precision: fractions.
        density, energy, n_elements: Wasserstein distances: g/cm^3; eV/atom, by CDVAE's predictor; elements.
        amsd_recall, amcd_recall, amsd_precision, amcd_precision: mean distances of structure (AMSD) and composition
            (AMCD) fingerprints, of Table 5.
    """

    structure_valid: float
    composition_valid: float | None
    cov_recall: float
    cov_precision: float
    density: float | None
    energy: float | None
    n_elements: float | None
    amsd_recall: float | None = None
    amcd_recall: float | None = None
    amsd_precision: float | None = None
    amcd_precision: float | None = None


# Table 1, with Table 5 in the last four of each row; Table 5 has no language model.
PROXIES: Mapping[str, Mapping[str, Proxy]] = {
    "perov_5": {
        "CDVAE": Proxy(1.0, 0.985, 0.994, 0.984, 0.125, 0.026, 0.062, 0.048, 0.696, 0.059, 1.27),
        "Language model": Proxy(1.0, 0.987, 0.996, 0.994, 0.071, None, 0.036),
        "UniMat": Proxy(1.0, 0.988, 0.992, 0.982, 0.076, 0.022, 0.025, 0.046, 0.711, 0.074, 1.399),
    },
    "carbon_24": {
        "CDVAE": Proxy(1.0, None, 0.998, 0.83, 0.14, 0.285, None, 0.048, 0.0, 0.134, 0.0),
        "UniMat": Proxy(1.0, None, 1.0, 0.965, 0.013, 0.207, None, 0.018, 0.0, 0.052, 0.0),
    },
    "mp_20": {
        "CDVAE": Proxy(1.0, 0.867, 0.991, 0.994, 0.687, 0.277, 1.432, 0.154, 3.62, 0.1883, 4.014),
        "Language model": Proxy(0.958, 0.888, 0.996, 0.985, 0.696, None, 0.092),
        "UniMat": Proxy(0.972, 0.894, 0.998, 0.997, 0.088, 0.034, 0.056, 0.097, 2.41, 0.119, 2.41),
    },
}


@dataclasses.dataclass(frozen=True)
class Difference:
    """A row of Table 2.

    Attributes:
        delta_e_form: Equation 3, eV/atom. reduction_rate: Equation 4.
    """

    a: str
    b: str
    delta_e_form: float
    reduction_rate: float


# Table 2: trained on MP-20, relaxed by DFT.
DIFFERENCES: Mapping[str, tuple[Difference, ...]] = {
    "mp_20": (
        Difference("CDVAE", "MP-20 test", 0.279, 0.083),
        Difference("UniMat", "MP-20 test", 0.061, 0.254),
        Difference("UniMat", "CDVAE", -0.216, 0.863),
    ),
}


@dataclasses.dataclass(frozen=True)
class Stability:
    """A row of Table 3: numbers of crystals, of an unstated number generated."""

    stable: int
    metastable: int
    stable_gnome: int


# Figure 4: sizes of the network; its third is UniMat's row of Table 1.
SIZES: Mapping[str, Mapping[str, Proxy]] = {
    "mp_20": {
        "UniMat, 64 channels": Proxy(0.957, 0.86, 0.998, 0.993, None, None, None),
        "UniMat, 128 channels": Proxy(0.968, 0.867, 0.998, 0.995, None, None, None),
    },
}

# Table 4 of DiffCSP's paper, by the same protocol; energies by CDVAE's predictor too.
PEERS: Mapping[str, Mapping[str, Proxy]] = {
    "perov_5": {"DiffCSP": Proxy(1.0, 0.9885, 0.9974, 0.9827, 0.111, 0.0263, 0.0128)},
    "carbon_24": {"DiffCSP": Proxy(1.0, None, 0.999, 0.9727, 0.0805, 0.082, None)},
    "mp_20": {"DiffCSP": Proxy(1.0, 0.8325, 0.9971, 0.9976, 0.3502, 0.1247, 0.3398)},
}


@dataclasses.dataclass(frozen=True)
class Predicted:
    """Crystal structure prediction for the test split: StructureMatcher with stol 0.5, ltol 0.3 and 10 degrees.

    Attributes:
        samples: of each composition, the best of which counts.
        match_rate: fraction. rmse: of the matched, in units of (volume per atom)^(1/3).
    """

    model: str
    samples: int
    match_rate: float
    rmse: float
    source: str


PREDICTIONS: Mapping[str, tuple[Predicted, ...]] = {
    "perov_5": (
        Predicted("CDVAE", 1, 0.4531, 0.1138, f"{DIFFCSP}, Table 1"),
        Predicted("DiffCSP", 1, 0.5202, 0.0760, f"{DIFFCSP}, Table 1"),
        Predicted("CDVAE", 20, 0.8851, 0.0464, f"{DIFFCSP}, Table 1"),
        Predicted("DiffCSP", 20, 0.9860, 0.0128, f"{DIFFCSP}, Table 1"),
    ),
    "carbon_24": (
        Predicted("CDVAE", 1, 0.1709, 0.2969, f"{DIFFCSP}, Table 1"),
        Predicted("DiffCSP", 1, 0.1754, 0.2759, f"{DIFFCSP}, Table 1"),
        Predicted("DiffCSP", 20, 0.8847, 0.2192, f"{DIFFCSP}, Table 1"),
    ),
    "mp_20": (
        Predicted("CDVAE", 1, 0.3390, 0.1045, f"{DIFFCSP}, Table 1"),
        Predicted("DiffCSP", 1, 0.5149, 0.0631, f"{DIFFCSP}, Table 1"),
        Predicted("FlowMM", 1, 0.6139, 0.0566, CRYSTALITE),
        Predicted("CrystalFlow", 1, 0.6202, 0.0710, CRYSTALITE),
        Predicted("OMatG", 1, 0.6375, 0.0720, CRYSTALITE),
        Predicted("KLDM", 1, 0.6583, 0.0517, CRYSTALITE),
        Predicted("Crystalite", 1, 0.6605, 0.0329, CRYSTALITE),
        Predicted("CDVAE", 20, 0.6695, 0.1026, f"{DIFFCSP}, Table 1"),
        Predicted("DiffCSP", 20, 0.7793, 0.0492, f"{DIFFCSP}, Table 1"),
    ),
}

TRAINING = {"steps": 200_000, "batch_size": 512}  # Table 4
HARDWARE = "32 TPU v4 chips"  # Table 4

# Table 3: trained on MP-20, relaxed by DFT, against the Materials Project of July 2021 and GNoME's hull.
STABILITIES: Mapping[str, Mapping[str, Stability]] = {
    "mp_20": {"CDVAE": Stability(56, 90, 1), "UniMat": Stability(414, 2157, 32)},
}
