"""Archives of numpy arrays, the CRC-32 of every member checked before anything is taken from it."""

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from unimat.errors import UserError
from unimat.files import existing

LONE = b"\x93NUMPY"  # how a file of one array begins
END = struct.Struct("<4s4H2LH")  # of a zip file without a comment
# A flipped bit may say that a member is encrypted, or packed in a way that does not exist.
OF_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError)
BROKEN = (OSError, ValueError, EOFError, LookupError, MemoryError, *OF_ZIP)


def read(path: str | Path, what: str, remedy: str) -> dict[str, np.ndarray]:
    """All arrays of an archive by name.

    Args:
        what: the file should be, for messages. remedy: what is to be done if it is not.

    Raises:
        UserError: if the file is missing, no archive of arrays, or not what was written.
    """
    path = existing(path)
    try:
        with path.open("rb") as stream:
            if stream.read(len(LONE)) == LONE:
                raise UserError(f"{path} is a single numpy array, not a {what}; {remedy}")
        with zipfile.ZipFile(path) as archive:
            # Numpy stops at the last number of a packed array, before the end where zipfile compares.
            broken = archive.testzip() or _miscounted(path, len(archive.infolist()))
        if broken is None:
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
    except BROKEN as error:
        raise UserError(f"{path} is not a readable {what} (truncated?); {remedy}") from error
    raise UserError(f"{path} is not what was written (the checksum of {broken} does not fit); {remedy}")


def _miscounted(path: Path, n: int) -> str | None:
    """What is wrong if the list of members, which has no checksum, shows others than the `n` that it ends by naming."""
    with path.open("rb") as stream:
        stream.seek(-END.size, 2)
        mark, _, _, _, total, *_ = END.unpack(stream.read())
    return "its list of arrays" if mark == b"PK\5\6" and total != n else None
