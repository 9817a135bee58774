"""Files that lie on this machine already: in a mirror, or under any name that the user gives."""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from unimat.errors import UserError
from unimat.files import whole_file
from unimat.materials.datasets.fetching.checksums import expected, found, matches, refuse_impostors
from unimat.materials.datasets.fetching.download import is_disk_full
from unimat.materials.datasets.published.description import Dataset, PublishedFile

MIRROR_VARIABLE = "UNIMAT_DATA_DIR"


@dataclasses.dataclass(frozen=True)
class Local:
    """Where local files may be.

    Attributes:
        folders: to look into, in this order.
        given: paths by the key of the published file that they stand for.
    """

    folders: tuple[Path, ...]
    given: Mapping[str, Path]

    def named(self, name: str) -> Path | None:
        """The first file of that name."""
        return next((folder / name for folder in self.folders if (folder / name).is_file()), None)


def local_files(dataset: Dataset, mirror: str | Path | None, files: Mapping[str, str | Path] | None) -> Local:
    """The places to look for files of `dataset`.

    Args:
        mirror: folder; UNIMAT_DATA_DIR if None.
        files: paths by key.

    Raises:
        UserError: on a folder or a file that is not there, or a key that the dataset does not have.
    """
    return Local(_folders(dataset, mirror), {key: _given(dataset, key, path) for key, path in (files or {}).items()})


def copy_checked(source: Path, target: Path, file: PublishedFile) -> None:
    """Copy `source`, which must be the publisher's file if the publisher gives a checksum."""
    refuse_impostors(source, str(source), f"run `git lfs pull` there, or get it from {file.url}")
    if file.has_checksum and not matches(source, file):
        raise UserError(
            f"{source} is not the publisher's file ({found(source, file)}, expected {expected(file)}); get it again "
            f"from {file.url}, take it out of the mirror, or name it as --file {file.key}=... to use it all the same"
        )
    copy(source, target)


def copy(source: Path, target: Path) -> None:
    """Copy, whole or not at all; a copy, since a mirror may be read only or on another device."""
    if target.exists() and source.samefile(target):
        return
    try:
        with whole_file(target) as unfinished:
            shutil.copyfile(source, unfinished)
    except OSError as error:
        what = "no space left" if is_disk_full(error) else str(error)
        raise UserError(
            f"{source} cannot be copied to {target.parent}: {what}; make room, or name another folder"
        ) from error


def _folders(dataset: Dataset, mirror: str | Path | None) -> tuple[Path, ...]:
    chosen = mirror or os.environ.get(MIRROR_VARIABLE)
    if not chosen:
        return ()
    root = Path(chosen).expanduser()
    if not root.is_dir():
        said_by = "mirror" if mirror else MIRROR_VARIABLE
        raise UserError(f"{said_by}: {root} is no folder; give one that holds {dataset.name}/, or none to download")
    return tuple(folder for name in (dataset.name, *dataset.mirror_folders, ".") if (folder := root / name).is_dir())


def _given(dataset: Dataset, key: str, path: str | Path) -> Path:
    if key not in dataset.keys:
        known = f"its files are {', '.join(dataset.keys)}" if dataset.keys else "it is embedded and has no files"
        raise UserError(f"files: {key!r} is none of dataset {dataset.name}; {known}")
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"files: {key}: {path} is no file; give the path of one, or leave {key} out to download it")
    refuse_impostors(path, str(path), "get the file itself, or leave it out to download it")
    return path
