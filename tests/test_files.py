"""Files appear whole or not at all."""

import hashlib
import json
import subprocess

import pytest

from unimat.errors import UserError
from unimat.files import existing, git_blob_id, read_json, sha256, write_json, write_text, written_whole


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(target, error):
    with written_whole(target) as unfinished:
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


def test_a_folder_replaces_a_folder(tmp_path):
    target = tmp_path / "cifs"
    for name in ("first", "second"):
        with written_whole(target) as unfinished:
            unfinished.mkdir()
            (unfinished / name).touch()
    assert leftovers(target) == ["second"]
    assert leftovers(tmp_path) == ["cifs"]


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
