"""pymatgen's computed entries as entries of a reference, with the corrections that they say they carry."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from pymatgen.entries.computed_entries import ComputedEntry

from unimat.errors import UserError
from unimat.materials.crystals import corrections as mp
from unimat.materials.crystals import formulas
from unimat.materials.stability.references import pseudopotentials as potentials
from unimat.materials.stability.references.entries import Entries, table_of
from unimat.materials.stability.references.given import UNNAMED, Given
from unimat.materials.stability.references.gnome_summaries import CALCULATORS, FUNCTIONAL
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.references.rows import Rows, checked
from unimat.materials.stability.settings import SourceSettings

FUNCTIONALS = dict.fromkeys(("GGA", "GGA+U", "PBE", "PBE+U"), FUNCTIONAL) | {"R2SCAN": "r2SCAN", "r2SCAN": "r2SCAN"}


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
    if settings.apply_mp2020:
        rows, found = _corrected(entries, rows, settings, where)
    else:
        found = _as_given(entries, rows, settings, where)
    kept = [entries[index] for index in rows.kept]
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
        details={**details, **rows.left_out(), **(_guessed(kept, rows) if settings.apply_mp2020 else {})},
    )


def _as_given(entries: Sequence[Given], rows: Rows, settings: SourceSettings, where: str) -> dict[str, Any]:
    """Columns of the corrections that the entries carry."""
    kept = [entries[index] for index in rows.kept]
    return {
        "correction_scheme": _schemes(kept, settings, where),
        "correction_version": [each.version for each in kept],
        "correction_per_atom": [
            None if each.correction is None else each.correction / n for each, n in zip(kept, rows.n_atoms, strict=True)
        ],
    }


def _corrected(
    entries: Sequence[Given], rows: Rows, settings: SourceSettings, where: str
) -> tuple[Rows, dict[str, Any]]:
    """Rows that the MP2020 scheme accepts, and their columns of energy and corrections.

    Corrections of this scheme stay: whoever made them may have known the crystal or the oxidation states, which need
    not be in the file. Those of another scheme give way.
    """
    kept = [entries[index] for index in rows.kept]
    if any(each.correction is None for each in kept) and settings.corrections != mp.NONE:
        raise UserError(
            f"hull.reference.corrections is missing: entries of {where} do not say what they carry; the corrections"
            f" are added to energies with `corrections: {mp.NONE}` alone"
        )
    changes = [each.correction if each.scheme == mp.MP2020 else mp.change_or_refusal(_computed(each)) for each in kept]
    rows = rows.without({place: each for place, each in enumerate(changes) if isinstance(each, str)}, where)
    kept = [entries[index] for index in rows.kept]
    old = np.array([each.correction or 0.0 for each in kept]) / rows.n_atoms
    new = np.array([each for each in changes if not isinstance(each, str)], float) / rows.n_atoms
    return rows, {
        "energy_per_atom": np.array(rows.energy_per_atom) - old + new,
        "correction_scheme": mp.MP2020,
        "correction_version": [each.version if each.scheme == mp.MP2020 else mp.pymatgen_version() for each in kept],
        "correction_per_atom": new,
    }


def _guessed(kept: Sequence[Given], rows: Rows) -> dict[str, Any]:
    known = [{*each.data, *(mp.TYPES if each.sites or each.scheme == mp.MP2020 else ())} for each in kept]
    return {"guessed_from_formula": mp.guessed_types(rows.elements, known)}


def _schemes(kept: Sequence[Given], settings: SourceSettings, where: str) -> list[str | None]:
    """Correction scheme of each entry; None where the schemes have nothing for it.

    An entry without a correction beside corrected ones was looked at, too: no scheme has anything for elements and
    most alloys. Only of MP2020 is it certain that it has something for every oxide.
    """
    said = {each.scheme for each in kept} - {None, UNNAMED}
    if settings.corrections:
        if said - {settings.corrections}:
            raise UserError(
                f"hull.reference.corrections is {settings.corrections!r}, but entries of {where} carry"
                f" {', '.join(sorted(map(str, said)))}; {_remedy(said)}"
            )
        return [settings.corrections] * len(kept)
    if unnamed := [each for each in kept if each.scheme == UNNAMED]:
        raise UserError(
            f"hull.reference.corrections is missing: {len(unnamed)} of {len(kept)} entries of {where}, such as"
            f" {_named(unnamed[0])}, carry a correction that names no scheme; {_remedy(said)}, which then holds for all"
            " entries of the file"
        )
    if said:
        return _beside_corrected(kept, said, where)
    open_ones = [each for each in kept if mp.may_be_corrected(_computed(each))]
    if silent := [each for each in open_ones if each.correction is None]:
        raise UserError(
            f"hull.reference.corrections is missing: entries of {where}, such as {_named(silent[0])}, do not say what"
            f" they carry; set it to {mp.MP2020} or {mp.NONE}"
        )
    uncorrected = {id(each) for each in open_ones}
    return [mp.NONE if id(each) in uncorrected else None for each in kept]


def _remedy(said: set[str | None]) -> str:
    """The value of hull.reference.corrections with which the entries are taken as they are."""
    if len(said) > 1:
        return "take the entries of one scheme"
    return f"set it to {next(iter(said))}" if said else f"set it to {mp.MP2020} or a name of your own"


def _beside_corrected(kept: Sequence[Given], said: set[str | None], where: str) -> list[str | None]:
    bare = [each for each in kept if each.scheme is None and _is_oxide(each)] if said == {mp.MP2020} else []
    if bare:
        corrected = next(each for each in kept if each.scheme)
        raise UserError(
            f"entries of {where} mix oxides with {mp.MP2020} corrections, such as {_named(corrected)}, and"
            f" {len(bare)} without, such as {_named(bare[0])}; set hull.reference.apply_mp2020 to add what is missing"
        )
    return [each.scheme for each in kept]


def _named(each: Given) -> str:
    return f"{each.entry_id} ({formulas.text(each.formula)})"


def _is_oxide(each: Given) -> bool:
    composition = formulas.composition(each.formula)
    return len(composition) > 1 and "O" in composition


def _computed(each: Given) -> ComputedEntry:
    """Uncorrected entry for the scheme, with parameters as its input sets have them where none are given.

    What the entry states of its anions goes before what its crystal shows.
    """
    composition = formulas.composition(each.formula)
    energy = float(each.energy) - (each.correction or 0.0)
    data = dict(each.data)
    if each.sites and not {"oxide_type", "sulfide_type"} <= data.keys():
        data = mp.anion_types(each.sites.structure()) | data
    if each.run_type is None or "hubbards" not in each.parameters:
        return mp.uncorrected_entry(composition, energy, each.entry_id, data)
    parameters = {**each.parameters, "run_type": each.run_type}
    return ComputedEntry(composition, energy, entry_id=each.entry_id, parameters=parameters, data=data)


def _scale(entry_id: str) -> str | None:
    return potentials.MATERIALS_PROJECT if entry_id.startswith("mp-") else None


def _commonest(values: Any) -> str | None:
    """The value that most entries have: the whole of it, where a reference is not refused for its mixture."""
    if values is None or isinstance(values, str):
        return values
    counts = Counter(value for value in values if value is not None)
    return str(counts.most_common(1)[0][0]) if counts else None
