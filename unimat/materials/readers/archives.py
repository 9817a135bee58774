"""Folders and zips of CIF and POSCAR files, one file in memory at a time."""

import csv
import dataclasses
import functools
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from unimat.errors import CrystalRejected, UserError
from unimat.materials.readers.cif import texts_of_cif
from unimat.materials.readers.json_files import json_records
from unimat.materials.readers.opening import (
    bounded,
    impostor,
    one_line,
    opened,
    opened_text,
    plain_name,
    told_if_broken,
)
from unimat.materials.readers.records import Columns, Record
from unimat.materials.readers.texts import is_cif
from unimat.materials.readers.zips import BAD_MEMBER, json_members, opened_zip, read_member

_SUFFIXES = (".cif", ".vasp", ".poscar", ".contcar")
_NAMES = ("poscar", "contcar")


def is_structure_file(name: str) -> bool:
    """Whether a file of that name holds CIF or POSCAR text: x.cif, x.vasp, POSCAR, CONTCAR, POSCAR_x, x.poscar.

    Hidden files are none: macOS leaves a `._x.cif` of its own beside each x.cif.
    """
    base = name.rpartition("/")[2].lower()
    return not base.startswith(".") and (base.endswith(_SUFFIXES) or base.startswith(_NAMES))


def folder_records(folder: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of the CIF and POSCAR files below `folder`, by relative path; the id is that path without suffix.

    Properties come from an `id_prop.csv` in the folder, CGCNN's form: no header, an id and then, in their order, the
    properties asked for.
    """
    path, properties = None, _properties_by_id(folder / "id_prop.csv", columns.properties)
    for path in _structure_files(folder):
        name = path.relative_to(folder).as_posix()
        for record in _text_records(plain_name(name), name, functools.partial(_read, path)):
            yield dataclasses.replace(record, properties=properties.get(record.material_id, {}))
    if path is None:
        raise UserError(f"{folder} holds no CIF or POSCAR file (*.cif, *.vasp, POSCAR*, CONTCAR*)")


def _properties_by_id(path: Path, names: tuple[str, ...]) -> dict[str, dict[str, str]]:
    if not names or not path.is_file():
        return {}
    with opened_text(path) as text, told_if_broken(path, "CSV", csv.Error):
        rows = (row for row in csv.reader(text) if row)
        return {row[0]: {name: value for name, value in zip(names, row[1:], strict=False) if value} for row in rows}


def single_file_records(path: Path, columns: Columns) -> Iterator[Record]:
    return _text_records(plain_name(path.name), path.name, functools.partial(_read, path))


def zip_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of the CIF and POSCAR members of a zip, in order of name.

    Raises:
        UserError: if the zip is truncated, holds none, or holds a member whose path leads out of it.
    """
    with opened_zip(path) as archive:
        members = [each for each in archive.infolist() if not each.is_dir() and is_structure_file(each.filename)]
        if not members:
            if json_members(archive):
                yield from json_records(path, columns)
                return
            raise UserError(f"{path} holds no CIF, POSCAR or JSON file")
        for member in sorted(members, key=lambda each: each.filename):
            name = member.filename
            yield from _text_records(name, f"{path.name}/{name}", functools.partial(read_member, archive, member))


def _structure_files(folder: Path) -> Iterator[Path]:
    """Structure files below `folder`, sorted name by name; one folder's list of names at a time."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({one_line(error)}); see to its permissions") from error
    for entry in ordered:
        if entry.is_dir(follow_symlinks=False):
            yield from _structure_files(Path(entry.path))
        elif entry.is_file() and is_structure_file(plain_name(entry.name)):
            yield Path(entry.path)


def _read(path: Path) -> bytes:
    with opened(path) as stream:
        return bounded(stream)


def _text_records(name: str, origin: str, read: Callable[[], bytes]) -> Iterator[Record]:
    """Records of one file, several for a CIF of several structures; one to reject if it cannot be read."""
    material_id = _stem(name)
    try:
        data = read()
        what = impostor(data[:512])
        if what:
            raise CrystalRejected("unreadable", f"the file {what}")
    except CrystalRejected as rejection:
        yield Record(material_id, origin, rejection)
        return
    except BAD_MEMBER as error:
        yield Record(material_id, origin, CrystalRejected("unreadable", one_line(error)))
        return
    yield from _blocks(material_id, origin, data.decode("utf-8-sig", errors="replace"))


def _blocks(material_id: str, origin: str, text: str) -> Iterator[Record]:
    texts = _structure_texts(text) if text.lower().count("data_") > 1 and is_cif(text) else {}
    if len(texts) < 2:
        yield Record(material_id, origin, text)
        return
    for block, block_text in texts.items():
        yield Record(f"{material_id}/{block}", f"{origin}:{block}", block_text)


def _structure_texts(text: str) -> dict[str, str]:
    """Text of each structure of a CIF by the name of its block, with a number where blocks share a name."""
    texts = texts_of_cif(text)
    if texts:
        return texts
    # gemmi refuses a file with two blocks of one name (or another fault), of which pymatgen would read one block only.
    for part in re.split(r"^(?=data_)", text, flags=re.MULTILINE | re.IGNORECASE):
        if "_atom_site_fract_x" in part:
            name = part.split(maxsplit=1)[0][len("data_") :]
            texts[name if name not in texts else f"{name}-{len(texts)}"] = part
    return texts


def _stem(name: str) -> str:
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in _SUFFIXES else name
