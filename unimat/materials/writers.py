"""Crystal tables written as files that other programs read."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp.inputs import Poscar

from unimat import crystal_table
from unimat.crystal_table import Crystal, CrystalTable
from unimat.errors import UserError
from unimat.files import written_whole
from unimat.materials.structures import to_structure
from unimat.periodic_table import SYMBOLS

DIGITS = 16  # of fractional coordinates: enough that a float64 comes back the same
FORMATS = {
    "parquet": "a crystal table",
    "cif": "a folder with a CIF file for each crystal",
    "poscar": "a folder with a .vasp file for each crystal",
    "extxyz": "one extended XYZ file",
    "csv": "a CSV file with a column of CIF text",
}


def write_as(table: CrystalTable, path: str | Path, form: str | None = None) -> None:
    """Write `table` to `path` in one of `FORMATS`, whole or not at all.

    Args:
        form: None chooses by the name: .parquet, .extxyz, .csv, and a folder of CIF files for a name without suffix.

    Raises:
        UserError: if the form is unknown, or two ids give one file name.
    """
    form = form or form_of(path)
    with written_whole(path) as unfinished:
        _WRITERS[form](table, unfinished)


def form_of(path: str | Path) -> str:
    """Form that the name of `path` asks for."""
    suffix = Path(path).suffix.lower()
    if suffix in ("", ".cifs"):
        return "cif"
    if suffix.lstrip(".") not in ("parquet", "extxyz", "csv"):
        raise UserError(f"{path}: write as what? name it .parquet, .extxyz or .csv, or give --to {'|'.join(FORMATS)}")
    return suffix.lstrip(".")


def cif_text(crystal: Crystal) -> str:
    """CIF of a crystal in P1, with the digits to come back the same."""
    return str(CifWriter(to_structure(crystal), significant_figures=DIGITS))


def poscar_text(crystal: Crystal) -> str:
    """POSCAR of a crystal, atoms in the table's order, the id as the comment."""
    comment = crystal.material_id.replace("\n", " ")
    return Poscar(to_structure(crystal), comment=comment).get_str(significant_figures=DIGITS)


def file_names(material_ids: list[str], suffix: str) -> list[str]:
    """File name of each id, what a file system may not take replaced.

    Raises:
        UserError: if two ids give the same name.
    """
    names = [re.sub(r"[^A-Za-z0-9._+-]", "_", material_id).lstrip(".") or "_" for material_id in material_ids]
    taken: dict[str, str] = {}
    for material_id, name in zip(material_ids, names, strict=True):
        # Some file systems do not tell upper from lower case.
        if taken.setdefault(name.lower(), material_id) != material_id:
            raise UserError(
                f"ids {taken[name.lower()]!r} and {material_id!r} give one file name; rename one, or use csv"
            )
    return [name + suffix for name in names]


def _write_folder(table: CrystalTable, folder: Path, suffix: str, text_of: Callable[[Crystal], str]) -> None:
    names = file_names(table.material_ids, suffix)
    folder.mkdir()
    for name, crystal in zip(names, table, strict=True):
        (folder / name).write_text(text_of(crystal), encoding="utf-8")


def _write_csv(table: CrystalTable, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", *table.property_names, "cif"])
        for crystal in table:
            values = [_blank_if_none(crystal.properties[name]) for name in table.property_names]
            writer.writerow([crystal.material_id, *values, cif_text(crystal)])


def _blank_if_none(value: Any) -> Any:
    return "" if value is None else value


def _write_extxyz(table: CrystalTable, path: Path) -> None:
    """Written here, not by ASE, whose writer keeps eight decimals of a position."""
    with path.open("w", encoding="utf-8") as stream:
        for crystal in table:
            stream.writelines(_extxyz_lines(crystal))


def _extxyz_lines(crystal: Crystal) -> Iterator[str]:
    yield f"{len(crystal.atomic_numbers)}\n"
    lattice = " ".join(repr(float(value)) for value in crystal.lattice.ravel())
    entries = {"material_id": crystal.material_id, **crystal.properties}
    info = "".join(f" {name}={_extxyz_value(value)}" for name, value in entries.items() if _fits_extxyz(value))
    yield f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"{info}\n'
    positions = crystal.frac_coords @ crystal.lattice
    for z, position in zip(crystal.atomic_numbers, positions, strict=True):
        yield f"{SYMBOLS[z - 1]} {' '.join(repr(float(value)) for value in position)}\n"


def _fits_extxyz(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and bool(np.isfinite(value)))


def _extxyz_value(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        return f'"{escaped}"'
    return repr(value)


_WRITERS: dict[str, Callable[[CrystalTable, Path], None]] = {
    "parquet": crystal_table.write,
    "cif": lambda table, path: _write_folder(table, path, ".cif", cif_text),
    "poscar": lambda table, path: _write_folder(table, path, ".vasp", poscar_text),
    "extxyz": _write_extxyz,
    "csv": _write_csv,
}
