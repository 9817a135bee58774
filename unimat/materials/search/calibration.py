"""How often a candidate is right, by its share of the votes and its distance, on crystals left out in turn."""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
import scipy.optimize

from unimat.crystal_table import CrystalTable
from unimat.materials.matching.comparer import Comparer
from unimat.materials.metrics.settings import matcher_settings
from unimat.materials.search.exchange import Chance, Exchange
from unimat.materials.search.substitution import Candidate, Substitution
from unimat.materials.search.templates import Templates
from unimat.progress import progress

log = logging.getLogger("unimat.search")

CANDIDATES = 6  # of each template that is left out
MAX_SECONDS = 20.0  # of one comparison
HELD_OUT = 1000  # crystals
BINS = 10


@dataclasses.dataclass(frozen=True)
class Judged:
    """A candidate for a crystal that was left out; whether it was the first one, and right."""

    candidate: Candidate
    first: bool
    right: bool

    @property
    def terms(self) -> tuple[float, ...]:
        return Chance.terms(self.candidate.share, self.candidate.distance, self.candidate.among)


def calibrated(
    exchange: Exchange, libraries: Sequence[Templates], crystals: CrystalTable, n: int = 2500, seed: int = 0
) -> Exchange:
    """Distances with chances, fitted to the first candidates of `n` crystals, each left out of the templates in turn.

    A candidate is right if StructureMatcher (stol 0.5, ltol 0.3, angle_tol 10) maps it onto the crystal. The log tells
    how well the chances hold for `HELD_OUT` further crystals, where there are more.

    Args:
        libraries: templates to take candidates from, such as a large library and a small one; one fit holds for all.
        crystals: that candidates are looked for, such as a validation split; those among the templates have their ids.
    """
    rows = np.random.default_rng(seed).permutation(len(crystals))
    fit = [judged(Substitution(each, exchange), crystals, rows[:n]) for each in libraries]
    chances = [fitted([each for found in fit for each in found if each.first is which]) for which in (True, False)]
    for library in libraries if len(rows) > n else ():
        held_out = judged(Substitution(library, exchange), crystals, rows[n : n + HELD_OUT])
        for chance, which in zip(chances, (True, False), strict=True):
            found = [each for each in held_out if each.first is which]
            told = f"{library.name}, {'first' if which else 'later'} candidates"
            log.info("%s: calibration error %.3f of %d", told, calibration_error(chance, found), len(found))
    return dataclasses.replace(exchange, chance=chances[0], later_chance=chances[1])


def judged(substitution: Substitution, crystals: CrystalTable, rows: np.ndarray) -> list[Judged]:
    """The first candidates for the compositions of crystals, which themselves are left out; none that is known."""
    comparer, found = Comparer(matcher_settings("cdvae"), MAX_SECONDS), []
    for row in progress(rows.tolist(), "calibration", len(rows), unit="crystal"):
        left_out = crystals[row]
        numbers, amounts = np.unique(left_out.atomic_numbers, return_counts=True)
        counts = dict(zip(numbers.tolist(), amounts.tolist(), strict=True))
        candidates = substitution.candidates(counts, CANDIDATES, without={left_out.material_id})
        for rank, candidate in enumerate(candidates):
            if candidate.distance > 0:
                right = comparer.distance(substitution.crystal(candidate, "candidate"), left_out) is not None
                found.append(Judged(candidate, rank == 0, right))
    return found


def fitted(found: Sequence[Judged]) -> Chance:
    """Chances that make what was right, and what was not, likeliest."""
    columns, right = np.array([each.terms for each in found]), np.array([each.right for each in found])
    sign = np.where(right, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (columns @ weights)
        slope = -sign / (1 + np.exp(margin)) / len(sign)
        return float(np.logaddexp(0, -margin).mean()), columns.T @ slope

    start = np.zeros(columns.shape[1])
    found_weights = scipy.optimize.minimize(loss, start, jac=True, method="BFGS")
    log.info("chance: %.4f nats a candidate", found_weights.fun)
    return Chance(*found_weights.x.tolist())


def calibration_error(chance: Chance, found: Sequence[Judged]) -> float:
    """Mean difference of chance and rate of what is right, over `BINS` equal bins of the chance (Guo et al. 2017)."""
    if not found:
        return 0.0
    chances = np.array(
        [chance.of(each.candidate.share, each.candidate.distance, each.candidate.among) for each in found]
    )
    right = np.array([each.right for each in found])
    bins = np.minimum((chances * BINS).astype(int), BINS - 1)
    off = [abs(float((chances - right)[bins == each].sum())) for each in range(BINS)]
    return sum(off) / len(found)
