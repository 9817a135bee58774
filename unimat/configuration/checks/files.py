"""Files and folders that a configuration names are there, and the workflow can carry their names."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unimat.configuration.configuration import Configuration
from unimat.materials.stability.settings import ReferenceSettings

# Snakemake reads braces as wildcards and <x> as a variable of paths; a command takes a leading hyphen for a flag.
RESERVED = "{}<>"


def mistakes(configuration: Configuration) -> Iterator[str]:
    """What is wrong with the paths, whether or not anything must lie there yet."""
    for key, path in paths_of(configuration).items():
        if (reason := unfit(path)) is not None:
            yield f"{key} is {path!r}: {reason}; rename it"
    brought = {f"sets.{name}.path": configuration.sets[name]["path"] for name in configuration.sets_from("file")}
    known = {f"hull.known[{index}]": path for index, path in enumerate(configuration.settings["hull"].known)}
    for name in configuration.section("hull").get("by_set", {}):
        own = configuration.changed("hull", name).get("known", [])
        known |= {f"hull.by_set.{name}.known[{index}]": path for index, path in enumerate(own)}
    for key, path in {**brought, **known}.items():
        if unfit(path) is None:
            yield from missing(key, path)
    for key in ("relax", "metrics"):
        yield from _cache(f"{key}.cache", configuration.section(key).get("cache"))


def missing(key: str, path: str) -> Iterator[str]:
    """A line if nothing is at `path`, it may not be read, or it is an empty folder; a rule may make results/."""
    found = Path(path).expanduser()
    if not found.exists():
        if not found.is_relative_to("results"):
            broken = "a link that leads nowhere" if found.is_symlink() else "there is no such file or folder"
            yield f"{key} names {path!r}, and {broken}; paths are relative to where you call"
    elif not os.access(found, os.R_OK | (os.X_OK if found.is_dir() else 0)):
        yield f"{key} names {path!r}, which you may not read; ask its owner, or give another"
    elif found.is_dir() and not any(found.iterdir()):
        yield f"{key} names {path!r}, which is an empty folder; put crystals there, or give another"
    elif found.is_file() and not found.stat().st_size:
        yield f"{key} names {path!r}, which is an empty file; give another"


def paths_of(configuration: Configuration) -> dict[str, str]:
    """Every path in the configuration by its key."""
    dataset, train = configuration.settings["dataset"], configuration.settings["train"]
    source = dataset.source if isinstance(dataset.source, dict) else {"": dataset.source}
    found: dict[str, Any] = {f"dataset.source.{key}".rstrip("."): path for key, path in source.items()}
    found |= {f"dataset.files.{key}": path for key, path in dataset.files.items()}
    found |= {"dataset.table": dataset.table, "dataset.mirror": dataset.mirror, "train.initial": train.initial}
    found |= {f"{key}.cache": configuration.section(key).get("cache") for key in ("relax", "metrics")}
    found |= {f"hull.known[{index}]": path for index, path in enumerate(configuration.settings["hull"].known)}
    found["reproduction.folder"] = configuration.settings["reproduction"].folder
    for name, options in configuration.sets.items():
        found |= {f"sets.{name}.{key}": options.get(key) for key in ("path", "compositions")}
    for name in configuration.sets_from("substitution"):
        for key, kinds in {
            "templates": configuration.templates_of(name),
            "known": configuration.known_of(name),
        }.items():
            where = key_of_set(configuration, name, key)
            found |= {f"{where}[{at}]": word for at, (word, kind) in enumerate(kinds.items()) if kind == "file"}
    for key, reference in references_of(configuration).items():
        found |= {f"{key}.path": part.path for part in reference.parts.values()}
    return {key: path for key, path in found.items() if isinstance(path, str)}


def key_of_set(configuration: Configuration, name: str, key: str) -> str:
    """Where an option of a set stands: among its own, or in the section of its origin."""
    options = configuration.sets[name]
    return f"sets.{name}.{key}" if key in options else f"{options['from']}.{key}"


def references_of(configuration: Configuration) -> dict[str, ReferenceSettings]:
    """Every hull reference by its key."""
    if "hull" not in configuration.values:
        return {}
    found: dict[str, ReferenceSettings] = {}
    for name in (None, *configuration.section("hull").get("by_set", {})):
        hull, prefix = configuration.hull(name), f"hull.by_set.{name}" if name else "hull"
        found[f"{prefix}.reference"] = hull.reference
        found |= {f"{prefix}.references.{each}": reference for each, reference in hull.references.items()}
    return found


def unfit(path: str) -> str | None:
    """Why the workflow cannot carry a name; None if it can."""
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "a name with a line break or another control character"
    if any(character in RESERVED for character in path):
        return f"Snakemake reads {' '.join(RESERVED)} in a name as its own"
    if path.startswith("-"):
        return "a command would take a name with a leading hyphen for a flag"
    if len(path.encode()) > 4000 or any(len(part.encode()) > 255 for part in path.split("/")):
        return "a name longer than file systems take"
    return None


def _cache(key: str, path: str | None) -> Iterator[str]:
    found = Path(path).expanduser() if path else None
    if found is not None and found.exists() and not found.is_dir():
        yield f"{key} names {path!r}, which is a file; name a folder"
