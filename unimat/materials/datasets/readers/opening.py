"""Opening what people bring: compressed or not, never more than `MAX_TEXT` of one crystal, and no impostors.

The commonest broken file is not broken at all: it is the web page, or the Git LFS pointer, that a download left in its
place. The first bytes tell.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from unimat.errors import CrystalRejected, UserError

MAX_TEXT = 20_000_000  # bytes of one crystal; CIF takes some 60 per atom
COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)  # what these openers raise, at once or while reading
_MARKUP = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|error|!--)", re.IGNORECASE)
_MAGIC = {b"\x1f\x8b": (".gz", "gzip"), b"BZh": (".bz2", "bzip2"), b"\xfd7zXZ": (".xz", "xz")}


def opened(path: Path) -> IO[bytes]:
    """Stream of the bytes of `path`, decompressed if its name ends with .gz, .bz2 or .xz."""
    open_it = COMPRESSED.get(path.suffix.lower())
    return open_it(path, "rb") if open_it else path.open("rb")


def as_text(stream: IO[bytes]) -> io.TextIOWrapper:
    """Text of `stream` as it stands, line ends too; bytes that are no UTF-8 (a latin-1 name) become U+FFFD."""
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")


def opened_text(path: Path) -> io.TextIOWrapper:
    return as_text(opened(path))


def plain_name(name: str) -> str:
    """`name` without a suffix of compression."""
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in COMPRESSED else name


@contextlib.contextmanager
def told_if_broken(path: Path, form: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what a broken file raises into a UserError that names it."""
    expected: tuple[type[Exception], ...] = (*BROKEN, *errors)
    try:
        yield
    except expected as error:
        raise UserError(f"{path} is not readable as {form} ({one_line(error)}: truncated?); get it again") from error


def refuse_impostor(path: Path) -> None:
    """Refuse a file that is empty, or is no data at all by its first bytes.

    Raises:
        UserError: with what it is and what to do.
    """
    raw, suffix = _head(path.open("rb")), path.suffix.lower()
    for magic, (due, name) in _MAGIC.items():
        if raw.startswith(magic) and suffix not in (due, ".tgz"):
            raise UserError(f"{path} is compressed ({name}), which its name does not say; add {due} to its name")
    with told_if_broken(path, "a file of crystals"):
        what = impostor(raw) or (impostor(_head(opened(path))) if suffix in COMPRESSED else None)
    if what:
        raise UserError(f"{path} {what}")


def _head(stream: IO[bytes]) -> bytes:
    with stream:
        return stream.read(512)


def impostor(head: bytes) -> str | None:
    """What a file is, and what to do, by its first bytes; None if nothing is wrong with them."""
    if not head:
        return "is empty; get it again"
    if _MARKUP.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "is a web page, not data (a login or an error page was saved in its place?); download it again"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the data it stands for; run `git lfs pull`, or download the file itself"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16 text; save it as UTF-8"
    return None


def bounded(stream: IO[bytes]) -> bytes:
    """All bytes of one crystal's text.

    Raises:
        CrystalRejected: if there are more than `MAX_TEXT`; no more than that is read.
    """
    data = stream.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise too_large()
    return data


def too_large(size: int | None = None) -> CrystalRejected:
    found = f"{size / 1e6:.1f} MB" if size else f"more than {MAX_TEXT / 1e6:g} MB"
    return CrystalRejected("too_large", f"{found} of text for one crystal, the limit is {MAX_TEXT / 1e6:g} MB")


def one_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
