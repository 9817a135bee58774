"""The test crystal to look at beside a generated one: same composition, lowest energy."""

import dataclasses
from collections.abc import Collection

import numpy as np
import pandas as pd

from unimat.crystal_table import Crystal, CrystalTable
from unimat.materials.crystals.structures import reduced_formula, space_group_number
from unimat.materials.stability.hull import SYMMETRY_TOLERANCE
from unimat.report.run_files import RunFiles, SetFiles

# Energies that a dataset may bring, best first: within one composition all of them rank crystals alike.
ENERGIES = ("energy_per_atom", "e_form_per_atom", "formation_energy_per_atom", "e_above_hull")


@dataclasses.dataclass(frozen=True)
class Partner:
    """A test crystal.

    Attributes:
        spacegroup_number: to 0.1 Å; 0 where spglib finds none.
        e_form_per_atom, decomposition_energy: where a set of the run judged it, eV/atom.
        chosen_by: what it is the lowest in, in words.
    """

    crystal: Crystal
    formula: str
    spacegroup_number: int
    e_form_per_atom: float
    decomposition_energy: float
    chosen_by: str


def partners(run: RunFiles, formulas: Collection[str]) -> dict[str, Partner]:
    """Test crystal of lowest energy for each reduced formula of which the test split has one.

    Lowest by the formation energy that a judged set of the run gives it, where one does; else by the dataset's own
    energy; else the first of the file.
    """
    if run.test is None:
        return {}
    wanted, found = set(formulas), dict[str, list[int]]()
    offsets, numbers = run.test.atom_offsets, run.test.flat_atomic_numbers
    for index in range(len(run.test)):
        formula = reduced_formula(numbers[offsets[index] : offsets[index + 1]])
        if formula in wanted:
            found.setdefault(formula, []).append(index)
    judged = _judged(run)
    own, own_name = _own_energies(run.test)
    return {formula: _partner(run.test, formula, indices, judged, own, own_name) for formula, indices in found.items()}


def is_test_split(one: SetFiles) -> bool:
    """Whether a set is the test split, or a selection of it."""
    return one.crystals is not None and one.crystals.metadata.get("split") == "test"


def _partner(
    test: CrystalTable, formula: str, indices: list[int], judged: pd.DataFrame, own: np.ndarray, own_name: str
) -> Partner:
    ids = [test.arrow.column("material_id")[index].as_py() for index in indices] if len(judged) else []
    energies = judged["e_form_per_atom"].reindex(ids).to_numpy(float) if ids else np.full(len(indices), np.nan)
    chosen_by = "formation energy after relaxation in this run"
    if not np.isfinite(energies).any():
        energies, chosen_by = own[indices], f"the dataset’s {own_name}" if own_name else ""
    known = np.isfinite(energies).any()
    index = indices[int(np.nanargmin(energies))] if known else indices[0]
    crystal = test[index]
    row = judged.loc[crystal.material_id] if crystal.material_id in judged.index else None
    e_form, e_d = (np.nan if row is None else float(row[k]) for k in ("e_form_per_atom", "decomposition_energy"))
    text = f"lowest of {len(indices)} by {chosen_by}" if known else f"first of {len(indices)}; no energies to choose by"
    group = space_group_number(crystal, SYMMETRY_TOLERANCE)
    return Partner(crystal, formula, group, e_form, e_d, text)


def _own_energies(test: CrystalTable) -> tuple[np.ndarray, str]:
    """Energies of the test split as ingested (eV/atom), and their column; none: NaN and an empty name."""
    for name in ENERGIES:
        if name in test.property_names:
            return np.asarray(test.column(name), float), name
    return np.full(len(test), np.nan), ""


def _judged(run: RunFiles) -> pd.DataFrame:
    """Energies of the sets that are a selection of the test split, by id."""
    columns = ["material_id", "e_form_per_atom", "decomposition_energy"]
    frames = []
    for each in run.sets.values():
        if is_test_split(each) and each.stability is not None and set(columns) <= set(each.stability):
            frames.append(each.stability[columns])
    if not frames:
        return pd.DataFrame(columns=columns).set_index("material_id")
    return pd.concat(frames).drop_duplicates("material_id").set_index("material_id")
