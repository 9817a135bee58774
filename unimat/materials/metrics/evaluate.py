"""All metrics of one set: verdicts per crystal, and the summary that counts them."""

import dataclasses
import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unimat import __version__
from unimat.crystal_table import CrystalTable
from unimat.errors import UserError
from unimat.materials.metrics import distributions
from unimat.materials.metrics.coverage import coverage, rate
from unimat.materials.metrics.fingerprints import Fingerprints, fingerprints
from unimat.materials.metrics.magpie import magpie_scaler
from unimat.materials.metrics.verdicts import verdicts
from unimat.materials.metrics_settings import MetricsSettings
from unimat.settings import as_dict

log = logging.getLogger("unimat.metrics")

RATES = ("structure_valid", "structure_valid_strict", "composition_valid", "valid", "unique", "novel")


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Metrics of one set.

    Attributes:
        summary: JSON-ready; every rate with its count and what it is a share of.
        verdicts: one row per crystal, see `unimat.materials.metrics.verdicts.SCHEMA`.
    """

    summary: dict[str, Any]
    verdicts: pa.Table


def evaluate(
    name: str,
    crystals: CrystalTable,
    reference: CrystalTable,
    known: CrystalTable | None = None,
    n_rejected: int = 0,
    settings: MetricsSettings | None = None,
    processes: int = 1,
    cache: str | Path | None = None,
) -> Metrics:
    """Metrics of the set `name`.

    Args:
        crystals: the generated crystals that could be built.
        reference: what they are compared with, usually the test split.
        known: what makes a crystal not novel, usually the training split; None leaves novelty out.
        n_rejected: generated crystals that could not be built; they count in every denominator.
        processes: for the fingerprints.
        cache: folder that keeps fingerprints between calls.

    Raises:
        UserError: if nothing was generated or the reference is empty.
    """
    settings = settings or MetricsSettings()
    n_generated, notes = _n_generated(name, crystals, n_rejected)
    if not len(reference):
        raise UserError(f"set {name}: the reference table has no rows; coverage needs some")
    sides = _fingerprinted(crystals, reference, n_generated, settings, processes, cache)
    failures: list[str | None] = [None] * len(crystals)
    for row, failure in zip(sides.rows, sides.generated.failures, strict=True):
        failures[row] = failure
    table = verdicts(crystals, known, failures, settings)
    valid = distributions.properties(crystals.take(_flags(table, "valid")))
    summary = {
        "set": name,
        "n_generated": n_generated,
        "n_crystals": len(crystals),
        "n_rejected": n_generated - len(crystals),
        "rates": _rates(table, n_generated, known is not None),
        "coverage": sides.coverage(settings),
        "distributions": distributions.distances(
            valid, distributions.properties(reference), settings.distribution_take, settings.seed
        ),
        "notes": notes + _notes(table, sides, known),
        "settings": as_dict(settings),
        "versions": {"unimat": __version__, **{name: version(name) for name in _LIBRARIES}},
    }
    return Metrics(summary, table)


_LIBRARIES = ("smact", "pymatgen", "matminer", "spglib", "scipy")


@dataclasses.dataclass(frozen=True)
class _Sides:
    """Fingerprints of what was drawn of either side; `rows` are the generated crystals' rows."""

    rows: np.ndarray
    generated: Fingerprints
    reference: Fingerprints
    n_drawn: int
    n_generated: int
    n_reference: int

    def coverage(self, settings: MetricsSettings) -> dict[str, Any]:
        return {
            **coverage(self.generated, self.reference, settings.coverage_cutoffs, self.n_drawn),
            "n_test": len(self.reference),
            "n_test_available": self.n_reference,
            "n_generated": self.n_drawn,
            "n_generated_available": self.n_generated,
            "n_without_fingerprint": {
                "test": int((~self.reference.found).sum()),
                "generated": self.n_drawn - int(self.generated.found.sum()),
            },
            "composition_scaler": f"{magpie_scaler()['name']}: {magpie_scaler()['source']}",
        }


def _fingerprinted(
    crystals: CrystalTable,
    reference: CrystalTable,
    n_generated: int,
    settings: MetricsSettings,
    processes: int,
    cache: str | Path | None,
) -> _Sides:
    # Of everything generated: a rejected crystal that is drawn counts in the denominator and covers nothing.
    drawn = distributions.draw(n_generated, settings.coverage_take, settings.seed)
    rows = drawn[drawn < len(crystals)]
    test = distributions.draw(len(reference), settings.coverage_take, settings.seed)
    return _Sides(
        rows=rows,
        generated=fingerprints(crystals.take(rows), processes, cache, "fingerprints, generated"),
        reference=fingerprints(reference.take(test), processes, cache, "fingerprints, reference"),
        n_drawn=len(drawn),
        n_generated=n_generated,
        n_reference=len(reference),
    )


def _n_generated(name: str, crystals: CrystalTable, n_rejected: int) -> tuple[int, list[str]]:
    """Denominator: everything generated; and what to say if the counts disagree."""
    counted = len(crystals) + n_rejected
    requested = crystals.metadata.get("n_requested")
    n_generated = max(counted, requested or 0)
    if n_generated == 0:
        raise UserError(f"set {name}: nothing was generated; sample some crystals first")
    if requested in (None, counted):
        return n_generated, []
    note = f"{requested} crystals were requested, {len(crystals)} are here and {n_rejected} were rejected"
    log.warning("set %s: %s; the rates are shares of %d", name, note, n_generated)
    return n_generated, [note]


def _rates(table: pa.Table, n_generated: int, with_novelty: bool) -> dict[str, dict[str, Any] | None]:
    flags = {name: _flags(table, name) for name in RATES}
    flags["unique_and_novel"] = flags["unique"] & flags["novel"]
    flags["valid_unique_and_novel"] = flags["valid"] & flags["unique_and_novel"]
    without = () if with_novelty else ("novel", "unique_and_novel", "valid_unique_and_novel")
    return {name: None if name in without else rate(flag.sum(), n_generated) for name, flag in flags.items()}


def _flags(table: pa.Table, name: str) -> np.ndarray:
    return table.column(name).fill_null(False).to_numpy().astype(bool)


def _notes(table: pa.Table, sides: _Sides, known: CrystalTable | None) -> list[str]:
    notes = []
    n_rejected = sides.n_generated - len(table)
    if n_rejected:
        notes.append(f"the {n_rejected} rejected crystals count in every denominator and in no numerator")
    if len(table) and max(table.column("n_elements").to_pylist()) == 1:
        notes.append("every crystal is of one element: its composition is valid by the rule, the rate says nothing")
    if sides.n_drawn < sides.n_generated or len(sides.reference) < sides.n_reference:
        notes.append(
            f"coverage is of a seeded draw ({sides.n_drawn} of {sides.n_generated} generated, {len(sides.reference)} of"
            f" {sides.n_reference} reference crystals): fewer partners are farther away, so it is lower than that of"
            " whole sets; crystals outside the draw are called valid without a fingerprint"
        )
    if known is None:
        notes.append("no known crystals were given: novelty was not judged")
    return notes
