"""Keys, types and bounds of a configuration, by the JSON schemas: every mistake in a line of its own."""

import copy
import difflib
import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from unimat.settings import POWER_OF_TEN
from unimat.strict_yaml import Scalar, misread

# A wheel holds them beside this file, the source tree where a workflow is to have them.
SCHEMAS = next(
    folder
    for folder in (Path(__file__).with_name("schemas"), Path(__file__).parents[2] / "workflow/schemas")
    if folder.is_dir()
)
LIMITS = {
    "minimum": "it must be at least {}",
    "maximum": "it must be at most {}",
    "exclusiveMinimum": "it must be greater than {}",
    "exclusiveMaximum": "it must be less than {}",
    "pattern": "it must match {}",
    "minItems": "it must have at least {} values",
    "maxItems": "it must have at most {} values",
    "minLength": "it must not be empty",
    "maxLength": "it must have at most {} characters",
    "uniqueItems": "its values must differ",
}
LONGEST = 120  # characters of a value that are shown
FREE = ("calculator_kwargs", "user_incar_settings")  # keys under which another program's own settings stand

Path_ = tuple[str | int, ...]


@functools.cache
def read_schema(name: str) -> dict[str, Any]:
    """A schema by the name of its file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((SCHEMAS / name).read_text(encoding="utf-8"), Loader=loader)


@functools.cache
def _validator() -> Any:
    registry: Any = Registry(retrieve=lambda name: DRAFT202012.create_resource(read_schema(name)))  # type: ignore[call-arg]
    return jsonschema.Draft202012Validator(read_schema("config.schema.yaml"), registry=registry)


def checked(
    values: dict[str, Any], scalars: Mapping[Path_, Scalar] | None = None
) -> tuple[dict[str, Any], list[str], set[str]]:
    """What is sound of a configuration, what is wrong with the rest, and the sets of which something is missing.

    A number such as 1e-4, which YAML 1.1 takes for text, becomes one where a number is due.

    Args:
        scalars: values as they are written, for what YAML took for something else.
    """
    sound = _with_numbers(copy.deepcopy(values))
    errors = sorted(_validator().iter_errors(sound), key=lambda error: list(map(str, error.absolute_path)))
    infinite = dict(_not_finite(sound, ()))
    told = [error for error in errors if tuple(error.absolute_path) not in infinite]
    lines = [line for error in told for line in explained(error, scalars or {})]
    lines += infinite.values()
    broken = {str(error.absolute_path[1]) for error in errors if _breaks_a_set(error)}
    for path in sorted({*infinite, *(path for error in errors for path in _faulty(error))}, key=len, reverse=True):
        _remove(sound, path)
    return sound, list(dict.fromkeys(lines)), broken


def did_you_mean(name: Any, known: Iterable[Any]) -> str:
    """A remedy: the nearest of the known names, or all of them."""
    names = [str(each) for each in known]
    near = difflib.get_close_matches(str(name), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names) or 'none'}"


def explained(error: Any, scalars: Mapping[Path_, Scalar]) -> Iterator[str]:
    """One sentence on a schema error; one for each key of those that are unknown."""
    key = ".".join(map(str, error.absolute_path))
    where = key or "the configuration"
    value, limit = error.instance, error.validator_value
    unit = f" {error.schema['unit']}" if "unit" in error.schema else ""
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        for unknown in (name for name in value if name not in known):
            yield f"unknown key {f'{key}.{unknown}'.lstrip('.')!r}{did_you_mean(unknown, known)}"
    elif error.validator in ("required", "dependentRequired"):
        yield f"{where}: {error.message}"
    elif error.validator == "enum":
        known = ", ".join(map(str, limit))
        taken = misread(scalars.get(tuple(error.absolute_path))) if not isinstance(value, str) else None
        yield f"{where} is {_shown(value)}{f'; {taken}' if taken else did_you_mean(value, limit)} (one of {known})"
    elif error.validator == "type":
        yield f"{where} is {_shown(value)}; {_of_type(value, limit, scalars.get(tuple(error.absolute_path)))}"
    elif error.validator not in LIMITS:
        yield f"{where}: {error.message}"
    else:
        hint = f" ({error.schema['description']})" if "description" in error.schema else ""
        limit = str(limit).removesuffix(r"(?!\n)") if error.validator == "pattern" else limit
        place = "a name in " if "propertyNames" in error.absolute_schema_path else ""
        yield f"{place}{where} is {_shown(value)}{unit}; {LIMITS[error.validator].format(limit)}{unit}{hint}"


def _of_type(value: Any, limit: Any, scalar: Scalar | None) -> str:
    kinds = [limit] if isinstance(limit, str) else limit
    if "string" in kinds and (taken := misread(scalar)):
        return taken
    must = f"it must be of type {' or '.join(kinds)}"
    if isinstance(value, str) and {"number", "integer"} & set(kinds) and value.strip().lstrip("+-")[:1].isdigit():
        return f"{must}; write it without quotes and unit"
    if "string" in kinds and isinstance(value, bool | int | float):
        return f"{must}; quote it"
    return must


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _with_numbers(values: dict[str, Any]) -> dict[str, Any]:
    """`values` with 1e-4 as a number wherever a number is due."""
    _free_numbers(values)
    for error in _validator().iter_errors(values):
        value, kinds = error.instance, error.validator_value
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if error.validator != "type" or not isinstance(value, str) or not POWER_OF_TEN.fullmatch(value):
            continue
        if "number" in kinds or ("integer" in kinds and float(value).is_integer()):
            path = list(error.absolute_path)
            parent = functools.reduce(lambda inner, key: inner[key], path[:-1], values)
            parent[path[-1]] = float(value) if "number" in kinds else int(float(value))
    return values


def _free_numbers(value: Any, free: bool = False) -> None:
    """The same in place, where another program's settings stand, whose types nobody here knows."""
    for key, each in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
        if free and isinstance(each, str) and POWER_OF_TEN.fullmatch(each):
            value[key] = float(each)
        elif isinstance(each, dict | list):
            _free_numbers(each, free or key in FREE)


def _not_finite(value: Any, path: Path_) -> Iterator[tuple[Path_, str]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield path, f"{'.'.join(map(str, path))} is {value}; give a finite number"
    elif isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(each, (*path, key))


def _breaks_a_set(error: Any) -> bool:
    """Whether a set is not known for what it is: nobody can say more of it, or of who asks for it."""
    path = list(error.absolute_path)
    if path[:1] != ["sets"] or len(path) < 2:
        return False
    return len(path) == 2 or (len(path) == 3 and path[2] in ("from", *error.schema.get("required", ()), "split", "of"))


def _faulty(error: Any) -> Iterator[Path_]:
    """Paths of what is to be left out, so that the rest can be checked."""
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from ((*path, name) for name in error.instance if name not in error.schema["properties"])
    elif error.validator == "dependentRequired":
        yield from ((*path, name) for name in error.validator_value if name in error.instance)
    elif error.validator in LIMITS and "propertyNames" in error.absolute_schema_path:
        yield (*path, error.instance)
    elif path and error.validator != "required":
        yield path


def _remove(values: Any, path: Path_) -> None:
    if isinstance(path[-1], int) and path[-2:-1] != ("sets",):  # a list says nothing without one of its values
        _remove(values, path[:-1])
        return
    for key in path[:-1]:
        if not (key in values if isinstance(values, dict) else isinstance(key, int) and key < len(values)):
            return
        values = values[key]
    if isinstance(values, dict):
        values.pop(path[-1], None)
    elif isinstance(values, list) and isinstance(path[-1], int) and path[-1] < len(values):
        values.pop(path[-1])
