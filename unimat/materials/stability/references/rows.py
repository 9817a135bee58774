"""Rows of somebody's table as entries of a reference: what cannot be used is left out by name, with the reason."""

import dataclasses
import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from unimat.errors import UserError
from unimat.materials.crystals import formulas
from unimat.materials.stability.references.energy_scale import refuse_impossible
from unimat.materials.stability.references.lost import Lost, lost

log = logging.getLogger("unimat.reference")

SHOWN = 5
MISSING = ("", "na", "n/a", "nan", "null", "none", "-")  # words for no number, where a table is read as text


@dataclasses.dataclass(frozen=True)
class Rows:
    """Usable rows of a table, as columns.

    Attributes:
        kept: positions of the rows in the table.
        energy_per_atom: eV/atom.
        dropped: id and reason of each row that was left out.
        lost: those of them that no other row stands for.
    """

    kept: list[int]
    entry_id: list[str]
    formula: list[str]
    elements: list[tuple[int, ...]]
    amounts: list[tuple[float, ...]]
    energy_per_atom: list[float]
    dropped: list[tuple[str, str]]
    lost: list[Lost]

    @property
    def n_atoms(self) -> np.ndarray:
        """(n,) atoms of each formula."""
        return np.array([sum(amounts) for amounts in self.amounts])

    def without(self, refused: Mapping[int, str], where: str) -> "Rows":
        """The same without some rows, by their place here, each with its reason."""
        if not refused:
            return self
        gone = [(self.entry_id[place], self.formula[place], reason) for place, reason in refused.items()]
        dropped = [(entry_id, reason) for entry_id, _, reason in gone]
        tell_dropped(dropped, where)
        columns = {
            name: [value for place, value in enumerate(getattr(self, name)) if place not in refused]
            for name in ("kept", "entry_id", "formula", "elements", "amounts", "energy_per_atom")
        }
        found = Rows(**columns, dropped=self.dropped + dropped, lost=self.lost + [lost(*each) for each in gone])
        if not found.kept:
            raise UserError(f"{where} has no entry that can be used; the first, {dropped[0][0]}: {dropped[0][1]}")
        return found

    def left_out(self) -> dict[str, Any]:
        """What a reference's details say of the rows that it does not have."""
        return {"dropped": self.dropped, "lost": self.lost}

    def columns(self) -> dict[str, Any]:
        """The columns, as `entries.table_of` takes them."""
        return {name: getattr(self, name) for name in ("entry_id", "formula", "elements", "amounts", "energy_per_atom")}


def checked(ids: Iterable[Any], names: Iterable[Any], energies: Iterable[Any], per_cell: bool, where: str) -> Rows:
    """Rows with a formula and a sensible energy.

    Args:
        ids, names, energies: id, formula and energy (eV per cell if `per_cell`, else eV/atom) of each row.
        where: what to call the table.

    Raises:
        UserError: if no row can be used, or an id stands for two phases or two energies.
    """
    rows = Rows([], [], [], [], [], [], [], [])
    seen: dict[str, tuple[str, float]] = {}
    for index, (entry_id, formula, energy) in enumerate(zip(map(str, ids), names, energies, strict=True)):
        try:
            if not entry_id.strip() or entry_id == "nan":
                raise ValueError("no id")
            numbers, amounts = formulas.parsed(formula)
            value = _energy(energy) / (sum(amounts) if per_cell else 1.0)
            refuse_impossible(value, numbers, amounts)
        except ValueError as error:
            rows.dropped.append((entry_id, str(error)))
            rows.lost.append(lost(entry_id, formula, str(error)))
            continue
        text = formulas.text(formula)
        if entry_id in seen:
            _refuse_another(entry_id, seen[entry_id], (text, value), where)
            rows.dropped.append((entry_id, "the same entry once more"))
            continue
        seen[entry_id] = (text, value)
        for column, each in zip(
            (rows.kept, rows.entry_id, rows.formula, rows.elements, rows.amounts, rows.energy_per_atom),
            (index, entry_id, text, numbers, amounts, value),
            strict=True,
        ):
            column.append(each)  # type: ignore[attr-defined]
    tell_dropped(rows.dropped, where)
    if not rows.kept:
        why = f"; the first, {rows.dropped[0][0]}: {rows.dropped[0][1]}" if rows.dropped else ""
        raise UserError(f"{where} has no entry that can be used, of {len(rows.dropped)} rows{why}")
    return rows


def tell_dropped(dropped: list[tuple[str, str]], where: str) -> None:
    """A warning that names the first of what was left out."""
    if dropped:
        some = "; ".join(f"{entry_id}: {reason}" for entry_id, reason in dropped[:SHOWN])
        log.warning("%s: %d entries are left out: %s", where, len(dropped), some)


def _refuse_another(entry_id: str, first: tuple[str, float], second: tuple[str, float], where: str) -> None:
    if formulas.parsed(first[0]) != formulas.parsed(second[0]) or abs(first[1] - second[1]) > 1e-6:
        raise UserError(
            f"{where}: the id {entry_id!r} stands for {first[0]} at {first[1]:.6f} eV/atom and for {second[0]} at"
            f" {second[1]:.6f}; give each phase an id of its own"
        )


def _energy(value: Any) -> float:
    """The number; ValueError in words if it is none."""
    if value is None or pd.isna(value) or str(value).strip().lower() in MISSING:
        raise ValueError("no energy")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the energy {value!r} is no number") from error
    if not math.isfinite(number):
        raise ValueError("no energy" if math.isnan(number) else f"an energy of {number}")
    return number
