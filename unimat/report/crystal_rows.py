"""Every crystal of a set as one row: what the stages found out about it, and one verdict.

A row speaks of one crystal. Once a set is relaxed that is the relaxed one: a verdict after relaxation beside novelty
before it would offer a crystal that relaxed into a known one as a discovery.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from unimat.crystal_table import CrystalTable
from unimat.materials.crystals.structures import reduced_formula
from unimat.materials.stability.hull_tolerance import below
from unimat.report.relaxed_form import is_relaxed, relaxed_form
from unimat.report.run_files import SetFiles

VERDICTS = (
    "stable",
    "metastable",
    "above the hull",
    "not judged",
    "not converged",
    "relaxation failed",
    "not relaxed",
    "rejected",
)
STATE = ("valid", "unique", "novel", "spacegroup_number", "density")  # of the crystal as it is shown
FROM_STABILITY = ("converged", "e_form_per_atom", "decomposition_energy", "stable", "metastable", "not_judged",
                  "products")  # fmt: skip
REASONS = {  # column of the reason: what it speaks of
    "reason": "invalid as generated",
    "reason_strict": "by the strict rules, as generated",
    "fingerprint_failure": "no fingerprint as generated",
    "failure": "relaxation",
    "not_judged": "not judged",
}


def crystal_rows(one: SetFiles, limit: int | None = None) -> pd.DataFrame:
    """A row for each crystal of a set, rejected ones included, lowest decomposition energy first.

    Args:
        limit: rows kept of a larger set; those without an energy are the first to be left out.

    Returns:
        material_id, formula (reduced; None for a rejected one), n_atoms, verdict (one of `VERDICTS`), why (of a
        verdict that is not on an energy), reasons (all, validity's too), converged (bool or missing),
        valid, unique, novel (bool or missing), spacegroup_number (0 where spglib finds none) and density (g/cm^3),
        all of the relaxed crystal where the set `is_relaxed`, missing for one without a relaxed form, else as
        generated; the same five with the ending ``_generated``, always as generated;
        e_form_per_atom and decomposition_energy (eV/atom), products (list of dicts, or None). A stage that has not
        run leaves its columns empty.
    """
    rows = _known(one).set_index("material_id", drop=False)
    rows.index.name = None
    verdicts = _by_id(one.verdicts)
    stability = _by_id(one.stability)
    relaxed = _relaxed(one.relaxed)
    for name in STATE:
        rows[f"{name}_generated"] = _column(verdicts, name, rows.index)
    shown, ending = (_by_id(relaxed_form(one)), "") if is_relaxed(one) else (rows, "_generated")
    for name in STATE:
        rows[name] = _column(shown, f"{name}{ending}", rows.index)
    for name in FROM_STABILITY:
        rows[name] = _column(stability, name, rows.index)
    for name in ("converged", "failure"):
        found = _column(relaxed, name, rows.index)
        rows[name] = found if name == "failure" else rows["converged"].where(rows["converged"].notna(), found)
    rows["relaxed"] = [each in relaxed.index for each in rows.index]
    for name in ("e_form_per_atom", "decomposition_energy", "density", "density_generated"):
        values = pd.to_numeric(rows[name], errors="coerce").astype(float)
        rows[name] = values.where(np.isfinite(values))
    for name in ("reason", "reason_strict", "fingerprint_failure"):
        rows[name] = _column(verdicts, name, rows.index)
    rows["verdict"] = [_verdict(row) for row in rows.to_dict("records")]
    rows["why"] = [_why(row) for row in rows.to_dict("records")]
    rows["reasons"] = [_reasons(row) for row in rows.to_dict("records")]
    rows = rows.sort_values(["decomposition_energy", "material_id"], kind="stable", na_position="last")
    rows = rows.reset_index(drop=True)
    return rows if limit is None else rows.head(limit)


def _known(one: SetFiles) -> pd.DataFrame:
    """Ids of the set with formula, atoms and, for rejected crystals, the reason; the first of two like ids counts."""
    rows: dict[str, dict[str, Any]] = {}
    for table in (one.crystals, one.relaxed):
        for material_id, numbers in _species(table):
            known = {"formula": reduced_formula(numbers), "n_atoms": len(numbers), "rejected": None}
            rows.setdefault(material_id, known)
    for each in one.rejected:
        why = f"{each.reason}: {each.detail}" if each.detail else each.reason
        rows.setdefault(str(each.material_id), {"formula": None, "n_atoms": None, "rejected": why})
    columns = ("formula", "n_atoms", "rejected")
    frame = pd.DataFrame({name: [row[name] for row in rows.values()] for name in columns}, dtype=object)
    frame.insert(0, "material_id", list(rows))
    return frame


def _species(table: CrystalTable | None) -> list[tuple[str, np.ndarray]]:
    if table is None:
        return []
    numbers, offsets = table.flat_atomic_numbers, table.atom_offsets
    return [(name, numbers[offsets[i] : offsets[i + 1]]) for i, name in enumerate(table.material_ids)]


def _relaxed(table: CrystalTable | None) -> pd.DataFrame:
    if table is None:
        return pd.DataFrame({"material_id": []}).set_index("material_id")
    frame = pd.DataFrame({"material_id": table.material_ids})
    for name in ("converged", "failure"):
        if name in table.property_names:
            frame[name] = table.column(name)
    return _by_id(frame)


def _by_id(frame: pd.DataFrame | None) -> pd.DataFrame:
    if frame is None or "material_id" not in frame:
        return pd.DataFrame({"material_id": []}).set_index("material_id")
    return frame.drop_duplicates("material_id").set_index("material_id")


def _column(frame: pd.DataFrame, name: str, ids: pd.Index) -> pd.Series:
    if name not in frame:
        return pd.Series([None] * len(ids), ids, dtype=object)
    return frame[name].astype(object).reindex(ids)


def _verdict(row: Mapping[str, Any]) -> str:
    if row["rejected"] is not None:
        return "rejected"
    if isinstance(row["failure"], str):
        return "relaxation failed"
    if not row["relaxed"] and not np.isfinite(row["decomposition_energy"]):
        return "not relaxed"
    if row["converged"] is not None and not pd.isna(row["converged"]) and not row["converged"]:
        return "not converged"
    if not np.isfinite(row["decomposition_energy"]):
        return "not judged"
    if row["stable"] is True or below(row["decomposition_energy"]):
        return "stable"
    return "metastable" if row["metastable"] is True else "above the hull"


def _why(row: Mapping[str, Any]) -> str:
    """What led to a verdict that is not on its energy; empty for the others."""
    column = {"rejected": "rejected", "relaxation failed": "failure", "not judged": "not_judged"}.get(row["verdict"])
    text = row[column] if column else None
    return text if isinstance(text, str) else ""


def _reasons(row: Mapping[str, Any]) -> str:
    """All that the stages say about what is wrong with it, one after the other."""
    if row["rejected"] is not None:
        return f"rejected: {row['rejected']}"
    told: list[str] = []
    for column, about in REASONS.items():
        text = row[column]
        implied = column == "not_judged" and row["verdict"] in ("relaxation failed", "not converged")
        if isinstance(text, str) and text and not implied and not any(text in each for each in told):
            told.append(f"{about}: {text}")
    return "; ".join(told)
