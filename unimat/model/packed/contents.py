"""Files with their checksums, and archives of them: the same bytes for the same files."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from unimat.errors import UserError
from unimat.files import sha256

# By name within the archive: a file, or its content.
Members = Mapping[str, Path | bytes]

# Of every member, as of zip files: tar itself warns of an age of zero.
TIME = 315_532_800  # 1980-01-01
MIB = 2**20


def listing(members: Members) -> dict[str, dict[str, Any]]:
    """Bytes and SHA-256 of each member."""
    return {name: {"bytes": size_of(source), "sha256": _digest(source)} for name, source in sorted(members.items())}


def size_of(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _digest(source: Path | bytes) -> str:
    return hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else sha256(source)


def check(folder: Path, files: Mapping[str, Mapping[str, Any]], listed_in: str, remedy: str) -> None:
    """Raise UserError at the first of the listed files that is missing or is not what was written."""
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing, and {listed_in} lists it; {remedy}")
        if (size := path.stat().st_size) != expected["bytes"]:
            raise UserError(f"{path} has {size} bytes, {expected['bytes']} in {listed_in} (truncated?); {remedy}")
        if sha256(path) != expected["sha256"]:
            raise UserError(f"{path} is not the file that {listed_in} lists (its SHA-256 differs); {remedy}")


def write_folder(members: Members, folder: Path) -> None:
    for name, source in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else source.read_bytes())


def write_tar(members: Members, stream: Any, root: str = "") -> None:
    """Write members in the order of their names, under the folder `root`, with nothing of who made them and when."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, source in sorted(members.items()):
            about = tarfile.TarInfo(f"{root}/{name}" if root else name)
            about.size, about.mtime, about.mode = size_of(source), TIME, 0o644
            with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as content:
                archive.addfile(about, content)


def write_archive(members: Members, path: Path, root: str) -> None:
    """Write members as a tar, packed by gzip if the name ends so."""
    with path.open("wb") as raw:
        if path.suffix in (".gz", ".tgz"):
            with gzip.GzipFile("", "wb", 6, raw, mtime=TIME) as packed:
                write_tar(members, packed, root)
        else:
            write_tar(members, raw, root)


class Parts(io.RawIOBase):
    """A stream that is written into files of at most `largest` bytes: `path` itself, or path.000, path.001, ...

    Attributes:
        paths: the files, in order.
    """

    def __init__(self, path: Path, largest: int | None):
        self._path, self._largest = path, largest
        self._stream: BinaryIO | None = None
        self.paths: list[Path] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            stream = self._with_room()
            room = len(view) if self._largest is None else self._largest - stream.tell()
            done += stream.write(view[done : done + room])
        return done

    def _with_room(self) -> BinaryIO:
        if self._stream is None or (self._largest is not None and self._stream.tell() >= self._largest):
            self.close_part()
            number = "" if self._largest is None else f".{len(self.paths):03d}"
            self.paths.append(self._path.with_name(self._path.name + number))
            self._stream = self.paths[-1].open("wb")
        return self._stream

    def close_part(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def close(self) -> None:
        self.close_part()
        super().close()


class Joined(io.RawIOBase):
    """Files read one after the other, as one stream."""

    def __init__(self, paths: Sequence[Path]):
        self._waiting = list(paths)
        self._stream: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._stream or self._waiting:
            self._stream = self._stream or self._waiting.pop(0).open("rb")
            if count := self._stream.readinto(buffer):  # type: ignore[attr-defined]
                return count
            self._stream.close()
            self._stream = None
        return 0

    def close(self) -> None:
        if self._stream:
            self._stream.close()
        super().close()


@contextmanager
def read_tar(paths: Sequence[Path]) -> Iterator[tarfile.TarFile]:
    """The archive whose bytes stand in these files; UserError if they are no archive."""
    joined = Joined(paths)
    try:
        with joined, tarfile.open(fileobj=io.BufferedReader(joined), mode="r|") as archive:
            yield archive
    except tarfile.TarError as error:
        raise UserError(f"{paths[0]} is not a readable archive ({error}); collect it again") from error
