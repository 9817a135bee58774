"""Zips that are read in place: nothing is unpacked, and one member at a time is in memory."""

import re
import stat
import struct
import zipfile
from pathlib import Path

from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.opening import BROKEN, MAX_TEXT, bounded, one_line, too_large

# What zipfile raises on a damaged archive or member; RuntimeError is a member that wants a password.
BAD_ARCHIVE = (zipfile.BadZipFile, struct.error, ValueError, OverflowError, NotImplementedError, *BROKEN)
BAD_MEMBER = (*BAD_ARCHIVE, RuntimeError)
_ENCRYPTED = 0x1  # bit of a member's flags


def opened_zip(path: Path) -> zipfile.ZipFile:
    """The zip at `path`, of which nothing but the list of members is read.

    Raises:
        UserError: if it is truncated or no zip, or a member's path is absolute or holds `..`: ids come of these paths,
            and an archive made to write elsewhere is not one to trust.
    """
    try:
        archive = zipfile.ZipFile(path)
    except BAD_ARCHIVE as error:
        raise UserError(f"{path} is not readable as a zip ({one_line(error)}: truncated?); get it again") from error
    for member in archive.infolist():
        if leads_out(member.filename):
            archive.close()
            raise UserError(f"{path} has a member {member.filename!r}, whose path leads out of it; make the zip again")
    return archive


def leads_out(name: str) -> bool:
    """Whether the path of a member, unpacked, would lie outside the archive's folder."""
    name = name.replace("\\", "/")
    return name.startswith("/") or ".." in name.split("/") or re.match("[A-Za-z]:", name) is not None


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Bytes of one member.

    Raises:
        CrystalRejected: if it is encrypted or larger than one crystal may be, which is known before it is unpacked.
    """
    if member.flag_bits & _ENCRYPTED:
        raise CrystalRejected("unreadable", "the member is encrypted; unpack it and bring the files")
    if member.file_size > MAX_TEXT:
        raise too_large(member.file_size)
    if stat.S_ISLNK(member.external_attr >> 16):
        to = archive.read(member).decode("utf-8", errors="replace")[:200]
        raise CrystalRejected(
            "unreadable", f"a link to {to}, not the file; make the zip without links (zip follows them)"
        )
    with archive.open(member) as stream:
        return bounded(stream)


def json_members(archive: zipfile.ZipFile) -> list[str]:
    """Members that are JSON, hidden ones left out."""
    names = [name for name in archive.namelist() if name.lower().endswith((".json", ".jsonl"))]
    return [name for name in names if not name.rpartition("/")[2].startswith(".")]
