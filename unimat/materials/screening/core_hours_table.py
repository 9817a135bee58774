"""An estimate of core-hours for people: a table in text, and a CSV."""

from pathlib import Path
from typing import Any

import pandas as pd

from unimat import csv_cells
from unimat.files import whole_file

SHOWN = 40  # rows of a table in text; all are in the CSV


def table_text(frame: pd.DataFrame, total: dict[str, Any]) -> str:
    """The dearest crystals of an estimate, the total with its span, and what it stands on."""
    dearest = frame.sort_values("core_hours", ascending=False, kind="stable", na_position="first").head(SHOWN)
    shown = dearest.drop(columns="problem").assign(core_hours=dearest["core_hours"].map(hours_text)).astype(str)
    lines = [shown.replace({"<NA>": "-", "None": "-"}).to_string(index=False)] if len(frame) else []
    if len(frame) > SHOWN:
        lines.append(f"... and {len(frame) - SHOWN} that take less")
    lines += [
        f"{row.material_id}: no estimate, {row.problem}" for row in dearest[dearest["problem"].notna()].itertuples()
    ]
    lines.append(
        f"total {hours_text(total['total'])} core-hours by {total['engine']}, {total['n']} of {total['of']} crystals,"
        f" within a factor of {total['factor']:g}: {hours_text(total['low'])} to {hours_text(total['high'])}"
    )
    of_each = "" if total["electronic_steps"] == 1 else f" of {total['electronic_steps']:g} electronic ones"
    lines.append(
        f"an estimate from {total['ionic_steps']:g} ionic steps{of_each}, rate {total['rate']:g};"
        f" fitted to {total['fitted_to']}"
    )
    return "\n".join(lines)


def hours_text(hours: float) -> str:
    """Two significant digits, which is more than an estimate has."""
    if hours != hours:
        return "-"
    return f"{float(f'{hours:.2g}'):,g}"


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write every crystal's row, whole or not at all."""
    with whole_file(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as stream:
        rows = frame.astype(object).where(frame.notna(), None)
        csv_cells.write_rows(stream, list(frame.columns), rows.itertuples(index=False))
