"""What `mattergen-evaluate` reads: structures as extxyz, and their energies (mattergen/scripts/evaluate.py)."""

import logging
from pathlib import Path

import numpy as np

from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.materials.crystals.corrections import MP2020, corrections
from unimat.materials.datasets.exports.extxyz import PER_ATOM, extxyz_lines
from unimat.periodic_table import SYMBOLS

STRUCTURES, ENERGIES = "generated_crystals.extxyz", "energies.npy"  # the first is MatterGen's own name
log = logging.getLogger("unimat.convert")


def write_mattergen(table: CrystalTable, folder: Path) -> list[Rejected]:
    """A folder with `generated_crystals.extxyz` and, where the table has `energy_per_atom`, `energies.npy`.

    energies.npy has one total energy (eV, of the cell) for each structure, in order; crystals without a finite one are
    left out of both files and given back. The evaluator adds MP2020 corrections itself, so energies that carry them, as
    the table's `energy_type` says, are written without.
    """
    crystals, rejected = _with_energies(table)
    with (folder / STRUCTURES).open("w", encoding="utf-8") as stream:
        for crystal in crystals:
            stream.writelines(extxyz_lines(crystal))
    if PER_ATOM in table.property_names:
        np.save(folder / ENERGIES, _energies(crystals, table))
    else:
        log.warning("no column %s: structures alone, for mattergen-evaluate --relax=True", PER_ATOM)
    return rejected


def _with_energies(table: CrystalTable) -> tuple[list[Crystal], list[Rejected]]:
    if PER_ATOM not in table.property_names:
        return list(table), []
    finite = np.isfinite(table.column(PER_ATOM).astype(float))
    left_out = [table.material_ids[row] for row in np.flatnonzero(~finite)]
    detail = f"no finite {PER_ATOM}, and MatterGen wants an energy for each structure"
    return list(table.take(finite)), [Rejected(each, "mattergen", "no_energy", detail) for each in left_out]


def _energies(crystals: list[Crystal], table: CrystalTable) -> np.ndarray:
    """(m,) float64, eV, of the cell, uncorrected."""
    energies = np.array([each.properties[PER_ATOM] * len(each.atomic_numbers) for each in crystals], np.float64)
    if MP2020 not in str(table.metadata.get("energy_type", {}).get("corrections", "")):
        return energies
    log.info("%s corrections are taken off: the evaluator adds its own", MP2020)
    ids, formulas = [each.material_id for each in crystals], map(_formula, crystals)
    found = corrections(list(zip(formulas, ids, energies.tolist(), strict=True)))
    return energies - np.array([correction for correction, _ in found], np.float64)


def _formula(crystal: Crystal) -> str:
    numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
    return "".join(f"{SYMBOLS[z - 1]}{n}" for z, n in zip(numbers, counts, strict=True))
