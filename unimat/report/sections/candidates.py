"""Sets that are made by substitution: from which known crystals, and what there was none of."""

from typing import Any

from unimat.report.quantities import number
from unimat.report.run_files import RunFiles, SetFiles

MADE_BY = "substitute"


def substituted(run: RunFiles) -> list[SetFiles]:
    """Sets of this origin."""
    made = [each for each in run.sets.values() if each.crystals is not None]
    return [each for each in made if each.crystals and each.crystals.metadata.get("made_by") == MADE_BY]


def origins(run: RunFiles) -> list[tuple[str, Any]]:
    """A fact for each of them."""
    return [(f"Substitution of {each.name}", _origin(each)) for each in substituted(run)]


def _origin(one: SetFiles) -> str:
    assert one.crystals is not None
    about = one.crystals.metadata
    templates = [each for each in about.get("templates", []) if isinstance(each, dict)]
    of = f"{number(len(one.crystals))} of {number(one.n_generated)} candidates"
    known = sum(name is not None for name in one.crystals.column("known")) if len(one.crystals) else 0
    named = "; ".join(_named(each) for each in templates)
    return f"{of}, {number(known)} of them known crystals, by exchange of elements in known ones: {named}"


def _named(table: dict[str, Any]) -> str:
    licence = f", licence: {table['licence']}" if table.get("licence") else ""
    return f"{number(table.get('n_templates'))} of {table.get('name')}{licence}"
