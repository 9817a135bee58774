"""The configuration's schema and the settings classes name the same keys, so that neither can drift from the other."""

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from unimat.configuration.sections import SECTIONS
from unimat.materials.datasets.settings import ConvertSettings
from unimat.materials.screening.settings import ScreenSettings
from unimat.materials.search.random_search.settings import AirssSettings
from unimat.materials.search.settings import SubstitutionSettings
from unimat.model.settings import SampleSettings

SCHEMAS = Path(__file__).parents[1] / "workflow/schemas"
# Keys that wire the workflow and that no command sees.
OF_THE_WORKFLOW = {
    "metrics": {"sets", "reference_split", "cache"},
    "match": {"sets"},
    "relax": {"sets", "shards", "by_set", "cache"},
    "hull": {"sets", "by_set"},
    "md": {"sets"},
    "compare": {"pairs"},
}
OF_THE_RUN = {"run", "seed", "faithful", "require_accelerator", "pretrained", "sets"}


def schema(name: str) -> dict[str, Any]:
    return yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"))


def resolved(values: dict[str, Any]) -> dict[str, Any]:
    """What a reference such as ``relax.schema.yaml#/properties/vasp`` points at."""
    if "#/" not in values.get("$ref", ""):
        return values
    name, _, pointer = values["$ref"].partition(".schema.yaml#/properties/")
    return schema(name)["properties"][pointer]


def inner(hint: Any) -> list[Any]:
    """Dataclasses within a type hint."""
    if dataclasses.is_dataclass(hint):
        return [hint]
    return [found for argument in typing.get_args(hint) for found in inner(argument)]


def allows(values: dict[str, Any], kind: str) -> bool:
    types_ = values.get("type", [])
    return kind in ([types_] if isinstance(types_, str) else types_)


def compare(kind: Any, properties: dict[str, Any], where: str) -> None:
    """Same keys, same choices, null where None is allowed, and the same of settings within settings."""
    hints = typing.get_type_hints(kind)
    assert properties.keys() == {field.name for field in dataclasses.fields(kind)}, where
    for name, hint in hints.items():
        described = resolved(properties[name])
        options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        assert allows(described, "null") == (type(None) in options), f"{where}.{name}"
        choices = [option for option in options if typing.get_origin(option) is typing.Literal]
        if choices and len(options) == 1:
            assert tuple(described["enum"]) == typing.get_args(choices[0]), f"{where}.{name}"
        for each in inner(hint):
            deeper = described if "properties" in described else described["additionalProperties"]
            compare(each, deeper["properties"], f"{where}.{name}")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_of_the_schema_has_the_keys_of_its_settings_class(section: str):
    properties = schema(section)["properties"]
    own = OF_THE_WORKFLOW.get(section, set())
    assert own <= properties.keys()
    compare(SECTIONS[section], {key: value for key, value in properties.items() if key not in own}, section)


def test_the_configuration_has_these_sections_and_no_others():
    assert schema("config")["properties"].keys() == SECTIONS.keys() | OF_THE_RUN


def test_options_of_a_set_are_those_of_the_command_that_makes_it():
    kinds = schema("sets")["$defs"]
    made_by = (SampleSettings, SubstitutionSettings, AirssSettings, ConvertSettings)
    fields = {kind: {field.name for field in dataclasses.fields(kind)} for kind in made_by}
    assert kinds["sample"]["properties"].keys() == fields[SampleSettings] | {"from", "compositions_of"}
    assert kinds["substitution"]["properties"].keys() == fields[SubstitutionSettings] | {"from", "compositions_of"}
    assert kinds["airss"]["properties"].keys() == fields[AirssSettings] | {"from", "compositions_of"}
    assert kinds["file"]["properties"].keys() == fields[ConvertSettings] | {"from", "path"}
    screen = {key: each for key, each in kinds["screen"]["properties"].items() if key not in ("from", "of")}
    compare(ScreenSettings, screen, "sets.screen")
    assert kinds.keys() == set(schema("sets")["properties"]["from"]["enum"])


# What may be asked of a property, and what VASP takes: nobody here knows their ranges.
OF_ANOTHER_PROGRAM = ("relax.schema.yaml.vasp.user_incar_settings", "sample.schema.yaml.properties")


def bounded(values: dict[str, Any]) -> bool:
    """Whether a number has a lower and an upper bound, so that 50 for 0.5 is seen."""
    low, high = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
    return "enum" in values or bool(low & values.keys() and high & values.keys())


def keys_of(values: dict[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    """Every key that a schema describes, with its description, by dotted path."""
    found = []
    for name, described in values.get("properties", {}).items():
        if "$ref" not in described and "const" not in described:
            found += [(f"{where}.{name}", described), *keys_of(described, f"{where}.{name}")]
    return found


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_schema_is_valid_describes_every_key_and_forbids_others(path: Path):
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(values)
    nested = [values] if path.name != "sets.schema.yaml" else list(values["$defs"].values())
    for each in nested:
        assert each["additionalProperties"] is False
        for name, described in keys_of(each, path.name):
            assert described.get("description"), f"{name} has no description"
            for part in (described, described.get("items", {}), described.get("additionalProperties", {})):
                if isinstance(part, dict) and (allows(part, "number") or allows(part, "integer")):
                    assert bounded(part) or name in OF_ANOTHER_PROGRAM, f"{name} has no lower or no upper bound"


def test_a_default_stands_in_the_settings_class_alone():
    assert not [path.name for path in SCHEMAS.glob("*.yaml") if "default:" in path.read_text(encoding="utf-8")]
