"""The page of what the product does where a disk, a machine or a hand does it harm."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "benchmarks"
INTRODUCTION = textwrap.dedent(
    """\
    # Faults

    What happens when a file is damaged, a process is killed, a disk is full or a signal comes. The rule: the same
    result as without the fault, or one line that names the file and the remedy. Never another result in silence, never
    a traceback, never half a file under a final name.

    ## What protects a file

    """
)
# Files, what they carry, and when it is checked.
PROTECTIONS = (
    (
        "Parquet tables",
        "CRC-32 of each page (Parquet's own); SHA-256 of the whole file, before its footer",
        "the file when it is opened, each page when it is read",
    ),
    ("JSON files", "`content_sha256`: SHA-256 of the content, however it is spaced", "when they are read"),
    ("encoded crystals", "size and SHA-256 in `encoding.json`", "when a training opens them"),
    (
        "journals and caches of relaxations",
        "CRC-32 at the end of each line",
        "when they are read: a line that does not fit counts for nothing, its crystal is relaxed again, and the log"
        " says how many there are",
    ),
    (
        "caches of metrics and of matching",
        "as Parquet and JSON",
        "when they are read: what does not fit is made again; a file that can no longer be told from somebody else's is"
        " named, and stays",
    ),
    (
        "checkpoints",
        "a checksum of all their numbers",
        "when a training continues: one that does not fit is moved aside, and the training goes back one",
    ),
    (
        "`model.npz`, restart points of dynamics",
        "CRC-32 of each array (the zip format's own)",
        "all of it, before anything is taken from the file",
    ),
    ("`history.csv`, `speed.csv` of a model", "SHA-256 in `training.json`", "when a report or a card reads them"),
    (
        "the same of a training that goes on, and lists of compositions",
        "SHA-256 in the first line; beside a list of compositions, in `NAME.csv.sha256`",
        "when they are read",
    ),
    (
        "fetched files",
        "the publisher's checksum; SHA-256 in `manifest.json`",
        "when they are fetched, and again when they are ingested",
    ),
)
REMARKS = textwrap.dedent(
    """\

    Other programs read these files as ever. Readers of Parquet pass over the place where the SHA-256 stands; a key
    more in a JSON file or in a line does no harm. Files of other programs, and those of versions before these
    checksums, carry none of them and are read as they are. A digit changed in one of those is not noticed.

    A hand may change a result as well. The next stage then says that the file was changed after it was written. Who
    means the change removes the key `content_sha256` from a JSON file, the first line of a CSV, or `NAME.csv.sha256`. A
    table that another program has written anew carries no SHA-256 and is taken as it is.

    Configuration files, your own sources, and files for other programs (`unimat convert`) carry no checksums.
    """
)


DAMAGED = textwrap.dedent(
    """\

    ## Damaged files

    {n} files of a small run were damaged, one at a time: a bit flipped, bytes overwritten or lost, the end cut off, a
    digit or a line of a text changed. Then a command that reads the file was called, and its output was held against
    that of the sound run. "The same all the same" is a change that no result depends on, or a result that was computed
    again. `python tests/benchmarks/corruption.py --seed {seed}` repeats it; without `--seed`, it draws other damage.

    """
)
INTERRUPTED = textwrap.dedent(
    """\

    ## Kills, signals and full disks

    A command of the same run, in a process of its own, met the fault at a random moment. Then it was called once more
    without it. "Same output" means that every file is byte for byte that of a command that nothing interrupted.
    `python tests/benchmarks/interruptions.py --n {n} --seed {seed}` repeats it.

    """
)


def faults() -> str:
    """The protections, then a table for each benchmark that has been run."""
    parts = [INTRODUCTION, "| files | what they carry | when it is checked |\n|---|---|---|\n"]
    parts += [*(f"| {' | '.join(row)} |\n" for row in PROTECTIONS), REMARKS]
    for name, section in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.is_file():
            parts += section(json.loads(path.read_text(encoding="utf-8")))
    return "".join(parts)


def corruption(result: Mapping[str, Any]) -> Iterator[str]:
    """Damaged files by their kind."""
    yield DAMAGED.format(n=int(_value(result, "damaged files")), seed=result["seed"])
    yield from _table(result["kinds"])


def interruptions(result: Mapping[str, Any]) -> Iterator[str]:
    """Kills, signals and full disks by command."""
    yield INTERRUPTED.format(n=result["faults"][0]["tried"], seed=result["seed"])
    yield from _table(result["faults"])


SECTIONS = {"corruption": corruption, "interruptions": interruptions}


def _value(result: Mapping[str, Any], name: str) -> float:
    return next(figure["value"] for figure in result["figures"] if figure["name"] == name)


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Rows with the same keys; numbers to the right, and their sum at the end."""
    names = list(rows[0])
    numbers = [name for name in names if isinstance(rows[0][name], int)]
    yield f"| {' | '.join(names)} |\n"
    yield f"|{'|'.join('---:' if name in numbers else '---' for name in names)}|\n"
    total = {name: sum(row[name] for row in rows) if name in numbers else "" for name in names}
    for row in (*rows, total | {names[0]: "all"}):
        yield f"| {' | '.join(str(row[name]) for name in names)} |\n"
