"""The two modes of the judge: CDVAE's definitions to the letter, and what they should have been.

Sources: Xie et al., ICLR 2022; scripts/compute_metrics.py and scripts/eval_utils.py of its code, which later work
copies. docs/metrics.md has both definitions side by side.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from unimat.materials.crystals.intervals import Bootstrap, rate
from unimat.materials.metrics import distributions
from unimat.materials.metrics.coverage import Nearest, cdvae_coverage, strict_coverage
from unimat.materials.metrics.settings import MetricsSettings

CDVAE, STRICT = "cdvae", "strict"
# Name of a rate: column of the verdicts.
RATES = {
    CDVAE: {"structure_valid": "structure_valid", "composition_valid": "composition_valid", "valid": "valid"},
    STRICT: {
        "structure_valid": "structure_valid_strict",
        "smact_valid": "smact_valid_strict",
        "charge_balanced": "charge_balanced",
        "composition_valid": "composition_valid_strict",
        "valid": "valid_strict",
    },
}
COVERED = {CDVAE: "covered", STRICT: "covered_strict"}


@dataclasses.dataclass(frozen=True)
class Sides:
    """What both modes are computed from.

    Attributes:
        table: verdicts of everything generated, `unimat.materials.metrics.verdicts.SCHEMA`.
        n_generated: denominator of every rate of the generated set.
        values: distribution properties of each row of the table, NaN where a row has none.
        reference_verdicts: validity columns of the reference's crystals, (n,) bool each.
        reference_values: distribution properties of all of them.
        recall, precision: nearest distances of the drawn reference crystals and of the drawn generated ones.
        n_drawn: generated crystals drawn for coverage, those without a structure included.
        with_novelty: whether novelty was judged.
        n_matched: generated crystals drawn for uniqueness and novelty, those without a structure included.
    """

    table: pa.Table
    n_generated: int
    values: Mapping[str, np.ndarray]
    reference_verdicts: Mapping[str, np.ndarray]
    reference_values: Mapping[str, np.ndarray]
    recall: Nearest
    precision: Nearest
    n_drawn: int
    with_novelty: bool
    n_matched: int


def block(mode: str, sides: Sides, settings: MetricsSettings, bootstrap: Bootstrap) -> dict[str, Any]:
    """Rates, the reference's own rates, coverage and distributions by the definitions of `mode`, JSON-ready."""
    coverage = cdvae_coverage if mode == CDVAE else strict_coverage
    valid = flags(sides.table, RATES[mode]["valid"])
    return {
        "rates": rates(mode, sides),
        "rates_of_reference": {
            name: rate(sides.reference_verdicts[column].sum(), len(sides.reference_verdicts[column]))
            for name, column in RATES[mode].items()
        },
        "coverage": coverage(sides.recall, sides.precision, settings.coverage_cutoffs, sides.n_drawn, bootstrap),
        "distributions": distributions.distances(
            {name: values[valid] for name, values in sides.values.items()},
            sides.reference_values,
            settings.distribution_take if mode == CDVAE else None,
            settings.seed,
            bootstrap,
        ),
    }


def rates(mode: str, sides: Sides) -> dict[str, dict[str, Any] | None]:
    """Rates of validity, and of what is valid, unique and novel at once (None where novelty was not judged)."""
    found = {name: flags(sides.table, column) for name, column in RATES[mode].items()}
    shares: dict[str, dict[str, Any] | None]
    shares = {name: rate(flag.sum(), sides.n_generated) for name, flag in found.items()}
    unique = found["valid"] & flags(sides.table, "unique")
    new = unique & flags(sides.table, "novel")
    shares["valid_and_unique"] = rate(unique.sum(), sides.n_matched)
    shares["valid_unique_and_novel"] = rate(new.sum(), sides.n_matched) if sides.with_novelty else None
    return shares


def flags(table: pa.Table, name: str) -> np.ndarray:
    """(m,) bool of a column of verdicts; null is False."""
    return table.column(name).fill_null(False).to_numpy().astype(bool)


def differences(blocks: Mapping[str, dict[str, Any]], settings: MetricsSettings, smact: str) -> list[dict[str, Any]]:
    """Each number in which the modes differ, with both values and one sentence why.

    Args:
        smact: version of smact.
    """
    found = []
    for path, why in _reasons(settings, smact).items():
        ours, theirs = (_at(blocks[mode], path) for mode in (CDVAE, STRICT))
        if ours != theirs:
            found.append({"number": path, CDVAE: ours, STRICT: theirs, "why": why})
    return found


def _reasons(settings: MetricsSettings, smact: str) -> dict[str, str]:
    joint = "strict wants one partner near in structure and composition; CDVAE lets them be two crystals"
    nearest = "strict measures both distances to the one partner nearest in both; CDVAE takes each minimum alone"
    take = f"a draw of {settings.distribution_take:,}" if settings.distribution_take else "all"
    whole = f"strict compares all crystals that are valid in its sense; CDVAE {take} of those valid in its own"
    return {
        "rates.structure_valid": "strict also looks at an atom's distance from its own periodic images",
        "rates.composition_valid": (
            f"strict takes SMACT's list {settings.strict_oxidation_states} (smact {smact}) for"
            f" {settings.oxidation_states}, and wants usual oxidation states to balance in the cell as well"
        ),
        "rates.valid": (
            "strict takes its own two rules; CDVAE's valid also falls with a missing fingerprint, which strict counts"
            " in coverage instead"
        ),
        "coverage.cov_recall": f"{joint}, and leaves reference crystals without a fingerprint out of the denominator",
        "coverage.cov_precision": joint,
        **{f"coverage.{name}_{side}": nearest for side in ("recall", "precision") for name in ("amsd", "amcd")},
        **{f"distributions.{name}": whole for name in distributions.PROPERTIES},
    }


def _at(one: Mapping[str, Any], path: str) -> float | None:
    part, _, name = path.partition(".")
    entry = one[part].get(name) or {}
    return next((entry[key] for key in ("rate", "value", "wasserstein") if key in entry), None)
