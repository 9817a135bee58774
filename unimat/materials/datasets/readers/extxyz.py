"""Extended XYZ files, frame by frame: ASE reads each frame, so that a bad one is a row to reject and not the end."""

import dataclasses
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.arrays import plain_value, scaled_positions
from unimat.materials.datasets.readers.opening import MAX_TEXT, one_line, opened_text, told_if_broken, too_large
from unimat.materials.datasets.readers.ordered import check_ordered, flags_of
from unimat.materials.datasets.readers.records import Columns, Record
from unimat.materials.datasets.readers.species import atomic_number
from unimat.materials.datasets.readers.stated import check_stated, stated_of
from unimat.materials.datasets.settings import SPLITS

_PROPERTIES = re.compile(r'Properties="?([^\s"]+)')
_PBC = re.compile(r'(?:^|\s)pbc\s*=\s*("[^"]*"|_JSON\s+\[[^\]]*\]|[\[{][^\]}]*[\]}]|\S+)', re.IGNORECASE)
_EXTXYZ = re.compile(r"\s*\d+[ \t]*\r?\n[^\n]*\bLattice=")


def extxyz_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of an extended XYZ file; ids from `material_id` in the comment line, or the frame's number.

    Properties are the comment line's, energy included.

    Raises:
        UserError: if a number of atoms is not where it should be, or the last frame is cut short.
    """
    with opened_text(path) as text, told_if_broken(path, "extxyz"):
        for index, frame in enumerate(_frames(path, text)):
            yield _record(path, index, frame, columns)


def _frames(path: Path, text: TextIO) -> Iterator[str | CrystalRejected]:
    """Text of each frame: the number of atoms, the comment, a line for each atom."""
    while line := text.readline(MAX_TEXT):
        if not line.strip():
            continue
        try:
            n_atoms = int(line)
        except ValueError:
            n_atoms = -1
        if n_atoms < 0:
            raise UserError(
                f"{path}: expected a number of atoms, found {line.strip()[:50]!r}; mend the frame before it"
            )
        yield _frame(path, line, n_atoms, text)


def _frame(path: Path, first: str, n_atoms: int, text: TextIO) -> str | CrystalRejected:
    lines, size = [first], 0
    for _ in range(n_atoms + 1):
        line = text.readline(MAX_TEXT)
        if not line:
            raise UserError(f"{path} ends within a frame of {n_atoms} atoms (truncated?); get it again")
        size += len(line)
        if size <= MAX_TEXT:
            lines.append(line)
    return too_large(size) if size > MAX_TEXT else "".join(lines)


def crystal_of_extxyz(text: str, material_id: str) -> Crystal:
    """Crystal of the only frame of extended XYZ text.

    Raises:
        CrystalRejected: if it cannot be read, or its own fields say that it is no ordered crystal, or another.
    """
    text = text.strip()
    lines = text.splitlines()
    if any(line.strip() for line in lines[int(lines[0]) + 2 :]):
        raise CrystalRejected("unreadable", "extxyz: more than one frame, or more lines than atoms; expected one frame")
    atoms, crystal = _atoms_and_crystal("\n".join(lines) + "\n", material_id)
    stated = _stated(text, atoms)
    check_ordered(stated)
    check_stated(crystal, stated)
    return crystal


def is_extxyz(text: str) -> bool:
    return _EXTXYZ.match(text) is not None


def _record(path: Path, index: int, frame: str | CrystalRejected, columns: Columns) -> Record:
    origin, name = f"{path.name}:{index}", columns.material_id or "material_id"
    made = f"{path.name.split('.')[0]}-{index}"
    if isinstance(frame, CrystalRejected):
        return Record(made, origin, frame)
    material_id = _id_as_written(frame, name)
    try:
        atoms, crystal = _atoms_and_crystal(frame, material_id or made)
        stated = _stated(frame, atoms)
    except CrystalRejected as rejection:
        return Record(material_id or made, origin, rejection)
    material_id = material_id or str(atoms.info.get(name, made))
    found = {**(atoms.calc.results if atoms.calc else {}), **atoms.info}  # energies become a calculator's results
    split = found.get("split")
    properties = {each: plain_value(found.get(each)) for each in columns.properties}
    content = dataclasses.replace(crystal, material_id=material_id)
    return Record(material_id, origin, content, split if split in SPLITS else None, properties, stated)


def _stated(frame: str, atoms: Any) -> dict[str, Any]:
    """What a frame says of itself. `pbc` as it is written: ASE takes TTF and "t t f" for periodic in all directions.

    Raises:
        CrystalRejected: if that is not understood.
    """
    written = _PBC.search(frame.split("\n", 2)[1])
    if written and not flags_of(written[1].removeprefix("_JSON")):
        raise CrystalRejected("unreadable", f"extxyz: pbc is {written[1][:40]}, expected three of T and F")
    pbc = written[1].removeprefix("_JSON").strip('" ') if written else atoms.pbc.tolist()
    return {**stated_of([atoms.info, atoms.arrays]), "pbc": pbc}


def _atoms_and_crystal(frame: str, material_id: str) -> tuple[Any, Crystal]:
    try:
        written = _numbers_as_written(frame)
        atoms = _atoms(frame)
        coords = scaled_positions(atoms)
    except CrystalRejected:
        raise
    except Exception as error:  # ASE's reader raises nearly every built-in exception on malformed text
        raise CrystalRejected("unreadable", f"extxyz: {one_line(error)}") from error
    if not atoms.cell.any():
        raise CrystalRejected("not_periodic", "no Lattice: a molecule or an isolated atom, not a crystal")
    for number, other in zip(written, atoms.numbers.tolist(), strict=False):
        if number != other:
            raise CrystalRejected(
                "contradicts_source", f"an atom is of species {number} by its symbol, {other} by its Z"
            )
    return atoms, Crystal(material_id, atoms.cell.array, atoms.numbers, coords)


def _atoms(frame: str) -> Any:
    from ase.io.extxyz import read_extxyz

    return next(read_extxyz(io.StringIO(frame), 0))


def _numbers_as_written(frame: str) -> list[int]:
    """Atomic numbers by the column of species, empty if there is none; ASE would make an element of NH, and prefers Z.

    Raises:
        CrystalRejected: if a species is no element, or there is no column of positions, which ASE takes for zeros.
    """
    lines = frame.splitlines()
    found = _PROPERTIES.search(lines[1])
    parts = (found[1] if found else "species:S:1:pos:R:3").split(":")
    columns = dict(zip(parts[::3], itertools.accumulate([0, *map(int, parts[2::3])]), strict=False))
    if "pos" not in columns:
        raise CrystalRejected("unreadable", f"extxyz: no column pos among the Properties {', '.join(columns)}")
    if "species" not in columns:
        return []
    return [atomic_number(line.split()[columns["species"]]) for line in lines[2 : 2 + int(lines[0])]]


def _id_as_written(frame: str, name: str) -> str | None:
    """The id in a frame's comment line as text: ASE would make a number of 007."""
    found = re.search(rf'(?:^|\s){re.escape(name)}=(?:"([^"\\]+)"|([^\s"\'{{\[\\]+))(?=\s|$)', frame.split("\n", 2)[1])
    return (found.group(1) or found.group(2)) if found else None
