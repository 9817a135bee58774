"""Files of published datasets, brought into a folder and checked, from a local mirror or from the publisher."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import git_blob_id, read_json, sha256, write_json, written_whole
from unimat.materials.datasets import Dataset, OtherForm, PublishedFile
from unimat.materials.download import download

MIRROR_VARIABLE = "UNIMAT_DATA_DIR"
MANIFEST = "manifest.json"
log = logging.getLogger("unimat.fetch")


def fetch_dataset(dataset: Dataset, out: str | Path, mirror: str | Path | None = None) -> dict[str, Any]:
    """Manifest of `dataset`'s files in folder `out`, which are copied from a mirror or downloaded if not there yet.

    A file of the publisher's name must be the publisher's, by checksum. What the mirror lacks is taken in another
    form that the mirror has, and only then downloaded; the manifest says which is which.

    Args:
        mirror: folder that holds <dataset>/<file>, or the files themselves; UNIMAT_DATA_DIR if None.

    Raises:
        UserError: on a missing mirror, a wrong checksum, or a download that fails.
    """
    out = Path(out)
    folders = _mirror_folders(dataset.name, mirror)
    entries = [_fetched(dataset, file, out, folders) for file in dataset.files]
    manifest = {
        "format": 1,
        "dataset": dataset.name,
        "title": dataset.title,
        "homepage": dataset.homepage,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "embedded": dataset.embedded,
        "complete": all(entry["complete"] for entry in entries),
        "files": entries,
    }
    write_json(out / MANIFEST, manifest)
    return manifest


def read_manifest(folder: str | Path, dataset: str) -> dict[str, Any]:
    """The manifest that `fetch_dataset` left in `folder`.

    Raises:
        UserError: if there is none, or it is another dataset's.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise UserError(f"{path} does not exist; run `unimat fetch --dataset {dataset} --out {folder}`")
    manifest = read_json(path)
    if manifest.get("dataset") != dataset:
        raise UserError(f"{path} is of dataset {manifest.get('dataset')!r}, expected {dataset!r}; fetch that one")
    return manifest


def _mirror_folders(name: str, mirror: str | Path | None) -> list[Path]:
    chosen = mirror or os.environ.get(MIRROR_VARIABLE)
    if not chosen:
        return []
    root = Path(chosen).expanduser()
    if not root.is_dir():
        said_by = "mirror" if mirror else MIRROR_VARIABLE
        raise UserError(f"{said_by}: {root} is no folder; give one that holds {name}/, or none to download")
    return [folder for folder in (root / name, root) if folder.is_dir()]


def _fetched(dataset: Dataset, file: PublishedFile, out: Path, mirrors: list[Path]) -> dict[str, Any]:
    target = out / file.name
    found = _first(mirrors, file.name)
    if target.is_file() and git_blob_id(target) == file.blob_id:
        log.info("%s is there already", target)
        return _entry(target, [file.split], file.url, file.blob_id)
    if found:
        _copy_checked(found, target, file)
        return _entry(target, [file.split], f"mirror: {dataset.name}/{file.name}", file.blob_id)
    for form in dataset.other_forms:
        found = _first(mirrors, form.name) if file.split in form.splits else None
        if found:
            return _other_form(dataset, file, form, found, out)
    download(file.url, target, file.blob_id)
    return _entry(target, [file.split], file.url, file.blob_id)


def _first(folders: list[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _copy_checked(found: Path, target: Path, file: PublishedFile) -> None:
    if git_blob_id(found) != file.blob_id:
        raise UserError(
            f"{found} is not the publisher's file (git blob id {git_blob_id(found)}, expected {file.blob_id}); "
            f"get it again from {file.url}, or take it out of the mirror"
        )
    with written_whole(target) as unfinished:
        shutil.copyfile(found, unfinished)


def _other_form(dataset: Dataset, file: PublishedFile, form: OtherForm, found: Path, out: Path) -> dict[str, Any]:
    target = out / form.name
    if not target.is_file() or sha256(target) != sha256(found):
        with written_whole(target) as unfinished:
            shutil.copyfile(found, unfinished)
    log.warning("%s of %s comes from the mirror's %s: %s", file.split, dataset.name, form.name, form.note)
    note = f"mirror, not the publisher's file: {form.note}"
    return _entry(target, [file.split], f"mirror: {dataset.name}/{form.name}", None, form.complete, note)


def _entry(
    target: Path, splits: list[str], source: str, blob_id: str | None, complete: bool = True, note: str = ""
) -> dict[str, Any]:
    return {
        "name": target.name,
        "splits": splits,
        "source": source,
        "sha256": sha256(target),
        "git_blob_id": blob_id or git_blob_id(target),
        "verified": blob_id is not None,
        "complete": complete,
        "note": note,
    }
