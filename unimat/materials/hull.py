"""Stability of relaxed crystals against a hull reference.

The decomposition energy E_d of a crystal is its energy relative to the convex hull of the reference at its
composition, the crystal itself left out: below zero for a new hull phase (Section 2.3 of the paper, Equation 5). The
energy above the hull of the field's databases is max(E_d, 0).
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

from unimat.crystal_table import CrystalTable
from unimat.errors import UserError
from unimat.materials.reference import Reference, scheme_of, version_of
from unimat.materials.references.pseudopotentials import GNOME, MATERIALS_PROJECT, shift_per_atom
from unimat.materials.stability_settings import HullSettings
from unimat.materials.structures import to_structure

log = logging.getLogger("unimat.hull")

# What must agree for two energies to share a hull; a calculator that imitates another is let in by name.
SCALE = ("functional", "quantity")


class Hulls:
    """Phase diagrams of a reference, one for each chemical system, built when first asked for."""

    def __init__(self, reference: Reference):
        self.reference = reference
        self._pure_elements = reference.pure_elements
        self._diagrams: dict[frozenset[Element], PhaseDiagram] = {}

    def missing_elements(self, elements: frozenset[Element]) -> list[str]:
        """Symbols of those `elements` that the reference has no elemental phase of."""
        return sorted(element.symbol for element in elements - self._pure_elements)

    def diagram(self, elements: frozenset[Element]) -> PhaseDiagram:
        """Phase diagram of the reference's phases within `elements`, the lowest of each composition.

        Raises:
            UserError: if the reference has no phase of one of the elements.
        """
        if missing := self.missing_elements(elements):
            raise UserError(
                f"hull reference {self.reference.name!r} has no elemental phase of {', '.join(missing)};"
                " choose one that has"
            )
        if elements not in self._diagrams:
            entries = self.reference.entries
            rows = entries.lowest(entries.within(elements))
            self._diagrams[elements] = PhaseDiagram([entries[row] for row in rows.tolist()])
        return self._diagrams[elements]

    def judge(self, composition: Composition, energy_per_atom: float) -> dict[str, float | str]:
        """Formation and decomposition energy (eV/atom) of a phase, and what it decomposes into, by amount of atoms."""
        diagram = self.diagram(elements_of(composition))
        entry = PDEntry(composition, energy_per_atom * composition.num_atoms)
        products = diagram.get_decomposition(composition)
        hull_energy = sum(amount * product.energy_per_atom for product, amount in products.items())
        decomposition_energy = energy_per_atom - hull_energy
        return {
            "e_form_per_atom": diagram.get_form_energy_per_atom(entry),
            "decomposition_energy": decomposition_energy,
            "e_above_hull": max(decomposition_energy, 0.0),
            "decomposition": _products(products),
        }


def elements_of(composition: Composition) -> frozenset[Element]:
    return frozenset(Element(symbol) for symbol in composition.get_el_amt_dict())


def stability_table(table: CrystalTable, reference: Reference, settings: HullSettings) -> pd.DataFrame:
    """One row per crystal of a relaxed table, in its order; energies are null where relaxation did not converge,
    and where the reference has no elemental phase of one of the crystal's elements.

    Raises:
        UserError: if the energies of the table and of the reference do not mean the same thing.
    """
    energy_type = table.metadata.get("energy_type", {})
    refuse_strangers(energy_type, reference)
    hulls, sign = Hulls(reference), shift_sign(energy_type, reference)
    rows, unjudged = [], []
    for crystal in table:
        structure = to_structure(crystal)
        energy, converged = crystal.properties["energy_per_atom"], bool(crystal.properties["converged"])
        composition = structure.composition
        if missing := hulls.missing_elements(elements_of(composition)):
            unjudged.append(f"{crystal.material_id} ({', '.join(missing)})")
        rows.append(
            {
                "material_id": crystal.material_id,
                "formula": composition.reduced_formula,
                "n_atoms": len(structure),
                "converged": converged,
                "energy_per_atom": energy,
                **(
                    hulls.judge(composition, energy + sign * shift_per_atom(composition))
                    if converged and not missing
                    else {}
                ),
                "spacegroup_number": _spacegroup(structure),
            }
        )
    if unjudged:
        log.warning(
            "%d crystals are not judged, the reference lacks an elemental phase: %s",
            len(unjudged),
            "; ".join(unjudged[:10]),
        )
    columns = [
        "material_id", "formula", "n_atoms", "converged", "energy_per_atom", "e_form_per_atom", "decomposition_energy",
        "e_above_hull", "decomposition", "spacegroup_number",
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns)
    energy = pd.to_numeric(frame["decomposition_energy"])
    frame["stable"] = energy < 0
    frame["metastable"] = (energy >= 0) & (energy < settings.metastable)
    return frame.astype(dict.fromkeys(columns[4:8], float))


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


def summary(
    frame: pd.DataFrame, name: str, table: CrystalTable, reference: Reference, settings: HullSettings
) -> dict[str, Any]:
    """Counts with their denominator: everything that was asked for, whatever became of it."""
    generated = int(table.metadata.get("n_requested", len(frame)))

    def rate(mask: pd.Series | np.ndarray) -> dict[str, float | int]:
        count = int(np.sum(mask))
        return {"count": count, "of": generated, "rate": count / generated if generated else 0.0}

    close = frame["stable"] | frame["metastable"]
    new = frame["unique"].eq(True) & frame["novel"].eq(True)
    return {
        "set": name,
        "reference": reference.name,
        "reference_source": reference.source,
        "reference_entries": len(reference.entries),
        "energy_type": table.metadata.get("energy_type", {}),
        "reference_energy_type": reference.energy_type,
        "pseudopotential_shift": shift_sign(table.metadata.get("energy_type", {}), reference),
        "n_generated": generated,
        "n_relaxed": int(frame["converged"].sum()),
        "stable": rate(frame["stable"]),
        "metastable": rate(frame["metastable"]),
        "stable_unique_novel": rate(frame["stable"] & new),
        "metastable_unique_novel": rate(close & new),
        "thresholds": {"stable": 0.0, "metastable": settings.metastable, "unit": "eV/atom"},  # E_d below
        "median_decomposition_energy": _median(frame["decomposition_energy"]),
    }


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


def _products(products: Mapping[Any, float]) -> str:
    ordered = sorted(products.items(), key=lambda item: item[0].name)
    return " + ".join(f"{amount:.3g} {entry.composition.reduced_formula} ({entry.name})" for entry, amount in ordered)


def _median(values: pd.Series) -> float | None:
    return float(values.median()) if values.notna().any() else None


def _spacegroup(structure: Structure) -> int | None:
    try:
        return int(SpacegroupAnalyzer(structure, symprec=0.1).get_space_group_number())
    except SymmetryUndeterminedError:
        return None
