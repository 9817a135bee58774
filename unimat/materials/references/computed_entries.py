"""pymatgen's computed entries as entries of a reference, with the corrections that they say they carry."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymatgen.core import Composition
from pymatgen.entries.computed_entries import ComputedEntry

from unimat.errors import UserError
from unimat.materials.reference import Reference
from unimat.materials.references import corrections as mp
from unimat.materials.references import pseudopotentials as potentials
from unimat.materials.references.entries import Entries, table_of
from unimat.materials.references.published import CALCULATORS, FUNCTIONAL
from unimat.materials.references.rows import Rows, checked
from unimat.materials.stability_settings import SourceSettings

FUNCTIONALS = dict.fromkeys(("GGA", "GGA+U", "PBE", "PBE+U"), FUNCTIONAL) | {"R2SCAN": "r2SCAN", "r2SCAN": "r2SCAN"}
RUN_TYPES = {"PBE": "GGA", "PBE+U": "GGA+U"}  # emmet's names; pymatgen's scheme drops entries that bear them
SCHEMES = {"MaterialsProject2020Compatibility": mp.MP2020, "MaterialsProjectCompatibility": "MP legacy"}


@dataclasses.dataclass(frozen=True)
class Given:
    """What an entry says of itself.

    Attributes:
        energy: total energy with the corrections that it carries, eV per cell.
        correction: part of `energy`, eV per cell; None: the entry does not tell them apart.
        scheme: of the corrections; None: it carries none.
    """

    entry_id: str
    formula: str
    energy: Any
    correction: float | None
    scheme: str | None = None
    version: str | None = None
    run_type: str | None = None
    date: str | None = None
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def given(entry: Mapping[str, Any], key: str) -> Given:
    """What a dict of pymatgen's says; `key` is its id if it has none."""
    data, parameters = entry.get("data") or {}, entry.get("parameters") or {}
    own = str(entry.get("entry_id") or entry.get("name") or entry.get("attribute") or key)
    run_type = parameters.get("run_type") or data.get("run_type")
    run_type = getattr(run_type, "value", run_type)  # emmet's enumeration
    tells = entry.get("@class") != "PDEntry"
    adjustments = entry.get("energy_adjustments") or []
    correction = float(entry.get("correction") or sum(map(_value, adjustments))) if tells else None
    energy = entry["energy"]
    return Given(
        # Alexandria's ids are called mat_id.
        entry_id=str(data.get("material_id") or data.get("mat_id") or own.removesuffix(f"-{run_type}")),
        formula=_formula(entry["composition"]),
        energy=energy + correction if isinstance(energy, int | float) and correction else energy,
        correction=correction,
        scheme=_scheme(adjustments) if correction else None,
        version=_version(adjustments),
        run_type=RUN_TYPES.get(str(run_type), run_type),
        date=_date(data.get("last_updated")),
        parameters=parameters,
        data={"oxide_type": data["oxide_type"]} if "oxide_type" in data else {},
    )


def reference_of(
    entries: Sequence[Given], settings: SourceSettings, where: str, details: dict[str, Any], n_processes: int = 1
) -> Reference:
    """Reference of these entries.

    Args:
        where: what to call their source.
        details: of the reference.

    Raises:
        UserError: if none can be used, or it is not clear what their energies are.
    """
    rows = checked(
        (each.entry_id for each in entries),
        (each.formula for each in entries),
        (each.energy for each in entries),
        per_cell=True,
        where=where,
    )
    kept = [entries[index] for index in rows.kept]
    found = _with_corrections(kept, rows, settings, where)
    functionals = [settings.functional or FUNCTIONALS.get(str(each.run_type), each.run_type) for each in kept]
    if None in functionals:
        raise UserError(f"hull.reference.functional is missing: entries of {where} name no run_type")
    scales = [settings.pseudopotentials or _scale(each.entry_id) for each in kept]
    calculators = [settings.calculator or (CALCULATORS[scale] if scale else "VASP") for scale in scales]
    columns = rows.columns() | found | {
        "source": where,
        "date": [each.date for each in kept],
        "functional": functionals,
        "run_type": [each.run_type for each in kept],
        "calculator": calculators,
        "pseudopotentials": scales,
    }  # fmt: skip
    named = {
        "calculator": " and ".join(sorted(set(calculators))),
        "functional": _commonest(functionals),
        "corrections": _commonest(found["correction_scheme"]) or mp.NONE,
        "correction_version": _commonest(found["correction_version"]),
        "quantity": "total energy",
        "pseudopotentials": " and ".join(sorted({scale for scale in scales if scale})),
    }
    return Reference(
        name=where,
        entries=Entries(table_of(columns)),
        energy_type={key: value for key, value in named.items() if value},
        source=f"{where}: {len(kept)} of {len(entries)} entries",
        licence=settings.licence or "",
        details={**details, "dropped": rows.dropped},
    )


def _with_corrections(kept: Sequence[Given], rows: Rows, settings: SourceSettings, where: str) -> dict[str, Any]:
    """Columns of energy and corrections, as given or made anew."""
    n_atoms = np.array([sum(amounts) for amounts in rows.amounts])
    energies = np.array(rows.energy_per_atom)
    carried = [each.correction for each in kept]
    if not settings.apply_mp2020:
        return {
            "correction_scheme": _schemes(kept, settings, where),
            "correction_version": [each.version for each in kept],
            "correction_per_atom": [None if c is None else c / n for c, n in zip(carried, n_atoms, strict=True)],
        }
    if None in carried and settings.corrections != mp.NONE:
        raise UserError(
            f"hull.reference.corrections is missing: entries of {where} do not say what they carry; the corrections"
            f" are added to energies with `corrections: {mp.NONE}` alone"
        )
    old = np.array([change or 0.0 for change in carried]) / n_atoms
    new = np.array([mp.correction_of(_computed(each))[0] for each in kept]) / n_atoms
    return {
        "energy_per_atom": energies - old + new,
        "correction_scheme": mp.MP2020,
        "correction_version": mp.pymatgen_version(),
        "correction_per_atom": new,
    }


def _schemes(kept: Sequence[Given], settings: SourceSettings, where: str) -> list[str | None]:
    """Correction scheme of each entry; None where the schemes have nothing for it."""
    said = {each.scheme for each in kept} - {None}
    if settings.corrections and said - {settings.corrections}:
        raise UserError(
            f"hull.reference.corrections is {settings.corrections!r}, but entries of {where} carry"
            f" {', '.join(sorted(map(str, said)))}; leave the key out to take them as they are"
        )
    if settings.corrections:
        return [settings.corrections] * len(kept)
    open_ones = [each for each in kept if each.scheme is None and _needs_correction(each, sure=bool(said))]
    if any(each.correction is None for each in open_ones):
        raise UserError(
            f"hull.reference.corrections is missing: entries of {where}, such as {open_ones[0].entry_id}"
            f" ({open_ones[0].formula}), do not say what they carry; set it to {mp.MP2020} or {mp.NONE}"
        )
    uncorrected = {id(each) for each in open_ones}
    return [mp.NONE if id(each) in uncorrected else each.scheme for each in kept]


def _needs_correction(each: Given, sure: bool) -> bool:
    """Whether the scheme has something for this entry; if `sure`, only where no oxidation state has to be guessed.

    Beside corrected entries one without corrections was looked at, too, unless it is an oxide, which all of them get.
    """
    composition = Composition(each.formula)
    if not sure:
        return mp.may_be_corrected(_computed(each))
    return len(composition) > 1 and max(composition.elements, key=lambda element: element.X).symbol == "O"


def _computed(each: Given) -> ComputedEntry:
    """Uncorrected entry for the scheme, with parameters as its input sets have them where none are given."""
    composition = Composition(each.formula)
    energy = float(each.energy) - (each.correction or 0.0)
    if each.run_type is None or "hubbards" not in each.parameters:
        return mp.uncorrected_entry(composition, energy, each.entry_id)
    parameters = {**each.parameters, "run_type": each.run_type}
    return ComputedEntry(composition, energy, entry_id=each.entry_id, parameters=parameters, data=dict(each.data))


def _formula(composition: Any) -> str:
    """Formula of a composition as pymatgen writes it in JSON: text, or amounts by symbol."""
    if isinstance(composition, Mapping):
        return "".join(f"{symbol}{amount:.10g}" for symbol, amount in composition.items() if symbol[:1] != "@")
    return str(composition)


def _value(adjustment: Mapping[str, Any]) -> float:
    if "value" in adjustment:
        return float(adjustment["value"])
    return float(adjustment.get("adj_per_atom", 0.0)) * float(adjustment.get("n_atoms", 0.0))


def _scheme(adjustments: Sequence[Mapping[str, Any]]) -> str:
    """Name of the scheme that made the adjustments; several side by side."""
    names = set()
    for each in adjustments:
        made_by = str((each.get("cls") or {}).get("@class", ""))
        name = str(each.get("name", ""))
        names.add(SCHEMES.get(made_by) or (mp.MP2020 if name.startswith(mp.MP2020) else made_by or name or "unnamed"))
    return " and ".join(sorted(names)) or "unnamed"


def _version(adjustments: Sequence[Mapping[str, Any]]) -> str | None:
    versions = {(each.get("cls") or {}).get("@version") for each in adjustments} - {None}
    return " and ".join(f"pymatgen {each}" for each in sorted(map(str, versions))) or None


def _date(value: Any) -> str | None:
    """ISO date of a time as pymatgen or the Materials Project write it."""
    text = value.get("string") if isinstance(value, Mapping) else value
    return str(text)[:10] if text else None


def _scale(entry_id: str) -> str | None:
    return potentials.MATERIALS_PROJECT if entry_id.startswith("mp-") else None


def _commonest(values: Any) -> str | None:
    """The value that most entries have: the whole of it, where a reference is not refused for its mixture."""
    if values is None or isinstance(values, str):
        return values
    counts = Counter(value for value in values if value is not None)
    return str(counts.most_common(1)[0][0]) if counts else None
