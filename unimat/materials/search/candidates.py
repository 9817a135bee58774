"""A set of candidates: for each composition its likeliest crystals by substitution, each with where it comes from.

Every composition takes as many numbers as candidates were asked for. What there is none of is a rejected row.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from unimat.crystal_table import Crystal, CrystalTable, Rejected, from_crystals
from unimat.materials.crystals.lattices import come_closer_than
from unimat.materials.search.compositions import Asked
from unimat.materials.search.settings import SubstitutionSettings
from unimat.materials.search.substitution import Candidate, Substitution, formula_of, moves_text
from unimat.materials.search.templates import Templates
from unimat.periodic_table import SYMBOLS
from unimat.progress import progress
from unimat.settings import as_dict

MIN_DISTANCE = 0.5  # Å, as everywhere
CHECKED_TOGETHER = 500  # crystals


def field(name: str, kind: pa.DataType, description: str, unit: str = "") -> pa.Field:
    """Column of a table, with what it means."""
    return pa.field(name, kind, metadata={"description": description, "unit": unit})


# Where a candidate comes from, and how sure it is.
OF_TEMPLATE = (
    field("template", pa.string(), "material_id of the known crystal"),
    field("moves", pa.string(), "elements of the template -> those in their places"),
    field("distance", pa.float64(), "of the template from the composition; 0 for one of the same elements", "nats"),
    field("chance", pa.float64(), "that it is right, from 0 to 1, measured on templates left out; none of a known one"),
    field("share", pa.float64(), "of the votes of all templates that are for this kind of structure"),
    field("alike", pa.int32(), "templates of this kind among those that vote"),
    field("space_group", pa.int16(), "of the template"),
)
FIELDS = (
    field("requested_formula", pa.string(), "what was asked for; the cell may hold another number of formula units"),
    field("truth_id", pa.string(), "crystal that the composition is of, where one was named"),
    field("rank", pa.int32(), "place among the candidates of the composition, 1 the likeliest"),
    *OF_TEMPLATE,
    field("known", pa.string(), "material_id of the template where no element is exchanged: the crystal is known"),
)


@dataclasses.dataclass(frozen=True)
class _Row:
    """Crystal of one number, before it is checked."""

    crystal: Crystal
    place: str


def predict(
    substitution: Substitution, asked: Sequence[Asked], settings: SubstitutionSettings
) -> tuple[CrystalTable, list[Rejected]]:
    """Table of candidates, and the numbers of which there is none.

    Ids are ``sub-000000``...: candidate r of composition i has the number i * count + r.
    """
    kept: list[Crystal] = []
    rejected: list[Rejected] = []
    rows = _rows(substitution, asked, settings, rejected)
    while chunk := list(itertools.islice(rows, CHECKED_TOGETHER)):
        crystals = [row.crystal for row in chunk]
        close = come_closer_than(
            MIN_DISTANCE, [each.lattice for each in crystals], [each.frac_coords for each in crystals]
        )
        kept += [each for each, bad in zip(crystals, close, strict=True) if not bad]
        rejected += [_overlapping(row) for row, bad in zip(chunk, close, strict=True) if bad]
    rejected.sort(key=lambda row: row.material_id)
    return _table(kept, len(kept) + len(rejected), substitution, settings), rejected


def _rows(
    substitution: Substitution, asked: Sequence[Asked], settings: SubstitutionSettings, rejected: list[Rejected]
) -> Iterator[_Row]:
    """Candidates of all compositions; the numbers without one go into `rejected`."""
    number = 0
    for each in progress(asked, "candidates", len(asked), unit="composition"):
        n = each.count or settings.count
        found, reason, detail = _candidates(substitution, each, n, settings)
        for rank, candidate in enumerate(found):
            yield _Row(_crystal(substitution, candidate, each, number + rank, rank), each.place)
        about = f"{each.formula}: {detail}"
        rejected += [Rejected(_id(number + rank), each.place, reason, about) for rank in range(len(found), n)]
        number += n


def _candidates(
    substitution: Substitution, asked: Asked, n: int, settings: SubstitutionSettings
) -> tuple[list[Candidate], str, str]:
    """Candidates, and why there are no more, as a reason and in words."""
    if asked.reason:
        return [], asked.reason, asked.detail
    if strange := [SYMBOLS[z - 1] for z in asked.counts if not substitution.exchange.vectors[z].any()]:
        return [], "unknown_element", f"no distance of {', '.join(strange)} from other elements is known"
    without = {asked.truth_id} if settings.without_own and asked.truth_id else ()
    found = substitution.candidates(asked.counts, n, settings.any_units, without)
    if not found:
        return [], "no_template", f"none of {len(substitution.templates)} templates has the amounts of this formula"
    return found, "no_further_template", f"{len(found)} candidates are all that the templates give"


def _crystal(substitution: Substitution, candidate: Candidate, asked: Asked, number: int, rank: int) -> Crystal:
    templates = substitution.templates
    template = templates.material_ids[candidate.row]
    same = all(old == new for old, new in candidate.moves.items())
    about = {
        "requested_formula": formula_of(asked.counts),
        "truth_id": asked.truth_id or None,
        "rank": rank + 1,
        "template": template,
        "moves": moves_text(candidate.moves),
        "distance": candidate.distance,
        "chance": candidate.chance,
        "share": candidate.share,
        "alike": candidate.alike,
        "space_group": int(templates.space_groups[candidate.row]),
        "known": template if same else None,
    }
    return dataclasses.replace(substitution.crystal(candidate, _id(number)), properties=about)


def _id(number: int) -> str:
    return f"sub-{number:06d}"


def _overlapping(row: _Row) -> Rejected:
    about = row.crystal.properties
    atoms = f"two atoms of {about['template']} with {about['moves']}"
    detail = f"{about['requested_formula']}: {atoms} lie less than {MIN_DISTANCE} Å apart"
    return Rejected(row.crystal.material_id, row.place, "overlapping_atoms", detail)


def _table(
    crystals: list[Crystal], n_requested: int, substitution: Substitution, settings: SubstitutionSettings
) -> CrystalTable:
    metadata: dict[str, Any] = {
        "name": "substitution",
        "source": f"unimat substitute: elements exchanged in {len(substitution.templates)} known crystals",
        **about_templates(substitution.templates),
        "n_requested": n_requested,
        "settings": as_dict(settings),
    }
    return from_crystals(crystals, fields=FIELDS, **metadata)


def about_templates(templates: Templates) -> dict[str, Any]:
    """What a table's metadata say of the templates that it was made of: which, their licences, whom to cite."""
    about = templates.table.metadata.get("templates", [])
    found: dict[str, Any] = {"templates": about}
    for key in ("licence", "citation"):
        if texts := dict.fromkeys(str(each[key]) for each in about if key in each):
            found[key] = "; ".join(texts)
    return found
