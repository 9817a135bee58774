"""The Materials Project's energy corrections (MP2020; Wang et al., Sci. Rep. 11, 15496, 2021) by pymatgen's class."""

import functools
import warnings
from collections.abc import Sequence
from importlib.metadata import version

from pymatgen.core import Composition
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedEntry

from unimat.errors import UserError
from unimat.materials.processes import Processes
from unimat.progress import progress

MP2020, NONE = "MP2020", "none"
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
    return correction_of(uncorrected_entry(Composition(formula), energy, entry_id))


def correction_of(entry: ComputedEntry) -> tuple[float, str]:
    """As `corrections`, of an entry with its run parameters; what the entry carried already does not matter."""
    run_type = str(entry.parameters["run_type"])
    if not may_be_corrected(entry):
        return 0.0, run_type
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one warning per entry whose oxidation states must be guessed
        processed = _compatibility().process_entry(entry, clean=True, inplace=False, on_error="raise")
    if processed is None:
        formula = entry.composition.formula
        raise UserError(f"entry {entry.entry_id} ({formula}) was dropped by the {MP2020} corrections")
    return float(processed.correction), run_type


def uncorrected_entry(composition: Composition, energy: float, entry_id: str) -> ComputedEntry:
    """Entry with the run parameters that MP's input sets give this composition: +U for some oxides and fluorides."""
    anion = max(composition.elements, key=lambda element: element.X).symbol
    table = _compatibility().u_settings.get(anion, {})
    hubbards = {element.symbol: table.get(element.symbol, 0) for element in composition}
    plus_u = any(hubbards.values())
    parameters = {
        "run_type": "GGA+U" if plus_u else "GGA",
        "is_hubbard": plus_u,
        "hubbards": hubbards if plus_u else {},
    }
    return ComputedEntry(composition, energy, entry_id=entry_id, parameters=parameters)


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
