"""Files appear whole or not at all."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from unimat.errors import UserError
from unimat.files import existing, git_blob_id, read_json, sha256, whole_file, write_json, write_text


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(target, error):
    with whole_file(target) as unfinished:
        unfinished.write_text("half")
        raise error


def test_written_file_replaces_the_old_one(tmp_path):
    target = tmp_path / "deep" / "table.txt"
    write_text(target, "old")
    write_text(target, "new")
    assert target.read_text() == "new"
    assert leftovers(target.parent) == ["table.txt"]


def test_a_raising_block_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError):
        write_half(target, RuntimeError)
    assert target.read_text() == "old"
    assert leftovers(tmp_path) == ["table.txt"]


def test_a_raising_block_leaves_no_new_file(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "table.txt", KeyboardInterrupt)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("link", [False, True])
def test_a_file_is_never_written_where_a_folder_is(tmp_path, link):
    folder = tmp_path / "thesis"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (folder / name).write_text(name)
    if link:
        (tmp_path / "link").symlink_to(folder)
    path = tmp_path / ("link" if link else "thesis")
    with pytest.raises(UserError, match=r"is a folder \(it holds a.txt, b.txt, c.txt and 1 more\)") as error:
        write_text(path, "new")
    assert "\n" not in str(error.value)
    assert {each.name: each.read_text() for each in folder.iterdir()} == {
        name: name for name in ("a.txt", "b.txt", "c.txt", "d.txt")
    }
    assert leftovers(tmp_path) == (["link", "thesis"] if link else ["thesis"])


def test_a_link_to_a_file_is_written_through(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far/table.txt").write_text("old")
    (tmp_path / "link").symlink_to("far/table.txt")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far/table.txt").read_text() == "new"
    assert leftovers(tmp_path / "far") == ["table.txt"]


NO_FILES = {
    "": "is empty",
    ".": "is a folder",
    "..": "is a folder",
    "/": "is a folder",
    "new/": "leave the last / away",
    "file/inside.txt": "file is no folder",
    "file/deep/inside.txt": "file is no folder",
    "dangling": "is a link to nowhere, which is not there",
    "dangling/inside.txt": "dangling is no folder",
    "loop": "is a link to loop",
    "pipe": "no regular file",
    "n" * 300: "name too long",
}


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_name_of_a_file_is_told_in_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("old")
    Path("dangling").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    before = leftovers(tmp_path)
    with pytest.raises(UserError, match="(?i)" + NO_FILES[name]) as error:
        write_text(name, "new")
    assert "\n" not in str(error.value)
    assert leftovers(tmp_path) == before
    assert Path("file").read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o500)
    with pytest.raises(UserError, match=r"theirs may not be written to \(permission denied\)"):
        write_text(tmp_path / "theirs/table.txt", "new")


def test_a_name_of_greatest_length_can_be_written(tmp_path):
    write_text(tmp_path / ("n" * 255), "new")
    assert leftovers(tmp_path) == ["n" * 255]


def test_json_is_strict_and_comes_back(tmp_path):
    value = {"rate": {"count": 1, "of": 4}, "note": None, "unit": "Å"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert leftovers(tmp_path) == ["a.json"]


@pytest.mark.parametrize("content", [b'{"rate": ', b"\xff\xfe", b""])
def test_broken_json_is_told_in_one_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is not valid JSON") as error:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(error.value)


def test_missing_path_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist; check the name"):
        existing(tmp_path / "nowhere")


def test_checksums_against_hashlib_and_git(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(256)) * 9000)  # more than one chunk
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    by_git = subprocess.run(["git", "hash-object", "--no-filters", path], capture_output=True, text=True, check=True)
    assert git_blob_id(path) == by_git.stdout.strip()
    # The blob id of the empty file, known to everybody who uses git.
    (tmp_path / "empty").touch()
    assert git_blob_id(tmp_path / "empty") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_json_that_was_changed_is_told_and_other_spacing_is_not(tmp_path):
    path = tmp_path / "stability.json"
    write_json(path, {"rate": 0.25, "of": 8, "names": ["ä", None, True]})
    assert read_json(path) == {"rate": 0.25, "of": 8, "names": ["ä", None, True]}
    text = path.read_text(encoding="utf-8")
    path.write_text(json.dumps(json.loads(text)), encoding="utf-8")
    assert read_json(path)["rate"] == 0.25
    path.write_text(text.replace("0.25", "0.26"), encoding="utf-8")
    with pytest.raises(UserError, match=r"stability.json was changed after it was written .* with `unimat hull`"):
        read_json(path)
    value = json.loads(path.read_text(encoding="utf-8"))
    del value["content_sha256"]  # as the message says for a change that is meant
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_json(path)["rate"] == 0.26


def test_the_digest_of_json_is_that_of_its_plainest_form(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5]})
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["content_sha256"]
    assert found == hashlib.sha256(b'{"b":1,"a":[1.5]}').hexdigest()


def test_json_that_lacks_a_key_or_is_no_mapping_is_told(tmp_path):
    for text in ("{}", "[]", "null"):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="has no key 'set'"):
            read_json(tmp_path / "a.json", ("set",))
