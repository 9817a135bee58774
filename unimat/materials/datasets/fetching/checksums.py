"""Whether a file is what it should be: checksums, and the pages and pointers that come in a file's place."""

import hashlib
import zipfile
from pathlib import Path

from unimat.errors import UserError
from unimat.files import git_blob_id, sha256, write_text
from unimat.materials.datasets.published.description import PublishedFile

# What lies in a fetched folder beside files whose publisher gives no checksum: `sha256sum -c checksums.sha256`.
RECORD = "checksums.sha256"
_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html")


def matches(path: Path, file: PublishedFile) -> bool:
    """Whether the content of `path` has the checksum that the publisher of `file` gives."""
    if file.blob_id:
        return git_blob_id(path) == file.blob_id
    return bool(file.sha256) and sha256(path) == file.sha256


def expected(file: PublishedFile) -> str:
    return f"git blob id {file.blob_id}" if file.blob_id else f"sha256 {file.sha256}"


def found(path: Path, file: PublishedFile) -> str:
    return f"git blob id {git_blob_id(path)}" if file.blob_id else f"sha256 {sha256(path)}"


def refuse_impostors(path: Path, name: str, remedy: str) -> None:
    """Refuse a page or a pointer that came instead of the file `name`, and a zip that is none.

    Raises:
        UserError: with `remedy`, what is to be done instead.
    """
    with path.open("rb") as stream:
        start = stream.read(512)
    if start.startswith(_LFS):
        raise UserError(f"{name} is a Git LFS pointer ({path.stat().st_size} bytes), not the file itself; {remedy}")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
        raise UserError(f"{name} is an HTML page (of an error or a log-in), not the file itself; {remedy}")
    if name.lower().endswith(".zip") and not zipfile.is_zipfile(path):
        raise UserError(f"{name} is no zip, or a truncated one ({path.stat().st_size} bytes); {remedy}")


def md5(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").digest()


def recorded(folder: Path, name: str) -> str | None:
    """SHA-256 that was recorded when `name` was first fetched into `folder`; None if there is no record."""
    return _record(folder).get(name)


def record(folder: Path, name: str, digest: str) -> None:
    """Record the SHA-256 of `name`."""
    lines = _record(folder) | {name: digest}
    write_text(folder / RECORD, "".join(f"{each}  {file}\n" for file, each in sorted(lines.items())))


def _record(folder: Path) -> dict[str, str]:
    path = folder / RECORD
    if not path.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name: digest for digest, name in pairs}
