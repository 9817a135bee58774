"""One verdict per crystal: the table that every rate is counted from."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.materials.crystals.structures import reduced_formula
from unimat.materials.matching.average_minimum_distance import nearest_distances
from unimat.materials.matching.clusters import clusters, matches_known
from unimat.materials.matching.comparer import Problems
from unimat.materials.metrics import distributions, validity
from unimat.materials.metrics.fingerprints.magpie import reduced
from unimat.materials.metrics.geometry import geometry
from unimat.materials.metrics.settings import MetricsSettings
from unimat.progress import progress


def _field(name: str, kind: pa.DataType, description: str = "", unit: str = "", nullable: bool = True) -> pa.Field:
    metadata = {key: value for key, value in (("unit", unit), ("description", description)) if value}
    return pa.field(name, kind, nullable, metadata)


_REJECTED = "null for a rejected crystal"
SCHEMA = pa.schema(
    [
        _field("material_id", pa.string(), nullable=False),
        _field("formula", pa.string(), _REJECTED),
        _field("n_atoms", pa.int64(), _REJECTED),
        _field("n_elements", pa.int64(), _REJECTED),
        _field("density", pa.float64(), unit="g/cm^3"),
        _field("volume_per_atom", pa.float64(), unit="Å^3"),
        _field("spacegroup_number", pa.int64(), "null where spglib finds none"),
        _field("shortest_distance", pa.float64(), "own images included", "Å"),
        _field("structure_valid", pa.bool_(), "CDVAE's rule", nullable=False),
        _field("composition_valid", pa.bool_(), "SMACT by the legacy list", nullable=False),
        _field("valid", pa.bool_(), "CDVAE's: both of these, and a fingerprint", nullable=False),
        _field("reason", pa.string(), "why it is not valid"),
        _field("structure_valid_strict", pa.bool_(), "own images too", nullable=False),
        _field("smact_valid_strict", pa.bool_(), "SMACT by its current list", nullable=False),
        _field("charge_balanced", pa.bool_(), "by usual oxidation states, mixed valences too", nullable=False),
        _field("composition_valid_strict", pa.bool_(), "both of these", nullable=False),
        _field("valid_strict", pa.bool_(), "strict structure and composition", nullable=False),
        _field("reason_strict", pa.string(), "why it is not valid in the strict mode"),
        _field("fingerprint_failure", pa.string(), "why it has no fingerprint, and so covers nothing"),
        _field("nearest_structure", pa.float64(), "fingerprint distance to the nearest reference crystal"),
        _field("nearest_composition", pa.float64(), "the same of the composition, maybe of another crystal"),
        _field("covered", pa.bool_(), "CDVAE's: both within the cut-offs; null outside the draw"),
        _field("covered_strict", pa.bool_(), "one reference crystal within both cut-offs"),
        _field("energy_per_atom", pa.float64(), "of the predictor that the summary names", "eV/atom"),
        _field("energy_failure", pa.string(), "why it has no energy; null also if none was asked for"),
        _field("cluster", pa.int64(), "crystals that match one another; null for a rejected one and outside the draw"),
        _field("unique", pa.bool_(), "first of its cluster; null outside the draw"),
        _field("novel", pa.bool_(), "matches no known crystal; null if none were given, and outside the draw"),
        _field("matched_id", pa.string(), "first known crystal that it matches"),
        _field("amd_nearest_in_set", pa.float64(), "AMD distance to the nearest other of its composition", "Å"),
        _field("amd_nearest_known", pa.float64(), "the same to the nearest known crystal", "Å"),
    ]
)
FLAGS = tuple(field.name for field in SCHEMA if pa.types.is_boolean(field.type))


@dataclasses.dataclass(frozen=True)
class Work:
    """How to compute: processes, cache, and seconds for one crystal; and what went wrong with the matching."""

    processes: int = 1
    cache: str | Path | None = None
    max_seconds: float = 60.0
    problems: Problems = dataclasses.field(default_factory=Problems)


def verdicts(
    crystals: CrystalTable,
    known: Sequence[Crystal] | CrystalTable | None,
    fingerprint_failures: Sequence[str | None],
    settings: MetricsSettings,
    rejected: Sequence[Rejected] = (),
    work: Work | None = None,
    drawn: np.ndarray | None = None,
) -> pa.Table:
    """A row of `SCHEMA` for each crystal, then one for each rejected one; distances and energies are still null.

    Args:
        known: crystals that make one not novel, usually the training split.
        fingerprint_failures: reason per crystal, None where there is a fingerprint or none was asked for; a crystal
            that failed is not valid by CDVAE's rule.
        rejected: crystals that could not be built: neither valid nor unique nor novel.
        drawn: rising indices of the crystals whose uniqueness and novelty are judged; None: of all.
    """
    rows, work = list(crystals), work or Work()
    judged = judge(rows, settings, fingerprint_failures, work, settings.symprec)
    found = distributions.properties(crystals)
    spread: dict[str, Any] = {"processes": work.processes, "cache": work.cache}
    matching: dict[str, Any] = {**spread, "max_seconds": work.max_seconds, "problems": work.problems}
    asked = range(len(rows)) if drawn is None else drawn.tolist()
    some = [rows[row] for row in asked]
    groups = dict(zip(asked, clusters(some, settings.matcher, **matching), strict=True))
    ids = [None] * len(some) if known is None else matches_known(some, known, settings.matcher, **matching)
    matched = dict(zip(asked, ids, strict=True))
    distances = nearest_distances(rows, known, **spread)
    seen: set[int] = set()
    for index, row in enumerate(judged):
        row.update({name: values[index].item() for name, values in found.items()})
        row.update({name: None if np.isnan(values[index]) else values[index] for name, values in distances.items()})
        row["formula"] = reduced_formula(rows[index].atomic_numbers)
        if index not in groups:
            continue
        group, match = groups[index], matched[index]
        row.update(cluster=group, unique=group not in seen, matched_id=match)
        row["novel"] = None if known is None else match is None
        seen.add(group)
    judged += [_of_rejected(each, known is not None) for each in rejected]
    return pa.Table.from_pylist(judged, schema=SCHEMA)


def judge(
    crystals: Sequence[Crystal],
    settings: MetricsSettings,
    fingerprint_failures: Sequence[str | None],
    work: Work,
    symprec: float | None = None,
    description: str = "validity",
) -> list[dict[str, Any]]:
    """Validity of each crystal in both modes, with the reasons, as part of a row of `SCHEMA`.

    Args:
        symprec: of the space group, Å; None leaves it out.
    """
    shapes = geometry(crystals, symprec, work.processes, work.cache, work.max_seconds, description)
    rows = zip(progress(crystals, "verdicts", unit="crystal"), shapes, fingerprint_failures, strict=True)
    return [_judged(crystal, shape, failure, settings) for crystal, shape, failure in rows]


def _judged(
    crystal: Crystal, shape: dict[str, Any], fingerprint_failure: str | None, settings: MetricsSettings
) -> dict[str, Any]:
    formula = reduced(crystal.atomic_numbers)
    reasons = {
        "structure": _structure_failure(shape, settings, images=False),
        "composition": validity.formula_failure(formula, settings.oxidation_states),
        "fingerprint": fingerprint_failure,
    }
    strict = {
        "structure": _structure_failure(shape, settings, images=True),
        "composition": validity.formula_failure(formula, settings.strict_oxidation_states),
        "charge": validity.charge_failure(crystal.atomic_numbers),
    }
    return {
        "material_id": crystal.material_id,
        "spacegroup_number": shape["spacegroup_number"],
        "shortest_distance": float(np.fmin(shape["between_atoms"], shape["own_image"])),
        "structure_valid": reasons["structure"] is None,
        "composition_valid": reasons["composition"] is None,
        "valid": not any(reasons.values()),
        "reason": _told(reasons),
        "structure_valid_strict": strict["structure"] is None,
        "smact_valid_strict": strict["composition"] is None,
        "charge_balanced": strict["charge"] is None,
        "composition_valid_strict": strict["composition"] is None and strict["charge"] is None,
        "valid_strict": not any(strict.values()),
        "reason_strict": _told(strict),
        "fingerprint_failure": fingerprint_failure,
    }


def _structure_failure(shape: dict[str, Any], settings: MetricsSettings, *, images: bool) -> str | None:
    if shape["failure"]:
        return f"not measured, {shape['failure']}"
    found = validity.Distances(shape["between_atoms"], shape["own_image"], shape["volume"])
    return validity.structure_failure(found, settings.min_distance, settings.min_volume, images=images)


def _of_rejected(rejected: Rejected, with_novelty: bool) -> dict[str, Any]:
    reason = f"rejected: {rejected.reason} ({rejected.detail})"
    row: dict[str, Any] = dict.fromkeys(FLAGS, False)
    row.update(material_id=rejected.material_id, reason=reason, reason_strict=reason, fingerprint_failure=reason)
    return row | {"novel": False if with_novelty else None}


def _told(reasons: dict[str, str | None]) -> str | None:
    return "; ".join(f"{what}: {why}" for what, why in reasons.items() if why) or None
