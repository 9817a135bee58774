"""Are the crystals sound: validity, uniqueness, novelty, coverage, distributions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from unimat.materials.metrics.distributions import PROPERTIES, properties
from unimat.report.blocks import Block, Missing, Section, Table, Text, drawn
from unimat.report.figures import distribution_figure, distributions_figure
from unimat.report.quantities import Share, number, share
from unimat.report.run_files import RunFiles, SetFiles

RATES = {
    "structure_valid": "Structure valid",
    "structure_valid_strict": "Structure valid, own images too",
    "composition_valid": "Composition valid",
    "valid": "Both valid",
    "unique": "Unique",
    "novel": "Novel",
    "unique_and_novel": "Unique and novel",
}
LABELS = {
    "density": "density (g/cm³)",
    "volume_per_atom": "volume per atom (Å³)",
    "n_atoms": "atoms per cell",
    "n_elements": "elements per crystal",
}
REFERENCE = "test split"
NOT_COMPUTED = "not computed"


def validity(run: RunFiles) -> Section:
    """Rates of every set, with counts and denominators."""
    with_metrics = [each for each in run.sets.values() if each.metrics]
    blocks: list[Block] = []
    if with_metrics:
        keys = [key for key in RATES if any(key in (each.metrics or {}).get("rates", {}) for each in with_metrics)]
        rows = [
            [each.name, *(_rate(each, key) for key in keys), str(valid_unique_novel(each) or NOT_COMPUTED)]
            for each in with_metrics
        ]
        caption = "Counts of everything that was generated, crystals that could not be used included"
        blocks.append(Table(caption, ("Set", *(RATES[key] for key in keys), "Valid, unique and novel"), rows))
        blocks.append(Text(_rules(with_metrics[0].metrics or {})))
        blocks += [
            Text(f"{each.name}: {note}") for each in with_metrics for note in (each.metrics or {}).get("notes", [])
        ]
        blocks += _coverage(with_metrics)
    without = [each.name for each in run.sets.values() if not each.metrics]
    if without or not run.sets:
        blocks.append(Missing(_no_metrics(without), partial=bool(with_metrics)))
    return Section("validity", "Validity, uniqueness, novelty, coverage", "", blocks)


def distributions(run: RunFiles, primary: SetFiles | None) -> Section:
    """Overlaid histograms of the valid generated crystals and the test split."""
    lead = "Valid crystals of the set, before relaxation, beside the test split; bars of each add up to 100 %."
    if primary is None or primary.verdicts is None:
        what = primary.name if primary else "SET"
        text = f"No distributions: sets/{what}/verdicts.parquet is not there; `unimat metrics` makes it."
        return Section("distributions", "Distributions", "", [Missing(text)])
    valid = _valid(primary.verdicts)
    reference = properties(run.test) if run.test is not None else {}
    panels, blocks = [], list[Block]()
    for key, label in LABELS.items():
        values = {primary.name: _finite(valid.get(key))}
        if key in reference:
            values[REFERENCE] = _finite(reference[key])
        values = {name: each for name, each in values.items() if len(each)}
        if primary.name not in values:
            continue
        panel = (values, REFERENCE, label, PROPERTIES[key] == "")
        panels.append(panel)
        description = f"Histogram of {label}: {' and '.join(values)}"
        caption = _wasserstein(primary.metrics, key, label)
        blocks.append(drawn(distribution_figure(*panel), f"dist-{key}", description, caption, half=True))
    if run.test is None:
        blocks.append(Missing("No test split to compare with: dataset/test.parquet is not there."))
    if not panels:
        blocks.append(Missing(f"No crystal of the set {primary.name} is valid: there is nothing to draw."))
        return Section("distributions", "Distributions", lead, blocks)
    return Section("distributions", "Distributions", lead, blocks, {"distributions": distributions_figure(panels)})


def valid_unique_novel(one: SetFiles) -> Share | None:
    """Crystals that are valid, unique and novel at once, of everything generated; None if that was not judged."""
    columns = ["valid", "unique", "novel"]
    if one.verdicts is None or one.n_generated is None or not set(columns) <= set(one.verdicts):
        return None
    if len(one.verdicts) and one.verdicts["novel"].isna().all():
        return None
    judged = one.verdicts[columns].fillna(False).astype(bool)
    return Share(int(judged.all(axis=1).sum()), one.n_generated)


def _rate(one: SetFiles, key: str) -> str:
    found = share(((one.metrics or {}).get("rates") or {}).get(key), one.n_generated)
    return str(found) if found else NOT_COMPUTED


def _rules(metrics: Mapping[str, Any]) -> str:
    settings = metrics.get("settings") or {}
    smact = (metrics.get("versions") or {}).get("smact") or (metrics.get("versions") or {}).get("SMACT")
    parts = [f"Structure valid: no two atoms closer than {settings.get('min_distance', 0.5)} Å"]
    charge = "Composition valid: charge neutral for some choice of oxidation states"
    if settings.get("oxidation_states"):
        charge += f" (list {settings['oxidation_states']}" + (f", smact {smact})" if smact else ")")
    parts.append(charge + ", by CDVAE's rule; single elements and alloys pass")
    parts.append("Unique: first of the crystals that match each other. Novel: matches no crystal of the training split")
    return ". ".join(parts) + "."


def _no_metrics(names: list[str]) -> str:
    if not names:
        return "No set to judge: sets/ is empty; `unimat sample`, `select`, `convert` and `airss` make sets."
    plural = "s" if len(names) > 1 else ""
    return f"No metrics for the set{plural} {', '.join(names)}: metrics.json is not there; `unimat metrics` makes it."


def _coverage(sets: list[SetFiles]) -> list[Block]:
    rows = []
    for each in sets:
        coverage = (each.metrics or {}).get("coverage")
        if not coverage:
            continue
        cutoffs = coverage.get("cutoffs") or {}
        row = [each.name]
        row += [_covered(coverage.get("cov_recall"), coverage.get("n_test"))]
        row += [_covered(coverage.get("cov_precision"), coverage.get("n_generated"))]
        row += [number(coverage.get(f"{kind}_{side}")) for side in ("recall", "precision") for kind in ("amsd", "amcd")]
        row.append(f"{number(cutoffs.get('structure'))}, {number(cutoffs.get('composition'))}")
        rows.append(row)
    if not rows:
        return [Missing("No coverage: metrics.json has none; `unimat metrics` with a reference split makes it.")]
    columns = ("Set", "Recall (of test)", "Precision (of generated)", "AMSD recall", "AMCD recall", "AMSD precision",
               "AMCD precision", "Cut-offs")  # fmt: skip
    caption = (
        "Coverage: crystals with a neighbour in the other set within both cut-offs (distance of structure and of "
        "composition fingerprints); AMSD and AMCD: mean distance to the nearest one, lower is better"
    )
    return [Table(caption, columns, rows)]


def _covered(value: Any, of: Any) -> str:
    if isinstance(value, float) and isinstance(of, int):
        return str(Share(round(value * of), of))
    found = share(value, of)
    return str(found) if found else number(value)


def _valid(verdicts: pd.DataFrame) -> pd.DataFrame:
    return verdicts[verdicts["valid"].fillna(False).astype(bool)] if "valid" in verdicts else verdicts


def _finite(values: Any) -> np.ndarray:
    if values is None:
        return np.zeros(0)
    array = np.asarray(values, float)
    return array[np.isfinite(array)]


def _wasserstein(metrics: Mapping[str, Any] | None, key: str, label: str) -> str:
    entry = ((metrics or {}).get("distributions") or {}).get(key) or {}
    text = f"{label[0].upper()}{label[1:]}. "
    if entry.get("wasserstein") is None:
        return text + "Wasserstein distance: not computed."
    unit = str(entry.get("unit") or "").replace("^3", "³")
    counts = f"{number(entry.get('n_generated'))} generated, {number(entry.get('n_reference'))} reference crystals"
    return text + f"Wasserstein distance {number(entry['wasserstein'])}{f' {unit}' if unit else ''} ({counts})."
