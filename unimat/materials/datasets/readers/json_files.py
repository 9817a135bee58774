"""JSON files: texts by id, pymatgen's entries (Alexandria, matbench, WBM), OPTIMADE responses, and lines of these."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers import json_stream
from unimat.materials.datasets.readers.json_entries import Entries
from unimat.materials.datasets.readers.opening import (
    MAX_TEXT,
    as_text,
    impostor,
    one_line,
    opened_text,
    plain_name,
    told_if_broken,
    too_large,
)
from unimat.materials.datasets.readers.records import Columns, Record
from unimat.materials.datasets.readers.zips import BAD_MEMBER, json_members, opened_zip

Pair = tuple[str | None, Any]
_ONE_OBJECT = re.compile(r'\s*\{\s*"@')  # what monty writes first: the file is one Structure, or one entry


def json_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of a JSON file, in the order of the file; see `Entries` for what it may hold.

    Raises:
        UserError: if the file is no JSON, ends too early, or is the error message of an OPTIMADE server.
    """
    entries = Entries(path, columns)
    is_empty = True
    with _json_text(path) as text, told_if_broken(path, "JSON", ValueError, RecursionError):
        for key, value in _pairs(path, text):
            is_empty = False
            yield from entries.records(key, value)
    yield from entries.held_back()
    if is_empty:
        raise UserError(f"{path} is empty JSON; expected a list or an object of crystals")
    entries.warn_of_further_pages()


def _pairs(path: Path, text: TextIO) -> Iterator[Pair]:
    with _json_text(path) as head:
        first, second = head.readline(MAX_TEXT), head.readline(MAX_TEXT)
    if _is_lines(path, first, second):
        return _line_pairs(text)
    if _ONE_OBJECT.match(first + second):
        return iter([(None, _one_object(text))])
    return json_stream.members(text)


def _is_lines(path: Path, first: str, second: str) -> bool:
    """Whether each line is a JSON value: by the file's name, or because its first line is one and a second follows."""
    if plain_name(path.name).lower().endswith((".jsonl", ".ndjson")):
        return True
    if not second.strip():
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _one_object(text: TextIO) -> Any:
    content = text.read(MAX_TEXT + 1)
    return too_large() if len(content) > MAX_TEXT else json.loads(content)


def _line_pairs(text: TextIO) -> Iterator[Pair]:
    for number, line in enumerate(_bounded_lines(text), start=1):
        if not line.strip():
            continue
        try:
            yield None, too_large() if len(line) > MAX_TEXT else json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == 1:
                raise
            yield None, CrystalRejected("unreadable", f"line {number} is no JSON: {one_line(error)}")


def _bounded_lines(text: TextIO) -> Iterator[str]:
    """Lines, of which no more than `MAX_TEXT` + 1 characters are read at once, nor given."""
    while line := text.readline(MAX_TEXT + 1):
        rest = line
        while len(rest) > MAX_TEXT and not rest.endswith("\n"):
            rest = text.readline(MAX_TEXT + 1)
        yield line


@contextlib.contextmanager
def _json_text(path: Path) -> Iterator[TextIO]:
    """Text of a JSON file, which may be compressed, or of the one JSON member of a zip."""
    if path.suffix.lower() != ".zip":
        with opened_text(path) as text:
            yield text
        return
    with opened_zip(path) as archive:
        names = json_members(archive)
        if len(names) != 1:
            raise UserError(f"{path}: expected one JSON file inside, found {len(names)}")
        with told_if_broken(path, "a zip of JSON", *BAD_MEMBER), archive.open(names[0]) as stream:
            what = impostor(stream.read(512))
            if what:
                raise UserError(f"{path}: its member {names[0]} {what}")
            stream.seek(0)
            with as_text(stream) as text:
                yield text
