"""What the paper reports for its own models: Tables 1, 2, 3 and 5 (arXiv:2311.09235).

Rates are fractions here, percentages there. Names of datasets are those of `unimat.materials.datasets`.
"""

import dataclasses
from collections.abc import Mapping

SOURCE = "Yang et al., arXiv:2311.09235"


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
    density: float
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


TRAINING = {"steps": 200_000, "batch_size": 512}  # Table 4

# Table 3: trained on MP-20, relaxed by DFT, against the Materials Project of July 2021 and GNoME's hull.
STABILITIES: Mapping[str, Mapping[str, Stability]] = {
    "mp_20": {"CDVAE": Stability(56, 90, 1), "UniMat": Stability(414, 2157, 32)},
}
