"""Folders, zips and tars of structure files, one file in memory at a time."""

import csv
import dataclasses
import functools
import io
import posixpath
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.cif import texts_of_cif
from unimat.materials.datasets.readers.folders import READ_ALONE, STRUCTURE_FILES, SUFFIXES, Folder, why_passed_over
from unimat.materials.datasets.readers.json_files import json_records
from unimat.materials.datasets.readers.opening import (
    COMPRESSED,
    bounded,
    impostor,
    one_line,
    opened,
    opened_text,
    plain_name,
    told_if_broken,
)
from unimat.materials.datasets.readers.passed_over import PassedOver
from unimat.materials.datasets.readers.records import Columns, Record
from unimat.materials.datasets.readers.res import is_res, properties_of_res, texts_of_res
from unimat.materials.datasets.readers.tars import tar_members
from unimat.materials.datasets.readers.texts import is_cif
from unimat.materials.datasets.readers.zips import BAD_MEMBER, json_members, opened_zip, read_member

_ID_PROP = "id_prop.csv"


def folder_records(folder: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of the structure files below `folder`, by relative path; the id is that path without suffix.

    Properties come from an `id_prop.csv` in the folder, CGCNN's form: no header, an id and then, in their order, the
    properties asked for.
    """
    path, properties = None, _properties_by_id(folder / _ID_PROP, columns.properties)
    for path, rejection in Folder(folder, beside=(_ID_PROP,)).files():
        name = path.relative_to(folder).as_posix()
        if rejection:
            yield Record(_stem(plain_name(name)), name, rejection)
            continue
        for record in _text_records(plain_name(name), name, functools.partial(_read, path), columns):
            beside = properties.get(record.material_id, {})
            yield dataclasses.replace(record, properties={**record.properties, **beside}) if beside else record
    if path is None:
        raise UserError(f"{folder} holds no structure file ({STRUCTURE_FILES})")


def _properties_by_id(path: Path, names: tuple[str, ...]) -> dict[str, dict[str, str]]:
    if not names or not path.is_file():
        return {}
    with opened_text(path) as text, told_if_broken(path, "CSV", csv.Error):
        rows = (row for row in csv.reader(text) if row)
        return {row[0]: {name: value for name, value in zip(names, row[1:], strict=False) if value} for row in rows}


def single_file_records(path: Path, columns: Columns) -> Iterator[Record]:
    return _text_records(plain_name(path.name), path.name, functools.partial(_read, path), columns)


def zip_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of the structure files of a zip, in order of name; of its one JSON file if there are none.

    Raises:
        UserError: if the zip is truncated, holds none, or holds a member whose path leads out of it.
    """
    passed_over = PassedOver(path.name)
    with opened_zip(path) as archive:
        files = sorted((each for each in archive.infolist() if not each.is_dir()), key=lambda each: each.filename)
        reasons = [why_passed_over(each.filename) for each in files]
        if all(reasons):
            if json_members(archive):
                yield from json_records(path, columns)
                _pass_over_all_but_json(files, passed_over)
                return
            raise UserError(f"{path} holds no structure file ({STRUCTURE_FILES}) and no JSON file")
        for member, reason in zip(files, reasons, strict=True):
            if reason:
                passed_over.add(member.filename, reason)
                continue
            read = functools.partial(read_member, archive, member)
            yield from _member_records(path, member.filename, read, columns)
    passed_over.tell()


def _pass_over_all_but_json(files: Sequence[zipfile.ZipInfo], passed_over: PassedOver) -> None:
    for member in files:
        reason = why_passed_over(member.filename)
        if reason and not (reason == READ_ALONE and member.filename.lower().endswith((".json", ".jsonl"))):
            passed_over.add(member.filename, reason)
    passed_over.tell()


def tar_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of the structure files of a tar archive, in its order.

    Raises:
        UserError: if the archive is truncated, holds none, or holds a member whose path leads out of it.
    """
    name = None
    for name, read in tar_members(path):
        yield from _member_records(path, name, read, columns)
    if name is None:
        raise UserError(f"{path} holds no structure file ({STRUCTURE_FILES})")


def _member_records(archive: Path, name: str, read: Callable[[], bytes], columns: Columns) -> Iterator[Record]:
    """Records of one member of an archive, which may be compressed itself."""
    plain, open_it = plain_name(name), COMPRESSED.get(posixpath.splitext(name)[1].lower())

    def decompressed() -> bytes:
        if open_it is None:
            return read()
        with open_it(io.BytesIO(read())) as stream:
            return bounded(stream)

    yield from _text_records(plain, f"{archive.name}/{name}", decompressed, columns)


def _read(path: Path) -> bytes:
    with opened(path) as stream:
        return bounded(stream)


def _text_records(name: str, origin: str, read: Callable[[], bytes], columns: Columns) -> Iterator[Record]:
    """Records of one file, several for a CIF or a .res of several structures; one to reject if it cannot be read."""
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
    text = data.decode("utf-8-sig", errors="replace")
    for record in _blocks(material_id, origin, text):
        is_title = isinstance(record.content, str) and is_res(record.content)
        properties = properties_of_res(str(record.content), columns.properties) if is_title else {}
        yield dataclasses.replace(record, properties=properties) if properties else record


def _blocks(material_id: str, origin: str, text: str) -> Iterator[Record]:
    if is_cif(text):
        texts = _structure_texts(text) if text.lower().count("data_") > 1 else {}
    else:
        texts = texts_of_res(text) if is_res(text) else {}
    if len(texts) < 2:
        yield Record(material_id, origin, text)
        return
    for block, block_text in texts.items():
        yield Record(f"{material_id}/{block}", f"{origin}:{block}", block_text)


def _structure_texts(text: str) -> dict[str, str]:
    """Text of each structure of a CIF by the name of its block; none of text that is broken, which then is rejected."""
    try:
        return texts_of_cif(text)
    except CrystalRejected:
        return {}


def _stem(name: str) -> str:
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name
