"""Finished relaxations on disk, so that nothing is computed twice."""

import contextlib
import dataclasses
import fcntl
import hashlib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from unimat.checked_lines import fits, line_of, values_of
from unimat.crystal_table import Crystal
from unimat.files import whole_file
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.relax.engine import Relaxation

log = logging.getLogger("unimat.relax")

START = b'{"key": "'  # of every line, so that a line that nobody asked for need not be parsed
KEY = slice(len(START), len(START) + 64)
ENTRY = frozenset({"material_id", "relaxation", "structure"})
STRUCTURE = ("lattice", "atomic_numbers", "frac_coords")
_FIELDS = {field.name: field for field in dataclasses.fields(Relaxation) if field.name != "structure"}


class Journal:
    """Finished relaxations by content key, one JSON line each.

    Shards of all sets share a folder, each with a file of its own, and read what all have finished; so another number
    of shards finds it too, and another set that holds the same crystal. A line that was cut short by a crash, does not
    fit its checksum, or is of another version counts for nothing: its crystal is relaxed again.

    Args:
        wanted: keys that matter here; others stay on disk. None: all.
    """

    def __init__(self, folder: Path, shard: str = "all", wanted: Collection[str] | None = None):
        self.folder, self.path = folder, folder / f"results-{shard}.jsonl"
        self.wanted = None if wanted is None else frozenset(wanted)
        folder.mkdir(parents=True, exist_ok=True)
        _mend(self.path)  # another shard may be in the middle of a line; only our own file is ours to mend
        self.results: dict[str, dict[str, Any]] = read_lines(folder, self.wanted, tell=True)

    def refresh(self) -> None:
        """Read what others have finished meanwhile."""
        self.results |= read_lines(self.folder, self.wanted)

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
            stream.write(line_of({"key": key, **entry}))
        self.results[key] = entry

    @contextlib.contextmanager
    def claimed(self, key: str) -> Iterator[bool]:
        """Whether a crystal is still to be computed, once no other process is at it: two would share its raw files.

        A lock ends with its process, however that ends. Where the file system has no locks, there is none.
        """
        path = self.folder / "raw" / f"{key[:16]}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            with contextlib.suppress(OSError):
                fcntl.flock(stream, fcntl.LOCK_EX)
            self.refresh()
            yield key not in self
            if key in self:  # whoever waits for the lock of a file that is gone finds the line
                path.unlink(missing_ok=True)


class Cache:
    """Finished relaxations of many runs in one folder.

    A shard reads what it wants, and adds what it has when it is done, in a file of its own that is never changed; so
    shards of any number of runs may share a folder at the same time, on any file system.
    """

    def __init__(self, folder: Path, wanted: Collection[str]):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.results = read_lines(folder, frozenset(wanted), tell=True)

    def add(self, entries: dict[str, dict[str, Any]]) -> None:
        """Entries of a journal; those that are here already are left alone."""
        new = {key: entries[key] for key in sorted(entries) if key not in self.results}
        if new:
            name = hashlib.sha256("".join(new).encode()).hexdigest()[:16]
            lines = [line_of({"key": key, **entry}) for key, entry in new.items()]
            with whole_file(self.folder / f"results-{name}.jsonl") as path:
                path.write_text("".join(lines), encoding="utf-8")


def read_lines(folder: Path, wanted: Collection[str] | None = None, tell: bool = False) -> dict[str, dict[str, Any]]:
    """Entries of all files in a folder by their key; only sound lines, and of these the wanted ones.

    Args:
        tell: log how many lines of each file are not taken.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("results-*.jsonl")):
        broken = 0
        with path.open("rb") as stream:
            for line in stream:
                key = line[KEY].decode(errors="replace")
                if line.startswith(START) and (wanted is None or key in wanted):
                    entry = _entry(line)
                    found |= {key: entry} if entry else {}
                    broken += entry is None and line.endswith(b"\n")  # without an end, it may be on its way
                else:
                    broken += fits(line) is False
        if broken and tell:
            log.warning("%s: %d lines are broken or of another version; their crystals are relaxed again", path, broken)
    return found


def _entry(line: bytes) -> dict[str, Any] | None:
    """What a sound line says of its crystal; None if it is a line of another version."""
    values = values_of(line) or {}
    values.pop("key", None)
    relaxation, structure = values.get("relaxation"), values.get("structure")
    if values.keys() != ENTRY or not isinstance(relaxation, dict) or not relaxation.keys() <= _FIELDS.keys():
        return None
    if structure is not None and not (isinstance(structure, dict) and structure.keys() == set(STRUCTURE)):
        return None
    return values


def _mend(path: Path) -> None:
    """Drop lines that are not what was written."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if line.startswith(START) and values_of(line) is not None]
    if len(kept) < len(lines):
        log.warning("%s: %d unfinished or broken lines dropped", path, len(lines) - len(kept))
        with whole_file(path) as whole:
            whole.write_bytes(b"".join(kept))


def _plain(structure: Structure) -> dict[str, list]:
    crystal = from_structure(structure, "")
    return {name: getattr(crystal, name).tolist() for name in STRUCTURE}


def _structure(plain: dict[str, list]) -> Structure:
    lattice, numbers, coords = (np.array(plain[name]) for name in STRUCTURE)
    return to_structure(Crystal("", lattice, numbers, coords))
