"""Phases that a reference should have and has not, and the verdicts that they may change.

A phase that is missing from a hull makes what competes with it look more stable. It bears on crystals that hold all of
its elements, and on no others.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unimat.materials.crystals import formulas
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

Lost = dict[str, str | None]  # entry_id, formula, chemical_system (None: unknown), reason

UNKNOWN = "unknown"  # chemical system of a phase whose elements nobody can tell: it may bear on any crystal
NAMED = 10  # chemical systems that a warning names


def lost(entry_id: str, formula: Any, reason: str) -> Lost:
    """Record of one phase; its chemical system is told from the symbols where the formula itself cannot be read."""
    text = None if formula is None or formula != formula else str(formula)
    return {"entry_id": entry_id, "formula": text, "chemical_system": _system(formula), "reason": reason}


def by_system(phases: Iterable[Mapping[str, str | None]]) -> dict[str, int]:
    """Number of lost phases by chemical system."""
    counts = Counter(each["chemical_system"] or UNKNOWN for each in phases)
    return dict(sorted(counts.items()))


def systems_of(details: Mapping[str, Any]) -> dict[str, int]:
    """As `by_system`, of a reference's details."""
    found = details.get("lost_systems")
    return dict(found) if found is not None else by_system(details.get("lost", []))


def added(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Counts of several references together."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def in_words(systems: Mapping[str, int]) -> str:
    """The crystals whose verdicts lost phases may change, the first chemical systems named."""
    known = [name for name in systems if name != UNKNOWN]
    named = ", ".join(known[:NAMED]) + (", ..." if len(known) > NAMED else "")
    if UNKNOWN in systems:
        also = f", of {named} above all" if named else ""
        return f"any crystal, as the elements of {systems[UNKNOWN]} of them are unknown{also}"
    return f"crystals that hold all elements of {named}"


def bearing_on(systems: Mapping[str, int], numbers: Iterable[int]) -> list[str]:
    """Those of the lost chemical systems that may change the verdict on a crystal of these elements."""
    symbols = {SYMBOLS[number - 1] for number in numbers}
    return [name for name in systems if name == UNKNOWN or set(name.split("-")) <= symbols]


def _system(formula: Any) -> str | None:
    try:
        numbers, _ = formulas.parsed(formula)
        symbols = {SYMBOLS[number - 1] for number in numbers}
    except ValueError:
        symbols = set(re.findall("[A-Z][a-z]?", formula)) if isinstance(formula, str) else set()
        if "D" in symbols or "T" in symbols:
            symbols = symbols - {"D", "T"} | {"H"}
    return "-".join(sorted(symbols)) if symbols and symbols <= ATOMIC_NUMBER.keys() else None
