"""How often a candidate is right, by its share of the votes and its distance, on crystals left out in turn."""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
import scipy.optimize

from unimat.crystal_table import CrystalTable
from unimat.materials.comparer import Comparer
from unimat.materials.metrics_settings import matcher_settings
from unimat.materials.search.exchange import Chance, Exchange
from unimat.materials.search.substitution import Candidate, Substitution
from unimat.progress import progress

log = logging.getLogger("unimat.search")

CANDIDATES = 6  # of each template that is left out
MAX_SECONDS = 20.0  # of one comparison


def calibrated(substitution: Substitution, crystals: CrystalTable, n: int = 2500, seed: int = 0) -> Exchange:
    """Distances with chances, fitted to the first candidates of `n` crystals, each left out of the templates in turn.

    A candidate is right if StructureMatcher (stol 0.5, ltol 0.3, angle_tol 10) maps it onto the crystal.

    Args:
        crystals: that candidates are looked for, such as a validation split; those among the templates have their ids.
    """
    found: dict[bool, list[Candidate]] = {True: [], False: []}  # the first of a composition, and later ones
    right: dict[bool, list[bool]] = {True: [], False: []}
    comparer = Comparer(matcher_settings("cdvae"), MAX_SECONDS)
    rows = np.random.default_rng(seed).permutation(len(crystals))[:n]
    for row in progress(rows.tolist(), "calibration", len(rows), unit="crystal"):
        left_out = crystals[row]
        numbers, amounts = np.unique(left_out.atomic_numbers, return_counts=True)
        counts = dict(zip(numbers.tolist(), amounts.tolist(), strict=True))
        candidates = substitution.candidates(counts, CANDIDATES, without={left_out.material_id})
        for rank, candidate in enumerate(candidates):
            if candidate.distance > 0:
                crystal = substitution.crystal(candidate, "candidate")
                found[rank == 0].append(candidate)
                right[rank == 0].append(comparer.distance(crystal, left_out) is not None)
    first, later = (fitted(found[which], right[which]) for which in (True, False))
    return dataclasses.replace(substitution.exchange, chance=first, later_chance=later)


def fitted(candidates: Sequence[Candidate], right: Sequence[bool]) -> Chance:
    """Chances that make what was right, and what was not, likeliest."""
    columns = np.array([[1.0, Chance.log_odds_of(each.share), -each.distance] for each in candidates])
    sign = np.where(np.array(right, bool), 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (columns @ weights)
        slope = -sign / (1 + np.exp(margin)) / len(sign)
        return float(np.logaddexp(0, -margin).mean()), columns.T @ slope

    found = scipy.optimize.minimize(loss, np.array([0.0, 1.0, 0.0]), jac=True, method="BFGS")
    log.info("chance: %.4f nats a candidate", found.fun)
    return Chance(*found.x.tolist())
