"""Sets of generated crystals: tables, what was rejected, and a report of counts; resumable batch by batch."""

import collections
import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from unimat import crystal_stream, crystal_table
from unimat.crystal_table import Crystal, CrystalTable, Rejected, from_crystals
from unimat.errors import CrystalRejected, UserError
from unimat.files import read_json, write_json
from unimat.model.checkpoints import Model, versions
from unimat.model.compact import sampling as compact
from unimat.model.compact.sampling import CompactDecoded
from unimat.model.machine.distributed import any_process, barrier, is_writer
from unimat.model.representation.channels import channel_map
from unimat.model.representation.encoding import checked_crystal
from unimat.model.representation.shards import ContentHash
from unimat.model.representation.tensors import Decoded
from unimat.model.sampling.condition_satisfaction import obedience, obeyed
from unimat.model.sampling.denoising import batch_size, batches_of, denoised_batches
from unimat.model.sampling.requests import Requests, requested_slots, requests_of
from unimat.model.settings import SampleSettings
from unimat.outputs import new_folder, refuse_replacing, whole_folder
from unimat.periodic_table import SYMBOLS
from unimat.settings import as_dict, differences

logger = logging.getLogger("unimat.sample")

FILES = ("rejected.parquet", "sampling.json", "crystals.parquet")  # of a finished set, in the order of writing
UNFINISHED = f".sampling-{'[0-9a-f]' * 16}"  # working folders within that of a set
MADE_OF = "fingerprint"  # key of the report: SHA-256 of all that the set depends on
SHOWN = 3  # settings that differ, in an error
# Counts of a set by what is counted, e.g. ("n_atoms", "8") or ("obeyed", "Si4C4", "same_composition").
Tally = collections.Counter[tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Part:
    """The crystals of one batch, those whose tensor is no crystal, and their counts."""

    crystals: list[Crystal]
    rejected: list[Rejected]
    tally: Tally


def sample(model: Model, settings: SampleSettings) -> tuple[CrystalTable, list[Rejected], dict[str, Any]]:
    """Table of generated crystals, those whose tensor is no crystal, and a report of counts.

    Crystal i is called gen-00000i and depends on the seed and on i alone.

    Raises:
        UserError: as `requests_of`.
    """
    requests = requests_of(settings, model)
    parts = [part for _, part in _parts(model, settings, requests)]
    crystals = [crystal for part in parts for crystal in part.crystals]
    rejected = [row for part in parts for row in part.rejected]
    tally = sum((part.tally for part in parts), Tally())
    return _table(crystals, settings, requests), rejected, _report(tally, model, settings, requests)


def sample_into(model: Model, settings: SampleSettings, out: str | Path, force: bool = False) -> dict[str, Any]:
    """Write `rejected.parquet`, `sampling.json` and, last, `crystals.parquet` into the folder `out`; the report.

    Every batch is kept in a working folder within `out` as soon as it is made, and a call that is repeated after an
    interruption goes on behind the last one. Other settings, another model or another CSV of compositions start anew.
    A set that is finished already is left as it is.

    Args:
        force: replace what is in `out`, whoever made it.

    In a job of several processes (`distributed.connect`) all call this with a folder that all of them see: each makes
    every so many-th batch on its own devices, and process 0 puts them together.

    Raises:
        UserError: as `requests_of`; if `out` holds a finished set of other settings, model or compositions, or files
            that are no set's; if it is not the same folder for all processes.
    """
    requests, out = requests_of(settings, model), Path(out)
    made_of = fingerprint(model, settings, requests)
    if not force:
        if finished := _finished(out, settings, made_of):
            return finished
        refuse_replacing(out, "sample")
    size = batch_size(settings.batch_size, len(requests), jax.local_device_count())
    ranges = ranges_of(model, len(requests), size)
    work = out / f".sampling-{fingerprint(model, settings, requests, size)[:16]}"
    place = lambda indices: work / f"part-{indices.start:08d}"  # noqa: E731
    if is_writer():
        _drop_broken([place(indices) for indices in ranges if place(indices).exists()])
    barrier("unimat: batches that are there are whole")
    done = {indices for indices in ranges if place(indices).exists()}
    if done and is_writer():
        logger.info("going on in %s: %d of %d batches are there", work, len(done), len(ranges))
    mine = set(ranges[jax.process_index() :: jax.process_count()]) - done
    for indices, part in _parts(model, settings, requests, lambda indices: indices not in mine):
        _write_part(part, place(indices), _table(part.crystals, settings, requests))
    barrier("unimat: all crystals are sampled")
    missing = sum(not place(indices).exists() for indices in ranges)
    if any_process(bool(missing)):
        raise UserError(f"{missing} batches of {work} are not seen by every process; --out must be one shared folder")
    folders = [place(indices) for indices in ranges]
    tally = sum((_read_tally(folder) for folder in folders), Tally())
    report = _report(tally, model, settings, requests)
    barrier("unimat: the batches are counted")
    if not is_writer():
        return report
    rejected = (row for folder in folders for row in crystal_table.read_rejected(folder / "rejected.parquet"))
    with whole_folder(out, "sample", last="crystals.parquet", force=force) as new:
        crystal_table.write_rejected(rejected, new / "rejected.parquet")
        write_json(new / "sampling.json", report)
        with crystal_stream.writing(new / "crystals.parquet", _table([], settings, requests)) as writer:
            for folder in folders:
                writer.write(crystal_table.read(folder / "crystals.parquet"))
    for folder in out.glob(UNFINISHED):
        shutil.rmtree(folder)
    return report


def _finished(out: Path, settings: SampleSettings, made_of: str) -> dict[str, Any] | None:
    """Report of the finished set in `out`, if there is one; UserError if it is another one than is asked for."""
    if not all((out / name).is_file() for name in FILES):
        return None
    report = read_json(out / "sampling.json")
    if not isinstance(report, dict):
        return None
    if report.get(MADE_OF) == made_of:
        if is_writer():
            logger.info("the set in %s is finished already; nothing was sampled", out)
        return report
    other = differences(as_dict(settings), report.get("settings") or {})
    why = "; ".join(other[:SHOWN]) or "of another model or other compositions, by its sampling.json"
    raise UserError(
        f"{out} holds a finished set, another one than is asked for ({why}); give --out another folder, or say --force"
        " to replace the set"
    )


def fingerprint(model: Model, settings: SampleSettings, requests: Requests, size: int | None = None) -> str:
    """SHA-256 of all that a batch of `size` depends on; without a size, of all that the set does."""
    digest = hashlib.sha256()
    asked = [requests.formulas, requests.system, dict(requests.properties)]
    chosen = as_dict(settings)
    known = as_dict(model.settings)
    if not model.settings.templates:
        del known["templates"]
    if requests.templates is None:  # sets of before there were any are what they were
        for name in ("templates", "start", "template_jitter", "keep_symmetry"):
            del chosen[name]
    else:
        content = ContentHash()
        content.update(requests.templates)
        chosen["templates"] = content.hexdigest()
    if size is None:  # the same crystals in batches of another size, or asked for by a copy of the list
        del chosen["batch_size"], chosen["compositions"]
    about = [chosen, size, asked, known, model.encoding.to_json()]
    digest.update(json.dumps(about, sort_keys=True).encode())
    for path, value in jax.tree_util.tree_leaves_with_path(model.params):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def _write_part(part: Part, folder: Path, table: CrystalTable) -> None:
    with new_folder(folder) as unfinished:
        crystal_table.write(table, unfinished / "crystals.parquet")
        crystal_table.write_rejected(part.rejected, unfinished / "rejected.parquet")
        write_json(unfinished / "tally.json", {"tally": [[*key, count] for key, count in part.tally.items()]})


def _drop_broken(folders: Iterable[Path]) -> None:
    """Remove the batches that are not what was written, so that they are sampled again."""
    for folder in folders:
        try:
            crystal_table.read(folder / "crystals.parquet")
            crystal_table.read_rejected(folder / "rejected.parquet")
            _read_tally(folder)
        except UserError as error:
            logger.warning("a batch is broken and is sampled again (%s)", error)
            shutil.rmtree(folder)


def _read_tally(folder: Path) -> Tally:
    return Tally({tuple(key): count for *key, count in read_json(folder / "tally.json", ("tally",))["tally"]})


def _table(crystals: list[Crystal], settings: SampleSettings, requests: Requests) -> CrystalTable:
    fields, n = requests.fields, len(requests)
    return from_crystals(crystals, fields=fields, name="generated", n_requested=n, seed=settings.seed, made_by="sample")


def _parts(
    model: Model, settings: SampleSettings, requests: Requests, skip: Callable[[range], bool] | None = None
) -> Iterator[tuple[range, Part]]:
    size = batch_size(settings.batch_size, len(requests), jax.local_device_count())
    if model.settings.network == "compact":
        ranges = ranges_of(model, len(requests), size)
        for indices, crystals in compact.decoded_windows(model, settings, requests, ranges, size, skip):
            yield indices, _part(crystals, indices, requests)
        return
    channels, encoding = channel_map(model.settings), model.encoding
    for indices, state in denoised_batches(model, settings, requests, skip):
        held = np.asarray(requested_slots(requests, np.array(indices), encoding)) if settings.mask_slots else None
        decoded = Decoded(state, encoding, channels, held)
        yield indices, _part(decoded, indices, requests)


def ranges_of(model: Model, n: int, size: int) -> list[range]:
    """Indices of the crystals of each part that is kept when sampling is interrupted."""
    return batches_of(n, size * (compact.WINDOW if model.settings.network == "compact" else 1))


def _part(decoded: Decoded | CompactDecoded, indices: Iterable[int], requests: Requests) -> Part:
    part = Part([], [], Tally())
    part.tally["near_border",] = int(decoded.near_border.sum())
    part.tally["null_read_as_atoms",] = decoded.null_read_as_atoms
    for row, index in enumerate(indices):
        material_id = f"gen-{index:06d}"
        try:
            crystal = checked_crystal(material_id, *decoded.crystal(row))
        except CrystalRejected as error:
            part.rejected.append(Rejected(material_id, "sample", error.reason, error.detail))
            part.tally["rejections", error.reason] += 1
            continue
        part.crystals.append(dataclasses.replace(crystal, properties=requests.row(index)))
        part.tally["n_atoms", str(len(crystal.atomic_numbers))] += 1
        part.tally.update(("elements", SYMBOLS[z - 1]) for z in crystal.atomic_numbers)
        asked = requests.formula(index) or ""
        part.tally.update(("obeyed", asked, name) for name in obeyed(requests, index, crystal.atomic_numbers))
    return part


def _report(tally: Tally, model: Model, settings: SampleSettings, requests: Requests) -> dict[str, Any]:
    n, n_rejected = len(requests), sum(_counts(tally, "rejections").values())
    near_border, slots = tally["near_border",], n * model.encoding.slots * int(model.encoding.element_mask.sum())
    by_number = sorted(_counts(tally, "n_atoms").items(), key=lambda item: int(item[0]))
    report = {
        "n_requested": n,
        "n_crystals": n - n_rejected,
        "n_rejected": n_rejected,
        "rejections": _counts(tally, "rejections"),
        "n_atoms": dict(by_number),
        "elements": _counts(tally, "elements"),
        "settings": as_dict(settings),
        "versions": versions(),
        MADE_OF: fingerprint(model, settings, requests),
    }
    if model.settings.network != "compact":  # which has no null
        report["near_null_border"] = {"count": near_border, "of": slots, "rate": near_border / slots}
    told = {(key[1], key[2]): count for key, count in tally.items() if key[0] == "obeyed"}
    if found := obedience(requests, told):
        report["obeyed"] = found
    if settings.mask_slots:
        report["null_slots_read_as_atoms"] = tally["null_read_as_atoms",]
    return report


def _counts(tally: Tally, kind: str) -> dict[str, int]:
    return {key[1]: tally[key] for key in sorted(tally) if key[0] == kind}
