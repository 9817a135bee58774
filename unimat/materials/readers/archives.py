"""Folders, zips and JSON files of CIF and POSCAR texts."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from unimat.errors import UserError
from unimat.materials.ingest_settings import SPLITS
from unimat.materials.readers.cif import texts_of_cif
from unimat.materials.readers.records import Columns, Record
from unimat.materials.readers.texts import is_cif

_SUFFIXES = (".cif", ".vasp", ".poscar", ".contcar")
_NAMES = ("poscar", "contcar")


def is_structure_file(name: str) -> bool:
    """Whether a file of that name holds CIF or POSCAR text: x.cif, x.vasp, POSCAR, CONTCAR, POSCAR_x, x.poscar."""
    base = PurePosixPath(name).name.lower()
    return base.endswith(_SUFFIXES) or base.startswith(_NAMES)


def folder_records(folder: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of the CIF and POSCAR files below `folder`, by relative path; the id is that path without suffix."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and is_structure_file(path.name))
    if not paths:
        raise UserError(f"{folder} holds no CIF or POSCAR file (*.cif, *.vasp, POSCAR*, CONTCAR*)")
    for path in paths:
        name = path.relative_to(folder).as_posix()
        yield from _text_records(name, path.read_bytes(), name)


def single_file_records(path: Path, columns: Columns) -> Iterator[Record]:
    return _text_records(path.name, path.read_bytes(), path.name)


def zip_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of the CIF and POSCAR members of a zip, in order of name."""
    with _opened(path) as archive:
        names = sorted(name for name in archive.namelist() if is_structure_file(name))
        if not names:
            if any(name.endswith(".json") for name in archive.namelist()):
                yield from json_records(path, columns)
                return
            raise UserError(f"{path} holds no CIF, POSCAR or JSON file")
        for name in names:
            yield from _text_records(name, archive.read(name), f"{path.name}/{name}")


def json_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of JSON that maps id to text, or split to id to text; "\\n" may be written as two characters."""
    try:
        content = json.loads(_json_bytes(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); get it again") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: expected a JSON object of id to CIF or POSCAR text (or of splits of these)")
    if set(content) <= set(SPLITS) and all(isinstance(value, dict) for value in content.values()):
        for split, texts in content.items():
            yield from _json_split(path.name, texts, split)
    else:
        yield from _json_split(path.name, content, None)


def _json_split(origin: str, texts: dict[str, Any], split: str | None) -> Iterator[Record]:
    place = f"{origin}:{split}" if split else origin
    for material_id, text in texts.items():
        content = text.replace("\\n", "\n") if isinstance(text, str) else None
        yield Record(material_id, f"{place}:{material_id}", content, split)


def _json_bytes(path: Path) -> bytes:
    if path.suffix.lower() != ".zip":
        return path.read_bytes()
    with _opened(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        if len(names) != 1:
            raise UserError(f"{path}: expected one JSON file inside, found {len(names)}")
        return archive.read(names[0])


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is not readable as a zip (truncated?); get it again") from error


def _text_records(name: str, data: bytes, origin: str) -> Iterator[Record]:
    text = data.decode("utf-8", errors="replace")
    material_id = _stem(name)
    texts = texts_of_cif(text) if is_cif(text) else {}
    if len(texts) < 2:
        yield Record(material_id, origin, text)
        return
    for block, block_text in texts.items():
        yield Record(f"{material_id}/{block}", f"{origin}:{block}", block_text)


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in _SUFFIXES else str(path)
