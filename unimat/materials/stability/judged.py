"""Tables and summaries of judged sets, as `unimat hull` wrote them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unimat import parquet
from unimat.files import read_json

if TYPE_CHECKING:
    import pandas as pd

KINDS = {
    "material_id": "text",
    "formula": "text",
    "converged": "flag",
    "e_form_per_atom": "number",
    "decomposition_energy": "number",
    "not_judged": "text",
}
VERDICTS = ("material_id", "formula", "converged", "decomposition_energy", "not_judged")
FORMATION_ENERGIES = ("material_id", "formula", "converged", "e_form_per_atom")


def read_stability(path: str | Path, needed: Iterable[str] = VERDICTS) -> "pd.DataFrame":
    """The stability table of a set; UserError if it is missing, broken, or lacks a `needed` column of `KINDS`."""
    return parquet.read_frame(path, {name: KINDS[name] for name in needed})


def read_summary(path: str | Path) -> dict[str, Any]:
    """The summary beside it; UserError if it is missing, broken or another file."""
    return read_json(path, ("set", "reference"))
