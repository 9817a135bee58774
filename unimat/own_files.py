"""Whether a file that is there is one that `unimat` wrote, by what it says of itself."""

import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import CONTENT, file_to_write

LOOKED_AT = 1 << 16  # bytes at the beginning of a file
MEMBERS = 50  # of an archive; those of `pack` begin with the code


def refuse_foreign_file(path: str | Path, kind: str, columns: Collection[str] = ()) -> None:
    """Raise UserError if a file is there, is not empty, and `unimat` did not write it.

    Args:
        kind: PARQUET, JSON, CSV, HTML or ARCHIVE.
        columns: of a CSV, among others; or keys of a JSON file of many objects, which has no checksum.
    """
    path = file_to_write(path)
    if path.exists() and path.stat().st_size and not is_own(path, kind, columns):
        raise UserError(f"{path} is there, and unimat did not write it; name another file, or move it away")


def is_own(path: Path, kind: str, columns: Collection[str] = ()) -> bool:
    """Whether the content of a file is what `unimat` writes of that kind."""
    if kind == "PARQUET":
        from unimat import parquet

        return parquet.is_sealed(path)
    if kind == "ARCHIVE":
        return _is_packed(path)
    with path.open("rb") as stream:
        head = stream.read(LOOKED_AT)
    if kind == "JSON":
        end = head if path.stat().st_size <= LOOKED_AT else _end_of(path)
        sealed = f'"{CONTENT}"'.encode() in end
        return sealed or (bool(columns) and all(f'"{name}":'.encode() in head for name in columns))
    if kind == "CSV":
        header = head.split(b"\n", 1)[0].decode("utf-8", errors="replace").strip().split(",")
        return bool(columns) and set(columns) <= set(header)
    return kind == "HTML" and b">unimat report<" in head


def _end_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        stream.seek(-LOOKED_AT, 2)
        return stream.read()


def _is_packed(path: Path) -> bool:
    try:
        with tarfile.open(path) as archive:
            members: Any = (member for member, _ in zip(archive, range(MEMBERS), strict=False))
            return any(Path(member.name).match("code/unimat/__init__.py") for member in members)
    except (tarfile.TarError, OSError, EOFError):
        return False
