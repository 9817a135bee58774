"""How often the verdicts of one engine held under another, for crystals of the same ids."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unimat import crystal_table
from unimat.crystal_table import Crystal, CrystalTable
from unimat.errors import UserError
from unimat.files import existing
from unimat.materials.matching import clusters as matching
from unimat.materials.screening.ranks import rank_correlations
from unimat.materials.stability.judged import read_stability, read_summary

VERDICTS = ("stable", "metastable")
NOT_JUDGED = "not judged"
ABOVE = "above"
ENERGY = "decomposition_energy"
FLIPS_TOLD = 20  # in the summary; all are in the table


@dataclasses.dataclass(frozen=True)
class Side:
    """A judged set.

    Attributes:
        stability: a row for each crystal.
        summary: of `unimat hull`.
        relaxed: the relaxed structures, in the same order.
    """

    stability: pd.DataFrame
    summary: dict[str, Any]
    relaxed: CrystalTable

    @property
    def name(self) -> str:
        return str(self.summary["set"])

    @property
    def by(self) -> str:
        """Calculator, and the engine where that has another name."""
        return str(self.summary.get("energy_type", {}).get("calculator", "an unknown calculator"))


def read_side(folder: str | Path) -> Side:
    """The judged set in a folder.

    Raises:
        UserError: if it is not judged, or its files are not of the same crystals.
    """
    folder = existing(folder)
    for name in ("stability.parquet", "stability.json", "relaxed.parquet"):
        if not (folder / name).exists():
            raise UserError(f"{folder} is not judged, {name} is missing; put the set among hull.sets (`unimat hull`)")
    stability, summary = read_stability(folder / "stability.parquet"), read_summary(folder / "stability.json")
    side = Side(stability, summary, crystal_table.read(folder / "relaxed.parquet"))
    if side.relaxed.material_ids != stability["material_id"].tolist():
        raise UserError(f"{folder}: its tables are not of the same crystals; judge the set again")
    return side


def matched(a: Side, b: Side) -> pd.DataFrame:
    """A row for each crystal that is in both sets, in the order of B.

    Returns:
        material_id, formula, and of each side (`_a`, `_b`) decomposition_energy (eV/atom), verdict (stable, metastable,
        above or not judged) and not_judged (why); difference (B minus A, eV/atom), flip (both judged, and not the
        same), same_structure (by StructureMatcher; null unless both converged) and volume_ratio (B to A, per atom).

    Raises:
        UserError: if no crystal is in both.
    """
    frames = [_described(each) for each in (a, b)]
    frame = frames[1].merge(frames[0].drop(columns="formula"), on="material_id", suffixes=("_b", "_a"), validate="1:1")
    if frame.empty and len(b.stability) and len(a.stability):
        raise UserError(
            f"no crystal of {b.name!r} is in {a.name!r}; give two judged sets of which one was screened from the other,"
            " so that their ids are the same"
        )
    both = frame["verdict_a"].ne(NOT_JUDGED) & frame["verdict_b"].ne(NOT_JUDGED)
    frame["difference"] = frame[f"{ENERGY}_b"] - frame[f"{ENERGY}_a"]
    frame["flip"] = both & frame["verdict_a"].ne(frame["verdict_b"])
    order = ["material_id", "formula", *(f"{key}_{side}" for side in "ab" for key in (ENERGY, "verdict", "not_judged"))]
    return _with_structures(frame, a, b)[[*order, "difference", "flip", "same_structure", "volume_ratio"]]


def agreement(frame: pd.DataFrame, a: Side, b: Side) -> dict[str, Any]:
    """Numbers of `matched`, every rate with its denominator; JSON-ready.

    Returns:
        Under `held`, of the crystals stable (metastable, near: either) by A those that are so by B, and under
        `held_back` the reverse; each `of` counts crystals of that verdict in both sets that the other one judged, and
        `not_judged` those that it did not. `energy`: mean and mean absolute difference, B minus A. `ranks`: Spearman's
        and Kendall's correlation within compositions. `structures`: same or not.
    """
    both = frame[frame["difference"].notna()]
    return {
        "a": _about(a),
        "b": _about(b),
        "n_both": {"count": len(frame), "of": len(b.stability)},
        "n_judged_by_both": {"count": len(both), "of": len(frame)},
        "held": {kind: held(frame, kind, "a", "b") for kind in (*VERDICTS, "near")},
        "held_back": {kind: held(frame, kind, "b", "a") for kind in (*VERDICTS, "near")},
        "energy": _differences(both),
        "ranks": rank_correlations(both),
        "structures": _structures(frame),
        "flips": {
            "count": int(frame["flip"].sum()),
            "of": len(both),
            "first": _first_flips(frame),
        },
        "converged": {side: _converged(each, frame) for side, each in (("a", a), ("b", b))},
    }


def held(frame: pd.DataFrame, kind: str, first: str, second: str) -> dict[str, Any]:
    """Of the crystals with a verdict by `first`, how many have it by `second`; `near` is stable or metastable."""
    wanted = VERDICTS if kind == "near" else (kind,)
    said = frame[frame[f"verdict_{first}"].isin(wanted)]
    judged = said[said[f"verdict_{second}"] != NOT_JUDGED]
    count = int(judged[f"verdict_{second}"].isin(wanted).sum())
    return {
        "count": count,
        "of": len(judged),
        "rate": count / len(judged) if len(judged) else None,
        "not_judged": len(said) - len(judged),
    }


def _described(side: Side) -> pd.DataFrame:
    frame = side.stability[["material_id", "formula", ENERGY, "not_judged"]]
    masks = [frame["not_judged"].notna() | frame[ENERGY].isna()]
    masks += [side.stability[kind].astype(bool) for kind in VERDICTS]
    verdict = np.select(masks, [NOT_JUDGED, *VERDICTS], ABOVE)
    return frame.assign(verdict=pd.Series(verdict, frame.index, dtype=object))


def _about(side: Side) -> dict[str, Any]:
    keys = ("set", "reference", "energy_type")
    return {key: side.summary.get(key) for key in keys} | {"by": side.by, "n": len(side.stability)}


def _converged(side: Side, frame: pd.DataFrame) -> dict[str, int]:
    rows = side.stability[side.stability["material_id"].isin(frame["material_id"])]
    return {"count": int(rows["converged"].sum()), "of": len(frame)}


def _differences(both: pd.DataFrame) -> dict[str, Any]:
    """Of B minus A, eV/atom; nulls without a crystal that both judged."""
    difference = both["difference"]
    values = {
        "mean": difference.mean(),
        "mean_absolute": difference.abs().mean(),
        "largest_absolute": difference.abs().max(),
    }
    told = {key: float(value) if len(both) else None for key, value in values.items()}
    return {"n": len(both), "unit": "eV/atom", **told}


def _structures(frame: pd.DataFrame) -> dict[str, Any]:
    same, ratios = frame["same_structure"].dropna(), frame["volume_ratio"].dropna()
    count = int(same.astype(bool).sum())
    return {
        "same": {"count": count, "of": len(same), "rate": count / len(same) if len(same) else None},
        "median_volume_ratio": float(ratios.median()) if len(ratios) else None,
        "method": "pymatgen's StructureMatcher, of relaxed structures of which both converged",
    }


def _first_flips(frame: pd.DataFrame) -> list[dict[str, Any]]:
    keys = ["material_id", "formula", "verdict_a", "verdict_b", f"{ENERGY}_a", f"{ENERGY}_b"]
    rows = frame[frame["flip"]]
    largest = rows.loc[rows["difference"].abs().sort_values(ascending=False, kind="stable").index]
    return largest[keys].head(FLIPS_TOLD).to_dict("records")


def _with_structures(frame: pd.DataFrame, a: Side, b: Side) -> pd.DataFrame:
    """`frame` with same_structure and volume_ratio of the crystals of which both relaxations converged."""
    places = [{each: row for row, each in enumerate(side.relaxed.material_ids)} for side in (a, b)]
    converged = [dict(zip(side.stability["material_id"], side.stability["converged"], strict=True)) for side in (a, b)]
    same: list[bool | None] = []
    ratios: list[float] = []
    for material_id in frame["material_id"]:
        if not all(each[material_id] for each in converged):
            same.append(None)
            ratios.append(np.nan)
            continue
        pair = [_plain(side.relaxed[place[material_id]]) for side, place in zip((a, b), places, strict=True)]
        labels = matching.clusters(pair)
        same.append(labels[0] == labels[1])
        volumes = [abs(np.linalg.det(each.lattice)) / len(each.atomic_numbers) for each in pair]
        ratios.append(volumes[1] / volumes[0])
    return frame.assign(same_structure=pd.array(same, "boolean"), volume_ratio=np.array(ratios, float))


def _plain(crystal: Crystal) -> Crystal:
    return dataclasses.replace(crystal, properties={})
