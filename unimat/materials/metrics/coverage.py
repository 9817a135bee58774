"""Coverage: how much of a reference a generated set finds again (recall), and how much of it is near the reference.

COV-R, COV-P, AMSD and AMCD as CDVAE computes them (Xie et al., ICLR 2022; scripts/eval_utils.py, compute_cov), and the
same with one partner for structure and composition and every crystal in the denominator.
"""

import dataclasses
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from unimat.materials.crystals.intervals import Bootstrap, mean, rate
from unimat.materials.metrics.fingerprints.fingerprints import Fingerprints
from unimat.materials.metrics.settings import Cutoffs

NO_BOOTSTRAP = Bootstrap(resamples=0)
COLUMNS = ("structure", "composition", "joint_structure", "joint_composition")


@dataclasses.dataclass(frozen=True)
class Nearest:
    """Distances of each crystal of one set to the nearest of the other; NaN where it has no fingerprint.

    Attributes:
        structure: (m,) of CrystalNN fingerprints; infinite where the other set has none.
        composition: (m,) of standardised Magpie fingerprints, maybe to another partner.
        joint_structure: (m,) to the one partner that is nearest in both, that is whose larger distance in units of
            the cut-offs is smallest.
        joint_composition: (m,) to that same partner.
    """

    structure: np.ndarray
    composition: np.ndarray
    joint_structure: np.ndarray
    joint_composition: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """(m,) bool: which crystals have fingerprints."""
        return ~np.isnan(self.structure)

    def within(self, cutoffs: Cutoffs, joint: bool = False) -> np.ndarray:
        """(m,) bool: covered, that is near in structure and near in composition, of one partner if `joint`."""
        structure, composition = self._distances(joint)
        return (structure <= cutoffs.structure) & (composition <= cutoffs.composition)

    def means(self, joint: bool, bootstrap: Bootstrap) -> tuple[dict[str, Any], dict[str, Any]]:
        """AMSD and AMCD: mean distances of the crystals that have fingerprints."""
        structure, composition = self._distances(joint)
        return mean(structure[self.found], bootstrap), mean(composition[self.found], bootstrap)

    def _distances(self, joint: bool) -> tuple[np.ndarray, np.ndarray]:
        return (self.joint_structure, self.joint_composition) if joint else (self.structure, self.composition)


def nearest(
    generated: Fingerprints, reference: Fingerprints, cutoffs: Cutoffs, chunk: int = 1000
) -> tuple[Nearest, Nearest]:
    """Nearest distances of the reference's crystals (for recall) and of the generated ones (for precision).

    Args:
        chunk: generated crystals whose distances are held at once.
    """
    ours, theirs = np.flatnonzero(generated.found), np.flatnonzero(reference.found)
    of_ours, of_theirs = _Least(len(ours)), _Least(len(theirs))
    for start in range(0, len(ours), chunk):
        rows = ours[start : start + chunk]
        structure = cdist(generated.structure[rows], reference.structure[theirs])
        composition = cdist(generated.composition[rows], reference.composition[theirs])
        worse = np.maximum(structure / cutoffs.structure, composition / cutoffs.composition)
        of_ours.update(slice(start, start + chunk), structure, composition, worse)
        of_theirs.update(slice(None), structure.T, composition.T, worse.T)
    return of_theirs.spread(len(reference), theirs), of_ours.spread(len(generated), ours)


class _Least:
    """Smallest distances seen so far of some crystals."""

    def __init__(self, n: int):
        self.columns = {name: np.full(n, np.inf) for name in COLUMNS}
        self.worse = np.full(n, np.inf)

    def update(self, rows: slice, structure: np.ndarray, composition: np.ndarray, worse: np.ndarray) -> None:
        """Take in the distances (m, k) of `rows` to k further crystals."""
        if not worse.size:
            return
        for name, values in (("structure", structure), ("composition", composition)):
            self.columns[name][rows] = np.minimum(self.columns[name][rows], values.min(axis=1))
        at = np.arange(len(worse)), worse.argmin(axis=1)
        better = worse[at] < self.worse[rows]
        self.worse[rows] = np.where(better, worse[at], self.worse[rows])
        for name, values in (("joint_structure", structure), ("joint_composition", composition)):
            self.columns[name][rows] = np.where(better, values[at], self.columns[name][rows])

    def spread(self, n: int, rows: np.ndarray) -> Nearest:
        """The columns over all `n` crystals of the set, of which `rows` have fingerprints."""
        full = {name: np.full(n, np.nan) for name in COLUMNS}
        for name, values in self.columns.items():
            full[name][rows] = values
        return Nearest(**full)


def cdvae_coverage(
    recall: Nearest, precision: Nearest, cutoffs: Cutoffs, n_generated: int, bootstrap: Bootstrap = NO_BOOTSTRAP
) -> dict[str, Any]:
    """COV-R, COV-P, AMSD and AMCD as CDVAE defines them, JSON-ready.

    Args:
        n_generated: denominator of COV-P: everything generated, also what has no fingerprint. That of COV-R leaves
            reference crystals without one out.
    """
    return _coverage(recall, precision, cutoffs, int(recall.found.sum()), n_generated, False, bootstrap)


def strict_coverage(
    recall: Nearest, precision: Nearest, cutoffs: Cutoffs, n_generated: int, bootstrap: Bootstrap = NO_BOOTSTRAP
) -> dict[str, Any]:
    """The same with one partner near in both, and every reference crystal in the denominator of recall."""
    return _coverage(recall, precision, cutoffs, len(recall.structure), n_generated, True, bootstrap)


def _coverage(
    recall: Nearest,
    precision: Nearest,
    cutoffs: Cutoffs,
    n_reference: int,
    n_generated: int,
    joint: bool,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    (amsd_recall, amcd_recall), (amsd_precision, amcd_precision) = (
        each.means(joint, bootstrap) for each in (recall, precision)
    )
    return {
        "cov_recall": rate(recall.within(cutoffs, joint).sum(), n_reference),
        "cov_precision": rate(precision.within(cutoffs, joint).sum(), n_generated),
        "amsd_recall": amsd_recall,
        "amcd_recall": amcd_recall,
        "amsd_precision": amsd_precision,
        "amcd_precision": amcd_precision,
    }
