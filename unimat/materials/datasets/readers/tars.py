"""Tar archives, compressed or not, read in place and in the archive's order: nothing is unpacked."""

import posixpath
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.folders import why_passed_over
from unimat.materials.datasets.readers.opening import BROKEN, MAX_TEXT, bounded, one_line, too_large
from unimat.materials.datasets.readers.passed_over import PassedOver
from unimat.materials.datasets.readers.zips import leads_out

_BAD = (tarfile.TarError, EOFError, ValueError, *BROKEN)


def tar_members(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name of each structure file of a tar archive, and what reads it; to be called before the next one is asked for.

    A link to a member is passed over, as that member is read itself. Reading a link to anything else raises
    CrystalRejected.

    Raises:
        UserError: if the archive is truncated or no tar, or has a member whose path leads out of it.
    """
    passed_over = PassedOver(path.name)
    try:
        with tarfile.open(path, "r:*") as archive:
            names = _with_folders({posixpath.normpath(member.name) for member in archive})
            for member in archive:
                if leads_out(member.name):
                    raise UserError(f"{path} has a member {member.name!r}, whose path leads out of it; make it again")
                name = posixpath.normpath(member.name)
                reason = None if member.isdir() else _why_not(member, name, names)
                if reason:
                    passed_over.add(name, reason)
                elif not member.isdir():
                    yield name, _reader(archive, member)
    except _BAD as error:
        raise UserError(f"{path} is not readable as a tar ({one_line(error)}: truncated?); get it again") from error
    passed_over.tell()


def _why_not(member: tarfile.TarInfo, name: str, names: set[str]) -> str | None:
    if member.issym() and _target(member, name) in names:
        return "a link to a member"
    return why_passed_over(name)


def _with_folders(names: set[str]) -> set[str]:
    return names | {folder.as_posix() for name in names for folder in PurePosixPath(name).parents}


def _target(member: tarfile.TarInfo, name: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        if member.issym():
            raise CrystalRejected("unreadable", f"a link to {member.linkname}, which the archive does not hold")
        if member.size > MAX_TEXT:
            raise too_large(member.size)
        try:
            stream = archive.extractfile(member)
        except (KeyError, tarfile.TarError) as error:
            raise CrystalRejected("unreadable", one_line(error)) from error
        if stream is None:
            raise CrystalRejected("unreadable", "no regular file")
        with stream:
            return bounded(stream)

    return read
