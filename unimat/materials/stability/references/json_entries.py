"""A JSON file of pymatgen's entries, in any of the shapes that people publish them in."""

import bz2
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import sha256
from unimat.materials.stability.references.computed_entries import reference_of
from unimat.materials.stability.references.files import find_file
from unimat.materials.stability.references.given import given
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.references.sites import compact
from unimat.materials.stability.settings import SourceSettings

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
PICKLES = (".pkl", ".pickle", ".joblib", ".lmdb", ".mdb")
CLASSES = ("ComputedEntry", "ComputedStructureEntry", "PDEntry", "None")
LISTS = ("entries", "all_entries")  # of a phase diagram, which repeats some of them under other names


def from_json(settings: SourceSettings, n_processes: int = 1) -> Reference:
    """Reference of the entries in a .json, .json.gz or .json.bz2 file (or .jsonl, one document to a line).

    A list of entries, {"entries": [...]}, entries by id, a phase diagram, or a table written by pandas with a column of
    entries, as matbench-discovery publishes them.

    Raises:
        UserError: if it is a pickle, cannot be read, holds no entry, or it is not clear what the energies are.
    """
    path = find_file(str(settings.path))
    refuse_pickles(path)
    # Only a scheme that is to be applied asks for crystals, which are most of such a file.
    hook = compact if settings.apply_mp2020 else _without_structure
    found = [given(entry, key) for key, entry in entry_dicts(_documents(path, hook))]
    if not found:
        raise UserError(f"{path} holds no entry: nothing in it has an energy and a composition")
    return reference_of(found, settings, path.name, {"inputs": {path.name: sha256(path)}}, n_processes)


def refuse_pickles(path: Path) -> None:
    """UserError for pickles, and for the gzipped LMDB of pickles that MatterGen's reference is, by name or content."""
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if not suffixes & set(PICKLES) and _first_byte(path) not in (b"\x80", b"\0"):
        return
    kind = "an LMDB database of pickles" if _first_byte(path) == b"\0" else "a pickle"
    raise UserError(
        f"{path} is {kind}: one pymatgen's pickles do not load in the next, and loading one can run any code in it;"
        " write the entries as JSON where they load, monty.serialization.dumpfn(entries, 'entries.json.gz'), and give"
        " that file"
    )


def _first_byte(path: Path) -> bytes:
    try:
        with OPENERS.get(path.suffix.lower(), open)(path, "rb") as stream:
            return bytes(stream.read(1))
    except (OSError, EOFError):
        return b""  # reading it will say what is wrong


def _documents(path: Path, hook: Callable[[dict[str, Any]], Any]) -> Any:
    """Parsed JSON, each mapping in it as `hook` makes it."""
    try:
        with OPENERS.get(path.suffix.lower(), open)(path, "rt", encoding="utf-8") as stream:
            if ".jsonl" in path.suffixes:
                return [json.loads(line, object_hook=hook) for line in stream if line.strip()]
            return json.load(stream, object_hook=hook)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{path} is not readable as JSON ({error}); get it again, or give a .json, .json.gz") from error


def _without_structure(value: dict[str, Any]) -> dict[str, Any] | None:
    if "abc" in value and "species" in value:
        return None
    value.pop("structure", None)
    return value


def entry_dicts(value: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries at any depth, each with the key or index under which it was found.

    Raises:
        UserError: if one is of a class whose energy is no total energy.
    """
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from entry_dicts(each, f"{key}{index}" if not key else f"{key}-{index}")
    elif isinstance(value, dict) and (value.get("@class") in CLASSES or {"energy", "composition"} <= value.keys()):
        if str(value.get("@class")) not in CLASSES:
            raise UserError(f"entries of class {value['@class']} hold no total energy; give {', '.join(CLASSES[:3])}")
        yield key, value
    elif isinstance(value, dict):
        lists = [value[name] for name in LISTS if isinstance(value.get(name), list | dict)]
        for name, each in [("", lists[0])] if lists else value.items():
            if isinstance(each, dict | list):
                yield from entry_dicts(each, str(value.get("material_id") or name))
