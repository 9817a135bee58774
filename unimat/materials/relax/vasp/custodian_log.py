"""What custodian did to a calculation, from the custodian.json that it leaves."""

import collections
import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

LOG_FILE = "custodian.json"
WALL_TIME = "Walltime reached"  # custodian's name for having stopped VASP in time; no error
GAVE_UP = "not mended"
FLAGS = ("handler", "validator", "max_errors", "max_errors_per_job", "max_errors_per_handler", "nonzero_return_code")


def read_log(folder: Path) -> list[dict[str, Any]] | None:
    """The runs that custodian logged in `folder`; None if it did not come to its end there."""
    for path in (folder / LOG_FILE, folder / f"{LOG_FILE}.gz"):
        try:
            text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            return json.loads(text)
        except (OSError, EOFError, ValueError):
            continue
    return None


def ended_well(log: Sequence[dict[str, Any]] | None) -> bool:
    """Whether custodian was content with the last state of the calculation."""
    return bool(log) and not any(run.get(flag) for run in log or () for flag in FLAGS)


def out_of_time(log: Sequence[dict[str, Any]] | None) -> bool:
    """Whether VASP was told to stop because the job's time was nearly over."""
    return any(WALL_TIME in each["errors"] for run in log or () for each in run["corrections"])


def mended(logs: Iterable[tuple[str, Sequence[dict[str, Any]] | None]]) -> list[dict[str, Any]]:
    """Errors by stage, in the order of their first occurrence.

    Args:
        logs: name of each stage with its log; a stage that was tried again comes several times.

    Returns:
        dicts of `stage`, `error` (custodian's name), `count`, and `changed`: what was done about it, each thing once,
        such as "INCAR ALGO = Normal" or "CONTCAR copied to POSCAR".
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for stage, log in logs:
        for each in [correction for run in log or () for correction in run["corrections"]]:
            for error in sorted(set(each["errors"]) - {WALL_TIME}):
                entry = found.setdefault((stage, error), {"stage": stage, "error": error, "count": 0, "changed": []})
                entry["count"] += 1
                changes = [text for action in each["actions"] or () for text in _in_words(action)] or [GAVE_UP]
                entry["changed"] += [text for text in changes if text not in entry["changed"]]
    return list(found.values())


def in_sum(lists: Iterable[Sequence[dict[str, Any]]]) -> dict[str, dict[str, int]]:
    """By error: how often (`count`), and in how many crystals; `lists` holds what `mended` says of each crystal."""
    counts: collections.Counter[str] = collections.Counter()
    crystals: collections.Counter[str] = collections.Counter()
    for entries in lists:
        for entry in entries:
            counts[entry["error"]] += entry["count"]
        crystals.update({entry["error"] for entry in entries})
    return {error: {"count": counts[error], "crystals": crystals[error]} for error in sorted(counts)}


def _in_words(action: dict[str, Any]) -> list[str]:
    """One action of custodian's in words, a line for each thing changed."""
    target, words = action.get("dict") or action.get("file") or "", []
    for command, values in (action.get("action") or {}).items():
        if command == "_file_delete":
            words.append(f"{target} deleted")
        elif command == "_file_copy":
            words.append(f"{target} copied to {values['dest']}")
        elif command == "_unset":
            words += [f"{target} {key} removed" for key in values]
        elif command == "_set":
            words += [f"{target} {key} = {_short(value)}" for key, value in values.items()]
        else:
            words.append(f"{target} {command.strip('_').replace('_', ' ')}")
    return words


def _short(value: Any) -> str:
    return "(changed)" if isinstance(value, dict) else str(value)
