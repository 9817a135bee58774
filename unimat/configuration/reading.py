"""A configuration from its files, or from what Snakemake made of them, with every mistake in it."""

import copy
import csv
import dataclasses
import functools
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from unimat.configuration import checks
from unimat.configuration.checks import data, machine
from unimat.configuration.configuration import Configuration
from unimat.configuration.schema import Path_, checked
from unimat.configuration.sections import OF_FETCH, SECTION_OF_ORIGIN, SETTINGS, options_of
from unimat.errors import UserError
from unimat.materials.datasets.settings import IngestSettings
from unimat.model.faithful import FAITHFUL, faithful_section
from unimat.model.own_data import wants_recipe, with_recipe
from unimat.settings import load_settings
from unimat.strict_yaml import Document, Scalar, read_document, read_text

NAMELESS = "unnamed"  # stands for the name of a run that has none, so that the rest can be checked


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was found.

    Attributes:
        configuration: of all that is sound.
        mistakes: one line each, with the name of the file; none if all is sound.
        label: names of the files.
    """

    configuration: Configuration
    mistakes: tuple[str, ...]
    label: str

    def with_machine(self, targets: Sequence[str] = (), submitted: bool = False) -> tuple[str, ...]:
        """The mistakes, and what this machine lacks for the jobs of the targets; see `checks.machine`."""
        if any("engine" in line for line in self.mistakes):  # which is another one than is meant
            return self.mistakes
        lacking = machine.mistakes(self.configuration, targets, submitted)
        return (*self.mistakes, *(f"{self.label}: {line}" for line in lacking))


def read_files(*paths: str | Path) -> Reading:
    """The configuration of one file, or of several, of which a later one goes before those before it.

    Raises:
        UserError: if one is no YAML.
    """
    documents = [document_of(path) for path in paths]
    mappings = [document.values for document in documents if isinstance(document.values, dict)]
    merged: Any = documents[0].values if len(mappings) < len(documents) else {}
    if len(mappings) == len(documents):
        merged = functools.reduce(_merged, mappings)
    return read(merged, paths, documents)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both mappings in one, as Snakemake merges files: mappings key by key, other values as a whole."""
    found = dict(below)
    for key, value in above.items():
        inner = found.get(key)
        found[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found


def document_of(path: str | Path) -> Document:
    """Contents of a configuration's file; what it is called in mistakes is `path` as one would type it.

    Raises:
        UserError: if there is no such file, or it is no YAML.
    """
    if not Path(path).is_file():
        trouble = "is a folder" if Path(path).is_dir() else "does not exist"
        raise UserError(f"{shown(path)} {trouble}; give a configuration, such as config/config.yaml")
    found = read_document(path)
    return dataclasses.replace(found, mistakes=tuple(line.replace(str(path), shown(path)) for line in found.mistakes))


def unreadable(path: str | Path) -> str | None:
    """Why a file is no YAML, in a line; None if it is, or is not there."""
    try:
        if Path(path).is_file():
            document_of(path)
    except UserError as error:
        return str(error)
    return None


def read(values: Any, paths: Sequence[str | Path], documents: Sequence[Document] = ()) -> Reading:
    """The configuration that `values` are, merged from the files at `paths`.

    Args:
        documents: contents of these files, in whose words mistakes are told.
    """
    label = ", ".join(map(shown, paths)) or "the configuration"
    lines = [line for document in documents for line in document.mistakes]
    if not isinstance(values, dict):
        what = "is empty" if values is None else f"is a {type(values).__name__}, no mapping of keys to values"
        lines.append(f"{label}: the configuration {what}; it needs at least run and dataset")
        values = {}
    scalars: dict[Path_, Scalar] = {}
    for document in documents:
        scalars |= document.scalars
    configuration, found = _read(values, scalars)
    lines += [f"{label}: {line}" for line in found]
    return Reading(configuration, tuple(dict.fromkeys(lines)), label)


def _read(values: dict[str, Any], scalars: Mapping[Path_, Scalar]) -> tuple[Configuration, list[str]]:
    values = {key: copy.deepcopy(value) for key, value in values.items() if value is not None}
    given, mistakes = set(values), []
    if isinstance(values.get("sets"), str):
        try:
            values["sets"] = read_sheet(values["sets"])
        except UserError as error:
            mistakes.append(str(error))
            del values["sets"]
    sound, wrong, broken = checked(values, scalars)
    sound.setdefault("run", NAMELESS)
    mistakes += wrong
    if sound.get("faithful"):
        mistakes += _fill_faithful(sound)
    if wants_recipe(sound):
        sound = with_recipe(sound, _most_in_training(sound))
    settings, unsound = _settings(sound)
    mistakes += unsound
    configuration = Configuration(sound, settings, frozenset(broken))
    if "sets" in sound or "sets" not in given:  # without the sheet, say, every name of a set would be unknown
        mistakes += checks.mistakes(configuration)
    return configuration, list(dict.fromkeys(mistakes))


def _most_in_training(values: dict[str, Any]) -> int | None:
    """Most crystals that the training split can have; None where its source is not there, or is not sound."""
    try:
        settings = load_settings(IngestSettings, options_of(values, "dataset"), "dataset")
    except UserError:
        return None
    if not all(path.exists() for path in data.sources(settings).values()):
        return None
    return data.most_in_training(settings)[0]


def _fill_faithful(values: dict[str, Any]) -> list[str]:
    """Put the paper's form into the configuration; what contradicts it."""
    found = []
    sampled = [(f"sets.{name}", each) for name, each in values.get("sets", {}).items() if each.get("from") == "sample"]
    for where, options in sampled:
        found += _told(lambda where=where, options=options: faithful_section("sample", options, where))
    for name in FAITHFUL:
        found += _told(lambda name=name: values.update({name: faithful_section(name, values.get(name))}))
    return found


def _settings(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings of every section by name, defaults where they contradict each other; and what does."""
    settings, found = {}, []
    for name, kind in SETTINGS.items():
        if name == "airss" and name not in values:
            continue
        try:
            of_fetch = {
                key: value for key, value in values.get(name, {}).items() if name == "dataset" and key in OF_FETCH
            }
            settings[name] = load_settings(kind, options_of(values, name) | of_fetch, name)
        except UserError as error:
            found.append(str(error))
            if name != "airss":
                settings[name] = kind()
    for name, options in values.get("sets", {}).items():
        section = SECTION_OF_ORIGIN.get(options.get("from", ""))
        if section:
            given = options_of(values, section, options)
            found += _told(lambda section=section, given=given, name=name: _load(section, given, name))
    return settings, found


def _load(section: str, given: dict[str, Any], name: str) -> None:
    load_settings(SETTINGS[section], given, f"sets.{name}")


def _told(act: Any) -> list[str]:
    try:
        act()
    except UserError as error:
        return [str(error)]
    return []


def read_sheet(path: str) -> dict[str, dict[str, Any]]:
    """Sets by name from a tab-separated sheet; an empty cell is an option that is not given.

    Raises:
        UserError: if there is none, or it lacks a column, or names a set twice.
    """
    if not Path(path).is_file():
        raise UserError(f"sets: no sheet {path!r}; give a tab-separated file with columns set and from, or a mapping")
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter="\t")
    header, rows = reader.fieldnames or [], list(reader)
    if not rows or not {"set", "from"} <= set(header):
        raise UserError(f"sets: {path} needs a header line with the columns set and from, and a row for each set")
    if len(set(header)) < len(header):
        raise UserError(f"sets: {path} has the column {max(header, key=header.count)!r} twice; leave one")
    names = [row["set"] for row in rows]
    if len(set(names)) < len(names):
        raise UserError(f"sets: {path} names {max(names, key=names.count)!r} twice; names must differ")
    if long := [row["set"] for row in rows if None in row]:
        raise UserError(f"sets: {path}: the row of {long[0]!r} has more cells than the header; take the last ones out")
    return {row.pop("set"): {key: _cell(cell) for key, cell in row.items() if cell and key} for row in rows}


def _cell(text: str) -> Any:
    """The value of a cell; a formula such as NO stays text."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, list | dict) or isinstance(value, bool) == (text in ("true", "false")) else text


def shown(path: str | Path) -> str:
    """`path` as one would type it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative
