"""What searches look for: elements and formulas that can be read, in templates that are there."""

from collections.abc import Iterator
from typing import Any

from unimat.configuration.checks import chemistry, substitutions
from unimat.configuration.checks.files import references_of
from unimat.configuration.configuration import Configuration
from unimat.configuration.sections import options_of
from unimat.errors import UserError
from unimat.materials.search.random_search.settings import AirssSettings
from unimat.settings import load_settings


def mistakes(configuration: Configuration) -> Iterator[str]:
    """What no search would find, of structures or of reference phases."""
    for key, reference in references_of(configuration).items():
        for part in reference.parts.values():
            for system in part.chemical_systems:
                yield from chemistry.elements(f"{key}.chemical_systems {system!r}", system.split("-"))
    for name in configuration.sets_from("airss"):
        own = configuration.sets[name]
        try:
            settings = load_settings(AirssSettings, options_of(configuration.values, "airss", own))
        except UserError:
            continue  # told already
        if configuration.truths_of(name):
            continue  # its list comes of a set
        if not settings.elements and not settings.compositions:
            yield f"sets.{name}: give `elements` to combine, `compositions` to search, or `compositions_of` a set"
        yield from _search(settings, {key: f"sets.{name}" if key in own else "airss" for key in KEYS})
    yield from substitutions.mistakes(configuration)


KEYS = ("elements", "compositions", "n")


def _search(settings: AirssSettings, section: dict[str, Any]) -> Iterator[str]:
    yield from chemistry.elements(f"{section['elements']}.elements", settings.elements)
    where = f"{section['compositions']}.compositions"
    if isinstance(settings.compositions, str):
        rows, wrong = chemistry.listed(settings.compositions, where)
        yield from wrong
        if settings.n is not None and any(count for *_, count in rows):
            yield f"{where}: {settings.compositions} has counts; leave out {section['n']}.n, or the column count"
    else:
        for index, text in enumerate(settings.compositions):
            yield from chemistry.formula(text, f"{where}.{index}")[1]
