"""Predicted crystals as a table for the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pymatgen.symmetry.groups import sg_symbol_from_int_number

from unimat.materials.search.predict import Prediction

HEADS = ("#", "space group", "from", "distance", "right in", "meV/atom above lowest", "E_d meV/atom", "known as")
LEFT = (1, 2, 7)


def text(prediction: Prediction) -> str:
    """A table for each composition; columns that hold nothing are left out."""
    rows = [crystal.properties for crystal in prediction.crystals]
    parts = []
    for asked in prediction.asked:
        own = [row for row in rows if row["requested_formula"] == asked.name]
        parts.append(f"{asked.name}: {len(own)} candidates\n{_table([_cells(row) for row in own])}")
    if len(prediction.asked) > 1 and (best := prediction.compositions()):
        lines = [f"{1000 * each.properties['decomposition_energy']:+8.0f}  {each.material_id}" for each in best]
        parts.append("\n".join(["compositions by E_d of their best, meV/atom", *lines]))
    return "\n\n".join(parts)


def _cells(row: Mapping[str, Any]) -> list[str]:
    group = int(row["spacegroup_number"] or 1)
    return [
        str(row["rank"]),
        f"{sg_symbol_from_int_number(group)} ({group})",
        row["template"] or row["source"],
        _number(row["distance"], "{:.2f}"),
        _number(row["chance"], "{:.0f} %", 100),
        "not converged" if row.get("converged") is False else _number(row["energy_above_lowest"], "{:.0f}", 1000),
        _number(row["decomposition_energy"], "{:+.0f}", 1000),
        row["known"] or "",
    ]


def _number(value: float | None, form: str, times: float = 1.0) -> str:
    return "" if value is None or math.isnan(value) else form.format(times * value)


def _table(rows: Sequence[Sequence[str]]) -> str:
    shown = [index for index in range(len(HEADS)) if any(row[index] for row in rows)]
    lines = [[each[index] for index in shown] for each in (HEADS, *rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(shown))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index in LEFT else cell.rjust(width)
            for cell, width, index in zip(line, widths, shown, strict=True)
        ).rstrip()
        for line in lines
    )
