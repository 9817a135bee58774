"""YAML and JSON that people write, read without guessing: a value that was lost or changed on the way is a mistake.

YAML 1.1, which Snakemake reads too, keeps the last of two equal keys, takes `No` for false, 010 for 8 and 1:30 for 90.
"""

import dataclasses
import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from unimat.errors import UserError
from unimat.yaml_errors import explained

MOST_VALUES = 200_000  # anchors can expand without end
_TAG = "tag:yaml.org,2002:"
_KINDS = {"bool": "a truth value", "null": "nothing", "int": "a number", "float": "a number", "timestamp": "a date"}


@dataclasses.dataclass(frozen=True)
class Scalar:
    """One value as it is written: its text, its line (from 1), and what YAML takes it for if it is unquoted."""

    text: str
    line: int
    kind: str | None = None


@dataclasses.dataclass(frozen=True)
class Document:
    """What a text holds.

    Attributes:
        scalars: values as they are written, by their path of keys and indices.
        mistakes: one line each, of what was lost or is not what it looks like.
    """

    values: Any
    scalars: Mapping[tuple[str | int, ...], Scalar] = dataclasses.field(default_factory=dict)
    mistakes: tuple[str, ...] = ()


def read_document(path: str | Path) -> Document:
    """Contents of a YAML or JSON file; the mistakes in it carry its name.

    Raises:
        UserError: if there is no such file, it is not UTF-8, or it is not YAML; with the line.
    """
    return parse_document(read_text(path), str(path))


def load(source: str | Path, where: str) -> Any:
    """Values of a file, or of text in braces.

    Raises:
        UserError: on the first mistake.
    """
    text = str(source)
    document = parse_document(text, where) if text.lstrip().startswith("{") else read_document(_existing(text, where))
    if document.mistakes:
        raise UserError(document.mistakes[0])
    return document.values


def _existing(path: str | Path, where: str) -> Path:
    found = Path(path)
    if not found.is_file():
        trouble = f"{str(path)!r} is a folder" if found.is_dir() else f"no file {str(path)!r}"
        raise UserError(f"{where}: {trouble}; give a JSON or YAML file, or JSON text in braces")
    return found


def read_text(path: str | Path) -> str:
    """Text of a UTF-8 file, with or without a byte order mark.

    Raises:
        UserError: on another encoding, with the line.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its name and who may read it") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError(f"{path} is UTF-16 text; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = data[error.start]
        shown = f" ({chr(byte)!r} in latin-1)" if byte >= 0xA0 else ""
        raise UserError(
            f"{path}, line {line}: byte 0x{byte:02x}{shown} is not UTF-8, so the file is of another encoding, such as"
            " latin-1; save it as UTF-8"
        ) from error


def parse_document(text: str, name: str) -> Document:
    """Contents of a text.

    Args:
        name: what to call it in an error.

    Raises:
        UserError: if it is neither JSON nor YAML, with the line.
    """
    if text.lstrip().startswith(("{", "[")):
        mistakes: list[str] = []
        try:
            values = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, name, mistakes))
            return Document(values, {}, (*mistakes, *_not_finite(values, name)))
        except ValueError:  # no JSON, which may still be YAML in braces
            pass
        except RecursionError as error:
            raise UserError(f"{name}: nested too deeply; give a flat mapping of settings") from error
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        walk = _Walk(name)
        walk.visit(node, ())
        values = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        raise UserError(f"{name}{explained(error, text)}") from error
    except (ValueError, OverflowError) as error:  # of a date such as 2020-13-45
        raise UserError(f"{name}: {error}; quote the value that is meant as text") from error
    except RecursionError as error:
        raise UserError(f"{name}: nested too deeply; give a flat mapping of settings") from error
    return Document(values, walk.scalars, tuple(walk.mistakes))


def misread(scalar: Scalar | None) -> str | None:
    """What to say of a value that was meant as text, if YAML took it for something else; None if it did not."""
    if scalar is None or scalar.kind not in _KINDS:
        return None
    return (
        f"YAML takes the unquoted {scalar.text or 'empty value'} for {_KINDS[scalar.kind]}; quote it: '{scalar.text}'"
    )


def _object(pairs: list[tuple[str, Any]], name: str, mistakes: list[str]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = dict.fromkeys(key for key in keys if keys.count(key) > 1) if len(set(keys)) < len(keys) else ()
    mistakes += [f"{name}: key {key!r} stands twice in one mapping; keep one of them" for key in twice]
    return dict(pairs)


def _not_finite(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{name}: {value} is no finite number; give one"
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _not_finite(each, name)


class _Walk:
    """Scalars and mistakes of a tree of nodes; an anchor's values are met wherever it is used."""

    def __init__(self, name: str):
        self.name = name
        self.scalars: dict[tuple[str | int, ...], Scalar] = {}
        self.mistakes: list[str] = []
        self._visited, self._open = 0, set[int]()

    def visit(self, node: yaml.Node | None, path: tuple[str | int, ...]) -> None:
        self._visited += 1
        if self._visited > MOST_VALUES:
            raise UserError(f"{self.name}: its anchors expand to more than {MOST_VALUES} values; write them out")
        if node is None:
            return
        if id(node) in self._open:
            raise UserError(f"{self.name}, line {_line(node)}: an anchor that contains itself; write its values out")
        if isinstance(node, yaml.ScalarNode):
            self._scalar(node, path)
            return
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, path)
        else:
            for index, each in enumerate(node.value):
                self.visit(each, (*path, index))
        self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: tuple[str | int, ...]) -> None:
        seen: dict[Hashable, int] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self.visit(each, path)
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._add(f", line {_line(key)}: a list or mapping in the place of a key; give a name")
                continue
            dotted = ".".join(map(str, (*path, key.value)))
            if key.tag != f"{_TAG}str":
                said = misread(Scalar(key.value, _line(key), key.tag.removeprefix(_TAG)))
                self._add(f", line {_line(key)}: key {dotted}: {said or 'its tag is of no use; take it out'}")
            elif key.value in seen:
                first, again = seen[key.value], _line(key)
                lines = f"lines {first} and {again}" if first != again else f"line {first}"
                self._add(f", {lines}: key {dotted!r} stands twice; keep one of them")
            seen.setdefault(key.value, _line(key))
        for key, value in node.value:  # after merges, which these go before
            if key.tag != f"{_TAG}merge" and isinstance(key, yaml.ScalarNode):
                self.visit(value, (*path, key.value))

    def _scalar(self, node: yaml.ScalarNode, path: tuple[str | int, ...]) -> None:
        kind = node.tag.removeprefix(_TAG)
        plain = node.style is None and kind != "str"
        self.scalars[path] = Scalar(node.value, _line(node), kind if plain else None)
        if plain and (said := _changed(kind, node.value)):
            self._add(f", line {_line(node)}: {'.'.join(map(str, path))}: {said}")

    def _add(self, text: str) -> None:
        if (line := f"{self.name}{text}") not in self.mistakes:  # of an anchor that is used twice
            self.mistakes.append(line)


def _changed(kind: str, text: str) -> str | None:
    """What to say of a number that YAML reads as another one than most people do."""
    if kind in ("int", "float") and ":" in text:
        return f"YAML reads {text} to base 60; quote it, or write the number out"
    if kind == "int" and re.fullmatch(r"[-+]?0[0-7_]+", text):
        return f"YAML reads {text} to base 8; leave out the leading zero, or quote it"
    if kind == "float" and re.fullmatch(r"[-+]?\.(inf|nan)", text.lower()):
        return f"{text} is no finite number; give one"
    if kind == "timestamp":
        return f"YAML reads {text} as a date; quote it"
    return None


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
