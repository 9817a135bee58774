"""The Materials Project hull as published with GNoME, brought to the MP2020 correction scheme.

The file has a column `Corrected Energy` that holds uncorrected total energies (eV per cell): CHGNet's energies, which
are on the corrected scale, lie below the column by 0.05 eV/atom without anions and by 0.27 eV/atom with them, and agree
with column plus correction to a mean absolute error of 0.023 eV/atom. Taken as it is, the column makes anion compounds
look 0.2 to 0.8 eV/atom too stable. So the corrections of Wang et al. (Sci. Rep. 11, 15496, 2021) are added here, by
pymatgen's compatibility class.
"""

import logging
import warnings
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedEntry
from tqdm import tqdm

from unimat.errors import UserError
from unimat.materials.reference import Reference

log = logging.getLogger("unimat.reference")

ENERGY_TYPE = {
    "calculator": "VASP, Materials Project",
    "functional": "PBE/PBE+U mixed, as the Materials Project",
    "corrections": "MP2020",
    "quantity": "total energy",
}
COLUMNS = ("Composition", "MaterialId", "Corrected Energy")


def load_reference(path: Path, n_processes: int = 2) -> Reference:
    """Reference of all rows of the published CSV, corrected.

    Raises:
        UserError: if a column is missing, or a row cannot be corrected (a dropped row would move the hull silently).
    """
    frame = pd.read_csv(path)
    for name in COLUMNS:
        if name not in frame.columns:
            raise UserError(f"{path}: no column {name!r}; expected the Materials Project summary published with GNoME")
    rows = list(frame[list(COLUMNS)].itertuples(index=False, name=None))
    with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as pool:
        corrected = list(
            tqdm(
                pool.map(_corrected, rows, chunksize=200),
                total=len(rows),
                desc="corrections",
                unit="entry",
                disable=None,
            )
        )
    reference = Reference(
        name="Materials Project",
        entries=[
            PDEntry(Composition(formula), energy, name=entry_id)
            for (formula, entry_id, _), energy in zip(rows, corrected, strict=True)
        ],
        energy_type=ENERGY_TYPE,
        source=f"{path.name}: {len(rows)} entries, corrections by pymatgen {version('pymatgen')}",
        licence="CC BY 4.0",
    )
    # XeF2 and its like are on the hull without solid xenon; crystals of such elements are not judged, the others are.
    if missing := sorted(element.symbol for element in reference.elements - reference.pure_elements):
        log.warning("%s has no elemental phase of %s", path.name, ", ".join(missing))
    return reference


def _corrected(row: tuple[str, str, float]) -> float:
    """Corrected total energy of one row, eV per cell."""
    formula, entry_id, energy = row
    entry = uncorrected_entry(Composition(formula), energy, entry_id)
    compatibility = _compatibility()
    if not _may_be_corrected(entry, compatibility):
        return energy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one warning per entry whose oxidation states must be guessed
        processed = compatibility.process_entry(entry, on_error="raise")
    if processed is None:
        raise UserError(f"Materials Project entry {entry_id} ({formula}) was dropped by the MP2020 corrections")
    return float(processed.energy)


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


def _may_be_corrected(entry: ComputedEntry, compatibility: MaterialsProject2020Compatibility) -> bool:
    """Whether the scheme has anything for these elements; elements and intermetallics pass as they are, at once."""
    symbols = {element.symbol for element in entry.composition}
    if len(symbols) == 1:
        return False
    return bool(entry.parameters["hubbards"]) or not symbols.isdisjoint({*compatibility.comp_correction, "O", "S"})


_COMPATIBILITY: MaterialsProject2020Compatibility | None = None


def _compatibility() -> MaterialsProject2020Compatibility:
    global _COMPATIBILITY
    if _COMPATIBILITY is None:
        _COMPATIBILITY = MaterialsProject2020Compatibility(check_potcar=False)
    return _COMPATIBILITY
