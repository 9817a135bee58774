"""Crystal tables written as files that other programs read."""

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp.inputs import Poscar

from unimat import crystal_table, csv_cells
from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.errors import UserError
from unimat.files import whole_file
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.exports.extxyz import write_extxyz
from unimat.materials.datasets.exports.lemat import write_lemat
from unimat.materials.datasets.exports.mattergen import write_mattergen
from unimat.materials.datasets.exports.optimade import write_optimade
from unimat.materials.datasets.exports.tensors import write_tensors
from unimat.outputs import whole_folder

DIGITS = 16  # of fractional coordinates: enough that a float64 comes back the same
FORMATS = {
    "parquet": "a crystal table",
    "cif": "a folder, or a zip, with a CIF file for each crystal",
    "poscar": "a folder, or a zip, with a .vasp file for each crystal",
    "extxyz": "one extended XYZ file",
    "csv": "a CSV file with a column of CIF text",
    "cdvae": "a .pt file of tensors for the evaluation scripts of CDVAE and DiffCSP",
    "mattergen": "a folder with structures as extxyz and energies.npy for mattergen-evaluate",
    "lemat": "a CSV file for LeMat-GenBench",
    "optimade": "a JSON file as an OPTIMADE server would send it",
}
BY_SUFFIX = {"": "cif", ".cifs": "cif", ".zip": "cif", ".parquet": "parquet", ".extxyz": "extxyz", ".csv": "csv",
             ".pt": "cdvae", ".json": "optimade"}  # fmt: skip


def write_as(table: CrystalTable, path: str | Path, form: str | None = None, force: bool = False) -> list[Rejected]:
    """Write `table` to `path` in one of `FORMATS`, whole or not at all; the crystals that the form cannot hold.

    Args:
        form: None chooses by the name, see `BY_SUFFIX`: a folder of CIF files for a name without suffix.
        force: write where files are that this function did not write; they are kept under other names.

    Raises:
        UserError: if the form is unknown, two ids give one file name, or as `whole_file` and `whole_folder`.
    """
    form = form or form_of(path)
    if makes_folder(path, form):
        with whole_folder(path, "convert", complete=True, force=force) as new:
            return _WRITERS[form](table, new)
    with whole_file(path, keep=force and form != "parquet") as unfinished:
        return _WRITERS[form](table, unfinished)


def makes_folder(path: str | Path, form: str) -> bool:
    """Whether a form is a folder of files under this name."""
    return form == "mattergen" or (form in ("cif", "poscar") and Path(path).suffix.lower() != ".zip")


def form_of(path: str | Path) -> str:
    """Form that the name of `path` asks for."""
    suffix = Path(path).suffix.lower()
    if suffix not in BY_SUFFIX:
        names = ", ".join(name for name in BY_SUFFIX if name)
        raise UserError(f"{path}: write as what? name it one of {names}, or give --to {'|'.join(FORMATS)}")
    return BY_SUFFIX[suffix]


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


def _write_texts(table: CrystalTable, path: Path, suffix: str, text_of: Callable[[Crystal], str]) -> list[Rejected]:
    """A file of each crystal in a folder, or in a zip by that name."""
    texts = zip(file_names(table.material_ids, suffix), map(text_of, table), strict=True)
    if path.suffix.lower() == ".zip":
        _write_zip(texts, path)
        return []
    for name, text in texts:
        (path / name).write_text(text, encoding="utf-8")
    return []


def _write_zip(texts: Iterator[tuple[str, str]], path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts:
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # no time of day: same bytes each time


def _write_table(table: CrystalTable, path: Path) -> list[Rejected]:
    crystal_table.write(table, path)
    return []


def _write_csv(table: CrystalTable, path: Path) -> list[Rejected]:
    with path.open("w", newline="", encoding="utf-8") as stream:
        names = table.property_names
        rows = ([each.material_id, *(each.properties[name] for name in names), cif_text(each)] for each in table)
        csv_cells.write_rows(stream, ["material_id", *names, "cif"], rows)
    return []


_WRITERS: dict[str, Callable[[CrystalTable, Path], list[Rejected]]] = {
    "parquet": _write_table,
    "cif": lambda table, path: _write_texts(table, path, ".cif", cif_text),
    "poscar": lambda table, path: _write_texts(table, path, ".vasp", poscar_text),
    "extxyz": write_extxyz,
    "csv": _write_csv,
    "cdvae": write_tensors,
    "mattergen": write_mattergen,
    "lemat": write_lemat,
    "optimade": write_optimade,
}
