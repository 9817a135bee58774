"""The configuration, checked whole before any job: one line names the key, the value, the limit and the remedy."""

import difflib
import os
import sys
from pathlib import Path

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

LIMITS = {
    "minimum": "it must be at least {}",
    "maximum": "it must be at most {}",
    "exclusiveMinimum": "it must be greater than {}",
    "exclusiveMaximum": "it must be less than {}",
    "pattern": "it must match {}",
    "minItems": "it must have at least {} values",
    "maxItems": "it must have at most {} values",
    "minLength": "it must not be empty",
    "uniqueItems": "its values must differ",
}


def stop(message):
    # Snakemake would print a traceback of its own around a WorkflowError.
    sys.exit(f"{', '.join(map(shown, workflow.configfiles))}: {message}")


def shown(path):
    """`path` as one would type it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative


def read_schema(name):
    # Beside this file, wherever that is: a workflow that uses this one as a module has another basedir.
    return yaml.safe_load(Path(workflow.source_path(f"../schemas/{name}")).read_text(encoding="utf-8"))


def did_you_mean(name, known):
    near = difflib.get_close_matches(str(name), [str(each) for each in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(map(str, known))}"


def explain(error):
    """One sentence on a schema error."""
    key = ".".join(map(str, error.absolute_path))
    where = key or "the configuration"
    value, limit = error.instance, error.validator_value
    unit = f" {error.schema['unit']}" if "unit" in error.schema else ""
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = next(name for name in value if name not in known)
        return f"unknown key {f'{key}.{unknown}'.lstrip('.')!r}{did_you_mean(unknown, known)}"
    if error.validator in ("required", "dependentRequired"):
        return f"{where}: {error.message}"
    if error.validator == "enum":
        return f"{where} is {value!r}{did_you_mean(value, limit)} (one of {', '.join(map(str, limit))})"
    if error.validator == "type":
        kinds = [limit] if isinstance(limit, str) else limit
        return f"{where} is {value!r}; it must be of type {' or '.join(kinds)}"
    if error.validator not in LIMITS:
        return f"{where}: {error.message}"
    hint = f" ({error.schema['description']})" if "description" in error.schema else ""
    return f"{where} is {value!r}{unit}; {LIMITS[error.validator].format(limit)}{unit}{hint}"


def check_schema(values):
    registry = Registry(retrieve=lambda name: DRAFT202012.create_resource(read_schema(name)))
    validator = jsonschema.Draft202012Validator(read_schema("config.schema.yaml"), registry=registry)
    error = jsonschema.exceptions.best_match(validator.iter_errors(values))
    if error:
        stop(explain(error))


def check_files(paths):
    """Files and folders that a person brings are there; what lies under results/ a rule may make."""
    for key, path in paths.items():
        if not Path(path).exists() and not Path(path).is_relative_to("results"):
            stop(f"{key} names {path!r}, and there is no such file or folder; paths are relative to where you call")
