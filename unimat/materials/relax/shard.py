"""Relaxing one shard of a set: each crystal's result is on disk when it is done, and is never computed again."""

import contextlib
import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.errors import CrystalRejected, UserError
from unimat.materials.crystals.corrections import MP2020
from unimat.materials.crystals.structures import check_crystal, from_structure, to_structure
from unimat.materials.relax import mp2020
from unimat.materials.relax.engine import Engine, Relaxation, energy_type_of, make_engine
from unimat.materials.relax.force_fields.known import FORCE_FIELDS
from unimat.materials.relax.jobs.context import labelled, recording, send_unsent
from unimat.materials.relax.journal import Cache, Journal
from unimat.materials.relax.relaxation_key import content_key, settings_text
from unimat.materials.relax.settings import RelaxSettings
from unimat.progress import progress
from unimat.settings import as_dict

log = logging.getLogger("unimat.relax")

COLUMNS = {  # name: type, unit, meaning
    "converged": (pa.bool_(), "", "forces and stress fell below fmax within max_steps"),
    "n_steps": (pa.int64(), "", "ionic steps taken"),
    "fmax": (pa.float64(), "eV/Å", "largest force on an atom after the last step"),
    "energy_per_atom": (pa.float64(), "eV/atom", "total energy of the engine named in the table's metadata"),
    "initial_energy_per_atom": (pa.float64(), "eV/atom", "the same before the first step"),
    "correction_per_atom": (pa.float64(), "eV/atom", "part of both energies that a correction scheme added"),
    "n_mended": (pa.int64(), "", "errors of the calculation that custodian mended, or gave up on"),
    "mended": (pa.string(), "", "JSON: stage, error, count, and what was changed, of each of these errors"),
    "failure": (pa.string(), "", "why there is no relaxed structure; the row then holds the initial one"),
}
DERIVED = {  # columns that are no attributes of a relaxation
    "n_mended": lambda relaxation: sum(each["count"] for each in relaxation.mended),
    "mended": lambda relaxation: json.dumps(relaxation.mended) if relaxation.mended else None,
}
CARRIED_METADATA = ("name", "source", "n_requested", "licence")


def shard_of(table: CrystalTable, shard: str) -> CrystalTable:
    """Rows of shard ``k/n``, k from 1: every n-th row, so that shards are alike in size of crystals.

    Raises:
        UserError: if `shard` is not of this form.
    """
    try:
        k, n = (int(part) for part in shard.split("/"))
    except ValueError:
        k, n = 0, 0
    if not 1 <= k <= n:
        raise UserError(f"--shard {shard!r}: write it as k/n with k from 1 to n, e.g. 1/2")
    return table.take(np.arange(k - 1, len(table), n))


def relax_shard(
    table: CrystalTable,
    settings: RelaxSettings,
    work: Path,
    shard: str = "all",
    labels: dict[str, str] | None = None,
    cache: Path | None = None,
) -> CrystalTable:
    """The same rows relaxed: same ids, same order; crystals that failed keep their initial structure.

    The engine is made when the first crystal needs it, so that a shard without any costs no import of torch.

    Args:
        work: folder of finished results, one JSON line per crystal, keyed by content: the crystal, the engine and its
            settings. A line found there is taken instead of computing the crystal again. Sets may share it.
        shard: name of the file there that this shard adds to.
        labels: metadata of the jobs beside their crystal: its set and run, say.
        cache: folder of finished results of many runs, read first and added to at the end.
    """
    text = settings_text(settings)
    keys = [content_key(crystal, text) for crystal in table]
    journal = Journal(work, shard, keys)
    shared = Cache(cache, keys) if cache else None
    if shared:
        journal.results = shared.results | journal.results
    missing = sum(key not in journal for key in keys)
    if missing < len(keys):
        places = " and ".join(map(str, [work, cache] if cache else [work]))
        log.info("%d of %d crystals are already relaxed in %s", len(keys) - missing, len(keys), places)
    energy_type, passing = None, {}
    if missing:
        with recording(settings.store, work, shard):
            engine = make_engine(settings)
            energy_type = engine.energy_type
            passing = _relax_missing(engine, table, keys, journal, settings, labels or {})
    else:
        send_unsent(settings.store, work, shard)
    if passing:
        log.warning("%d crystals failed for reasons of the machine; run again to try them again", len(passing))
    if shared:
        shared.add(journal.results)
    energy_type = energy_type or energy_type_of(settings)
    outcomes = [passing[key] if key in passing else journal[key] for key in keys]
    return finished_table(table, outcomes, settings, energy_type)


def finished_table(
    table: CrystalTable, outcomes: list[Relaxation], settings: RelaxSettings, energy_type: dict[str, str]
) -> CrystalTable:
    """The relaxed table, its energies corrected where they are to be, and named in its metadata."""
    if energy_type.get("corrections") == MP2020:
        outcomes = [mp2020.corrected(each) for each in outcomes]
    return relaxed_table(table, outcomes).with_metadata(energy_type=energy_type, relax=as_dict(settings))


def _relax_missing(
    engine: Engine, table: CrystalTable, keys: list[str], journal: Journal, settings: RelaxSettings, labels: dict
) -> dict[str, Relaxation]:
    """Compute what the journal lacks; the outcomes that are not to be remembered, by key."""
    passing: dict[str, Relaxation] = {}
    missing = {key: crystal for key, crystal in zip(keys, table, strict=True) if key not in journal}
    with progress(total=len(table), initial=len(table) - len(missing), desc="relax", unit="crystal") as bar:
        for key, crystal in missing.items():
            named = {"material_id": crystal.material_id, "content_key": key, "engine": settings.engine, **labels}
            with labelled(**named):
                relaxation = _relax_one(engine, crystal, key, journal, settings)
            if relaxation is not None:
                passing[key] = relaxation
            bar.update()
    return passing


def _relax_one(
    engine: Engine, crystal: Crystal, key: str, journal: Journal, settings: RelaxSettings
) -> Relaxation | None:
    """The outcome for one crystal if it is not to be remembered; None once the journal has it."""
    if hopeless := why_hopeless(crystal, settings):
        journal.append(key, Relaxation(None, failure=hopeless), crystal.material_id)
        return None
    # A force field keeps no files, and computing a crystal twice at the same time does no harm.
    claim = contextlib.nullcontext(True) if settings.engine in FORCE_FIELDS else journal.claimed(key)
    with claim as to_do:
        if not to_do:
            return None
        relaxation = engine.relax(to_structure(crystal), journal.folder / "raw" / key[:16])
        if relaxation.transient:
            return relaxation
        journal.append(key, relaxation, crystal.material_id)
    return None


def why_hopeless(crystal: Crystal, settings: RelaxSettings) -> str | None:
    """Why a crystal is not worth relaxing: no volume, too dense, atoms on top of each other; None if it is."""
    try:
        check_crystal(crystal, settings.min_distance, settings.min_volume_per_atom)
    except CrystalRejected as error:
        return f"not relaxed, {error}"
    return None


def relaxed_table(table: CrystalTable, outcomes: list[Relaxation]) -> CrystalTable:
    """Relaxed structures (initial ones where there is none) with the columns of `COLUMNS`, row for row."""
    crystals = [
        from_structure(outcome.structure, crystal.material_id)
        if outcome.structure
        else dataclasses.replace(crystal, properties={})
        for crystal, outcome in zip(table, outcomes, strict=True)
    ]
    kept = {key: value for key, value in table.metadata.items() if key in CARRIED_METADATA}
    relaxed = from_crystals(crystals, **kept)
    for name, (kind, unit, meaning) in COLUMNS.items():
        values = [DERIVED[name](each) if name in DERIVED else getattr(each, name) for each in outcomes]
        relaxed = relaxed.with_column(name, pa.array(values, kind), unit, meaning)
    return relaxed
