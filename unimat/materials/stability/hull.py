"""Stability of relaxed crystals against a hull reference.

The decomposition energy E_d of a crystal is its energy relative to the convex hull of the reference at its
composition, the crystal itself left out: below zero for a new hull phase (Section 2.3 of the paper, Equation 5). The
energy above the hull of the field's databases is max(E_d, 0).
"""

import dataclasses
import itertools
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pymatgen.core import Composition, Element

from unimat.crystal_table import Crystal, CrystalTable
from unimat.errors import UserError
from unimat.materials.crystals.processes import Processes
from unimat.materials.crystals.structures import reduced_formula, space_group_number
from unimat.materials.stability.decomposition import Hulls, Verdict
from unimat.materials.stability.hull_tolerance import below, on_hull
from unimat.materials.stability.references.energy_scale import DEEPEST_FORMATION
from unimat.materials.stability.references.lost import bearing_on, systems_of
from unimat.materials.stability.references.pseudopotentials import GNOME, MATERIALS_PROJECT, shift_per_atom
from unimat.materials.stability.references.reference import Reference, scheme_of, version_of
from unimat.materials.stability.relaxed_rows import energy_per_atom, has_converged
from unimat.materials.stability.settings import HullSettings
from unimat.periodic_table import SYMBOLS

log = logging.getLogger("unimat.hull")

_CHUNK = 64  # crystals whose space groups are looked for at a time
SYMMETRY_TOLERANCE = 0.1  # Å, the Materials Project's
# What must agree for two energies to share a hull; a calculator that imitates another is let in by name.
SCALE = ("functional", "quantity", "numerics")  # numerics: of codes whose total energies depend on cutoff and k-points
ENERGIES = ("e_form_per_atom", "decomposition_energy", "e_above_hull")
NOT_CONVERGED = "its relaxation did not converge"
ANOTHER_SCALE = (
    f"its energy lies more than {DEEPEST_FORMATION:g} eV/atom below the elements of the reference, as no crystal's"
    " does: per cell in place of per atom, or another code's"
)
NAMED = 10  # crystals that a warning names


def stability_table(table: CrystalTable, reference: Reference, settings: HullSettings) -> pd.DataFrame:
    """As `stability_tables`, against one reference."""
    return stability_tables(table, {reference.name: Hulls(reference)}, settings)[reference.name]


def stability_tables(
    table: CrystalTable, hulls: Mapping[str, Hulls], settings: HullSettings, processes: int = 1
) -> dict[str, pd.DataFrame]:
    """Stability of every crystal of a relaxed table, in its order, against each of some references.

    Args:
        hulls: by name of the reference.
        processes: that look for space groups, which take longer than all the rest.

    Returns:
        By name of the reference: material_id, formula, n_atoms, converged, energy_per_atom (eV/atom, as relaxed),
        e_form_per_atom, decomposition_energy and e_above_hull (eV/atom), decomposition (text), spacegroup_number,
        products (dicts of entry_id, formula, amount and e_form_per_atom), not_judged (why there are no energies),
        stable, metastable and on_hull, lost_phases (chemical systems of phases that the reference lost and that may
        change this verdict). One bad crystal is a row without energies.

    Raises:
        UserError: if the energies of the table and of a reference do not mean the same thing.
    """
    energy_type = table.metadata.get("energy_type", {})
    if len(table) and "converged" not in table.property_names:
        log.warning(
            "the table has no column `converged`, so that no crystal of it is judged; add one of true and false"
        )
    for each in hulls.values():
        refuse_strangers(energy_type, each.reference)
    described, atoms = _described(table, processes), _atoms(table)
    return {name: _judged(described, atoms, each, energy_type, settings) for name, each in hulls.items()}


def hulls_of(references: Sequence[Reference]) -> dict[str, Hulls]:
    """Hulls of some references by their name.

    Raises:
        UserError: if two of them have the same.
    """
    names = [reference.name for reference in references]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two hull references are called {name!r}; give one of them another `name`")
    return {reference.name: Hulls(reference) for reference in references}


def _described(table: CrystalTable, processes: int) -> pd.DataFrame:
    crystals = list(table)
    plain = [dataclasses.replace(each, properties={}) for each in crystals]
    parts = [plain[at : at + _CHUNK] for at in range(0, len(plain), _CHUNK)]
    with Processes(processes, len(plain)) as pool:
        groups = list(itertools.chain.from_iterable(pool.over(_space_groups, parts)))
    return pd.DataFrame(
        {
            "material_id": pd.Series(table.material_ids, dtype=object),
            "formula": pd.Series([reduced_formula(each.atomic_numbers) for each in crystals], dtype=object),
            "n_atoms": table.n_atoms,
            "converged": [has_converged(each) for each in crystals],
            "energy_per_atom": [energy_per_atom(each) for each in crystals],
            "spacegroup_number": pd.array(groups, "Int64"),
        }
    ).astype({"converged": bool, "energy_per_atom": float})


def _space_groups(crystals: Sequence[Crystal]) -> list[int | None]:
    return [space_group_number(each, SYMMETRY_TOLERANCE) or None for each in crystals]


def _atoms(table: CrystalTable) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    numbers, offsets = table.flat_atomic_numbers, table.atom_offsets
    found = [np.unique(numbers[start:stop], return_counts=True) for start, stop in itertools.pairwise(offsets)]
    return [(tuple(own.tolist()), tuple(counts.tolist())) for own, counts in found]


def _judged(
    described: pd.DataFrame, atoms: Sequence[tuple], hulls: Hulls, energy_type: dict[str, str], settings: HullSettings
) -> pd.DataFrame:
    reasons = _reasons(described, atoms, hulls)
    rows = np.flatnonzero(reasons.isna()).tolist()
    sign = shift_sign(energy_type, hulls.reference)
    energies = described["energy_per_atom"].to_numpy()[rows]
    if sign:
        energies = energies + sign * np.array([shift_per_atom(_composition(*atoms[row])) for row in rows])
    found: list[Verdict] = [{} for _ in atoms]
    for row, verdict in zip(rows, hulls.verdicts([atoms[row] for row in rows], energies.tolist()), strict=True):
        if verdict["e_form_per_atom"] < -DEEPEST_FORMATION:
            reasons[row] = ANOTHER_SCALE
        else:
            found[row] = verdict
    _tell(reasons, described["material_id"], hulls.reference.name)
    frame = described.drop(columns="spacegroup_number")
    for name in ENERGIES:
        frame[name] = np.array([each.get(name, np.nan) for each in found], float)
    frame["decomposition"] = pd.Series([each.get("decomposition") for each in found], dtype=object)
    frame["spacegroup_number"] = described["spacegroup_number"]
    frame["products"] = pd.Series([each.get("products") for each in found], dtype=object)
    frame["not_judged"] = reasons
    energy = frame["decomposition_energy"]
    stable = below(energy)
    return frame.assign(
        stable=stable,
        metastable=below(energy, settings.metastable) & ~stable,
        on_hull=on_hull(energy),
        lost_phases=_lost_phases(frame, atoms, hulls),
    )


def _lost_phases(frame: pd.DataFrame, atoms: Sequence[tuple], hulls: Hulls) -> pd.Series:
    """Chemical systems of phases that the reference lost and that may change each verdict; null where there are none.

    A warning names the crystals.
    """
    systems = systems_of(hulls.reference.details)
    found = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    judged = frame["decomposition_energy"].notna().to_numpy()
    for row in np.flatnonzero(judged).tolist() if systems else ():
        if bearing := bearing_on(systems, atoms[row][0]):
            found[row] = ", ".join(f"{name} ({systems[name]})" for name in bearing)
    if ids := frame["material_id"][found.notna()].tolist():
        named = ", ".join(ids[:NAMED]) + (", ..." if len(ids) > NAMED else "")
        log.warning(
            "%d verdicts of chemical systems that contain phases which the reference %r lost: %s; its reference.json"
            " lists them", len(ids), hulls.reference.name, named,
        )  # fmt: skip
    return found


def _reasons(described: pd.DataFrame, atoms: Sequence[tuple], hulls: Hulls) -> pd.Series:
    """Why each crystal is not judged; null if it is."""
    reasons = pd.Series(None, index=described.index, dtype=object)
    for row, (numbers, _) in enumerate(atoms):
        if missing := hulls.missing(numbers):
            reasons[row] = f"the reference has no elemental phase of {', '.join(missing)}"
    reasons[~np.isfinite(described["energy_per_atom"])] = "its energy is not a number"
    reasons[described["n_atoms"] == 0] = "it has no atoms"
    reasons[~described["converged"]] = NOT_CONVERGED
    reasons[described["material_id"].duplicated()] = "its id occurred before"
    return reasons


def _tell(reasons: pd.Series, material_ids: pd.Series, reference: str) -> None:
    """A warning that names the crystals which are not judged, where that is a surprise."""
    for reason, ids in material_ids.groupby(reasons):
        if reason != NOT_CONVERGED:
            named = ", ".join(ids[:NAMED]) + (", ..." if len(ids) > NAMED else "")
            log.warning("%d crystals are not judged against %r, %s: %s", len(ids), reference, reason, named)


def _composition(numbers: Sequence[int], amounts: Sequence[int]) -> Composition:
    return Composition({SYMBOLS[number - 1]: amount for number, amount in zip(numbers, amounts, strict=True)})


def refuse_strangers(energy_type: dict[str, str], reference: Reference) -> None:
    """UserError if energies of `energy_type` must not share a hull with the reference; a warning if they barely may."""
    theirs = reference.energy_type
    for key in SCALE:
        if energy_type.get(key) != theirs.get(key):
            raise UserError(
                f"energies of this set have {key} {energy_type.get(key)!r}, those of the hull reference"
                f" {reference.name!r} {theirs.get(key)!r}: they cannot share a hull; relax both with one engine"
            )
    if scheme_of(energy_type) != scheme_of(theirs):
        raise UserError(
            f"energies of this set and of the hull reference {reference.name!r} carry different corrections:"
            f" {energy_type.get('corrections')!r} and {theirs.get('corrections')!r}"
        )
    versions = version_of(energy_type), version_of(theirs)
    if None not in versions and versions[0] != versions[1]:
        log.warning(
            "energies of this set carry %s corrections (%s), those of the hull another version of them (%s)",
            scheme_of(theirs), *versions,
        )  # fmt: skip
    if energy_type.get("calculator") != theirs.get("calculator"):
        log.warning(
            "energies by %s are judged against a hull by %s; their difference enters every decomposition energy",
            energy_type.get("calculator"), theirs.get("calculator"),
        )  # fmt: skip


def shift_sign(energy_type: dict[str, str], reference: Reference) -> int:
    """How often GNoME's pseudopotential shift is added to energies before they are judged: 1, 0 or -1.

    Engines use the Materials Project's pseudopotentials, or learned from energies by them, unless they say otherwise.
    """
    theirs = reference.energy_type.get("pseudopotentials")
    ours = energy_type.get("pseudopotentials", MATERIALS_PROJECT)
    if theirs is None or theirs == ours:
        return 0
    return 1 if theirs == GNOME else -1


def by_reference(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Stability tables of all references below each other, with a first column `reference`."""
    parts = [frame.assign(reference=name) for name, frame in frames.items()]
    everything = pd.concat(parts, ignore_index=True)
    return everything[["reference", *everything.columns.drop("reference")]]


def binary_hull(reference: Reference, elements: Sequence[Element]) -> pd.DataFrame:
    """Vertices of a binary hull: `x` (atomic fraction of the second element), `e_form_per_atom`, `formula`, by x."""
    first, second = elements
    diagram = Hulls(reference).diagram(frozenset((first, second)))
    rows = [
        {
            "x": entry.composition.get_atomic_fraction(second),
            "e_form_per_atom": diagram.get_form_energy_per_atom(entry),
            "formula": entry.composition.reduced_formula,
        }
        for entry in diagram.stable_entries
    ]
    return pd.DataFrame(rows).sort_values("x", ignore_index=True)
