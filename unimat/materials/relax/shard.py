"""Relaxing one shard of a set: each crystal's result is on disk when it is done, and is never computed again."""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.errors import CrystalRejected, UserError
from unimat.materials.references.corrections import MP2020
from unimat.materials.relax import mp2020
from unimat.materials.relax.engine import Relaxation, make_engine
from unimat.materials.relax.journal import Journal
from unimat.materials.relax.settings import VASP_WITHOUT_EFFECT, RelaxSettings
from unimat.materials.structures import check_crystal, from_structure, to_structure
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


def relax_shard(table: CrystalTable, settings: RelaxSettings, work: Path, shard: str = "all") -> CrystalTable:
    """The same rows relaxed: same ids, same order; crystals that failed keep their initial structure.

    Args:
        work: folder of finished results, one JSON line per crystal, keyed by content: the crystal and all settings. A
            line found there is taken instead of computing the crystal again.
        shard: name of the file there that this shard adds to.
    """
    journal = Journal(work, shard)
    keys = [content_key(crystal, settings) for crystal in table]
    missing = sum(key not in journal for key in keys)
    if missing < len(keys):
        log.info("%d of %d crystals are already relaxed in %s", len(keys) - missing, len(keys), work)
    engine = make_engine(settings)
    progress = tqdm(table, total=len(table), desc="relax", unit="crystal", disable=None)
    passing: dict[str, Relaxation] = {}
    for key, crystal in zip(keys, progress, strict=True):
        if key not in journal and key not in passing:
            hopeless, folder = why_hopeless(crystal, settings), work / "raw" / key[:16]
            relaxation = Relaxation(None, failure=hopeless) if hopeless else engine.relax(to_structure(crystal), folder)
            if relaxation.transient:
                passing[key] = relaxation
            else:
                journal.append(key, relaxation, crystal.material_id)
    if passing:
        log.warning("%d crystals failed for reasons of the machine; run again to try them again", len(passing))
    outcomes = [passing[key] if key in passing else journal[key] for key in keys]
    if engine.energy_type.get("corrections") == MP2020:
        outcomes = [mp2020.corrected(each) for each in outcomes]
    return relaxed_table(table, outcomes).with_metadata(energy_type=engine.energy_type, relax=as_dict(settings))


def why_hopeless(crystal: Crystal, settings: RelaxSettings) -> str | None:
    """Why a crystal is not worth relaxing: no volume, too dense, atoms on top of each other; None if it is."""
    try:
        check_crystal(crystal, settings.min_distance, settings.min_volume_per_atom)
    except CrystalRejected as error:
        return f"not relaxed, {error}"
    return None


def content_key(crystal: Crystal, settings: RelaxSettings) -> str:
    """SHA-256 of the crystal's structure and of all settings that bear on its relaxation."""
    relevant = as_dict(settings)
    relevant.pop("threads")
    if settings.engine != "vasp":
        relevant.pop("vasp")
    else:
        relevant = {key: value for key, value in relevant.items() if key not in ("fmax", "max_steps", "optimizer")}
        for name in VASP_WITHOUT_EFFECT:
            relevant["vasp"].pop(name)
    digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode())
    for array, kind in ((crystal.lattice, "f8"), (crystal.atomic_numbers, "i8"), (crystal.frac_coords, "f8")):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()


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
