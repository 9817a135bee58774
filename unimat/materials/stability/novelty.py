"""Which crystals near the hull are unique in their set and unknown to tables of known crystals."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unimat.crystal_table import Crystal, CrystalTable
from unimat.materials.matching import clusters as matching
from unimat.materials.matching.comparer import Problems
from unimat.materials.metrics.settings import matcher_settings
from unimat.materials.stability.hull_tolerance import below
from unimat.materials.stability.settings import HullSettings


@dataclasses.dataclass(frozen=True)
class Novelty:
    """Answers about the crystals near the hull.

    Attributes:
        unique, novel: (m,) nullable booleans; null for crystals that were not looked at, and `novel` for all without a
            table of known crystals.
        known_id: (m,) first known crystal that each matches; null for none.
        summary: settings and counts, JSON-ready.
    """

    unique: pd.Series
    novel: pd.Series
    known_id: pd.Series
    summary: dict[str, Any]

    def added_to(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A stability table of the same crystals with columns `unique`, `novel` and `known_id`."""
        return frame.assign(unique=self.unique, novel=self.novel, known_id=self.known_id)


def novelty(
    frames: Sequence[pd.DataFrame],
    table: CrystalTable,
    known: Mapping[str, CrystalTable],
    settings: HullSettings,
    *,
    processes: int = 1,
    cache: str | Path | None = None,
) -> Novelty:
    """Uniqueness and novelty of the crystals that come near the hull of at least one reference.

    Of crystals that are the same, the lowest in energy is the unique one, of equals that with the first id: so the
    counts of stable unique crystals do not hang on the order of rows, nor on the number of processes.

    Args:
        frames: stability tables of `table`, one for each reference; crystals with E_d below `settings.match_below` in
            one of them are looked at.
        known: tables of known crystals by name.
        processes, cache: as in `matching.clusters`.
    """
    near = np.flatnonzero(
        np.any([below(each["decomposition_energy"], settings.match_below) for each in frames], axis=0)
    )
    crystals = [table[int(index)] for index in near]
    problems = Problems()
    options: dict[str, Any] = {
        "matcher": settings.matcher,
        "processes": processes,
        "cache": cache,
        "max_seconds": settings.max_seconds,
        "problems": problems,
    }
    labels = matching.clusters(crystals, **options)
    unique = pd.Series(pd.NA, index=frames[0].index, dtype="boolean")
    novel, known_ids = unique.copy(), dict[int, str | None]()
    unique.iloc[near] = _lowest_of_each(labels, frames[0].iloc[near])
    if known:
        everything: list[Crystal] = [crystal for each in known.values() for crystal in each]
        matches = matching.matches_known(crystals, everything, **options)
        novel.iloc[near] = [match is None for match in matches]
        known_ids = dict(zip(near.tolist(), matches, strict=True))
    known_id = pd.Series([known_ids.get(row) for row in range(len(table))], frames[0].index, dtype=object)
    return Novelty(unique, novel, known_id, {
        "matched": {"count": len(near), "of": len(table)},
        "match_below": settings.match_below,
        "matcher": dataclasses.asdict(matcher_settings(settings.matcher)),
        "max_seconds": settings.max_seconds,
        "known": {name: len(each) for name, each in known.items()},
        "known_tables": described(known),
        "problems": {key: len(value) for key, value in dataclasses.asdict(problems).items()},
    })  # fmt: skip


def described(known: Mapping[str, CrystalTable]) -> list[dict[str, Any]]:
    """Path, dataset, source, split (null where a table does not say) and number of crystals of each, JSON-ready."""
    return [
        {"path": path, **{key: each.metadata.get(key) for key in ("name", "source", "split")}, "n": len(each)}
        for path, each in known.items()
    ]


def with_novelty(
    frame: pd.DataFrame, table: CrystalTable, known: CrystalTable | None, settings: HullSettings
) -> pd.DataFrame:
    """The stability table with the columns of `novelty`, for one reference."""
    return novelty([frame], table, {} if known is None else {"known": known}, settings).added_to(frame)


def _lowest_of_each(labels: list[int], frame: pd.DataFrame) -> list[bool]:
    """Whether each row is the first of its label by energy, then by id."""
    rows = frame.assign(label=labels, place=np.arange(len(labels)))
    first = rows.sort_values(["energy_per_atom", "material_id"]).drop_duplicates("label")["place"]
    return np.isin(np.arange(len(labels)), first).tolist()
