"""Files of published datasets, brought into a folder and checked, from a local mirror or from the publisher."""

import dataclasses
import logging
import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import existing, git_blob_id, keep_aside, kept_name, read_json, sha256, whole_file, write_json
from unimat.materials.datasets.fetching.checksums import RECORD, expected, matches, record, recorded, refuse_impostors
from unimat.materials.datasets.fetching.download import ELSEWHERE, download
from unimat.materials.datasets.fetching.mirrors import Local, copy, copy_checked, local_files
from unimat.materials.datasets.known import Dataset, OtherForm, PublishedFile
from unimat.outputs import folder_to_write

MANIFEST = "manifest.json"
log = logging.getLogger("unimat.fetch")


def fetch_dataset(
    dataset: Dataset,
    out: str | Path,
    mirror: str | Path | None = None,
    files: Mapping[str, str | Path] | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Manifest of `dataset`'s files in folder `out`, which are copied from a mirror or downloaded if not there yet.

    A file of the publisher's name must be the publisher's, by checksum. Where the publisher gives no checksum, the
    file must stay the one that was fetched first. What the mirror lacks is taken in another form that the mirror has,
    and only then downloaded; the manifest says which is which.

    Args:
        mirror: folder that holds <dataset>/<file>, a copy of the publisher's tree, or the files themselves;
            UNIMAT_DATA_DIR if None.
        files: local files under any names, by key (a split; table or structures for GNoME). They are taken even if
            they are not the publisher's, with a warning.
        force: keep files of the same names that this function did not bring as `NAME.kept`.

    Raises:
        UserError: on a missing mirror, a wrong checksum, a download that fails, or a file in `out` of the same name as
            one to fetch that is another one and was not fetched.
    """
    out = folder_to_write(out)
    if dataset.notice:
        log.warning("%s", dataset.notice)
    fetch = _Fetch(dataset, out, local_files(dataset, mirror, files), _previous(out), force)
    entries = [fetch.entry(file) for file in dataset.files]
    manifest = {
        "format": 1,
        "dataset": dataset.name,
        "title": dataset.title,
        "homepage": dataset.homepage,
        "licence": dataset.licence,
        "notice": dataset.notice,
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
        UserError: if there is none, it is another dataset's, or a file is not the one that was fetched.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise UserError(f"{path} does not exist; run `unimat fetch --dataset {dataset} --out {folder}`")
    manifest = read_json(path, ("dataset", "files", "complete"))
    if manifest.get("dataset") != dataset:
        raise UserError(f"{path} is of dataset {manifest.get('dataset')!r}, expected {dataset!r}; fetch that one")
    for entry in manifest["files"]:
        _refuse_changed(Path(folder) / entry["name"], entry.get("sha256"))
    return manifest


def _refuse_changed(path: Path, digest: str | None) -> None:
    if digest and sha256(existing(path)) != digest:
        raise UserError(f"{path} is not what was fetched (its SHA-256 is not that of {MANIFEST}); run fetch again")


@dataclasses.dataclass(frozen=True)
class _Fetch:
    dataset: Dataset
    out: Path
    local: Local
    previous: Mapping[str, Mapping[str, Any]]
    force: bool = False

    def entry(self, file: PublishedFile) -> dict[str, Any]:
        """The manifest's entry of `file`, once it is in the folder."""
        target = self.out / file.name
        if file.key in self.local.given:
            return self._by_hand(file, self.local.given[file.key])
        if _is_there(target, file):
            log.info("%s is there already", target)
            return self._there(target, file)
        if file.member:
            return self._unpacked(file, target)
        self._refuse_other(target)
        if found := self.local.named(file.name):
            copy_checked(found, target, self._held(file))
            return self._done(target, file, f"mirror: {self.dataset.name}/{file.name}", verified=file.has_checksum)
        for form in self.dataset.other_forms:
            if file.key in form.keys and (found := self.local.named(form.name)):
                return self._other_form(file, form, found)
        checked = download(self._held(file), target, remedy=self._remedy(file))
        return self._done(target, file, file.url, verified=bool(checked))

    def _refuse_other(self, target: Path) -> None:
        """Raise UserError if a file is there that was not fetched; with `force`, keep it under another name."""
        ours = target.name in self.previous or recorded(self.out, target.name) is not None
        if not target.exists() or ours:
            return
        if not self.force:
            raise UserError(
                f"{target} is there already, is not the publisher's file and was not fetched; move it, or say --force,"
                f" which keeps it as {kept_name(target).name}"
            )
        keep_aside(target)

    def _held(self, file: PublishedFile) -> PublishedFile:
        """`file` with the checksum of its first fetch, if the publisher gives none."""
        return file if file.has_checksum else dataclasses.replace(file, sha256=recorded(self.out, file.name))

    def _remedy(self, file: PublishedFile) -> str:
        if file.has_checksum or recorded(self.out, file.name) is None:
            return ELSEWHERE
        return f"it has changed since it was first fetched; delete {self.out / RECORD} to go on with the new one"

    def _there(self, target: Path, file: PublishedFile) -> dict[str, Any]:
        before = self.previous.get(file.name, {})
        verified = file.has_checksum or bool(before.get("verified"))
        return self._done(target, file, before.get("source", file.url), verified=verified)

    def _by_hand(self, file: PublishedFile, given: Path) -> dict[str, Any]:
        verified = file.has_checksum and not file.member and matches(given, file)
        target = self.out / (file.name if verified else f"{file.key}{_suffix(given)}")
        if not (target.is_file() and sha256(target) == sha256(given)):
            self._refuse_other(target)
            copy(given, target)
        if verified:
            return self._done(target, file, f"given: {given}", verified=True)
        if file.has_checksum:
            log.warning("%s is not the publisher's %s (%s); taken all the same", given, file.name, expected(file))
        note = "given by hand, not known to be the publisher's file"
        return _entry(target, file, f"given: {given}", False, complete=not file.has_checksum, note=note)

    def _other_form(self, file: PublishedFile, form: OtherForm, found: Path) -> dict[str, Any]:
        target = self.out / form.name
        if not (target.is_file() and sha256(target) == sha256(found)):
            self._refuse_other(target)
            copy_checked(found, target, PublishedFile(form.name, file.key, file.url))
        source = f"mirror: {self.dataset.name}/{form.name}"
        if not form.note:
            return _entry(target, file, source, False, form.complete)
        log.warning("%s of %s comes from the mirror's %s: %s", file.key, self.dataset.name, form.name, form.note)
        return _entry(target, file, source, False, form.complete, f"mirror, not the publisher's file: {form.note}")

    def _unpacked(self, file: PublishedFile, target: Path) -> dict[str, Any]:
        name = file.url.rsplit("/", 1)[-1]
        archive, packed = self.out / name, dataclasses.replace(file, name=name, member=None)
        found = self.local.named(name)
        source = f"mirror: {self.dataset.name}/{name}" if found else file.url
        if not _is_there(archive, packed):
            self._refuse_other(archive)
            if found:
                copy_checked(found, archive, packed)
            else:
                download(packed, archive)
        self._refuse_other(target)
        _unpack(archive, file.member or "", target)
        return self._done(target, file, f"{source}: {file.member}", verified=True)

    def _done(self, target: Path, file: PublishedFile, source: str, verified: bool) -> dict[str, Any]:
        entry = _entry(target, file, source, verified)
        if file.member or not file.has_checksum:
            record(self.out, target.name, entry["sha256"])
        return entry


def _is_there(target: Path, file: PublishedFile) -> bool:
    if not target.is_file():
        return False
    if file.has_checksum and not file.member:
        return matches(target, file)
    first = recorded(target.parent, target.name)
    if first is None and not file.member:  # put there by hand
        refuse_impostors(target, str(target), "delete it, and run fetch again")
        return True
    if first != sha256(target):
        log.warning("%s has changed since it was fetched; fetching it again", target)
        return False
    return True


def _unpack(archive: Path, member: str, target: Path) -> None:
    try:
        with (
            zipfile.ZipFile(archive) as opened,
            opened.open(member) as packed,
            whole_file(target) as unfinished,
            unfinished.open("wb") as stream,
        ):
            shutil.copyfileobj(packed, stream)
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{archive}: {member} cannot be unpacked ({error}); make room, or delete both") from error


def _suffix(path: Path) -> str:
    """.csv, .csv.gz or .zip: what tells the form of a file."""
    match = re.search(r"(\.[A-Za-z]+)?\.[A-Za-z0-9]+$", path.name)
    packed = path.suffix.lower() in (".gz", ".zip", ".bz2", ".xz")
    return match.group() if match and packed else path.suffix


def _previous(out: Path) -> dict[str, Any]:
    """Entries of an earlier manifest, by file name."""
    path = out / MANIFEST
    return {entry["name"]: entry for entry in read_json(path).get("files", [])} if path.is_file() else {}


def _entry(
    target: Path, file: PublishedFile, source: str, verified: bool, complete: bool = True, note: str = ""
) -> dict[str, Any]:
    return {
        "name": target.name,
        "key": file.key,
        "splits": [file.split] if file.split else [],
        "source": source,
        "size": target.stat().st_size,
        "sha256": sha256(target),
        "git_blob_id": git_blob_id(target),
        "verified": verified,
        "complete": complete,
        "note": note,
    }
