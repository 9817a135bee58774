"""Finished relaxations on disk, so that nothing is computed twice."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
from pymatgen.core import Structure

from unimat.crystal_table import Crystal
from unimat.materials.relax.engine import Relaxation
from unimat.materials.structures import from_structure, to_structure

log = logging.getLogger("unimat.relax")


class Journal:
    """Finished relaxations by content key, one JSON line each.

    Several shards share a folder, each with a file of its own, and read what all have finished; so another number
    of shards finds it too. A line cut short by a crash is dropped.
    """

    def __init__(self, folder: Path, shard: str = "all"):
        self.path = folder / f"results-{shard}.jsonl"
        self.results: dict[str, dict] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("results-*.jsonl")):
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if line.endswith(b"\n") and _is_json(line)]
            # Another shard may be in the middle of a line; only our own file is ours to mend.
            if path == self.path and len(kept) < len(lines):
                log.warning("%s: %d unfinished lines dropped", path, len(lines) - len(kept))
                path.write_bytes(b"".join(kept))
            for entry in map(json.loads, kept):
                self.results[entry.pop("key")] = entry

    def __contains__(self, key: str) -> bool:
        return key in self.results

    def __getitem__(self, key: str) -> Relaxation:
        entry = self.results[key]
        structure = _structure(entry["structure"]) if entry["structure"] else None
        return Relaxation(structure=structure, **entry["relaxation"])

    def append(self, key: str, relaxation: Relaxation, material_id: str) -> None:
        values = {field.name: getattr(relaxation, field.name) for field in dataclasses.fields(relaxation)}
        structure = values.pop("structure")
        entry = {
            "material_id": material_id,
            "relaxation": values,
            "structure": _plain(structure) if structure else None,
        }
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"key": key, **entry}) + "\n")
        self.results[key] = entry


def _plain(structure: Structure) -> dict[str, list]:
    crystal = from_structure(structure, "")
    return {name: getattr(crystal, name).tolist() for name in ("lattice", "atomic_numbers", "frac_coords")}


def _structure(plain: dict[str, list]) -> Structure:
    lattice, numbers, coords = (np.array(plain[name]) for name in ("lattice", "atomic_numbers", "frac_coords"))
    return to_structure(Crystal("", lattice, numbers, coords))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
