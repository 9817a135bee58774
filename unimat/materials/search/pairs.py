"""Crystals with templates, for a network that is to learn what a substitution leaves to be moved.

Each crystal is predicted as if it were not known: from templates of a library without itself. Other crystals of its
composition stay in the library, since a crystal of a random test split meets such templates as often.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.materials.search.alignment import aligned
from unimat.materials.search.substitution import Candidate, Substitution
from unimat.progress import progress

FIRST = 2  # templates of each crystal that are its likeliest; the others are drawn
CANDIDATES = 20  # of which they are drawn
FIELDS = (
    pa.field("template_lattice", pa.list_(pa.float64()), metadata={"unit": "Å"}),
    pa.field("template_coords", pa.list_(pa.float64()), metadata={"description": "fractional, in the crystal's order"}),
    pa.field(
        "template_species",
        pa.list_(pa.int16()),
        metadata={"description": "atomic numbers before the exchange, in the crystal's order"},
    ),
    pa.field("template_distance", pa.float64(), metadata={"unit": "nats", "description": "of the substitution"}),
    pa.field("template_id", pa.string(), metadata={"description": "material_id of the known crystal"}),
)


def with_templates(
    crystals: Sequence[Crystal] | CrystalTable, substitution: Substitution, per_crystal: int = 4, seed: int = 0
) -> CrystalTable:
    """Table of `per_crystal` rows for each crystal, each in the setting of a template (`alignment.aligned`).

    Rows of a crystal are called ID-0, ID-1, ... Where it has fewer templates, they come again; where it has none of its
    number of atoms, its rows have none, and the crystal stays as it is.
    """
    rng = np.random.default_rng(seed)
    rows = [
        row
        for each in progress(crystals, "pairs", len(crystals))
        for row in _rows(each, substitution, per_crystal, rng)
    ]
    return from_crystals(rows, fields=FIELDS, name="pairs")


def _rows(crystal: Crystal, substitution: Substitution, n: int, rng: np.random.Generator) -> Iterator[Crystal]:
    chosen = _chosen(crystal, substitution, n, rng)
    made = [_paired(crystal, substitution.crystal(each, crystal.material_id), each, substitution) for each in chosen]
    none = Crystal(
        crystal.material_id,
        crystal.lattice,
        crystal.atomic_numbers,
        crystal.frac_coords,
        {field.name: None for field in FIELDS},
    )
    for number in range(n):
        row = made[number % len(made)] if made else none
        yield Crystal(
            f"{crystal.material_id}-{number}", row.lattice, row.atomic_numbers, row.frac_coords, row.properties
        )


def _chosen(crystal: Crystal, substitution: Substitution, n: int, rng: np.random.Generator) -> list[Candidate]:
    """The likeliest candidates of the crystal's cell, and others at random."""
    numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
    wanted = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    found = substitution.candidates(wanted, CANDIDATES, without={crystal.material_id})
    units = int(np.gcd.reduce(counts))
    alike = [each for each in found if each.units == units]
    others = FIRST + rng.permutation(max(len(alike) - FIRST, 0))[: max(n - FIRST, 0)]
    return [*alike[: min(FIRST, n)], *(alike[at] for at in others.tolist())]


def _paired(crystal: Crystal, template: Crystal, candidate: Candidate, substitution: Substitution) -> Crystal:
    found = aligned(crystal, template).crystal
    about: dict[str, Any] = {
        "template_lattice": template.lattice.ravel().tolist(),
        "template_coords": template.frac_coords.ravel().tolist(),
        "template_species": substitution.templates.table[candidate.row].atomic_numbers.tolist(),
        "template_distance": candidate.distance,
        "template_id": substitution.templates.material_ids[candidate.row],
    }
    return Crystal(crystal.material_id, found.lattice, found.atomic_numbers, found.frac_coords, about)
