"""The page about the configuration, from the schemas in workflow/schemas and the settings classes of unimat."""

import dataclasses
import json
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from unimat.configuration.sections import SECTIONS
from unimat.materials.datasets.settings import ConvertSettings
from unimat.materials.metrics.settings import MetricsSettings
from unimat.materials.prediction.settings import PredictionSettings
from unimat.materials.screening.settings import ScreenSettings
from unimat.materials.search.random_search.settings import AirssSettings
from unimat.materials.search.settings import SubstitutionSettings
from unimat.model.settings import SampleSettings

SCHEMAS = Path(__file__).parents[1] / "workflow/schemas"
# Keys that the rules read and no settings class knows.
KEYS_OF_RULES: dict[str, Any] = {
    "metrics.sets": [],
    "metrics.reference_split": "test",
    "metrics.cache": None,
    "match.sets": [],
    "relax.sets": [],
    "relax.shards": 1,
    "relax.by_set": {},
    "relax.cache": None,
    "hull.sets": [],
    "hull.by_set": {},
    "md.sets": [],
    "compare.pairs": [],
}
REQUIRED = "required"
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

INTRODUCTION = textwrap.dedent(
    """\
    # Configuration

    A configuration is one YAML file: `config/config.yaml` is the demo, the files beside it are the real datasets
    and the paper's recipe. `snakemake --configfile FILE` runs another one in its place; `--config run=NAME` changes
    single keys.

    Everything is checked before any job starts, and each mistake is one line that names the file, the key, the value,
    the limit and the remedy; all of them are told at once. `unimat doctor --config FILE` says the same lines in a
    second, where a dry run (`snakemake -n --configfile FILE`) starts Snakemake first. Checked are

    - the YAML: a key that stands twice, a tab, a brace that is not closed, another encoding than UTF-8, each with its
      line; unquoted text that YAML takes for something else (`No`, `ON`, `010`, `1:30`, dates). A file that is no YAML,
      Snakemake itself refuses before it reads the workflow, and gives no line number if the file was named by
      `--configfile`: ask the doctor;
    - keys, types, units and bounds, and settings that contradict each other;
    - names of sets, files and columns: sources that are missing, empty or may not be read, columns that a CSV, Parquet
      or Feather table lacks, names that Snakemake would read as its own;
    - elements, formulas and lists of formulas, against the grid, the slots and the conditions of the model;
    - `train.batch_size` against the dataset, where its size is known: published ones, tables, folders and archives;
    - what the jobs of the targets need of this machine: the packages of engines, VASP's program and potentials, models
      of force fields, calculators of your own, files of hull references. Nothing is asked for sets that are relaxed
      already. Where jobs are submitted, VASP is left to the nodes; where they run on another machine altogether,
      `UNIMAT_ELSEWHERE=1` in the environment leaves out all of this.

    What only the data can say comes next: `unimat encode` warns of rejected crystals and stops, before the training,
    where their share is above `encode.max_rejected`, with the slots that would do.

    A section that is left out takes its defaults. A default stands in one place, the settings class of its section,
    with its source beside it; the tables below are made from those classes and from the schemas in
    `workflow/schemas/`. Many defaults are the paper's, which ask for accelerators: `config/config.yaml` shows values
    for two cores. A section's own `seed`, where it has one, goes before the run's.

    A stage depends on its own section alone: a changed `relax` section relaxes again and does what follows, and
    trains nothing.

    """
)


def configuration() -> str:
    """Every key of the configuration, from the schemas, with defaults from the settings classes."""
    top = read_schema("config.schema.yaml")
    of_the_run = {"run": REQUIRED, "seed": "", "faithful": False, "require_accelerator": "", "pretrained": ""}
    parts = [INTRODUCTION, table(rows(top["properties"], "", of_the_run))]
    for name, part in top["properties"].items():
        if "$ref" in part:
            schema = read_schema(part["$ref"])
            found = rows(schema["properties"], f"{name}.", defaults_of(SECTIONS[name], f"{name}."))
            parts.append(f"\n## {name}\n\n{words_of(schema)}.\n\n{table(found)}")
        elif name == "sets":
            parts.append(f"\n## sets\n\n{words_of(part)}.\n")
            parts += origins_of_sets()
    return "".join(parts)


def origins_of_sets() -> Iterator[str]:
    """A part for each origin that a set may have."""
    schema = read_schema("sets.schema.yaml")
    yield f"\nA set comes from {words_of(schema['properties']['from'])}.\n"
    # The options of a set from a file or from a search have defaults in a settings class, too.
    borrowed = {
        "sample": SampleSettings,
        "file": ConvertSettings,
        "substitution": SubstitutionSettings,
        "airss": AirssSettings,
        "screen": ScreenSettings,
    }
    for origin in schema["properties"]["from"]["enum"]:
        form = schema["$defs"][origin]
        properties = {name: resolved(part) for name, part in form["properties"].items() if name != "from"}
        defaults = dict.fromkeys(properties, "") | (defaults_of(borrowed[origin], "") if origin in borrowed else {})
        found = list(rows(properties, "", defaults | dict.fromkeys(form.get("required", []), REQUIRED)))
        about = [f"{words_of(form)}."] if "description" in form else []
        yield "\n\n".join([f"\n### from: {origin}", *about, table(found) if found else "No further keys.\n"])


unknown: list[str] = []  # keys that a schema allows and no settings class takes; tests/test_docs.py wants none


def rows(properties: dict[str, Any], prefix: str, defaults: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Key, type and bounds, default, and meaning of each property; those of a mapping follow it."""
    for name, part in properties.items():
        key = prefix + name
        if key == "sets" or ("$ref" in part and "#/" not in part["$ref"]):  # a part of the page of its own
            continue
        part = resolved(part)
        inner = part.get("properties") or {}
        named = part.get("additionalProperties")
        if isinstance(named, dict) and "properties" in named:
            inner = {f"<name>.{each}": value for each, value in named["properties"].items()}
        if key not in defaults and not inner:
            unknown.append(key)
            continue
        yield key, kind_of(part), shown(defaults.get(key, "")), words_of(part)
        yield from rows(inner, f"{key}.", defaults)


def defaults_of(kind: Any, prefix: str) -> dict[str, Any]:
    """Default of each field of a settings class by its dotted key; those of classes inside follow."""
    found = {key: value for key, value in KEYS_OF_RULES.items() if key.startswith(prefix)} if prefix else {}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        factory = field.default_factory
        value = field.default if factory is dataclasses.MISSING else factory()
        if dataclasses.is_dataclass(value):
            found |= defaults_of(type(value), f"{prefix}{field.name}.")
        else:
            found[prefix + field.name] = REQUIRED if value is dataclasses.MISSING else value
        of_each = typing.get_args(hints[field.name])[-1:]  # of a mapping of names to settings
        if typing.get_origin(hints[field.name]) is dict and dataclasses.is_dataclass(of_each[0]):
            found |= defaults_of(of_each[0], f"{prefix}{field.name}.<name>.")
    if kind is MetricsSettings:  # two numbers in place of a dataset's name
        found |= dict.fromkeys((f"{prefix}cutoffs.structure", f"{prefix}cutoffs.composition"), "")
    if kind is PredictionSettings:  # the numbers of its preset
        preset = dataclasses.asdict(PredictionSettings().matcher_settings)
        found |= {f"{prefix}matcher.{key}": number for key, number in preset.items()}
    return found


def kind_of(part: dict[str, Any]) -> str:
    """Type, unit and bounds in words."""
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    kinds = part.get("type", "any")
    words = " or ".join([kinds] if isinstance(kinds, str) else kinds).replace("object", "mapping")
    if "items" in part:
        words = words.replace("array", f"list of {kind_of(part['items'])}")
    bounds = [f"{sign} {part[key]}" for key, sign in BOUNDS.items() if key in part]
    unit = f", {part['unit']}" if "unit" in part else ""
    return f"{words}{unit}" + (f" ({', '.join(bounds)})" if bounds else "")


def shown(value: Any) -> str:
    if value in ("", REQUIRED):
        return value
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return f"`{text}`".replace('"', "")


def words_of(part: dict[str, Any]) -> str:
    """Description on one line, angle brackets kept from being taken for HTML."""
    return " ".join(part.get("description", "").split()).replace("<", "&lt;")


def table(found: Any) -> str:
    lines = ["| key | type | default | meaning |\n", "|---|---|---|---|\n"]
    for key, *cells in found:
        lines.append(f"| `{key}` | {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(lines)


def read_schema(name: str) -> dict[str, Any]:
    return yaml.safe_load((SCHEMAS / name).read_text(encoding="utf-8"))


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference such as ``dataset.schema.yaml#/properties/id_column`` points at."""
    if "$ref" not in part:
        return part
    name, pointer = part["$ref"].split("#/")
    found = read_schema(name)
    for key in pointer.split("/"):
        found = found[key]
    return found
