"""Tables of shards joined into one, and what became of the relaxations in numbers."""

import collections
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from unimat import crystal_table
from unimat.crystal_table import CrystalTable
from unimat.errors import UserError
from unimat.materials.relax.vasp.custodian_log import in_sum

_NAMED_AT_MOST = 5


def gather_shards(shards: Sequence[CrystalTable], like: CrystalTable) -> CrystalTable:
    """Rows of all `shards` in the order of `like`, whose every id occurs exactly once.

    Raises:
        UserError: if an id of `like` is in no shard, in two, or a shard has a row that `like` does not.
    """
    joined = crystal_table.concatenate(shards)
    index_of = {material_id: index for index, material_id in enumerate(joined.material_ids)}
    wanted = like.material_ids
    _refuse([each for each in wanted if each not in index_of], "in no shard; relax the shard that holds them")
    known = set(wanted)
    _refuse([each for each in index_of if each not in known], "in a shard but not in the set; relax the set again")
    return joined.take(np.array([index_of[material_id] for material_id in wanted], np.int64))


def relaxation_summary(table: CrystalTable, name: str) -> dict[str, Any]:
    """Counts of converged, unconverged and failed relaxations; every rate with its denominator, all rows.

    Raises:
        UserError: if the table has no column that relaxation adds.
    """
    converged = table.column("converged").astype(bool)
    failures = [str(reason).split(":")[0] for reason in table.column("failure") if reason is not None]
    steps = table.column("n_steps").astype(np.float64)
    ran = np.array([reason is None for reason in table.column("failure")], bool) & ~np.isnan(steps)
    n, count = len(table), int(converged.sum())
    return {
        "set": name,
        "n": n,
        "converged": {"count": count, "of": n, "rate": count / n if n else None},
        "unconverged": n - count - len(failures),
        "failed": len(failures),
        "failures": dict(sorted(collections.Counter(failures).items())),
        "mended": _mended(table),
        "engine": table.metadata.get("relax", {}).get("engine"),
        "median_steps": float(np.median(steps[ran])) if ran.any() else None,
    }


def _mended(table: CrystalTable) -> dict[str, Any]:
    """Crystals whose calculation custodian had to mend, and its errors: how often, and in how many crystals."""
    lists = [json.loads(text) for text in table.column("mended") if text] if "mended" in table.property_names else []
    return {"crystals": len(lists), "of": len(table), "errors": in_sum(lists)}


def _refuse(material_ids: list[str], problem: str) -> None:
    if material_ids:
        named = ", ".join(material_ids[:_NAMED_AT_MOST]) + (", ..." if len(material_ids) > _NAMED_AT_MOST else "")
        raise UserError(f"{len(material_ids)} crystals ({named}) are {problem}")
