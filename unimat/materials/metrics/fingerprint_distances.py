"""Fingerprints of both sides of an evaluation, and what they say of each crystal."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from unimat.crystal_table import CrystalTable
from unimat.materials.crystals.row_cache import RowCache
from unimat.materials.metrics import distributions
from unimat.materials.metrics.breakdown import BINS
from unimat.materials.metrics.coverage import COLUMNS, Nearest, nearest
from unimat.materials.metrics.fingerprints.fingerprints import Fingerprints, fingerprints
from unimat.materials.metrics.fingerprints.magpie import magpie_scaler
from unimat.materials.metrics.modes import CDVAE, COVERED, STRICT
from unimat.materials.metrics.settings import MetricsSettings
from unimat.materials.metrics.verdicts import SCHEMA, Work

_NUMBERS = pa.list_(pa.float64())


@dataclasses.dataclass(frozen=True)
class Prints:
    """Fingerprints of what was drawn of either side, and their nearest distances.

    `rows` and `reference_rows` are the drawn crystals' rows; `n_drawn` counts drawn crystals without a row, too.
    """

    rows: np.ndarray
    reference_rows: np.ndarray
    n_drawn: int
    generated: Fingerprints
    reference: Fingerprints
    recall: Nearest
    precision: Nearest

    @classmethod
    def of(
        cls, crystals: CrystalTable, reference: CrystalTable, n_generated: int, settings: MetricsSettings, work: Work
    ) -> "Prints":
        # Of everything generated: a rejected crystal that is drawn counts in the denominator and covers nothing.
        drawn = distributions.draw(n_generated, settings.coverage_take, settings.seed)
        rows = drawn[drawn < len(crystals)]
        test = distributions.draw(len(reference), settings.coverage_take, settings.seed)
        theirs, ours = (
            fingerprints(part, work.processes, work.cache, f"fingerprints, {side}", work.max_seconds)
            for part, side in ((reference.take(test), "reference"), (crystals.take(rows), "generated"))
        )
        recall, precision = _nearest(ours, theirs, settings, work)
        return cls(rows, test, len(drawn), ours, theirs, recall, precision)

    def failures(self, n: int) -> list[str | None]:
        """Reason of each of the `n` crystals; None also where none was asked for."""
        found: list[str | None] = [None] * n
        for row, failure in zip(self.rows, self.generated.failures, strict=True):
            found[row] = failure
        return found

    def sizes(self, reference: CrystalTable) -> dict[str, np.ndarray]:
        found = distributions.properties(reference.take(self.reference_rows))
        return {name: found[name] for name in BINS}

    def recalled(self, settings: MetricsSettings) -> dict[str, np.ndarray]:
        return {mode: self.recall.within(settings.coverage_cutoffs, mode == STRICT) for mode in (CDVAE, STRICT)}

    def as_json(self, settings: MetricsSettings, n_generated: int, n_reference: int) -> dict[str, Any]:
        return {
            "cutoffs": dataclasses.asdict(settings.coverage_cutoffs),
            "n_reference": len(self.reference),
            "n_reference_available": n_reference,
            "n_generated": self.n_drawn,
            "n_generated_available": n_generated,
            "n_without": {
                "reference": int((~self.reference.found).sum()),
                "generated": self.n_drawn - int(self.generated.found.sum()),
            },
            "n_atoms_by_matminer": self.generated.n_by_matminer + self.reference.n_by_matminer,
            "composition_scaler": f"{magpie_scaler()['name']}: {magpie_scaler()['source']}",
        }


def _nearest(
    ours: Fingerprints, theirs: Fingerprints, settings: MetricsSettings, work: Work
) -> tuple[Nearest, Nearest]:
    """Nearest distances of the reference's crystals and of the generated ones, kept by all fingerprints together."""
    cutoffs = settings.coverage_cutoffs
    cache = RowCache(work.cache, "nearest", {"rows": "1"}, tuple(pa.field(name, _NUMBERS) for name in COLUMNS))
    digest = hashlib.sha256(np.array(dataclasses.astuple(cutoffs)).tobytes())
    for side in (ours, theirs):
        for array in (side.structure, side.composition):
            digest.update(np.ascontiguousarray(array).tobytes())
    keys = [f"{digest.hexdigest()}-{side}" for side in ("recall", "precision")]
    kept = cache.load(keys)
    if len(kept) < len(keys):
        kept = {key: vars(each) for key, each in zip(keys, nearest(ours, theirs, cutoffs), strict=True)}
        cache.store(kept)
    recall, precision = (Nearest(**kept[key]) for key in keys)
    return recall, precision


def with_distances(table: pa.Table, prints: Prints, n: int, settings: MetricsSettings) -> pa.Table:
    """The verdicts with nearest distances and coverage; null outside the draw, not covered where rejected."""
    distances = {"nearest_structure": prints.precision.structure, "nearest_composition": prints.precision.composition}
    columns: dict[str, Sequence[Any] | np.ndarray] = {}
    for name, values in distances.items():
        columns[name] = np.full(n, np.nan)
        columns[name][prints.rows] = np.where(np.isfinite(values), values, np.nan)  # type: ignore[index]
    for mode, name in COVERED.items():
        covered: list[bool | None] = [None] * n
        within = prints.precision.within(settings.coverage_cutoffs, mode == STRICT)
        for row, flag in zip(prints.rows, within, strict=True):
            covered[row] = bool(flag)
        columns[name] = covered + [False] * (len(table) - n)
    return with_columns(table, **columns)


def with_columns(table: pa.Table, **columns: Sequence[Any] | np.ndarray) -> pa.Table:
    """The table with the values of some columns, null in the rows beyond them."""
    for name, values in columns.items():
        index, field = table.schema.get_field_index(name), SCHEMA.field(name)
        filled = [*values, *[None] * (len(table) - len(values))]
        table = table.set_column(index, field, pa.array(filled, field.type, from_pandas=True))
    return table
