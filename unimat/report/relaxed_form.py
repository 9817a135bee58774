"""What is known of a set's crystals after relaxation, in the terms of the verdicts before it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from unimat.crystal_table import Crystal, CrystalTable
from unimat.materials.crystals.structures import space_group_number
from unimat.materials.metrics.distributions import properties
from unimat.materials.metrics.settings import MetricsSettings
from unimat.materials.metrics.validity import distances, structure_failure
from unimat.report.run_files import SetFiles

COLUMNS = ["material_id", "valid", "unique", "novel", "spacegroup_number", "density"]


def is_relaxed(one: SetFiles) -> bool:
    """Whether what is shown of a set speaks of relaxed crystals."""
    return one.relaxed is not None or one.stability is not None


def relaxed_form(one: SetFiles) -> pd.DataFrame:
    """A row of `COLUMNS` for each crystal that has a relaxed form; none for one whose relaxation failed.

    Valid is CDVAE's rule of distances and volume on the relaxed structure, and the verdict on the composition, which
    relaxation leaves alone. Unique and novel are of the stability table, missing for crystals that nobody compared.
    """
    judged = _by_id(one.stability)
    if one.relaxed is None:  # its structures are not here
        columns = ["unique", "novel", "spacegroup_number"]
        return judged.reindex(columns=columns).rename_axis("material_id").reset_index().reindex(columns=COLUMNS)
    table = one.relaxed.take(_first_and_sound(one.relaxed))
    ids = pd.Index(table.material_ids)
    found = {name: _of(judged, name, ids) for name in ("unique", "novel")}
    valid, groups = _valid(table, one), _space_groups(table, judged)
    values = {"valid": valid, **found, "spacegroup_number": groups, "density": properties(table)["density"]}
    return pd.DataFrame({"material_id": ids, **values}, dtype=object)[COLUMNS]


def _by_id(frame: pd.DataFrame | None) -> pd.DataFrame:
    if frame is None or "material_id" not in frame:
        return pd.DataFrame({"material_id": []}).set_index("material_id")
    return frame.drop_duplicates("material_id").set_index("material_id")


def _of(frame: pd.DataFrame, name: str, ids: pd.Index) -> np.ndarray:
    """Column of a table by id, None where it has none."""
    return frame.reindex(index=ids, columns=[name])[name].astype(object).to_numpy()


def _first_and_sound(table: CrystalTable) -> np.ndarray:
    """Rows that are the first of their id and whose relaxation did not fail: the others repeat what was generated."""
    first = ~pd.Index(table.material_ids).duplicated()
    if "failure" not in table.property_names:
        return first
    return first & ~np.array([isinstance(each, str) for each in table.column("failure")], bool)


def _valid(table: CrystalTable, one: SetFiles) -> list[bool | None]:
    """None without a verdict on the composition."""
    verdicts = _by_id(one.verdicts)
    composition = _of(verdicts, "composition_valid", pd.Index(table.material_ids))
    settings: Mapping[str, Any] = (one.metrics or {}).get("settings") or {}
    limits = [settings.get(name, getattr(MetricsSettings(), name)) for name in ("min_distance", "min_volume")]
    return [
        None if pd.isna(verdict) else bool(verdict) and _structure_valid(crystal, *limits)
        for crystal, verdict in zip(table, composition, strict=True)
    ]


def _structure_valid(crystal: Crystal, min_distance: float, min_volume: float) -> bool:
    return structure_failure(distances(crystal), min_distance, min_volume, images=False) is None


def _space_groups(table: CrystalTable, judged: pd.DataFrame) -> list[int]:
    """As the stability table has them, else found here; 0 where spglib finds none."""
    if "spacegroup_number" in judged:
        groups = _of(judged, "spacegroup_number", pd.Index(table.material_ids))
        return [0 if pd.isna(each) else int(each) for each in groups]
    return [space_group_number(crystal) for crystal in table]
