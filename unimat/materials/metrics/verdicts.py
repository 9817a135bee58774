"""One verdict per crystal: the table that every rate is counted from."""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import spglib
from pymatgen.core import Composition
from tqdm import tqdm

from unimat.crystal_table import Crystal, CrystalTable
from unimat.materials.matching import clusters, matches_known
from unimat.materials.metrics import distributions, validity
from unimat.materials.metrics_settings import MetricsSettings

SCHEMA = pa.schema(
    [
        pa.field("material_id", pa.string(), nullable=False),
        pa.field("formula", pa.string(), nullable=False),
        pa.field("n_atoms", pa.int64(), nullable=False),
        pa.field("n_elements", pa.int64(), nullable=False),
        pa.field("density", pa.float64(), metadata={"unit": "g/cm^3"}),
        pa.field("volume_per_atom", pa.float64(), metadata={"unit": "Å^3"}),
        pa.field("spacegroup_number", pa.int64(), metadata={"description": "null where spglib finds none"}),
        pa.field("shortest_distance", pa.float64(), metadata={"unit": "Å", "description": "own images included"}),
        pa.field("structure_valid", pa.bool_(), nullable=False, metadata={"description": "CDVAE's rule"}),
        pa.field("structure_valid_strict", pa.bool_(), nullable=False, metadata={"description": "own images too"}),
        pa.field("composition_valid", pa.bool_(), nullable=False),
        pa.field("valid", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), metadata={"description": "why it is not valid"}),
        pa.field("cluster", pa.int64(), nullable=False, metadata={"description": "crystals that match one another"}),
        pa.field("unique", pa.bool_(), nullable=False, metadata={"description": "first of its cluster"}),
        pa.field("novel", pa.bool_(), metadata={"description": "matches no known crystal; null if none were given"}),
        pa.field("matched_id", pa.string(), metadata={"description": "first known crystal that it matches"}),
    ]
)


def verdicts(
    crystals: CrystalTable,
    known: CrystalTable | None,
    fingerprint_failures: Sequence[str | None],
    settings: MetricsSettings,
) -> pa.Table:
    """A row of `SCHEMA` for each crystal.

    Args:
        known: crystals that make one not novel, usually the training split.
        fingerprint_failures: reason per crystal, None where there is a fingerprint or none was asked for; a crystal
            that failed is not valid, in CDVAE's rule and here.
    """
    rows = list(crystals)
    judged = [_judge(crystal, settings) for crystal in tqdm(rows, desc="validity", disable=None)]
    found = distributions.properties(crystals)
    for row, failure, values in zip(judged, fingerprint_failures, zip(*found.values(), strict=True), strict=True):
        row.update({name: value.item() for name, value in zip(found, values, strict=True)})
        if failure is not None:
            row["reasons"].append(f"fingerprint: {failure}")
    groups = clusters(rows, settings.matcher)
    matched = matches_known(rows, known, settings.matcher) if known is not None else [None] * len(rows)
    seen: set[int] = set()
    for row, group, match in zip(judged, groups, matched, strict=True):
        reasons = row.pop("reasons")
        row.update(valid=not reasons, reason="; ".join(reasons) or None)
        row.update(cluster=group, unique=group not in seen, matched_id=match)
        row["novel"] = None if known is None else match is None
        seen.add(group)
    return pa.Table.from_pylist(judged, schema=SCHEMA)


def _judge(crystal: Crystal, settings: MetricsSettings) -> dict:
    numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
    composition = Composition(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
    found = validity.distances(crystal)
    limits = (settings.min_distance, settings.min_volume)
    structure = validity.structure_failure(found, *limits, images=False)
    strict = validity.structure_failure(found, *limits, images=True)
    charges = validity.composition_failure(composition, settings.oxidation_states)
    reasons = [f"{what}: {why}" for what, why in (("structure", structure), ("composition", charges)) if why]
    return {
        "material_id": crystal.material_id,
        "formula": _formula(composition),
        "spacegroup_number": spacegroup_number(crystal, settings.symprec),
        "shortest_distance": min(found.between_atoms, found.own_image),
        "structure_valid": structure is None,
        "structure_valid_strict": strict is None,
        "composition_valid": charges is None,
        "reasons": reasons,
    }


def _formula(composition: Composition) -> str:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No Pauling electronegativity")  # noble gases; it only orders the symbols
        return composition.reduced_formula


def spacegroup_number(crystal: Crystal, symprec: float) -> int | None:
    """International number of the space group that spglib finds within `symprec` (Å); None if it finds none."""
    cell: Any = (crystal.lattice, crystal.frac_coords, crystal.atomic_numbers)
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # else its C code prints to stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of spglib's own error handling
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
        except spglib.error.SpglibError:
            return None
    return None if dataset is None else int(dataset.number)
