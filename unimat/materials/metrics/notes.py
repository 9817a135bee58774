"""What a reader must know beside the numbers of a summary, in one sentence each."""

import logging
from collections.abc import Mapping
from typing import Any

from unimat.materials.metrics.modes import Sides
from unimat.materials.metrics.settings import MetricsSettings

log = logging.getLogger("unimat.metrics")

FEW = 100  # crystals; a rate of fewer is uncertain by ten per cent and more


def notes(
    sides: Sides, blocks: Mapping[str, dict[str, Any]], n_rejected: int, n_reference: int, settings: MetricsSettings
) -> list[str]:
    """Notes on a summary; what counts may mislead without is logged as a warning, too.

    Args:
        blocks: of the two modes.
        n_rejected: crystals that could not be built, the last rows of the verdicts.
        n_reference: all reference crystals, of which coverage may look at a draw.
    """
    n_crystals, n_generated = len(sides.table) - n_rejected, sides.n_generated
    warnings = _of_counts(n_crystals, n_rejected, n_generated) + _of_valid(blocks, settings)
    for warning in warnings:
        log.warning("%s", warning)
    found = []
    if n_crystals and sides.table.column("n_elements").to_pylist()[:n_crystals] == [1] * n_crystals:
        found.append("every crystal is of one element: its composition is valid by the rule, the rate says nothing")
    n_reference_drawn = len(sides.recall.structure)
    if sides.n_drawn < n_generated or n_reference_drawn < n_reference:
        found.append(
            f"coverage is of a seeded draw ({sides.n_drawn} of {n_generated} generated, {n_reference_drawn} of"
            f" {n_reference} reference crystals): fewer partners are farther away, so it is lower than that of whole"
            " sets; crystals outside the draw are called valid without a fingerprint"
        )
    if sides.n_matched < n_generated:
        found.append(
            f"uniqueness and novelty are of a seeded draw ({sides.n_matched} of {n_generated} generated): fewer"
            " crystals repeat each other less, so the share of unique ones is higher than that of the whole set"
        )
    if not sides.with_novelty:
        found.append("no known crystals were given: novelty was not judged")
    return warnings + found


def _of_counts(n_crystals: int, n_rejected: int, n_generated: int) -> list[str]:
    found = []
    if n_generated != n_crystals + n_rejected:
        found.append(f"{n_generated} crystals were requested, {n_crystals} are here and {n_rejected} were rejected")
    if n_generated > n_crystals:
        what = f"{n_rejected} rejected" if n_generated == n_crystals + n_rejected else "rejected and missing"
        count = "crystal counts" if n_generated - n_crystals == 1 else "crystals count"
        found.append(f"the {what} {count} in every denominator and in no numerator")
    if n_generated < FEW:
        found.append(f"number of crystals: {n_generated}, so few that the intervals say more than the rates")
    return found


def _of_valid(blocks: Mapping[str, dict[str, Any]], settings: MetricsSettings) -> list[str]:
    n_valid = blocks["cdvae"]["rates"]["valid"]["count"]
    take = settings.distribution_take
    if n_valid == 0:
        return ["no crystal is valid: there are no distributions to compare"]
    if take is not None and n_valid < take:
        return [
            f"number of valid crystals: {n_valid}, fewer than the {take} that CDVAE's script draws (it stops there):"
            " the distributions are of all of them"
        ]
    return []
