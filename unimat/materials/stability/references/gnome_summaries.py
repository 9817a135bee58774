"""The summaries published with GNoME: its own crystals, what it counts with beside them, and the Materials Project.

All have a column `Corrected Energy` (total energy, eV per cell), and it does not mean the same in all of them:

- `mp_materials_summary.csv`: **uncorrected**. CHGNet's energies, which are on the corrected scale, lie below the column
  by 0.05 eV/atom without anions and by 0.27 eV/atom with them, and agree with column plus correction to a mean absolute
  error of 0.023 eV/atom. Taken as it is, the column makes anion compounds look 0.2 to 0.8 eV/atom too stable.
- `stable_materials_summary.csv`: **corrected**, as its name says. The file's own `Decomposition Energy Per Atom MP` is
  met by the column against the Materials Project's entries *with* corrections, not by any other pairing (eV/atom;
  "both" adds the corrections to the column, too):

  | row | published | column, MP corrected | column, MP not corrected | both corrected |
  |---|---:|---:|---:|---:|
  | CsZr3S6 | -0.1625 | -0.1631 | -0.4649 | -0.4649 |
  | BaTh7H30 | -0.0252 | -0.0252 | -0.1583 | -0.1665 |
  | Ac10As9Te | -1.4231 | -1.4231 | -1.4442 | -1.4231 |
  | Ga3Lu2SiTb4 | -0.0143 | -0.0142 | -0.0071 | -0.0071 |

  GNoME's data description says so, too (MP2020, of August 2024 in its "require_bound" form, pymatgen's default).
- `external_materials_summary.csv` and `mp_snapshot_summary.csv`: **not known**. The rows of the former that could be
  looked at hold no anion. Unless the file has the column of uncorrected energies as well, the configuration has to say
  what `corrections` they carry.

An id tells whose pseudopotentials an energy is by: `mp-...` the Materials Project's, any other GNoME's. Even
`mp_materials_summary.csv` holds five of the latter, the lowest phases of Gd, Ge, Li, Mg and Na. Germanium is at
-4.5188 eV/atom there and at -4.6230 in the Materials Project; the difference is GNoME's shift of +0.1042, and
germanium's compounds in the file have none of it: with the element moved back, MP-20's published formation energies
of 392 of them are met to 1.3e-5 eV/atom (median). These five are moved to the scale of the other rows, or every crystal
near germanium or magnesium would look 0.1 eV/atom too stable.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unimat.errors import UserError
from unimat.files import sha256
from unimat.materials.crystals import corrections as mp
from unimat.materials.stability.references import pseudopotentials as potentials
from unimat.materials.stability.references.entries import Entries, table_of
from unimat.materials.stability.references.files import find_file, read_csv
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.references.rows import Rows, checked
from unimat.materials.stability.settings import SourceSettings

log = logging.getLogger("unimat.reference")

COLUMNS = ("Composition", "MaterialId", "Corrected Energy")
UNCORRECTED = ("Uncorrected Energy", "UnCorrected Energy")  # spelt either way
GNOMES_OWN = "Formation Energy Per Atom"  # a column of stable_materials_summary.csv alone
FUNCTIONAL = "PBE/PBE+U mixed, as the Materials Project"
AS_PUBLISHED = "as published by GNoME"
CALCULATORS = {potentials.MATERIALS_PROJECT: "VASP, Materials Project", potentials.GNOME: "VASP, GNoME"}


def materials_project(settings: SourceSettings, n_processes: int = 2) -> Reference:
    """Entries on and near the hull of the Materials Project, corrected, all at its own pseudopotentials.

    Raises:
        UserError: if a column is missing, no row can be used, or the corrections drop one.
    """
    path = find_file(str(settings.path))
    frame = read_csv(path, COLUMNS, "the Materials Project summary published with GNoME")
    scheme = settings.corrections or mp.NONE
    found = _reference(frame, path, settings, scheme, n_processes)
    table = potentials.on_one_scale(found.entries.table, potentials.MATERIALS_PROJECT)
    scale = {"pseudopotentials": potentials.MATERIALS_PROJECT, "calculator": CALCULATORS[potentials.MATERIALS_PROJECT]}
    return found.replaced(table, name="Materials Project", energy_type=found.energy_type | scale, licence="CC BY 4.0")


def gnome(settings: SourceSettings, n_processes: int = 2) -> Reference:
    """Entries of one of the summaries in GNoME's bucket.

    Raises:
        UserError: as `materials_project`; and if it is not known whether the energies are corrected.
    """
    path = find_file(str(settings.path))
    frame = read_csv(path, COLUMNS, "a summary from GNoME's bucket")
    scheme = settings.corrections or _known_scheme(frame, path)
    found = _reference(frame, path, settings, scheme, n_processes)
    table, energy_type = found.entries.table, found.energy_type
    if len(potentials.scales_of(table)) > 1:
        table = potentials.on_one_scale(table, potentials.GNOME)
        energy_type = energy_type | {"pseudopotentials": potentials.GNOME}
    return found.replaced(table, name="GNoME", energy_type=energy_type, licence="CC BY-NC 4.0")


def _known_scheme(frame: pd.DataFrame, path: Path) -> str:
    if GNOMES_OWN in frame.columns or _uncorrected(frame) is not None:
        return mp.MP2020
    raise UserError(
        f"{path.name}: it is not known whether its 'Corrected Energy' is corrected (that of mp_materials_summary.csv is"
        f" not, that of stable_materials_summary.csv is); set hull.reference.corrections to {mp.MP2020} or {mp.NONE}"
    )


def _uncorrected(frame: pd.DataFrame) -> pd.Series | None:
    named = [name for name in UNCORRECTED if name in frame.columns]
    return pd.to_numeric(frame[named[0]], errors="coerce") if named else None


def _reference(frame: pd.DataFrame, path: Path, settings: SourceSettings, scheme: str, n_processes: int) -> Reference:
    if scheme not in (mp.MP2020, mp.NONE):
        raise UserError(f"hull.reference.corrections is {scheme!r}; for {path.name} it is {mp.MP2020} or {mp.NONE}")
    ids = frame["MaterialId"].astype(str)
    rows = checked(ids, frame["Composition"], frame["Corrected Energy"], per_cell=True, where=path.name)
    n_atoms = np.array([sum(amounts) for amounts in rows.amounts])
    energies = np.array(rows.energy_per_atom)
    guessed: dict[str, Any] = {}
    if scheme == mp.NONE:
        cells = zip(rows.formula, rows.entry_id, (energies * n_atoms).tolist(), strict=True)
        found = mp.corrections(list(cells), n_processes)
        per_atom, run_types = np.array([each[0] for each in found]) / n_atoms, [each[1] for each in found]
        energies, version = energies + per_atom, mp.pymatgen_version()
        guessed = {"guessed_from_formula": mp.guessed_types(rows.elements, [()] * len(rows.kept))}
    else:
        per_atom, run_types, version = _published_corrections(frame, rows, n_atoms), None, AS_PUBLISHED
    scales = [settings.pseudopotentials or _scale(entry_id) for entry_id in rows.entry_id]
    columns = rows.columns() | {
        "energy_per_atom": energies,
        "source": path.name,
        "functional": FUNCTIONAL,
        "run_type": run_types,
        "correction_scheme": mp.MP2020,
        "correction_version": version,
        "correction_per_atom": per_atom,
        "calculator": [CALCULATORS[scale] for scale in scales],
        "pseudopotentials": scales,
    }
    return Reference(
        name=path.name,
        entries=Entries(table_of(columns)),
        energy_type=_energy_type(version, scales),
        source=f"{path.name}: {len(rows.kept)} of {len(frame)} rows, corrections {version}",
        details={"inputs": {path.name: sha256(path)}, **rows.left_out(), **guessed},
    )


def _published_corrections(frame: pd.DataFrame, rows: Rows, n_atoms: np.ndarray) -> np.ndarray | None:
    """eV/atom, where the file has energies without them as well."""
    uncorrected = _uncorrected(frame)
    if uncorrected is None:
        return None
    return np.array(rows.energy_per_atom) - uncorrected.to_numpy(float)[rows.kept] / n_atoms


def _scale(entry_id: str) -> str:
    return potentials.MATERIALS_PROJECT if entry_id.startswith("mp-") else potentials.GNOME


def _energy_type(version: str, scales: Sequence[str]) -> dict[str, str]:
    named = sorted(set(scales))
    return {
        "calculator": " and ".join(CALCULATORS[scale] for scale in reversed(named)),
        "functional": FUNCTIONAL,
        "corrections": mp.MP2020,
        "correction_version": version,
        "quantity": "total energy",
        "pseudopotentials": " and ".join(named),
    }
