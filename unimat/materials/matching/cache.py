"""Answers of the matching, kept by content: settings, crystals, and the version of pymatgen that gave them."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.files import read_json, write_json
from unimat.materials.matching.comparer import Problems
from unimat.materials.metrics.settings import MatcherSettings

_FORMAT = 1


def key(question: str, settings: MatcherSettings, *tables: Sequence[Crystal]) -> str:
    """SHA-256 of all that an answer depends on; ids count, for the problems are told by them."""
    about = [_FORMAT, question, version("pymatgen"), dataclasses.asdict(settings), [len(table) for table in tables]]
    digest = hashlib.sha256(json.dumps(about).encode())
    for crystal in (crystal for table in tables for crystal in table):
        digest.update(f"{crystal.material_id}\0{len(crystal.atomic_numbers)}\0".encode())
        for array, kind in ((crystal.lattice, "<f8"), (crystal.atomic_numbers, "<i8"), (crystal.frac_coords, "<f8")):
            digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()


def load(folder: str | Path | None, name: str, problems: Problems) -> list[int] | None:
    """The answer kept under a key, its problems added to `problems`; None if there is none that can be read."""
    path = _path(folder, name)
    if path is None or not path.exists():
        return None
    try:
        kept = read_json(path)
        problems.add(Problems(**kept["problems"]))
        return [int(row) for row in kept["rows"]]
    except (UserError, KeyError, TypeError, ValueError):  # torn or foreign: made again
        return None


def store(folder: str | Path | None, name: str, rows: Sequence[int], problems: Problems) -> None:
    """Keep an answer, unless comparisons ran out of time: a faster machine would find another."""
    path = _path(folder, name)
    if path is not None and not problems.timed_out:
        write_json(path, {"rows": list(rows), "problems": dataclasses.asdict(problems)})


def _path(folder: str | Path | None, name: str) -> Path | None:
    return None if folder is None else Path(folder) / f"matching-{name[:32]}.json"
