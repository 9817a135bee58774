"""Crystal structure prediction: how many truths the samples for their compositions hit, and how closely.

The match rate and root mean square error of CDVAE and DiffCSP (scripts/compute_metrics.py, RecEval and RecEvalBatch),
with and without their gate of validity, and METRe and cRMSE (arXiv 2509.12178).
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pymatgen.core import Composition

from unimat.crystal_table import Crystal, CrystalTable
from unimat.materials.crystals.intervals import around
from unimat.materials.crystals.processes import Processes
from unimat.materials.matching.blocks import Found
from unimat.materials.matching.comparer import Comparer, Problems
from unimat.materials.metrics import validity
from unimat.materials.prediction.pairing import Sample, compositions
from unimat.materials.prediction.settings import PredictionSettings
from unimat.progress import progress
from unimat.settings import as_dict

SCHEMA = pa.schema(
    [
        pa.field("truth_id", pa.string(), nullable=False),
        pa.field("material_id", pa.string(), metadata={"description": "null for a truth without samples"}),
        pa.field("sample", pa.int64(), metadata={"description": "number of the sample of its truth, from 0"}),
        pa.field("same_composition", pa.bool_(), metadata={"description": "reduced composition is the truth's"}),
        pa.field("matched", pa.bool_(), nullable=False),
        pa.field("rmse", pa.float64(), metadata={"unit": "(volume per atom)^(1/3)", "description": "null: no match"}),
        pa.field("valid", pa.bool_(), metadata={"description": "the sample, by CDVAE's rules"}),
        pa.field("reason", pa.string(), metadata={"description": "why the sample is not valid"}),
        pa.field("truth_valid", pa.bool_(), nullable=False),
    ]
)
# Which pairs count. DiffCSP asks both to be valid for one sample, and for several the sample alone.
GATES = {
    "all": "every pair",
    "valid": "pairs of a valid sample and a valid truth (DiffCSP's RecEval; OMatG's valid pairs)",
    "valid_sample": "pairs with a valid sample (DiffCSP's RecEvalBatch)",
}
_CHUNK = 64  # pairs compared, or crystals judged, at a time
_Distances = dict[tuple[int, int], float | None]  # by row of the crystal and of the truth


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Numbers, JSON-ready, and a row of `SCHEMA` for each sample of each truth."""

    summary: dict[str, Any]
    table: pa.Table


def evaluate(
    name: str,
    crystals: CrystalTable,
    truths: CrystalTable,
    samples: Sequence[Sequence[Sample]],
    settings: PredictionSettings,
    processes: int = 1,
) -> Prediction:
    """Match rates and errors of a set against truths.

    Args:
        name: of the set.
        samples: of each truth, of `samples_of_truths`.

    Raises:
        UserError: if a process dies (out of memory, say).
    """
    problems = Problems()
    judge = functools.partial(_judged, settings=settings)
    wanted = _pairs(crystals, truths, samples, settings.metre)
    rows = sorted({row for row, _ in wanted} | {sample.row for each in samples for sample in each})
    with Processes(processes, len(crystals)) as pool:
        why = dict(zip(rows, _over(pool, judge, [crystals[row] for row in rows], "validity", problems), strict=True))
        truth_why = list(_over(pool, judge, list(truths), "validity of truths", problems))
        compare = functools.partial(_compared, settings=settings)
        found = _over(pool, compare, [(crystals[row], truths[truth]) for row, truth in wanted], "matching", problems)
        distances = dict(zip(wanted, found, strict=True))
    problems.report()
    errors = _errors(samples, distances, why, truth_why)
    k = errors["all"].shape[1]
    tested = {row for row, _ in wanted}
    summary = {
        "set": name,
        "n_truths": len(truths),
        "n_crystals": len(crystals),
        "n_samples": {"compared": len(tested), "largest": k, "truths_without": sum(not each for each in samples)},
        "valid": _rate([why[row] is None for row in rows]),
        "truths_valid": _rate([reason is None for reason in truth_why]),
        "gates": GATES,
        "samples": {
            str(n): {gate: figures(values[:, :n].min(1), settings) for gate, values in errors.items()}
            for n in sorted({min(n, k) for n in settings.samples or (1, k)} - {0})
        },
        "metre": figures(_of_everyone(len(truths), distances), settings) if settings.metre else None,
        "bootstrap": {"n": settings.bootstrap, "seed": settings.seed, "level": settings.level, "unit": "truth"},
        "problems": dataclasses.asdict(problems),
        "settings": {**as_dict(settings), "matcher": as_dict(settings.matcher_settings)},
    }
    return Prediction(summary, _table(crystals, truths, samples, distances, why, truth_why))


def figures(errors: np.ndarray, settings: PredictionSettings) -> dict[str, Any]:
    """Match rate, mean error of the matched, and mean error of all with the matcher's limit for the others.

    Each with a percentile bootstrap interval over truths.

    Args:
        errors: (n,) smallest error of each truth, infinite for no match.
    """
    matched, limit = np.isfinite(errors), settings.matcher_settings.stol
    corrected = np.where(matched, errors, limit)
    rng = np.random.default_rng(settings.seed)
    draws = rng.multinomial(len(errors), np.full(len(errors), 1 / len(errors)), size=settings.bootstrap)
    n_matched, sums = draws @ matched, draws @ np.where(matched, errors, 0.0)
    drawn = sums[n_matched > 0] / n_matched[n_matched > 0]
    interval = functools.partial(_interval, level=settings.level)
    rmse = float(errors[matched].mean()) if matched.any() else None
    crmse = float(corrected.mean())
    return {
        "match_rate": {**_rate(matched), **interval(float(matched.mean()), n_matched / len(errors))},
        "rmse": {"value": rmse, **interval(rmse, drawn), "of": int(matched.sum())},
        "crmse": {"value": crmse, **interval(crmse, draws @ corrected / len(errors)), "of": len(errors)},
    }


def _interval(value: float | None, values: np.ndarray, level: float) -> dict[str, float | None]:
    """Null without a draw, and where so few were made that the interval does not contain the value."""
    if value is None or len(values) == 0:
        return {"low": None, "high": None}
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
    found = around(value, low, high)
    return {"low": None, "high": None} if found is None else {"low": found[0], "high": found[1]}


def _rate(verdicts: Sequence[bool] | np.ndarray) -> dict[str, Any]:
    count, of = int(np.sum(verdicts)), len(verdicts)
    return {"count": count, "of": of, "rate": count / of if of else None}


def _pairs(
    crystals: CrystalTable, truths: CrystalTable, samples: Sequence[Sequence[Sample]], metre: bool
) -> list[tuple[int, int]]:
    """Row and truth of every sample and every truth of one reduced composition: others cannot match.

    Args:
        metre: also of truths that the sample was not made for.
    """
    ours, theirs = compositions(crystals), compositions(truths)
    if not metre:
        made_for = ((each.row, truth) for truth, found in enumerate(samples) for each in found)
        return [(row, truth) for row, truth in made_for if ours[row] == theirs[truth]]
    by_composition: dict[bytes, list[int]] = {}
    for row in sorted({sample.row for each in samples for sample in each}):
        by_composition.setdefault(ours[row], []).append(row)
    return [(row, truth) for truth, key in enumerate(theirs) for row in by_composition.get(key, [])]


def _errors(
    samples: Sequence[Sequence[Sample]],
    distances: _Distances,
    why: dict[int, str | None],
    truth_why: Sequence[str | None],
) -> dict[str, np.ndarray]:
    """(truths, samples) error of each, by gate; infinite for no match, no sample, or a pair that does not count."""
    k = max((each[-1].number + 1 for each in samples if each), default=0)
    errors = np.full((len(samples), k), np.inf)
    sample_valid, truth_valid = np.zeros(errors.shape, bool), np.array([reason is None for reason in truth_why], bool)
    for truth, each in enumerate(samples):
        for sample in each:
            distance = distances.get((sample.row, truth))
            errors[truth, sample.number] = np.inf if distance is None else distance
            sample_valid[truth, sample.number] = why[sample.row] is None
    return {
        "all": errors,
        "valid": np.where(sample_valid & truth_valid[:, None], errors, np.inf),
        "valid_sample": np.where(sample_valid, errors, np.inf),
    }


def _of_everyone(n_truths: int, distances: _Distances) -> np.ndarray:
    """(n,) smallest error of each truth to any sample of its composition, whichever truth that was made for."""
    errors = np.full(n_truths, np.inf)
    for (_, truth), distance in distances.items():
        if distance is not None:
            errors[truth] = min(errors[truth], distance)
    return errors


def _over(pool: Processes, work: Callable[[Any], Found], items: list, what: str, problems: Problems) -> list:
    """Results of all items, a chunk of them at a time."""
    results: list = []
    parts = [items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK)]
    with progress(total=len(items), desc=what) as bar:
        for found in pool.over(work, parts):
            problems.add(found.problems)
            results += found.value
            bar.update(len(found.value))
    return results


def _compared(pairs: Sequence[tuple[Crystal, Crystal]], settings: PredictionSettings) -> Found:
    comparer, fit = Comparer(settings.matcher_settings, settings.max_seconds), settings.rule == "fit"
    return Found([comparer.distance(sample, truth, fit) for sample, truth in pairs], comparer.problems)


def _judged(crystals: Sequence[Crystal], settings: PredictionSettings) -> Found:
    return Found([_failure(crystal, settings) for crystal in crystals], Problems())


def _failure(crystal: Crystal, settings: PredictionSettings) -> str | None:
    """Why a crystal is not valid by CDVAE's rules; None if it is."""
    limits = settings.min_distance, settings.min_volume
    structure = validity.structure_failure(validity.distances(crystal), *limits, images=False)
    if structure:
        return f"structure: {structure}"
    numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
    composition = Composition(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
    failure = validity.composition_failure(composition, settings.oxidation_states)
    return f"composition: {failure}" if failure else None


def _table(
    crystals: CrystalTable,
    truths: CrystalTable,
    samples: Sequence[Sequence[Sample]],
    distances: _Distances,
    why: dict[int, str | None],
    truth_why: Sequence[str | None],
) -> pa.Table:
    ids, rows = crystals.material_ids, []
    for truth, (truth_id, reason) in enumerate(zip(truths.material_ids, truth_why, strict=True)):
        about = {"truth_id": truth_id, "truth_valid": reason is None, "matched": False}
        for sample in samples[truth]:
            error = distances.get((sample.row, truth))
            rows.append(about | {
                "material_id": ids[sample.row], "sample": sample.number, "matched": error is not None, "rmse": error,
                "same_composition": (sample.row, truth) in distances,
                "valid": why[sample.row] is None, "reason": why[sample.row],
            })  # fmt: skip
        if not samples[truth]:
            rows.append(about)
    return pa.Table.from_pylist(rows, schema=SCHEMA)
