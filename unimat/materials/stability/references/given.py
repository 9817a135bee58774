"""What one of pymatgen's computed entries says of itself."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from unimat.materials.crystals import corrections as mp
from unimat.materials.stability.references.sites import Sites

RUN_TYPES = {"PBE": "GGA", "PBE+U": "GGA+U"}  # emmet's names; pymatgen's scheme drops entries that bear them
SCHEMES = {"MaterialsProject2020Compatibility": mp.MP2020, "MaterialsProjectCompatibility": "MP legacy"}
UNNAMED = "unnamed"  # scheme of a correction that is a bare number, as pymatgen wrote it before 2020
STATED = ("oxide_type", "sulfide_type", "oxidation_states")  # what the MP2020 scheme takes from an entry's data


@dataclasses.dataclass(frozen=True)
class Given:
    """What an entry says of itself.

    Attributes:
        energy: total energy with the corrections that it carries, eV per cell.
        correction: part of `energy`, eV per cell; None: the entry does not tell them apart.
        scheme: of the corrections; None: it carries none.
        data: what of `STATED` the entry states.
        sites: of its crystal, where that is wanted and there.
    """

    entry_id: str
    formula: Any
    energy: Any
    correction: float | None
    scheme: str | None = None
    version: str | None = None
    run_type: str | None = None
    date: str | None = None
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sites: Sites | None = None


def given(entry: Mapping[str, Any], key: str) -> Given:
    """What a dict of pymatgen's says; `key` is its id if it has none."""
    data, parameters = (each if isinstance(each := entry.get(name), Mapping) else {} for name in ("data", "parameters"))
    own = str(entry.get("entry_id") or entry.get("name") or entry.get("attribute") or key)
    run_type = parameters.get("run_type") or data.get("run_type")
    run_type = getattr(run_type, "value", run_type)  # emmet's enumeration
    tells = entry.get("@class") != "PDEntry"
    adjustments = entry.get("energy_adjustments") or []
    energy = entry.get("energy")
    try:
        correction = (sum(map(_value, adjustments)) or float(entry.get("correction") or 0.0)) if tells else None
    except (TypeError, ValueError, KeyError):
        correction, energy = 0.0, f"{energy} with a correction that is no number"
    return Given(
        # Alexandria's ids are called mat_id.
        entry_id=str(data.get("material_id") or data.get("mat_id") or own.removesuffix(f"-{run_type}")),
        formula=entry.get("composition"),
        energy=_total(energy, correction),
        correction=correction,
        scheme=_scheme(adjustments) if correction else None,
        version=_version(adjustments),
        run_type=RUN_TYPES.get(str(run_type), run_type),
        date=_date(data.get("last_updated")),
        parameters=parameters,
        data=_stated(data, parameters),
        sites=sites if isinstance(sites := entry.get("structure"), Sites) else None,
    )


def _total(energy: Any, correction: float | None) -> Any:
    """Energy with its correction; what is no number is left for the check of the rows."""
    try:
        return float(energy) + (correction or 0.0)
    except (TypeError, ValueError):
        return energy


def _stated(data: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What the entry says of its anions and oxidation states; `None` as text is pymatgen's word for no type."""
    said = {name: data.get(name, parameters.get(name)) for name in STATED}
    known = {name: value for name, value in said.items() if value not in (None, "", "None")}
    if not isinstance(known.get("oxidation_states", {}), Mapping):
        del known["oxidation_states"]
    return known


def _value(adjustment: Mapping[str, Any]) -> float:
    """eV per cell of one energy adjustment, of any of pymatgen's classes."""
    if "value" in adjustment:
        return float(adjustment["value"])
    number = float(adjustment.get("n_atoms", 0.0))
    if "adj_per_deg" in adjustment:
        return float(adjustment["adj_per_deg"]) * float(adjustment["temp"]) * number
    return float(adjustment.get("adj_per_atom", 0.0)) * number


def _scheme(adjustments: Sequence[Mapping[str, Any]]) -> str:
    """Name of the scheme that made the adjustments; several side by side."""
    names = set()
    for each in adjustments:
        made_by = str((each.get("cls") or {}).get("@class", ""))
        name = str(each.get("name", ""))
        names.add(SCHEMES.get(made_by) or (mp.MP2020 if name.startswith(mp.MP2020) else made_by or name or UNNAMED))
    return " and ".join(sorted(names)) or UNNAMED


def _version(adjustments: Sequence[Mapping[str, Any]]) -> str | None:
    versions = {(each.get("cls") or {}).get("@version") for each in adjustments} - {None}
    return " and ".join(f"pymatgen {each}" for each in sorted(map(str, versions))) or None


def _date(value: Any) -> str | None:
    """ISO date of a time as pymatgen or the Materials Project write it."""
    text = value.get("string") if isinstance(value, Mapping) else value
    return str(text)[:10] if text else None
