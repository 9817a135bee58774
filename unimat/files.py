"""Files that appear whole or not at all."""

import contextlib
import filecmp
import hashlib
import itertools
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from unimat.errors import UserError

logger = logging.getLogger("unimat.files")

CONTENT = "content_sha256"  # key of a JSON file's own digest
# Which command makes a file of this name.
MADE_BY = {
    "card.json": "ingest",
    "train.parquet": "ingest",
    "val.parquet": "ingest",
    "test.parquet": "ingest",
    "encoding.json": "encode",
    "training.json": "train",
    "history.csv": "train",
    "speed.csv": "train",
    "model.npz": "train",
    "sampling.json": "sample",
    "metrics.json": "metrics",
    "verdicts.parquet": "metrics",
    "relaxed.parquet": "relax",
    "relaxed.json": "gather",
    "reference.parquet": "reference",
    "reference.json": "reference",
    "stability.parquet": "hull",
    "stability.json": "hull",
    "stability_by_reference.parquet": "hull",
    "verdict_flips.parquet": "hull",
    "screen.json": "screen",
    "agreement.parquet": "agreement",
    "agreement.json": "agreement",
    "dynamics.parquet": "md",
    "dynamics.json": "md",
    "prediction.parquet": "match",
    "prediction.json": "match",
    "compositions.csv": "compositions",
    "manifest.json": "fetch",
}
SHOWN = 3  # names of a folder's contents, in an error
NAME_KEPT = 40  # characters of a file's name in that of its temporary folder


@contextlib.contextmanager
def whole_file(path: str | Path, keep: bool = False) -> Iterator[Path]:
    """Temporary path beside `path`, renamed to it if the block ends without an error and removed otherwise.

    A file that is there is replaced. A link to a file is followed, and stays.

    Args:
        keep: keep what is there as `kept_name` says, where the new file has another content.

    Raises:
        UserError: as `file_to_write`.
    """
    target = file_to_write(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".unimat-{target.name[:NAME_KEPT]}.", dir=target.parent))
    unfinished = scratch / target.name
    try:
        yield unfinished
        if keep and target.exists() and not filecmp.cmp(target, unfinished, shallow=False):
            keep_aside(target)
        unfinished.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def keep_aside(path: Path) -> None:
    """Rename a file that another hand wrote, with a warning that says so."""
    kept = kept_name(path)
    path.rename(kept)
    logger.warning("%s was there before; it is kept as %s", path, kept.name)


def kept_name(path: Path) -> Path:
    """Name under which a file is kept whose place is taken: `NAME.kept`, or with the first free number behind it."""
    names = itertools.chain([f"{path.name}.kept"], (f"{path.name}.kept{number}" for number in itertools.count(2)))
    return next(found for name in names if not os.path.lexists(found := path.with_name(name)))


def file_to_write(path: str | Path) -> Path:
    """The file that writing `path` makes or replaces, links followed; nothing is touched.

    Raises:
        UserError: if a folder, a link to a folder, a link to nothing or a device is there, if the parent is none or
            may not be written to, or if the name is no file's.
    """
    text, path = os.fspath(path), Path(path)
    if not text:
        raise UserError("the name of the file to write is empty; give a name")
    try:
        if path.is_dir():
            raise UserError(f"{text} is a folder (it holds {contents(path)}), and a file is to be written; name a file")
        if text.endswith("/"):
            raise UserError(f"{text} names a folder, and a file is to be written; leave the last / away")
        if path.is_symlink() and not path.exists():
            raise UserError(f"{text} is a link to {path.readlink()}, which is not there; remove the link")
        if path.exists() and not path.is_file():
            raise UserError(f"{text} is no regular file but a device or a pipe; name a file")
        refuse_parent(path)
        return path.resolve() if path.is_symlink() else path
    except OSError as error:
        raise UserError(f"{text} cannot be written ({error.strerror}); name another file") from error


def refuse_parent(path: Path) -> None:
    """Raise UserError if nothing can be made at `path`: its parent is a file, or may not be written to."""
    parent = next((each for each in path.parents if each.exists() or each.is_symlink()), Path())
    if not parent.is_dir():
        raise UserError(f"{parent} is no folder, so that {path} cannot be written; choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"{path} cannot be written: {parent} may not be written to (permission denied)")


def contents(folder: Path) -> str:
    """What a folder holds, in words: a few names and how many there are."""
    return in_words(f"{path.name}/" if is_folder(path) else path.name for path in folder.iterdir())


def is_folder(path: Path) -> bool:
    """Whether a folder or a link to one is there."""
    try:
        return path.is_dir()
    except OSError:  # a link to itself
        return False


def in_words(names: Iterable[str]) -> str:
    """The first of `names` in order, and how many more there are."""
    names = sorted(names)
    shown, more = ", ".join(names[:SHOWN]), len(names) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown or "nothing"


def write_text(path: str | Path, text: str) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as strict JSON (no NaN: use null), keys in the order given, and a mapping's digest as its last."""
    if isinstance(value, dict):
        value = {**value, CONTENT: content_digest(value)}
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path, needed: Iterable[str] = ()) -> Any:
    """Parsed JSON of `path`, without its digest.

    Args:
        needed: keys that a mapping must have.

    Raises:
        UserError: if the file is missing, broken, or not what `write_json` wrote. A file without a digest, made by
            hand or by another program, is read as it is.
    """
    try:
        value = json.loads(existing(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError, IsADirectoryError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); {remedy(path)}") from error
    written = value.pop(CONTENT, None) if isinstance(value, dict) else None
    if written is not None and written != content_digest(value):
        raise UserError(
            f"{path} was changed after it was written (its {CONTENT} does not fit); {remedy(path)}, "
            f"or remove {CONTENT} from it if the change is meant"
        )
    for key in needed:
        if not isinstance(value, dict) or key not in value:
            raise UserError(f"{path} has no key {key!r}: it is another file than is needed here; {remedy(path)}")
    return value


def content_digest(value: Any) -> str:
    """SHA-256 of what JSON says, however it is spaced."""
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()


def existing(path: str | Path) -> Path:
    """`path` if something is there; UserError otherwise."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; check the name, or run the stage that makes it")
    return path


def remedy(path: str | Path) -> str:
    """How a broken file is made again, in words."""
    command = MADE_BY.get(Path(path).name)
    return f"delete it and make it again with `unimat {command}`" if command else "delete it and make it again"


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
