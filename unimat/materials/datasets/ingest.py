"""Crystals of any form to checked, reduced, split crystal tables, in bounded memory.

Crystals stream through the checks into one scratch table; what is kept of each in memory is its id, its split and the
key of its group. Once all are known the splits are drawn, and a second pass deals the crystals out to their tables.
"""

import collections
import contextlib
import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from unimat import crystal_table
from unimat.crystal_stream import batches, writing
from unimat.crystal_table import CrystalTable, Rejected
from unimat.errors import UserError
from unimat.materials.crystals.compositions import chemical_system_keys, reduced_composition_keys
from unimat.materials.datasets.accept import Checks, chunks_of
from unimat.materials.datasets.plan import Plan
from unimat.materials.datasets.settings import SPLITS, ConvertSettings, IngestSettings
from unimat.materials.datasets.sources import plan_of_path
from unimat.materials.datasets.splits import draw_splits, move_val_to_train
from unimat.outputs import whole_folder

_NOT_GIVEN = -1


@dataclasses.dataclass(frozen=True)
class Ingested:
    """What ingestion made of a dataset.

    Attributes:
        tables: file of the crystal table of each split.
        n: crystals of each split.
        rejected: crystals that cannot be used, with reasons.
        n_read: rows read of each split; the key "" holds rows that came without a split.
        split_method: how the splits came about, in words.
    """

    tables: dict[str, Path]
    n: dict[str, int]
    rejected: list[Rejected]
    n_read: dict[str, int]
    split_method: str


def ingest(plan: Plan, settings: IngestSettings, out: Path, n_processes: int = 1) -> Ingested:
    """Write train.parquet, val.parquet, test.parquet and rejected.parquet of `plan`'s sources into folder `out`.

    Ids are unique over all splits: of rows with the same id the first stays.

    Raises:
        UserError: if no crystal can be used, a split that the sources give is empty, or a given split is asked for
            and the sources have none; as `outputs.whole_folder`.
    """
    checks = Checks(
        settings.min_distance,
        settings.max_atoms,
        settings.elements,
        settings.reduction,
        settings.symmetry_tolerance,
        plan.fields,
    )
    with (
        whole_folder(out, "ingest", last="train.parquet") as new,
        tempfile.TemporaryDirectory(dir=new.parent) as scratch,
    ):
        accepted = Path(scratch) / "accepted.parquet"
        given, groups, rejected, n_read = _accept(plan, settings, checks, n_processes, accepted)
        if not len(given):
            raise UserError(_nothing_usable(plan.name, rejected))
        splits, method = _with_val_moved(*_splits(given, groups, settings), settings)
        _refuse_empty(plan, splits, n_read)
        _deal(accepted, splits, plan, new)
        crystal_table.write_rejected(rejected, new / "rejected.parquet")
    n = {split: int((splits == index).sum()) for index, split in enumerate(SPLITS)}
    return Ingested({split: out / f"{split}.parquet" for split in SPLITS}, n, rejected, dict(n_read), method)


def read_crystals(
    path: str | Path, settings: ConvertSettings | None = None, n_processes: int = 1
) -> tuple[CrystalTable, list[Rejected]]:
    """Crystal table of a file or folder of any readable form, structures as they are, and what could not be used.

    Overlapping atoms are let through by default: whether a set's crystals are valid is for the metrics to say.

    Raises:
        UserError: if nothing can be read, or no crystal can be used.
    """
    settings = settings or ConvertSettings()
    plan = plan_of_path(Path(path), settings)
    chunks = list(chunks_of(plan.records(), Checks(settings.min_distance, fields=plan.fields), n_processes))
    rejected = [row for chunk in chunks for row in chunk.rejected]
    if not any(len(chunk.table) for chunk in chunks) and rejected:
        raise UserError(_nothing_usable(str(path), rejected))
    return crystal_table.concatenate([chunk.table for chunk in chunks]).with_metadata(**plan.metadata), rejected


def _accept(
    plan: Plan, settings: IngestSettings, checks: Checks, n_processes: int, path: Path
) -> tuple[np.ndarray, np.ndarray | None, list[Rejected], collections.Counter[str]]:
    """Write all usable crystals to `path`; given split and group of each, rejected rows, rows read by split."""
    keys_of = {"reduced_formula": reduced_composition_keys, "chemical_system": chemical_system_keys}
    find = keys_of.get(settings.split.group_by)
    given, groups, rejected, n_read = [], [], [], collections.Counter[str]()
    with writing(path, plan.empty_table(), compression="lz4") as writer:  # read once and thrown away
        for chunk in chunks_of(plan.records(settings.limit), checks, n_processes, "ingest"):
            writer.write(chunk.table)
            given += [SPLITS.index(split) if split else _NOT_GIVEN for split in chunk.splits]
            groups += [find(chunk.table)] if find else []
            rejected += chunk.rejected
            n_read += chunk.n_read
    joined = np.concatenate([np.zeros(0, np.uint64), *groups]) if find else None
    return np.array(given, np.int8), joined, rejected, n_read


def _deal(accepted: Path, splits: np.ndarray, plan: Plan, folder: Path) -> None:
    """Write each crystal of `accepted` to the table of its split, in order."""
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(writing(folder / f"{split}.parquet", plan.empty_table(split=split))) for split in SPLITS
        ]
        start = 0
        for batch in batches(accepted):
            here = splits[start : start + len(batch)]
            start += len(batch)
            for index, writer in enumerate(writers):
                writer.write(batch.take(here == index))


def _nothing_usable(name: str, rejected: list[Rejected]) -> str:
    if not rejected:
        return f"dataset {name}: no rows were read; check the source"
    reasons = collections.Counter(row.reason for row in rejected).most_common()
    counts = ", ".join(f"{reason} {count}" for reason, count in reasons)
    first = f"{rejected[0].source}: {rejected[0].detail}"
    return f"dataset {name}: none of {len(rejected)} rows can be used ({counts}); look at the first, {first}"


def _splits(given: np.ndarray, groups: np.ndarray | None, settings: IngestSettings) -> tuple[np.ndarray, str]:
    """Index into SPLITS of each crystal, and how it came about."""
    wanted = settings.split
    n_given = int((given != _NOT_GIVEN).sum())
    if wanted.kind == "given" or (wanted.kind == "auto" and n_given):
        if n_given < len(given):
            raise UserError(
                f"dataset {settings.name}: {len(given) - n_given} of {len(given)} crystals have no split of their own; "
                "give a source for each split, or set split.kind to fractions"
            )
        return given, "given by the source"
    method = f"drawn by seed {wanted.seed}, fractions {' : '.join(f'{share:g}' for share in wanted.fractions)}"
    if groups is not None:
        method += f", crystals of one {wanted.group_by.replace('_', ' ')} kept together"
    return draw_splits(len(given), wanted.fractions, wanted.seed, groups), method


def _with_val_moved(splits: np.ndarray, method: str, settings: IngestSettings) -> tuple[np.ndarray, str]:
    """`splits` with the part of val that `split.keep_val` gives to train, and the method with that said."""
    keep = settings.split.keep_val
    if keep is None:
        return splits, method
    n_val = int((splits == SPLITS.index("val")).sum())
    if n_val <= keep:
        raise UserError(
            f"dataset {settings.name}: split.keep_val keeps {keep} crystals, and val has {n_val}; give a smaller number"
        )
    said = (
        f"{method}, then {n_val - keep} of {n_val} crystals of val put into train (drawn by seed {settings.split.seed})"
        f" and {keep} left; test as it was. A number on the source's whole val split is one on training data"
    )
    return move_val_to_train(splits, keep, settings.split.seed), said


def _refuse_empty(plan: Plan, splits: np.ndarray, n_read: collections.Counter[str]) -> None:
    """UserError on a training split without crystals, or a source's own split of which nothing is left."""
    for index, split in enumerate(SPLITS):
        given = any(source.split == split for source in plan.sources)
        if (split == "train" or given) and not (splits == index).any():
            raise UserError(
                f"dataset {plan.name}: the {split} split has no usable crystal ({n_read[split]} rows were read for it);"
                " check its source, or set split.kind to fractions"
            )
