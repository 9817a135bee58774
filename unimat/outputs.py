"""Folders that commands write: nothing in them is replaced or removed but what the same command wrote there."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from unimat.errors import UserError
from unimat.files import in_words, is_folder, keep_aside, read_json, refuse_parent
from unimat.owned import LISTED, SIGNS, WRITTEN, entries, fits, foreign, listed, others, write_list

BESIDE_IT = "or say --force to write beside it, which leaves all of it as it is"
REPLACE_IT = "or say --force, which keeps it as NAME.kept"
SCRATCH = ".unimat-new."


def folder_to_write(path: str | Path) -> Path:
    """`path`, where a folder is or can be made; nothing is touched.

    Raises:
        UserError: if a file or a link to nothing is there, if the parent is no folder or may not be written to, or if
            the name is empty.
    """
    text, path = os.fspath(path), Path(path)
    if not text:
        raise UserError("the name of the folder to write is empty; give a name")
    try:
        if path.is_symlink() and not path.exists():
            raise UserError(f"{text} is a link to {path.readlink()}, which is not there; remove the link")
        if path.exists() and not path.is_dir():
            raise UserError(f"{text} is a file, and a folder is to be written; name a folder")
        refuse_parent(path / "file" if path.is_dir() else path)
    except OSError as error:
        raise UserError(f"{text} cannot be written ({error.strerror}); name another folder") from error
    return path


def refuse_foreign(
    path: str | Path,
    by: str,
    names: Collection[str] | None = None,
    beside: Collection[str] = (),
    flag: str = "--out",
    otherwise: str = BESIDE_IT,
) -> None:
    """Raise UserError if the folder `path` holds anything that no command wrote there, or a file of another command.

    Args:
        by: command that is to write there.
        names: of the files that it would replace, as shell patterns; None: all that it writes.
        beside: of files that may lie there, too; files of a run may.
        flag: by which the folder was named. otherwise: a remedy beside another folder.
    """
    path, names = folder_to_write(path), WRITTEN[by] if names is None else names
    if unknown := foreign(path, by, {*names, *beside}):
        raise UserError(
            f"{path} holds what no unimat command wrote there ({in_words(unknown)}); give {flag} a new or empty folder,"
            f" {otherwise}"
        )
    refuse_replacing(path, by, names, flag, REPLACE_IT if otherwise == BESIDE_IT else otherwise)


def refuse_replacing(
    path: str | Path,
    by: str,
    names: Collection[str] | None = None,
    flag: str = "--out",
    otherwise: str = REPLACE_IT,
) -> None:
    """Raise UserError if a file of the folder `path` fits `names` and was not written by the command `by`."""
    path = folder_to_write(path)
    _refuse_broken_sign(path, by, flag)
    if found := others(path, by, WRITTEN[by] if names is None else names):
        raise UserError(
            f"{path} holds {found[0]}, which `unimat {by}` would replace and did not write; give {flag} another folder,"
            f" {otherwise}"
        )


def _refuse_broken_sign(path: Path, by: str, flag: str) -> None:
    """Raise UserError if the file by which a folder is known to be the command's is not what was written."""
    sign = path / SIGNS[by] if by in SIGNS else None
    try:
        if sign and sign.is_file():
            read_json(sign)
    except UserError as error:
        raise UserError(
            f"{sign} is broken, so that nothing says what {path} belongs to; put the file back, or give {flag} another"
            " folder"
        ) from error


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Temporary folder, renamed to `path`, where nothing may be yet, if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(path.parent) as new:
        yield new
        new.rename(path)


@contextlib.contextmanager
def whole_folder(
    path: str | Path, by: str, last: str | None = None, complete: bool = False, force: bool = False
) -> Iterator[Path]:
    """Temporary folder whose files move into the folder `path` if the block ends without an error.

    Args:
        by: command whose files they are.
        last: file that moves last, since readers take it for a sign that the others are there.
        complete: remove what the command wrote there before and does not write now.
        force: write where files are that the command did not write; they are kept as `NAME.kept`.

    Raises:
        UserError: as `folder_to_write`; without `force`, as `refuse_replacing`, before anything is replaced.
    """
    path = folder_to_write(path)
    home = path if path.is_dir() else path.parent
    home.mkdir(parents=True, exist_ok=True)
    with _scratch(home) as new:
        yield new
        names = sorted(_files(new), key=lambda name: (name == last, name))
        strangers = others(path, by, names) if force else []
        if not force:
            refuse_replacing(path, by, names)
        before = _written_before(path, by) if complete else set()
        if by in LISTED:
            write_list(new, by, {*names, *listed(path, by)})
            names = [f".unimat-{by}.json", *names]
        if not path.exists() and _renamed(new, path):
            return
        _move(new, path, names, strangers)
        for name in sorted(before - set(names)):
            _remove(path, name)
        if by in LISTED:
            write_list(path, by, set(names[1:]))


@contextlib.contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    """Empty folder in a temporary one in `home`."""
    scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=home))
    try:
        (scratch / "new").mkdir()  # with the access of any folder, which a temporary one has not
        yield scratch / "new"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _renamed(new: Path, path: Path) -> bool:
    """Whether the new folder is now at `path`; not if another process has made one there meanwhile."""
    with contextlib.suppress(OSError):
        new.rename(path)
        return True
    return False


def _move(new: Path, path: Path, names: Collection[str], strangers: Collection[str]) -> None:
    folders = [path / each.relative_to(new) for each in sorted(new.rglob("*")) if each.is_dir()]
    in_the_way = [each for each in folders if each.is_symlink() or (each.exists() and not each.is_dir())]
    in_the_way += [path / name for name in names if is_folder(path / name) and not (path / name).is_symlink()]
    if in_the_way:
        raise UserError(f"{in_the_way[0]} is in the way of what is to be written; move it, or name another folder")
    for folder in [path, *folders]:
        folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name in strangers and os.path.lexists(path / name):
            keep_aside(path / name)
        (new / name).replace(path / name)


def _files(folder: Path) -> list[str]:
    """Files below a folder, less the temporary ones of those who write there."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return [path.as_posix() for path in found if not any(part.startswith(".unimat-") for part in path.parts)]


def _written_before(path: Path, by: str) -> set[str]:
    if by in LISTED:
        return listed(path, by)
    foreigners = set(others(path, by, WRITTEN[by]))
    return {name for name in entries(path, WRITTEN[by]) if fits(name, WRITTEN[by]) and name not in foreigners}


def _remove(path: Path, name: str) -> None:
    """Remove a file, and folders that it leaves empty."""
    (path / name).unlink(missing_ok=True)
    for parent in (path / name).relative_to(path).parents[:-1]:
        with contextlib.suppress(OSError):  # not empty
            (path / parent).rmdir()
