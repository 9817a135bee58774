"""Extended XYZ, as ASE and most force fields read it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.periodic_table import SYMBOLS

ENERGY, PER_ATOM = "energy", "energy_per_atom"


def write_extxyz(table: CrystalTable, path: Path) -> list[Rejected]:
    """One file of all crystals, properties in the comment lines; written here, as ASE keeps eight decimals.

    Where the table has `energy_per_atom`, `energy` (eV, of the cell) stands beside it: ASE makes it the energy of the
    atoms' calculator.
    """
    with path.open("w", encoding="utf-8") as stream:
        for crystal in table:
            stream.writelines(extxyz_lines(crystal))
    return []


def extxyz_lines(crystal: Crystal) -> Iterator[str]:
    """Lines of one crystal's frame."""
    yield f"{len(crystal.atomic_numbers)}\n"
    lattice = " ".join(repr(float(value)) for value in crystal.lattice.ravel())
    entries = {"material_id": crystal.material_id, **_total_energy(crystal), **crystal.properties}
    info = "".join(f" {name}={_value(value)}" for name, value in entries.items() if _fits(value))
    yield f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"{info}\n'
    positions = crystal.frac_coords @ crystal.lattice
    for z, position in zip(crystal.atomic_numbers, positions, strict=True):
        yield f"{SYMBOLS[z - 1]} {' '.join(repr(float(value)) for value in position)}\n"


def _total_energy(crystal: Crystal) -> dict[str, float]:
    per_atom = crystal.properties.get(PER_ATOM)
    return {ENERGY: per_atom * len(crystal.atomic_numbers)} if isinstance(per_atom, float) else {}


def _fits(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and bool(np.isfinite(value)))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        return f'"{escaped}"'
    return repr(value)
