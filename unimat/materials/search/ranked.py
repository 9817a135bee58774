"""Predicted crystals in order, with what is known of each."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.materials.crystals.structures import space_group_number
from unimat.materials.relax.shard import COLUMNS as RELAXATION
from unimat.materials.search.candidates import OF_TEMPLATE, field
from unimat.materials.stability.decomposition import Hulls
from unimat.materials.stability.hull import SYMMETRY_TOLERANCE, stability_tables
from unimat.materials.stability.settings import HullSettings

FIELDS = (
    field("requested_formula", pa.string(), "reduced formula of what was asked for"),
    field("rank", pa.int32(), "from 1, within the composition"),
    field("source", pa.string(), "substitution, model or random"),
    *OF_TEMPLATE,
    field("known", pa.string(), "material_id of the crystal of the templates that it is the same as"),
    field("spacegroup_number", pa.int16(), f"International number, within {SYMMETRY_TOLERANCE} Å; 0: none found"),
    field("energy_above_lowest", pa.float64(), "over the lowest converged of the composition", "eV/atom"),
    field("e_form_per_atom", pa.float64(), "against the reference", "eV/atom"),
    field("decomposition_energy", pa.float64(), "against the reference", "eV/atom"),
    field("e_above_hull", pa.float64(), "against the reference", "eV/atom"),
)
# eV/atom that a factor e in the votes is worth. Polymorphs differ by less than CHGNet errs: by its lowest energy alone
# far fewer predictions are right than by votes (docs/prediction.md, tests/benchmarks/polymorph_ranking.py).
PER_NAT = 0.1
UNVOTED = 0.01  # share of what no template voted for: samples of a model, random crystals
JUDGED = ("e_form_per_atom", "decomposition_energy", "e_above_hull")


def ranked(
    table: CrystalTable, relaxed: CrystalTable | None, hulls: Mapping[str, Hulls]
) -> tuple[CrystalTable, CrystalTable | None]:
    """The crystals best first within each composition, and as they were before; ids say composition and rank.

    Relaxed ones go by energy less `PER_NAT` for each nat of their share of the votes, then those that did not converge;
    without energies those of templates come first, likeliest first.

    Args:
        table: of candidates, with `FIELDS`. relaxed: the same rows relaxed.
        hulls: none, or one by the name of its reference.
    """
    rows = _rows(table, relaxed)
    for frame in stability_tables(relaxed, hulls, HullSettings()).values() if relaxed is not None else ():
        for name in JUDGED:
            for row, value in zip(rows, frame[name].tolist(), strict=True):
                row[name] = value if np.isfinite(value) else None
    by_composition: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_composition[row["requested_formula"]].append(index)
    order: list[int] = []
    for name, indices in by_composition.items():
        indices.sort(key=lambda index: (_score(rows[index]), rows[index]["template"] is None))
        lowest = min(_energy(rows[index]) for index in indices)
        width = max(2, len(str(len(indices))))
        for rank, index in enumerate(indices, start=1):
            energy = _energy(rows[index])
            rows[index] |= {
                "rank": rank,
                "energy_above_lowest": energy - lowest if np.isfinite(energy) else None,
                "id": f"{name}-{rank:0{width}d}",
            }
        order += indices
    metadata = {key: value for key, value in table.metadata.items() if key != "format"}
    final = _written(relaxed or table, rows, order, metadata | (relaxed.metadata if relaxed is not None else {}))
    return final, None if relaxed is None else _written(table, rows, order, metadata, energies=False)


def _rows(table: CrystalTable, relaxed: CrystalTable | None) -> list[dict[str, Any]]:
    rows = []
    for index, crystal in enumerate(table):
        final = crystal if relaxed is None else relaxed[index]
        after = {} if relaxed is None else final.properties
        group = space_group_number(final, SYMMETRY_TOLERANCE)
        rows.append({**crystal.properties, **after, "spacegroup_number": group})
    return rows


def _score(row: Mapping[str, Any]) -> float:
    """The lower, the likelier."""
    share = row.get("share") or UNVOTED
    return _energy(row) - PER_NAT * math.log(max(share, UNVOTED))


def _energy(row: Mapping[str, Any]) -> float:
    return float(row["energy_per_atom"]) if row.get("converged") else float("inf")


def _written(
    table: CrystalTable, rows: list[dict[str, Any]], order: list[int], metadata: dict[str, Any], energies: bool = True
) -> CrystalTable:
    crystals: list[Crystal] = [
        dataclasses.replace(table[index], material_id=rows[index]["id"], properties=rows[index]) for index in order
    ]
    columns = [field(name, kind, meaning, unit) for name, (kind, unit, meaning) in RELAXATION.items()]
    with_energies = energies and any("converged" in row for row in rows)
    fields = [*FIELDS, *(columns if with_energies else [])]
    found = from_crystals(crystals, fields=fields)
    return found.with_metadata(**{key: value for key, value in metadata.items() if key != "format"})
