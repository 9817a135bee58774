"""Files that appear whole or not at all."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unimat.errors import UserError


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Temporary path beside `path`, renamed to it if the block ends without an error and removed otherwise.

    The block may create a file or a directory; an existing directory of the same name is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    unfinished = scratch / path.name
    try:
        yield unfinished
        if path.is_dir() and not path.is_symlink():
            path.replace(scratch / f"{path.name}.previous")
        unfinished.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    with written_whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as strict JSON (no NaN: use null), keys in the order given."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Parsed JSON of `path`; UserError if it is missing or broken."""
    try:
        return json.loads(existing(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); make it again") from error


def existing(path: str | Path) -> Path:
    """`path` if something is there; UserError otherwise."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; check the name, or run the stage that makes it")
    return path


def sha256(path: str | Path) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def git_blob_id(path: str | Path) -> str:
    """SHA-1 that git gives the file's content: of ``blob <size>\\0`` and the bytes."""
    path = Path(path)
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
