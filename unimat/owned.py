"""What lies in the folder of a command: its own files, those of other commands, and what no command wrote.

A command that always writes the same names knows its files by them, and by what they say of themselves: the keys of a
JSON file, the columns of a table, the first bytes of others. One that names files after crystals leaves a list of them
in the folder, `.unimat-COMMAND.json`.
"""

import json
import os
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import CONTENT, is_folder, read_json, write_json

HEX = "[0-9a-f]" * 16
SET = ("crystals.parquet", "rejected.parquet")
MODEL = ("model.npz", "history.csv", "training.json")
# Files by the command that writes them into its folder, as shell patterns. A pattern that ends in /** is a whole
# subfolder. Those of a name that only the call knows are not here.
WRITTEN: dict[str, tuple[str, ...]] = {
    "fetch": ("manifest.json", "checksums.sha256"),
    "airss": SET,
    "substitute": SET,
    "ingest": ("train.parquet", "val.parquet", "test.parquet", "rejected.parquet", "card.json", "card.html"),
    "convert": (),
    "select": SET,
    "encode": (
        "train/shard-*.arrow", "val/shard-*.arrow", "test/shard-*.arrow", "rejected.parquet", "encoding.json",
    ),
    "train": (*MODEL, "speed.csv"),
    "train --work": (
        "settings.json", "history.csv", "speed.csv", "pieces.json", "checkpoints/**", "broken-*/**", "tensorboard/**",
    ),
    "pack": (),
    "run.py": ("collection.json", "training-*.tar*", "history.csv", "training.json", "model.npz", "set-*.tar",
               "sets/**"),
    "sample": (*SET, "sampling.json", f".sampling-{HEX}/**"),
    "pretrained": MODEL,
    "publish": (),
    "metrics --cache": (f"{HEX}.parquet", "matching-*.json"),
    "relax --work": ("results-*.jsonl", "unsent-*.jsonl", "jobs-*/**", "raw/**"),
    "flows": ("flows.json", "submitted.jsonl"),
    "reference": ("reference.parquet", "reference.json"),
    "hull": ("stability.parquet", "stability.json", "stability_by_reference.parquet", "verdict_flips.parquet"),
    "md --work": (f"{HEX}/**",),
    "screen": (*SET, "screen.json", "core_hours.csv"),
    "agreement": ("agreement.json", "agreement.parquet"),
    "report": (),
    "reproduction": (),
    "predict": (*SET, "initial.parquet", "predicted.html", "cifs/*.cif"),
}  # fmt: skip
# Commands whose folders are of no run's results: what lies there is known to them alone.
APART = ("train --work", "md --work", "metrics --cache", "run.py")
LISTED = ("convert", "pack", "predict", "report")  # commands that leave a list of their files
# Further files of a run, each of a flag of its own, which commands put beside those above.
BESIDE = (
    "relaxed.parquet", "relaxed.json", "relax/*.parquet", "metrics.json", "verdicts.parquet", "verdicts.csv",
    "prediction.json", "prediction.parquet", "dynamics.parquet", "dynamics.json", "compositions.csv",
)  # fmt: skip
# File by which a working folder is known for its command's own, with all that is called as its files are.
SIGNS = {"train --work": "settings.json", "run.py": "collection.json"}
IGNORED = (".unimat-*", ".DS_Store", "Thumbs.db", "desktop.ini", ".snakemake_timestamp", ".nfs*")

# What files say of themselves: a column of a table, a key of a JSON file, the first bytes of others.
COLUMNS = {
    "rejected.parquet": "reason",
    "stability.parquet": "decomposition_energy",
    "stability_by_reference.parquet": "decomposition_energy",
    "verdict_flips.parquet": "verdict_a",
    "agreement.parquet": "flip",
    "reference.parquet": "entry_id",
    **dict.fromkeys((*SET[:1], "initial.parquet", "train.parquet", "val.parquet", "test.parquet"), "frac_coords"),
}
KEYS = {
    "manifest.json": "dataset",
    "card.json": "rows_read",
    "encoding.json": "slots",
    "training.json": "n_parameters",
    "settings.json": "train",
    "collection.json": "files",
    "sampling.json": "n_requested",
    "reference.json": "n_entries",
    "stability.json": "references",
    "screen.json": "core_hours",
    "agreement.json": "held",
    "flows.json": "content_key",
}
STARTS: dict[str, tuple[bytes, ...]] = {
    "history.csv": (b"step,",),
    "speed.csv": (b"step,",),
    "results-*.jsonl": (b'{"key": "',),
    "submitted.jsonl": (b'{"file": "',),
    "core_hours.csv": (b"material_id,",),
    "checksums.sha256": tuple(b"0123456789abcdef"[i : i + 1] for i in range(16)),
    "*.npz": (b"PK\x03\x04",),
    "*.arrow": (b"ARROW1",),
    "*.jsonl": (b'{"',),
    "*.html": (b"<!doctype html", b"<!DOCTYPE html"),
    "*.svg": (b"<svg", b"<?xml"),
}
ARCHIVE = b"ustar"  # at byte 257 of a tar


def entries(folder: Path, names: Collection[str]) -> list[str]:
    """Files of a folder by relative path; a subfolder in which none of `names` can lie is one entry, `name/`."""
    subfolders = {prefix for name in names for prefix in _parents(name)}
    whole = [name for name in names if name.endswith("/**")]

    def walk(place: Path, prefix: str) -> Iterator[str]:
        with os.scandir(place) as found:
            inside = sorted(found, key=lambda entry: entry.name)
        for entry in inside:
            name = prefix + entry.name
            if _ignored(entry.name):
                continue
            if not is_folder(place / entry.name):
                yield name
            elif entry.is_symlink() or fits(name + "/", whole) or not fits(name, subfolders):
                yield name + "/"
            else:
                yield from walk(place / entry.name, name + "/")

    return list(walk(folder, "")) if folder.is_dir() else []


def fits(name: str, patterns: Collection[str]) -> bool:
    """Whether a path fits one of the patterns, whose stars do not reach over a slash."""
    if name in patterns:
        return True
    parts = name.rstrip("/").split("/")
    if name.endswith("/"):
        patterns = [pattern for pattern in patterns if pattern.endswith("/**")]
    split = (pattern.removesuffix("/**").split("/") for pattern in patterns)
    return any(len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted)) for wanted in split)


def foreign(folder: Path, by: str, names: Collection[str]) -> list[str]:
    """What lies in a folder and fits neither `names` nor, of a folder of a run, those of any command."""
    of_runs = {*BESIDE, *(name for other, written in WRITTEN.items() if other not in APART for name in written)}
    known = {*names, *WRITTEN[by], *(listed(folder, by) if by in LISTED else of_runs)}
    return [name for name in entries(folder, known) if not fits(name, known)]


def others(folder: Path, by: str, names: Collection[str]) -> list[str]:
    """Files of a folder that fit `names` and that the command `by` did not write, or folders in their places."""
    if by in LISTED:
        own: Collection[str] = listed(folder, by)
        return [name for name in entries(folder, names) if fits(name, names) and name not in own]
    own = {*names, *WRITTEN[by]}
    there = entries(folder, own)
    if in_the_way := [name for name in there if name.endswith("/") and fits(name[:-1], _of_files(names))]:
        return in_the_way
    # A table that names its command speaks for the rest of a set. Else names do, where no file of another command is.
    maker = _maker(folder / SET[0]) if SET[0] in own else None
    if maker not in (None, by):
        return [name for name in there if fits(name, names)]
    of_others = {name for other, written in WRITTEN.items() if other != by for name in written} - own
    alone = maker == by or not any(fits(name, of_others) and not fits(name, own) for name in there)
    return [name for name in there if fits(name, names) and not _is_own(folder, name, by, alone)]


def listed(folder: Path, by: str) -> set[str]:
    """Files that the command's own list names; none where the list is missing or broken."""
    try:
        return set(map(str, read_json(_list_of(folder, by))["files"]))
    except (UserError, OSError, KeyError, TypeError):
        return set()


def write_list(folder: Path, by: str, names: Collection[str]) -> None:
    write_json(_list_of(folder, by), {"command": by, "files": sorted(names)})


def _list_of(folder: Path, by: str) -> Path:
    return folder / f".unimat-{by}.json"


def _is_own(folder: Path, name: str, by: str, alone: bool) -> bool:
    """Whether a file is the command's.

    Args:
        alone: whether no file that only other commands write is there; else the name must be of no other command.
    """
    path = folder / name
    if path.is_symlink():
        return False
    if by in SIGNS and name != SIGNS[by]:
        return _says_so(folder / SIGNS[by])
    shared = any(fits(name, written) for other, written in WRITTEN.items() if other != by)
    return name.endswith("/") or ((alone or not shared) and _says_so(path))


def _says_so(path: Path) -> bool:
    """Whether the content of a file is what its name says."""
    if not path.is_file():
        return False
    if path.suffix == ".parquet":
        return COLUMNS.get(path.name, "key") in columns_of(path)
    if path.suffix == ".json":
        return _is_json(path)
    starts = next((starts for pattern, starts in STARTS.items() if fnmatchcase(path.name, pattern)), ())
    with path.open("rb") as stream:
        head = stream.read(512)
    if path.suffix == ".jsonl" and not head:  # of a command that was killed at its first line
        return True
    return head.startswith(starts) if starts else head[257:262] == ARCHIVE


def columns_of(path: Path) -> list[str]:
    """Columns of a table; none of what is no table."""
    schema = _schema(path)
    return schema.names if schema else []


def _maker(crystals: Path) -> str | None:
    """Command that a crystal table names as its maker; None of a missing or broken one, or one that names none."""
    try:
        schema = _schema(crystals) if crystals.is_file() else None
        maker = json.loads((schema.metadata or {}).get(b"unimat", b"{}")).get("made_by") if schema else None
    except (ValueError, AttributeError):
        return None
    return None if maker is None else str(maker)


def _schema(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return None


def _is_json(path: Path) -> bool:
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    key = KEYS.get(path.name, "rows" if path.name.startswith("matching-") else "format")
    if isinstance(value, list):
        return all(isinstance(each, dict) and key in each for each in value)
    return isinstance(value, dict) and (key in value or CONTENT in value)


def _of_files(names: Collection[str]) -> list[str]:
    return [name for name in names if not name.endswith("/**")]


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def _ignored(name: str) -> bool:
    """Whether a name is of a list of files, of a command that is at work or was killed, or of the system."""
    if any(fnmatchcase(name, pattern) for pattern in IGNORED):
        return True
    # What a killed command of an earlier version left: .crystals.parquet.x1y2z3w4
    original, _, suffix = name.removeprefix(".").rpartition(".")
    known = (*BESIDE, *(each for written in WRITTEN.values() for each in written))
    return name.startswith(".") and len(suffix) == 8 and fits(original, known)
