"""Crystals of any form to checked, reduced, split crystal tables."""

import collections
import dataclasses
from pathlib import Path

import numpy as np

from unimat import crystal_table
from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.errors import UserError
from unimat.materials.accept import Checks, outcomes_of
from unimat.materials.ingest_settings import SPLITS, ConvertSettings, IngestSettings
from unimat.materials.sources import Plan, plan_of_path
from unimat.materials.splits import draw_splits
from unimat.materials.structures import chemical_system, reduced_formula


@dataclasses.dataclass(frozen=True)
class Ingested:
    """What ingestion makes of a dataset.

    Attributes:
        tables: crystal table of each split.
        rejected: crystals that cannot be used, with reasons.
        n_read: rows read of each split; the key "" holds rows that came without a split.
        split_method: how the splits came about, in words.
    """

    tables: dict[str, CrystalTable]
    rejected: list[Rejected]
    n_read: dict[str, int]
    split_method: str


def ingest(plan: Plan, settings: IngestSettings) -> Ingested:
    """Crystal tables of `plan`'s sources; crystals that fail a check become rows of the rejected table.

    Ids are unique over all splits: of rows with the same id the first stays.

    Raises:
        UserError: if no crystal can be used, or a given split is asked for and the sources have none.
    """
    checks = Checks(settings.min_distance, settings.max_atoms, settings.elements, settings.reduction == "niggli")
    outcomes = outcomes_of(plan.records(settings.limit), checks, settings.n_processes, "ingest")
    rejected = [outcome.rejected for outcome in outcomes if outcome.rejected]
    accepted = [(outcome.split, outcome.crystal) for outcome in outcomes if outcome.crystal]
    if not accepted:
        raise UserError(_nothing_usable(plan.name, rejected))
    crystals = [crystal for _, crystal in accepted]
    splits, method = _splits([split for split, _ in accepted], crystals, settings)
    rows = {split: np.flatnonzero(np.array(splits) == split) for split in SPLITS}
    return Ingested(
        tables={split: plan.table([crystals[row] for row in rows[split]], split=split) for split in SPLITS},
        rejected=rejected,
        n_read=dict(collections.Counter(outcome.split or "" for outcome in outcomes)),
        split_method=method,
    )


def write_tables(ingested: Ingested, out: Path) -> None:
    """Write each split's table and the rejected table into folder `out`."""
    for split, table in ingested.tables.items():
        crystal_table.write(table, out / f"{split}.parquet")
    crystal_table.write_rejected(ingested.rejected, out / "rejected.parquet")


def read_crystals(path: str | Path, settings: ConvertSettings | None = None) -> tuple[CrystalTable, list[Rejected]]:
    """Crystal table of a file or folder of any readable form, structures as they are, and what could not be used.

    Overlapping atoms are let through by default: whether a set's crystals are valid is for the metrics to say.

    Raises:
        UserError: if nothing can be read, or no crystal can be used.
    """
    settings = settings or ConvertSettings()
    plan = plan_of_path(Path(path), settings)
    outcomes = outcomes_of(plan.records(), Checks(settings.min_distance), settings.n_processes)
    rejected = [outcome.rejected for outcome in outcomes if outcome.rejected]
    crystals = [outcome.crystal for outcome in outcomes if outcome.crystal]
    if not crystals and rejected:
        raise UserError(_nothing_usable(str(path), rejected))
    return plan.table(crystals), rejected


def _nothing_usable(name: str, rejected: list[Rejected]) -> str:
    if not rejected:
        return f"dataset {name}: no rows were read; check the source"
    reasons = collections.Counter(row.reason for row in rejected).most_common()
    counts = ", ".join(f"{reason} {count}" for reason, count in reasons)
    first = f"{rejected[0].source}: {rejected[0].detail}"
    return f"dataset {name}: none of {len(rejected)} rows can be used ({counts}); look at the first, {first}"


def _splits(given: list[str | None], crystals: list[Crystal], settings: IngestSettings) -> tuple[list[str], str]:
    wanted = settings.split
    n_given = sum(split is not None for split in given)
    if wanted.kind == "given" or (wanted.kind == "auto" and n_given):
        if n_given < len(given):
            raise UserError(
                f"dataset {settings.name}: {len(given) - n_given} of {len(given)} crystals have no split of their own; "
                "give a source for each split, or set split.kind to fractions"
            )
        return [split for split in given if split], "given by the source"
    groups = _groups(crystals, wanted.group_by)
    method = f"drawn by seed {wanted.seed}, fractions {' : '.join(f'{share:g}' for share in wanted.fractions)}"
    if groups is not None:
        method += f", crystals of one {wanted.group_by.replace('_', ' ')} kept together"
    return draw_splits(len(crystals), wanted.fractions, wanted.seed, groups), method


def _groups(crystals: list[Crystal], group_by: str) -> list[str] | None:
    if group_by == "none":
        return None
    name = reduced_formula if group_by == "reduced_formula" else chemical_system
    return [name(crystal.atomic_numbers) for crystal in crystals]
