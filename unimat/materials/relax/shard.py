"""Relaxing one shard of a set: each crystal's result is on disk when it is done, and is never computed again."""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path

import numpy as np
from tqdm import tqdm

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.errors import UserError
from unimat.materials.relax.engine import Relaxation, make_engine
from unimat.materials.stability_settings import RelaxSettings
from unimat.materials.structures import from_structure, to_structure
from unimat.settings import as_dict

log = logging.getLogger("unimat.relax")

UNITS = {"energy_per_atom": "eV/atom", "initial_energy_per_atom": "eV/atom", "fmax": "eV/Å"}
DESCRIPTIONS = {
    "converged": "forces and stress fell below fmax within max_steps",
    "n_steps": "ionic steps taken",
    "fmax": "largest force on an atom after the last step",
    "energy_per_atom": "total energy of the engine named in the table's metadata",
    "initial_energy_per_atom": "the same before the first step",
    "failure": "why there is no relaxed structure; the row then holds the initial one",
}


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


def relax_shard(table: CrystalTable, settings: RelaxSettings, work: Path) -> CrystalTable:
    """The same rows relaxed: same ids, same order; crystals that failed keep their initial structure.

    Args:
        work: folder of finished results, one JSON line per crystal, keyed by content: the crystal and all settings. A
            line found there is taken instead of computing the crystal again.
    """
    journal = Journal(work / "results.jsonl")
    keys = [content_key(crystal, settings) for crystal in table]
    missing = sum(key not in journal for key in keys)
    if missing < len(keys):
        log.info("%d of %d crystals are already relaxed in %s", len(keys) - missing, len(keys), work)
    engine = make_engine(settings)
    for key, crystal in zip(
        keys, tqdm(table, total=len(table), desc="relax", unit="crystal", disable=None), strict=True
    ):
        if key not in journal:
            journal.append(key, engine.relax(to_structure(crystal)), crystal.material_id)
    rows = [relaxed_row(crystal, journal[key]) for key, crystal in zip(keys, table, strict=True)]
    return relaxed_table(rows, table, settings, engine.energy_type)


def content_key(crystal: Crystal, settings: RelaxSettings) -> str:
    """SHA-256 of the crystal's structure and of all settings that bear on its relaxation."""
    relevant = as_dict(settings)
    relevant.pop("threads")
    if settings.engine != "vasp":
        relevant.pop("vasp")
    digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode())
    for array, kind in ((crystal.lattice, "f8"), (crystal.atomic_numbers, "i8"), (crystal.frac_coords, "f8")):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()


class Journal:
    """Finished relaxations by content key, one JSON line each; a line cut short by a crash is dropped."""

    def __init__(self, path: Path):
        self.path = path
        self.results: dict[str, dict] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if line.endswith(b"\n") and _is_json(line)]
        if len(kept) < len(lines):
            log.warning("%s: %d unfinished lines dropped", path, len(lines) - len(kept))
            path.write_bytes(b"".join(kept))
        for line in kept:
            entry = json.loads(line)
            self.results[entry.pop("key")] = entry

    def __contains__(self, key: str) -> bool:
        return key in self.results

    def __getitem__(self, key: str) -> Relaxation:
        entry = self.results[key]
        structure = entry["structure"] and to_structure(_crystal_of(entry["structure"]))
        return Relaxation(**{**entry["relaxation"], "structure": structure or None})

    def append(self, key: str, relaxation: Relaxation, material_id: str) -> None:
        values = {field.name: getattr(relaxation, field.name) for field in dataclasses.fields(relaxation)}
        structure = values.pop("structure")
        entry = {"material_id": material_id, "relaxation": values, "structure": structure and _plain(structure)}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"key": key, **entry}) + "\n")
        self.results[key] = entry


def relaxed_row(crystal: Crystal, relaxation: Relaxation) -> Crystal:
    """Row of the relaxed table for one crystal."""
    values = {name: getattr(relaxation, name) for name in DESCRIPTIONS}
    if relaxation.structure is None:
        return dataclasses.replace(crystal, properties=values)
    return from_structure(relaxation.structure, crystal.material_id, **values)


def relaxed_table(
    rows: list[Crystal], like: CrystalTable, settings: RelaxSettings, energy_type: dict[str, str]
) -> CrystalTable:
    if not rows:
        table = like
        for name, kind in (("converged", bool), ("n_steps", int), ("failure", str)):
            table = table.with_column(name, np.array([], kind), description=DESCRIPTIONS[name])
        for name, unit in UNITS.items():
            table = table.with_column(name, np.array([], float), unit, DESCRIPTIONS[name])
    else:
        table = from_crystals(rows, UNITS, DESCRIPTIONS)
    kept = {key: value for key, value in like.metadata.items() if key in ("name", "source", "n_requested", "licence")}
    return table.with_metadata(**kept, energy_type=energy_type, relax=as_dict(settings))


def _plain(structure: object) -> dict[str, list]:
    crystal = from_structure(structure, "")  # type: ignore[arg-type]
    return {name: getattr(crystal, name).tolist() for name in ("lattice", "atomic_numbers", "frac_coords")}


def _crystal_of(plain: dict[str, list]) -> Crystal:
    lattice, numbers, coords = (np.array(plain[name]) for name in ("lattice", "atomic_numbers", "frac_coords"))
    return Crystal("", lattice, numbers, coords)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
