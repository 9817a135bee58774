"""Entries of the Materials Project by its API client, mp-api, which is installed apart and imported here alone.

The key is taken from the environment and handed to the client; it is written nowhere, and cut out of what the client
says when it fails.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pymatgen.core import SETTINGS

from unimat.distributions import imported
from unimat.errors import UserError
from unimat.materials.stability.references import pseudopotentials as potentials
from unimat.materials.stability.references.computed_entries import FUNCTIONALS, reference_of
from unimat.materials.stability.references.given import Given, given
from unimat.materials.stability.references.gnome_summaries import FUNCTIONAL
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.references.sites import of_structure
from unimat.materials.stability.settings import SourceSettings

VARIABLES = ("MP_API_KEY", "PMG_MAPI_KEY")
WHERE = "https://next-gen.materialsproject.org/api"
THERMO_TYPE = "GGA_GGA+U"  # the client's default mixes in r2SCAN
MAX_ELEMENTS = 9  # the client asks for all subsystems in one address


def from_api(settings: SourceSettings) -> Reference:
    """Reference of all entries in the configured chemical systems, with the corrections that the database applied.

    Raises:
        UserError: if the client or the key is missing, the request fails, or entries of other functionals come back.
    """
    client, key = _client(), _key()
    with _told(key), client(key) as rester:
        version = _version(rester)
        found = [entry for system in settings.chemical_systems for entry in _entries(rester, system)]
    once = {(each.entry_id, each.run_type, each.energy): each for each in found}
    _refuse_other_functionals(list(once.values()))
    where = "Materials Project API"
    reference = reference_of(list(once.values()), settings, where, {})
    return reference.replaced(
        reference.entries.table,
        name="Materials Project",
        source=f"{where}, database version {version}, {THERMO_TYPE}: {', '.join(settings.chemical_systems)}",
        licence="CC BY 4.0",
        energy_type=reference.energy_type | {"pseudopotentials": potentials.MATERIALS_PROJECT},
        details={**reference.details, "database_version": version},
    )


def _client() -> Any:
    remedy = (
        "the Materials Project API needs its client: pip install mp-api; a key is to be had, free, at"
        f" {WHERE} and goes into the environment variable {VARIABLES[0]}"
    )
    return imported("mp_api.client", "mp-api", remedy).MPRester


def _key() -> str:
    key = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), None) or SETTINGS.get(VARIABLES[1])
    if not key:
        raise UserError(
            f"no key for the Materials Project API: get one at {WHERE} and set the environment variable {VARIABLES[0]}"
        )
    return str(key).strip()


@contextmanager
def _told(key: str) -> Iterator[None]:
    """What goes wrong in the client as one line, without the key; no cause is chained, since it may show the key."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the client's own, those of requests, and those of its data models
        text = " ".join(f"{type(error).__name__}: {error}".replace(key, "<key>").split())
        raise UserError(f"the Materials Project API failed: {text[:500]}") from None


def _refuse_other_functionals(entries: Sequence[Given]) -> None:
    others = [each for each in entries if FUNCTIONALS.get(str(each.run_type), FUNCTIONAL) != FUNCTIONAL]
    if others:
        some = ", ".join(each.entry_id for each in others[:3])
        raise UserError(
            f"the Materials Project API gave {len(others)} of {len(entries)} entries by {others[0].run_type}, such as"
            f" {some}; they share no scale with {THERMO_TYPE}, which was asked for: another version of mp-api may help"
        )


def _version(rester: Any) -> str:
    return str(rester.get_database_version())


def _entries(rester: Any, system: str) -> Iterator[Given]:
    elements = system.split("-")
    if len(elements) > MAX_ELEMENTS:
        raise UserError(
            f"hull.reference.chemical_systems: {system} has more than {MAX_ELEMENTS} elements; name its parts"
        )
    criteria = {"thermo_types": [THERMO_TYPE]}
    for entry in rester.get_entries_in_chemsys(elements, additional_criteria=criteria):
        yield given(_as_dict(entry), str(entry.entry_id))


def _as_dict(entry: Any) -> dict[str, Any]:
    """The entry as a dict, quickly: of the structure only what a scheme may ask for."""
    return {
        "entry_id": entry.entry_id,
        "energy": float(entry.uncorrected_energy),
        "correction": float(entry.correction),
        "composition": entry.composition.get_el_amt_dict(),
        "energy_adjustments": [each.as_dict() for each in entry.energy_adjustments],
        "parameters": dict(entry.parameters),
        "data": dict(entry.data),
        "structure": of_structure(entry.structure) if hasattr(entry, "structure") else None,
    }
