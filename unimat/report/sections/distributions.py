"""Do the crystals look like the test split: histograms and elements of both."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from unimat.materials.metrics.distributions import PROPERTIES, properties
from unimat.periodic_table import ATOMIC_NUMBER
from unimat.report.blocks import Block, Missing, Section, Text, drawn
from unimat.report.elements import element_shares, elements_figure
from unimat.report.figures import distribution_figure, distributions_figure
from unimat.report.partners import is_test_split
from unimat.report.quantities import energy_label, number, percent
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections.quality import MODES, measured
from unimat.report.sections.stability import engine_of

LABELS = {
    "density": "density (g/cm³)",
    "volume_per_atom": "volume per atom (Å³)",
    "n_atoms": "atoms per cell",
    "n_elements": "elements per crystal",
}
WHOLE = {label for key, label in LABELS.items() if PROPERTIES[key] == ""}  # one bar for each whole number
REFERENCE = "test split"
FEW_ELEMENTS = 5  # below which a periodic table would be mostly empty

Panel = tuple[dict[str, np.ndarray], str | None, str, bool]


def distributions(run: RunFiles, primary: SetFiles | None) -> Section:
    """Overlaid histograms of the valid generated crystals and the test split, energies, and elements of both."""
    lead = (
        "Valid crystals of the set, before relaxation, beside the test split; formation energies are of relaxed ones. "
        "Bars of each add up to 100 %."
    )
    if primary is None or primary.verdicts is None:
        what = primary.name if primary else "SET"
        text = f"No distributions: sets/{what}/verdicts.parquet is not there; `unimat metrics` makes it."
        return Section("distributions", "Distributions", "", [Missing(text)])
    panels = _panels(run, primary, primary.verdicts)
    blocks: list[Block] = []
    for panel, caption in panels:
        description = f"Histogram of {panel[2]}: {' and '.join(panel[0])}"
        blocks.append(drawn(distribution_figure(*panel), f"dist-{len(blocks)}", description, caption, half=True))
    predicted = _wasserstein(primary.metrics, "energy_per_atom", "energy")
    if not predicted.endswith("not computed."):
        blocks.append(Text(f"{predicted} By {energy_label((primary.metrics or {}).get('energy_type'))}."))
    if run.test is None:
        blocks.append(Missing("No test split to compare with: dataset/test.parquet is not there."))
    if not panels:
        blocks.append(Missing(f"No crystal of the set {primary.name} is valid: there is nothing to draw."))
    figures = {"distributions": distributions_figure([panel for panel, _ in panels])} if panels else {}
    blocks += _elements(run, primary, figures)
    return Section("distributions", "Distributions", lead, blocks, figures)


def _panels(run: RunFiles, primary: SetFiles, verdicts: pd.DataFrame) -> list[tuple[Panel, str]]:
    """What `distribution_figure` draws of each quantity, with its caption."""
    valid = _valid(verdicts)
    reference = properties(run.test) if run.test is not None else {}
    panels: list[tuple[Panel, str]] = []
    for key, label in LABELS.items():
        values = {primary.name: _finite(valid.get(key)), REFERENCE: _finite(reference.get(key))}
        panels.append(((_filled(values), REFERENCE, label, label in WHOLE), _wasserstein(primary.metrics, key, label)))
    panels.append(_energies(run, primary))
    return [(panel, caption) for panel, caption in panels if primary.name in panel[0]]


def _energies(run: RunFiles, primary: SetFiles) -> tuple[Panel, str]:
    """Formation energies of converged crystals, beside those of the test crystals that the run judged."""
    values = {primary.name: _formation_energies(primary)}
    test = [each for each in run.sets.values() if is_test_split(each) and each is not primary]
    if test:
        values[REFERENCE] = np.concatenate([_formation_energies(each) for each in test])
    caption = f"Formation energy of the converged crystals, valid or not, by {engine_of(primary)}."
    if not len(values.get(REFERENCE, [])):
        caption += " No test crystal was relaxed in this run: a set from the test split under `relax` adds them."
    return (_filled(values), REFERENCE, "formation energy (eV/atom)", False), caption


def _formation_energies(one: SetFiles) -> np.ndarray:
    if one.stability is None or not {"e_form_per_atom", "converged"} <= set(one.stability):
        return np.zeros(0)
    return _finite(one.stability["e_form_per_atom"][one.stability["converged"].fillna(False).astype(bool)])


def _elements(run: RunFiles, primary: SetFiles, figures: dict[str, Figure]) -> list[Block]:
    """The heat map, or a sentence for a few elements."""
    shares = {
        name: element_shares(table)
        for name, table in ((primary.name, primary.crystals), (REFERENCE, run.test))
        if table is not None and len(table)
    }
    if not shares:
        return []
    named = sorted({symbol for each in shares.values() for symbol in each}, key=ATOMIC_NUMBER.__getitem__)
    if len(named) < FEW_ELEMENTS:
        told = []
        for symbol in named:
            parts = [f"{percent(each.get(symbol, 0.0))} of {name}" for name, each in shares.items()]
            told.append(f"{symbol} in {' and '.join(parts)}")
        return [Text(f"Elements: {'; '.join(told)}.")]
    figures["elements"] = figure = elements_figure(shares, REFERENCE)
    caption = (
        f"Share of crystals that contain an element: upper left {primary.name}, before relaxation"
        f"{f'; lower right {REFERENCE}' if REFERENCE in shares else ''}. Elements without a colour occur in neither."
    )
    return [drawn(figure, "elements", f"Periodic table: elements of {' and '.join(shares)}", caption)]


def _filled(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: each for name, each in values.items() if len(each)}


def _valid(verdicts: pd.DataFrame) -> pd.DataFrame:
    return verdicts[verdicts["valid"].fillna(False).astype(bool)] if "valid" in verdicts else verdicts


def _finite(values: Any) -> np.ndarray:
    if values is None:
        return np.zeros(0)
    array = np.asarray(values, float)
    return array[np.isfinite(array)]


def _wasserstein(metrics: Mapping[str, Any] | None, key: str, label: str) -> str:
    """Caption of a histogram: the distance in both modes, with intervals and numbers of crystals."""
    told = []
    for mode in MODES:
        entry = (((metrics or {}).get(mode) or {}).get("distributions") or {}).get(key) or {}
        if entry.get("wasserstein") is not None:
            unit = str(entry.get("unit") or "").replace("^3", "³")
            counts = f"{number(entry.get('n_generated'))} against {number(entry.get('n_reference'))} crystals"
            told.append(f"{measured(entry, 'wasserstein')}{f' {unit}' if unit else ''} ({mode}; {counts})")
    return f"{label[0].upper()}{label[1:]}. Wasserstein distance: {'; '.join(told) or 'not computed'}."
