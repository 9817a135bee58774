"""A hull reference as the configuration asks for it."""

import logging
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unimat.errors import UserError
from unimat.files import sha256
from unimat.materials.crystals import corrections as mp
from unimat.materials.datasets.sets import crystals_of, with_energies
from unimat.materials.stability.references import pseudopotentials as potentials
from unimat.materials.stability.references.api import from_api
from unimat.materials.stability.references.combine import combined, refuse_mixture
from unimat.materials.stability.references.energy_scale import refuse_two_scales
from unimat.materials.stability.references.gnome_summaries import gnome, materials_project
from unimat.materials.stability.references.json_entries import from_json
from unimat.materials.stability.references.lost import systems_of
from unimat.materials.stability.references.reference import Reference, from_relaxed
from unimat.materials.stability.references.tables import from_table
from unimat.materials.stability.settings import ReferenceSettings, SourceSettings

log = logging.getLogger("unimat.reference")

MAX_DROPPED = 1000  # entries left out that are listed one by one
FROM_FILES = {"materials_project": materials_project, "gnome": gnome, "entries": from_json, "table": from_table}


def build(settings: ReferenceSettings, relaxed: Mapping[str, Path], n_processes: int = 2) -> Reference:
    """Reference of one source or of several together.

    Args:
        relaxed: relaxed tables by the name of their set, for sources of kind `set`.

    Raises:
        UserError: if a source cannot be read, or the energies do not fit each other.
    """
    parts = {name: load(name, part, relaxed, n_processes) for name, part in settings.parts.items()}
    if settings.kind == "combined":
        reference = combined(_labelled(parts), settings.name or " + ".join(parts))
    else:
        reference = next(iter(parts.values()))
        refuse_mixture(reference.entries.table, reference.name)
    refuse_two_scales(reference.entries, reference.name)
    # XeF2 and its like are on the hull without solid xenon; crystals of such elements are not judged, the others are.
    if missing := reference.missing_elements:
        log.warning("hull reference %r has no elemental phase of %s", reference.name, ", ".join(missing))
    name = settings.name or reference.name
    return reference.replaced(reference.entries.table, name=name, details=reference.details | _facts(reference))


def load(name: str, settings: SourceSettings, relaxed: Mapping[str, Path], n_processes: int) -> Reference:
    """Reference of one source."""
    if settings.kind == "set":
        if settings.set not in relaxed:
            raise UserError(
                f"--relaxed is missing: the reference {name!r} is the relaxed table of set {settings.set!r}"
            )
        path = relaxed[settings.set]
        found = from_relaxed(with_energies(crystals_of(path), path), settings.set)
        return found.replaced(found.entries.table, details={**found.details, "inputs": _digests(path)})
    if settings.kind == "materials_project_api":
        return from_api(settings)
    return FROM_FILES[settings.kind](settings, n_processes)


def _digests(path: Path) -> dict[str, str]:
    """SHA-256 of a file by its name; of a folder none, since its files are many."""
    return {path.name: sha256(path)} if path.is_file() else {}


def _labelled(parts: Mapping[str, Reference]) -> dict[str, Reference]:
    """Parts whose entries bear the part's name as their source; entries of a combined reference keep theirs."""
    labelled = {}
    for name, part in parts.items():
        table = part.entries.table
        place = table.schema.get_field_index("source")
        if len(table["source"].combine_chunks().dictionary.unique()) < 2:
            label = pa.array([name]).dictionary_encode().cast(table.schema.field(place).type)
            table = table.set_column(place, table.schema.field(place), label.take(pa.array(np.zeros(len(table), int))))
        labelled[name] = part.replaced(table)
    return labelled


def _facts(reference: Reference) -> dict[str, Any]:
    shifted = potentials.shifted_atoms(reference.entries.table)
    dropped = reference.details.get("dropped", [])
    facts: dict[str, Any] = {
        "n_dropped": reference.details.get("n_dropped", len(dropped)),
        "dropped": dropped[:MAX_DROPPED],
        "lost": reference.details.get("lost", [])[:MAX_DROPPED],
        "lost_systems": systems_of(reference.details),
        "unimat": version("unimat"),
        "pymatgen": mp.pymatgen_version().split()[1],
    }
    if shifted:
        shifts = {symbol: potentials.SHIFTS[symbol] for symbol in shifted}
        facts["pseudopotential_shifts"] = {"eV_per_atom_of_the_element": shifts, "n_entries": shifted}
    return facts


def summary(reference: Reference) -> dict[str, Any]:
    """What the reference holds, counted: JSON-ready."""
    table = reference.entries.table
    columns = ("source", "functional", "run_type", "correction_scheme", "correction_version", "calculator")
    counts = {name: _counts(table, name) for name in (*columns, "pseudopotentials")}
    return {
        "name": reference.name,
        "source": reference.source,
        "licence": reference.licence,
        "energy_type": reference.energy_type,
        "n_entries": len(reference.entries),
        "elements": sorted(element.symbol for element in reference.elements),
        "without_elemental_phase": reference.missing_elements,
        "counts": counts,
        "n_shifted": int((np.asarray(table["shift_per_atom"]) != 0).sum()),
        **reference.details,
    }


def _counts(table: pa.Table, name: str) -> dict[str, int]:
    counts = Counter(table[name].combine_chunks().dictionary_decode().to_pylist())
    return {
        str(value): count for value, count in sorted(counts.items(), key=lambda item: -item[1]) if value is not None
    }
