"""Where crystals come from, as the page tells it: the columns that substitution and prediction leave in a table."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from unimat.crystal_table import CrystalTable
from unimat.report.moves import in_words, moves_of

COLUMNS = ("source", "template", "moves", "distance", "share", "chance", "known")
SOURCES = {"substitution": "substitution", "model": "a trained model", "random": "random search"}


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where one crystal comes from.

    Attributes:
        moves: atomic number in the template -> atomic number in the crystal; none of other sources.
        distance: of the template, nats. share: of the votes. chance: share of such cases that were right.
        known: known crystal that it is the same as.
    """

    source: str | None = None
    template: str | None = None
    moves: Mapping[int, int] = dataclasses.field(default_factory=dict)
    distance: float | None = None
    share: float | None = None
    chance: float | None = None
    known: str | None = None

    def sentence(self) -> str:
        """Such as ``template mp-1, distance 0.40, right in 77 % of such cases``."""
        if not self.template:
            return f"from {SOURCES.get(self.source or '', self.source)}" if self.source else ""
        parts = [f"template {self.template}"]
        if self.distance is not None:
            parts.append(f"distance {self.distance:.2f}")
        if self.chance is not None:
            parts.append(f"right in {_percent(self.chance)} of such cases")
        elif self.share is not None:
            parts.append(f"{_percent(self.share)} of the votes of like templates")
        return ", ".join(parts)

    def facts(self) -> list[tuple[str, str]]:
        """Names and values."""
        rows = [
            ("From", SOURCES.get(self.source or "", self.source or "") if not self.template else ""),
            ("Template", self.template or ""),
            ("Moves", in_words(self.moves) if self.moves else ""),
            ("Distance", "" if self.distance is None else f"{self.distance:.2f} nats"),
            ("Share of votes", "" if self.share is None else _percent(self.share)),
            ("Right in", "" if self.chance is None else f"{_percent(self.chance)} of such cases"),
            ("Known as", self.known or ""),
        ]
        return [(name, value) for name, value in rows if value]


def origins(table: CrystalTable | None) -> dict[str, Origin]:
    """Origin of each crystal by its id; none of a table that does not tell."""
    if table is None or not {"source", "template"} & set(table.property_names):
        return {}
    names = [name for name in COLUMNS if name in table.property_names]
    rows = zip(table.material_ids, table.arrow.select(names).to_pylist(), strict=True)
    return {material_id: _origin(row) for material_id, row in rows}


def _origin(row: Mapping[str, Any]) -> Origin:
    values: dict[str, Any] = {name: None if pd.isna(value) else value for name, value in row.items()}
    return Origin(**values | {"moves": moves_of(str(values.get("moves") or ""))})


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
