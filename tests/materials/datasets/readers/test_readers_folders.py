"""Folders and archives with links, hidden files and all else that is no structure: nothing is lost, all is said."""

import bz2
import gzip
import io
import json
import logging
import os
import shutil
import stat
import tarfile
import zipfile

import pytest

from tests.materials.datasets.readers.test_readers import CIFS
from tests.materials.datasets.readers.test_readers_bad_input import outcome, told
from unimat.configuration.checks import heads
from unimat.errors import UserError
from unimat.materials.datasets.readers import records_of


def outcomes(path):
    return {record.material_id: str(outcome(record)) for record in records_of(path)}


def said(caplog):
    """The one line on what is passed over; empty if there is none."""
    lines = [record.getMessage() for record in caplog.records if "passed over" in record.getMessage()]
    assert len(lines) <= 1
    return lines[0] if lines else ""


@pytest.fixture
def linked(tmp_path):
    """A folder `in` with three files of its own or linked, a linked folder of three, and a link to nothing."""
    for path in ("in/real/r1.cif", "store/r2.cif", "store/r3.cif", "other/o1.cif", "other/o2.cif", "other/o3.cif"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(CIFS["si"])
    for link, to in (
        ("in/r3.cif", "../store/r3.cif"),
        ("in/real/r2.cif", "../../store/r2.cif"),
        ("in/linked", "../other"),
        ("in/broken.cif", "nowhere.cif"),
    ):
        (tmp_path / link).symlink_to(to)
    return tmp_path / "in"


def test_links_are_followed_and_broken_ones_named(linked, caplog):
    found = outcomes(linked)
    assert list(found) == ["broken", "linked/o1", "linked/o2", "linked/o3", "r3", "real/r1", "real/r2"]
    broken = found.pop("broken")
    assert broken.startswith("unreadable: a link to nowhere.cif, which cannot be opened (No such file or directory)")
    assert set(found.values()) == {"8"}
    assert said(caplog) == ""


def test_the_check_of_a_configuration_counts_what_links_lead_to(linked):
    (linked / "up").symlink_to("real")
    (linked / ".hidden.cif").write_text(CIFS["si"])
    assert heads.crystals(linked) == 6
    (linked / "many.res").write_text("TITL a\nTITL b\n")
    (linked / "two.cif").write_text(CIFS["si"] + CIFS["nacl"])
    assert heads.crystals(linked) == 10
    with zipfile.ZipFile(linked / "a.zip", "w") as archive:
        for name in ("many.res", "two.cif", "._two.cif", "notes.txt"):
            archive.writestr(name, (linked / name).read_text() if (linked / name).exists() else "")
    assert heads.crystals(linked / "a.zip") == 4
    (linked / "packed.cif.gz").write_bytes(gzip.compress(CIFS["si"].encode()))
    assert heads.crystals(linked) is None  # to say how many it holds, it would have to be read


def test_each_file_is_read_once_and_cycles_end(linked, caplog):
    (linked / "up").symlink_to("..")
    (linked / "itself").symlink_to(".")
    (linked / "real" / "round").symlink_to("../real")
    (linked / "again").symlink_to("../other")
    (linked / "o1.cif").symlink_to("../other/o1.cif")  # sorts behind the folder `linked`, which has it
    (linked / "r1.cif").symlink_to("real/r1.cif")
    (linked / "loop.cif").symlink_to("loop.cif")
    found = outcomes(linked)
    assert found.pop("loop").startswith("unreadable: a link to loop.cif, which cannot be opened")
    found.pop("broken")
    assert len(found) == 6
    assert set(found.values()) == {"8"}
    line = said(caplog)
    assert "6 files or folders were passed over" in line
    assert "itself, up (a link to a folder above)" in line
    assert "real/round (a link to a folder above)" in line or "real/round (a link to a folder that is read)" in line
    assert "r1.cif (a link to what is read as real/r1.cif)" in line


def test_files_that_links_alone_make_readable_are_read(tmp_path, caplog):
    store = tmp_path / ".objects" / "ab"
    store.mkdir(parents=True)
    (store / "deadbeef").write_text(CIFS["si"])
    (tmp_path / "si.cif").symlink_to(".objects/ab/deadbeef")
    assert outcomes(tmp_path) == {"si": "8"}
    assert said(caplog).endswith("1 file or folder was passed over: .objects (hidden)")


def test_all_that_is_passed_over_is_said_in_one_line(tmp_path, caplog):
    (tmp_path / "a.cif").write_text(CIFS["si"])
    for name in ("README.md", "x.txt", "XDATCAR", "vasprun.xml", ".DS_Store", "._a.cif", "set.extxyz"):
        (tmp_path / name).write_text("")
    os.mkfifo(tmp_path / "pipe.cif")
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "id_prop.csv").write_text("a,1\n")
    with caplog.at_level(logging.WARNING):
        assert outcomes(tmp_path) == {"a": "8"}
    line = said(caplog)
    assert line.startswith(f"{tmp_path}: 9 files or folders were passed over: ")
    assert ".DS_Store, ._a.cif (hidden)" in line
    assert "README.md, XDATCAR, vasprun.xml and 1 more (no structure file by its name)" in line
    assert "pipe.cif (no regular file)" in line
    assert "gone (a link to nothing)" in line
    assert "set.extxyz (read when given alone, not in a folder or an archive)" in line


def test_folders_that_cannot_be_opened_are_named(tmp_path, monkeypatch):
    for path in ("a/x.cif", "b/y.cif"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(CIFS["si"])
    scandir = os.scandir

    def refusing(path):
        if path == tmp_path / "a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = outcomes(tmp_path)
    assert found["a"].startswith("unreadable: the folder cannot be read")
    assert found["b/y"] == "8"
    with pytest.raises(UserError, match="see to its permissions"):
        outcomes(tmp_path / "a")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
def test_tars_in_any_compression(tmp_path, linked, caplog, name):
    (linked.parent / "in" / "README.md").write_text("")
    mode = {"a.tar": "w", "a.tar.gz": "w:gz", "a.tgz": "w:gz", "a.tar.bz2": "w:bz2", "a.tar.xz": "w:xz"}[name]
    with tarfile.open(tmp_path / name, mode) as archive:
        for folder in ("in", "other", "store"):
            archive.add(linked.parent / folder, folder)
    found = outcomes(tmp_path / name)
    assert found.pop("in/broken") == "unreadable: a link to nowhere.cif, which the archive does not hold"
    assert sorted(found) == ["in/real/r1", "other/o1", "other/o2", "other/o3", "store/r2", "store/r3"]
    assert set(found.values()) == {"8"}
    line = said(caplog)
    assert "in/linked" in line
    assert "(a link to a member)" in line
    assert "in/README.md (no structure file by its name)" in line


def test_tars_that_are_truncated_or_lead_out_are_told(tmp_path):
    for name, member, message in (("a.tar", "../x.cif", "leads out"), ("b.tar", "x.txt", "holds no structure file")):
        with tarfile.open(tmp_path / name, "w") as archive:
            header = tarfile.TarInfo(member)
            header.size = len(CIFS["si"])
            archive.addfile(header, io.BytesIO(CIFS["si"].encode()))
        assert message in told(tmp_path / name)
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(data)[:200])
    assert "get it again" in told(tmp_path / "c.tar.gz")
    (tmp_path / "d.tar").write_bytes(b"not a tar" * 100)
    assert "is not readable as a tar" in told(tmp_path / "d.tar")


def test_zips_say_what_they_hold_besides(tmp_path, caplog):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("si.cif", CIFS["si"])
        archive.writestr("packed.cif.bz2", bz2.compress(CIFS["nacl"].encode()))
        archive.writestr("__MACOSX/._si.cif", "\0\5")
        archive.writestr("notes.txt", "")
        link = zipfile.ZipInfo("link.cif")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "../store/x.cif")
    found = outcomes(tmp_path / "a.zip")
    assert found["si"] == found["packed"] == "8"
    assert found["link"].startswith("unreadable: a link to ../store/x.cif, not the file")
    assert "__MACOSX/._si.cif (hidden); notes.txt (no structure file by its name)" in said(caplog)


def test_a_zip_of_json_says_what_it_holds_besides(tmp_path, caplog):
    with zipfile.ZipFile(tmp_path / "a.json.zip", "w") as archive:
        archive.writestr("a.json", json.dumps({"si": CIFS["si"]}))
        archive.writestr("README.md", "")
        archive.writestr("__MACOSX/._a.json", "")
    assert outcomes(tmp_path / "a.json.zip") == {"si": "8"}
    assert "README.md (no structure file by its name); __MACOSX/._a.json (hidden)" in said(caplog)


def test_a_folder_given_by_a_link_is_read(tmp_path, linked):
    (tmp_path / "short").symlink_to(linked)
    assert len(outcomes(tmp_path / "short")) == 7
    shutil.rmtree(tmp_path / "other")
    assert len(outcomes(tmp_path / "short")) == 4  # the linked folder leads to nothing now
