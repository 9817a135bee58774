"""The Materials Project's energy corrections (MP2020; Wang et al., Sci. Rep. 11, 15496, 2021) by pymatgen's class."""

import copy
import functools
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from pymatgen.analysis.structure_analyzer import oxide_type, sulfide_type
from pymatgen.core import Composition, Element, Structure
from pymatgen.entries.compatibility import CompatibilityError, MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedEntry

from unimat.errors import UserError
from unimat.materials.crystals import formulas
from unimat.materials.crystals.processes import Processes
from unimat.periodic_table import ATOMIC_NUMBER
from unimat.progress import progress

MP2020, NONE = "MP2020", "none"
TYPES = {"oxide_type": "O", "sulfide_type": "S"}  # what tells an anion's correction, by its element
OXIDE_CUTOFF = 1.05  # the scheme's own, relative to bonds between oxygen atoms
FEW = 250  # entries that are not worth the start of another process
_TOGETHER = 200  # entries handed to a process at a time


def pymatgen_version() -> str:
    return f"pymatgen {version('pymatgen')}"


def corrections(rows: Sequence[tuple[str, str, float]], n_processes: int = 2) -> list[tuple[float, str]]:
    """Correction (eV per cell) and run type (GGA or GGA+U) of each row: formula of the cell, id, total energy in eV.

    Raises:
        UserError: if the scheme drops a row; a missing phase would lift the hull without a word.
    """
    parts = [rows[at : at + _TOGETHER] for at in range(0, len(rows), _TOGETHER)]
    found: list[tuple[float, str]] = []
    with Processes(n_processes, len(rows), FEW) as pool, progress(total=len(rows), desc="corrections") as bar:
        for part in pool.over(_corrections, parts):
            found += part
            bar.update(len(part))
    return found


def _corrections(rows: Sequence[tuple[str, str, float]]) -> list[tuple[float, str]]:
    return [correction(row) for row in rows]


def correction(row: tuple[str, str, float]) -> tuple[float, str]:
    """As `corrections`, of one row."""
    formula, entry_id, energy = row
    return correction_of(uncorrected_entry(formulas.composition(formula), energy, entry_id))


def correction_of(entry: ComputedEntry) -> tuple[float, str]:
    """As `corrections`, of an entry with its run parameters; what the entry carried already does not matter.

    Raises:
        UserError: if the scheme refuses the entry: another run type, or other values of U, than the scheme's.
    """
    run_type = str(entry.parameters["run_type"])
    if not may_be_corrected(entry):
        return 0.0, run_type
    _refuse_unknown_type(entry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one warning per entry whose oxidation states must be guessed
        try:
            _compatibility().process_entry(entry := copy.copy(entry), clean=True, inplace=True, on_error="raise")
        except CompatibilityError as error:
            why = " ".join(str(error).split()).partition(" for {")[0]  # the entry itself follows, as a dict
            raise UserError(f"the {MP2020} corrections refuse {entry.entry_id}: {why}") from error
    return float(entry.correction), run_type


def _refuse_unknown_type(entry: ComputedEntry) -> None:
    known = [*_compatibility().comp_correction, "hydroxide"]
    if (said := entry.data.get("oxide_type")) and "O" in entry.composition and said not in known:
        types = ", ".join(each for each in known if len(each) > 2)
        raise UserError(f"entry {entry.entry_id}: its oxide_type {said!r} is none of {types}")


def change_or_refusal(entry: ComputedEntry) -> float | str:
    """Correction in eV per cell, or why the scheme refuses the entry."""
    try:
        return correction_of(entry)[0]
    except UserError as error:
        return str(error)


def uncorrected_entry(
    composition: Composition, energy: float, entry_id: str, data: Mapping[str, Any] | None = None
) -> ComputedEntry:
    """Entry with the run parameters that MP's input sets give this composition: +U for some oxides and fluorides.

    Args:
        data: oxide_type, sulfide_type and oxidation_states, as far as they are known.
    """
    anion = max(composition.elements, key=lambda element: element.X).symbol
    table = _compatibility().u_settings.get(anion, {})
    hubbards = {element.symbol: table.get(element.symbol, 0) for element in composition}
    plus_u = any(hubbards.values())
    parameters = {
        "run_type": "GGA+U" if plus_u else "GGA",
        "is_hubbard": plus_u,
        "hubbards": hubbards if plus_u else {},
    }
    return ComputedEntry(composition, energy, entry_id=entry_id, parameters=parameters, data=dict(data or {}))


def anion_types(structure: Structure) -> dict[str, str]:
    """Types of oxide and sulfide, as the scheme finds them in a crystal; those alone that the crystal has.

    Distances between oxygen atoms tell ozonides, superoxides and peroxides from oxides; sulfates are no sulfides.
    """
    found, elements = {}, structure.composition.elements
    if len(elements) > 1 and Element("O") in elements:
        found["oxide_type"] = str(oxide_type(structure, OXIDE_CUTOFF))
    if len(elements) > 1 and Element("S") in elements:
        found["sulfide_type"] = sulfide_type(structure) or "sulfate"  # pymatgen takes None for not known
    return found


def guessed_types(elements: Iterable[Sequence[int]], known: Iterable[Collection[str]]) -> dict[str, int]:
    """How many entries have a type of oxide or sulfide that their formula alone had to tell.

    pymatgen then knows peroxides, superoxides and ozonides of the alkalis and alkaline earths by name (Li2O2, KO2);
    any other compound of oxygen counts as an oxide, and any of sulfur as a sulfide.

    Args:
        elements: atomic numbers of each entry.
        known: types (of `TYPES`) that are known of each.
    """
    pairs = [(set(each), set(types)) for each, types in zip(elements, known, strict=True) if len(each) > 1]
    return {
        name: sum(ATOMIC_NUMBER[symbol] in numbers and name not in types for numbers, types in pairs)
        for name, symbol in TYPES.items()
    }


def may_be_corrected(entry: ComputedEntry) -> bool:
    """Whether the scheme has anything for these elements; elements and intermetallics pass as they are, at once."""
    symbols = {element.symbol for element in entry.composition}
    if len(symbols) == 1:
        return False
    return bool(entry.parameters.get("hubbards")) or not symbols.isdisjoint(
        {*_compatibility().comp_correction, "O", "S"}
    )


@functools.cache
def _compatibility() -> MaterialsProject2020Compatibility:
    return MaterialsProject2020Compatibility(check_potcar=False)
