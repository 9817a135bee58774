"""Coverage: how much of a reference a generated set finds again (recall), and how much of it is near the reference.

COV-R, COV-P, AMSD and AMCD as CDVAE computes them (Xie et al., ICLR 2022; scripts/eval_utils.py, compute_cov).
"""

import dataclasses

import numpy as np
from scipy.spatial.distance import cdist

from unimat.materials.metrics.fingerprints import Fingerprints
from unimat.materials.metrics_settings import Cutoffs


@dataclasses.dataclass(frozen=True)
class Nearest:
    """Distances to the nearest crystal of the other set, of the crystals of one set that have fingerprints.

    The two minima may belong to different partners, in CDVAE's rule and here.

    Attributes:
        structure: (m,) of CrystalNN fingerprints.
        composition: (m,) of standardised Magpie fingerprints.
    """

    structure: np.ndarray
    composition: np.ndarray

    def within(self, cutoffs: Cutoffs) -> np.ndarray:
        """(m,) bool: covered, that is near in structure and near in composition."""
        return (self.structure <= cutoffs.structure) & (self.composition <= cutoffs.composition)


def nearest(generated: Fingerprints, reference: Fingerprints) -> tuple[Nearest, Nearest]:
    """Nearest distances of the reference's crystals (for recall) and of the generated ones (for precision)."""
    ours, theirs = generated.found, reference.found
    structure = minima(generated.structure[ours], reference.structure[theirs])
    composition = minima(generated.composition[ours], reference.composition[theirs])
    return Nearest(structure[1], composition[1]), Nearest(structure[0], composition[0])


def minima(a: np.ndarray, b: np.ndarray, chunk: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Smallest Euclidean distance of each row of `a` to `b` and of each row of `b` to `a`; infinite to nothing.

    Args:
        a: (m, d).
        b: (n, d).
        chunk: rows of `a` whose distances are held at once.
    """
    of_a, of_b = np.full(len(a), np.inf), np.full(len(b), np.inf)
    if len(a) and len(b):
        for start in range(0, len(a), chunk):
            block = cdist(a[start : start + chunk], b)
            of_a[start : start + chunk] = block.min(axis=1)
            np.minimum(of_b, block.min(axis=0), out=of_b)
    return of_a, of_b


def coverage(
    generated: Fingerprints, reference: Fingerprints, cutoffs: Cutoffs, n_generated: int | None = None
) -> dict[str, object]:
    """COV-R, COV-P, AMSD and AMCD, JSON-ready; a mean over nothing is None.

    Args:
        n_generated: denominator of COV-P: everything generated, also what has no fingerprint.
    """
    n_generated = len(generated) if n_generated is None else n_generated
    recall, precision = nearest(generated, reference)
    return {
        "cov_recall": rate(recall.within(cutoffs).sum(), len(recall.structure)),
        "cov_precision": rate(precision.within(cutoffs).sum(), n_generated),
        "amsd_recall": _mean(recall.structure),
        "amcd_recall": _mean(recall.composition),
        "amsd_precision": _mean(precision.structure),
        "amcd_precision": _mean(precision.composition),
        "cutoffs": dataclasses.asdict(cutoffs),
    }


def rate(count: int, of: int) -> dict[str, int | float | None]:
    """Numerator, denominator and their ratio (None of nothing)."""
    return {"count": int(count), "of": int(of), "rate": float(count / of) if of else None}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) and np.isfinite(values).all() else None
