"""Structure files below a folder, links followed: each file once, and what is not read counted and said."""

import os
from collections.abc import Iterator
from pathlib import Path

from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.opening import one_line, plain_name
from unimat.materials.datasets.readers.passed_over import PassedOver

STRUCTURE_FILES = "*.cif, *.mcif, *.vasp, POSCAR*, CONTCAR*, *.res"
SUFFIXES = (".cif", ".mcif", ".vasp", ".poscar", ".contcar", ".res")
_NAMES = ("poscar", "contcar")
_OTHER_FORMS = (
    *(".csv", ".feather", ".arrow", ".parquet", ".json", ".jsonl", ".ndjson", ".extxyz", ".xyz"),
    *(".db", ".aselmdb", ".traj", ".pt", ".zip", ".tar", ".tgz"),
)
HIDDEN = "hidden"
NO_STRUCTURE = "no structure file by its name"
READ_ALONE = "read when given alone, not in a folder or an archive"


def is_structure_file(name: str) -> bool:
    """Whether a file of that name holds the text of a structure: x.cif, x.vasp, POSCAR, CONTCAR, POSCAR_x, x.res.

    Hidden files are none: macOS leaves a `._x.cif` of its own beside each x.cif.
    """
    base = name.rpartition("/")[2].lower()
    return not base.startswith(".") and (base.endswith(SUFFIXES) or base.startswith(_NAMES))


def why_passed_over(name: str) -> str | None:
    """Why the file of that path in a folder or an archive is not read; None if it is."""
    if any(part.startswith(".") or part == "__MACOSX" for part in name.split("/")):
        return HIDDEN
    plain = plain_name(name)
    if is_structure_file(plain):
        return None
    return READ_ALONE if plain.lower().endswith(_OTHER_FORMS) else NO_STRUCTURE


class Folder:
    """Structure files below a folder, sorted name by name, one folder's list of names in memory at a time.

    Links are followed. A file that several paths lead to is read once: by its own path if that lies in the folder, else
    by the first link. Links to a folder above themselves are passed over.

    Attributes:
        beside: names at the top that are read by others and so not passed over.
    """

    def __init__(self, folder: Path, beside: tuple[str, ...] = ()):
        self._folder, self._beside = folder, beside
        self._root = folder.resolve()
        self._linked: set[tuple[int, int]] = set()  # files and folders outside, reached by links
        self.passed_over = PassedOver(str(folder))

    def files(self) -> Iterator[tuple[Path, CrystalRejected | None]]:
        """Path of each structure file, and why it cannot be opened, if so; of a folder that cannot be opened, too.

        Raises:
            UserError: if the outermost folder cannot be read.
        """
        yield from self._below(self._folder, is_outside=False)
        self.passed_over.tell()

    def _below(self, folder: Path, is_outside: bool) -> Iterator[tuple[Path, CrystalRejected | None]]:
        try:
            with os.scandir(folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if folder == self._folder:
                raise UserError(f"{folder} cannot be read ({one_line(error)}); see to its permissions") from error
            yield folder, CrystalRejected("unreadable", f"the folder cannot be read ({one_line(error)})")
            return
        for entry in ordered:
            if entry.name.startswith(".unimat-"):  # a list of our own of what `unimat convert` wrote
                continue
            path, broken = Path(entry.path), _broken(entry)
            reason = _why_not_by_name(entry, broken) or (None if broken else self._why_not_again(entry, is_outside))
            if reason:
                self._pass_over(path, reason)
            elif not broken and entry.is_dir():
                yield from self._below(path, is_outside or entry.is_symlink())
            else:
                yield path, broken

    def _why_not_again(self, entry: os.DirEntry[str], is_outside: bool) -> str | None:
        """Why something that a link leads to is not read: it is read by another path, or holds the link itself."""
        if not (is_outside or entry.is_symlink()):
            return None
        real = Path(entry.path).resolve()
        if entry.is_dir() and self._root.is_relative_to(real):
            return "a link to a folder above"
        if real.is_relative_to(self._root):
            own = real.relative_to(self._root).as_posix()
            is_read = entry.is_dir() or is_structure_file(plain_name(own))
            if is_read and why_passed_over(f"{own}/x.cif" if entry.is_dir() else own) is None:
                return f"a link to what is read as {own}" if not entry.is_dir() else "a link to a folder that is read"
        status = entry.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in self._linked:
            return "reached by an earlier link"
        self._linked.add(identity)
        return None

    def _pass_over(self, path: Path, reason: str) -> None:
        name = path.relative_to(self._folder).as_posix()
        if name not in self._beside:
            self.passed_over.add(name, reason)


def _why_not_by_name(entry: os.DirEntry[str], broken: CrystalRejected | None) -> str | None:
    """Why an entry is not read by what it is called and is; None for folders and structure files."""
    if entry.name.startswith(".") or entry.name == "__MACOSX":
        return HIDDEN
    if not broken and entry.is_dir():
        return None
    reason = why_passed_over(entry.name)
    if broken:
        return reason and "a link to nothing"
    return reason or (None if entry.is_file() else "no regular file")


def _broken(entry: os.DirEntry[str]) -> CrystalRejected | None:
    """Why a link cannot be followed, if it cannot."""
    if not entry.is_symlink():
        return None
    try:
        entry.stat()
    except OSError as error:
        to = Path(entry.path).readlink()
        return CrystalRejected("unreadable", f"a link to {to}, which cannot be opened ({error.strerror})")
    return None
