"""Relaxation: converged, unconverged and failed crystals of each set, with reasons."""

import numpy as np
import pandas as pd

from unimat.report.blocks import Block, Missing, Section, Table
from unimat.report.quantities import Share, dig, energy_label, number
from unimat.report.run_files import RunFiles, SetFiles


def relaxation(run: RunFiles) -> Section:
    """Converged, unconverged and failed crystals of each set, with reasons."""
    done = [each for each in run.sets.values() if each.relaxed is not None]
    blocks: list[Block] = []
    if done:
        rows = [_relaxation_row(each) for each in done]
        columns = ("Set", "Converged", "Not converged", "Failed", "Median steps", "Engine")
        caption = "Relaxation of cell and positions; counts of the crystals handed to the engine"
        blocks.append(Table(caption, columns, rows, text_columns=(0, 5)))
        blocks += _failures(done)
    without = [each.name for each in run.sets.values() if each.relaxed is None]
    if without or not run.sets:
        text = f"Not relaxed: {', '.join(without)}. `unimat relax` and `unimat gather` make relaxed.parquet."
        blocks.append(Missing(text if without else "No set to relax: sets/ is empty.", partial=bool(done)))
    return Section("relaxation", "Relaxation", "", blocks)


def _relaxation_row(one: SetFiles) -> list[str]:
    assert one.relaxed is not None
    table, summary = one.relaxed, one.relaxation or {}
    converged = np.array([bool(each) for each in table.column("converged")], bool)
    failed = np.zeros(len(table), bool)
    if _has(one, "failure"):
        failed = np.array([isinstance(each, str) for each in table.column("failure")], bool)
    median = summary.get("median_steps")
    if median is None and _has(one, "n_steps") and not failed.all():
        median = float(np.nanmedian(table.column("n_steps").astype(float)[~failed]))
    shares = [Share(int(each.sum()), len(table)) for each in (converged, ~converged & ~failed, failed)]
    engine = energy_label(table.metadata.get("energy_type") or dig(summary, "engine"))
    return [one.name, *map(str, shares), number(median), engine]


def _has(one: SetFiles, column: str) -> bool:
    return one.relaxed is not None and column in one.relaxed.property_names


def _failures(sets: list[SetFiles]) -> list[Block]:
    rows = []
    for each in sets:
        if each.relaxed is None or not _has(each, "failure"):
            continue
        reasons = pd.Series(each.relaxed.column("failure")).dropna().astype(str).str.split(":").str[0].value_counts()
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], str(item[0])))
        rows += [[each.name, str(reason), str(Share(int(count), len(each.relaxed)))] for reason, count in ordered]
    if not rows:
        return []
    return [Table("Why relaxations failed", ("Set", "Reason", "Crystals"), rows, text_columns=(0, 1))]
