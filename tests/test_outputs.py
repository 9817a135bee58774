"""Folders that are written whole, over what the same command wrote and over nothing else."""

import os
import signal
import subprocess
import sys

import pyarrow as pa
import pytest

from unimat.errors import UserError
from unimat.files import write_json, write_text
from unimat.materials.crystals.row_cache import RowCache
from unimat.materials.relax.journal import Cache
from unimat.model.packed.collection import open_collection
from unimat.outputs import folder_to_write, refuse_foreign, whole_folder


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_hull(folder, number, **options):
    with whole_folder(folder, "hull", last="stability.json", **options) as new:
        write_json(new / "stability.json", {"references": number})
        write_text(new / "stability.parquet", "no table")


def write_half(folder):
    with whole_folder(folder, "hull") as new:
        write_json(new / "stability.json", {"references": 2})
        raise KeyboardInterrupt


def test_a_raising_block_leaves_the_old_files_and_nothing_else(tmp_path):
    with whole_folder(tmp_path / "out", "hull") as new:
        write_json(new / "stability.json", {"references": 1})
    before = content(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "out")
    assert content(tmp_path) == before
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["out", "stability.json"]


KILLED = """
import os, signal, sys
from unimat.files import write_json
from unimat.outputs import whole_folder
with whole_folder(sys.argv[1], "hull") as new:
    write_json(new / "stability.json", {"references": 2})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_the_old_files_and_the_next_one_goes_on(tmp_path):
    with whole_folder(tmp_path / "out", "hull") as new:
        write_json(new / "stability.json", {"references": 1})
    before = (tmp_path / "out/stability.json").read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "out"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "out/stability.json").read_bytes() == before
    refuse_foreign(tmp_path / "out", "hull")  # what the killed one left is not foreign
    with whole_folder(tmp_path / "out", "hull") as new:
        write_json(new / "stability.json", {"references": 3})
    assert b"3" in (tmp_path / "out/stability.json").read_bytes()


def test_all_files_are_looked_at_before_one_is_replaced(tmp_path):
    write_json(tmp_path / "stability.json", {"references": 1})
    (tmp_path / "stability.parquet").write_text("mine, of whatever")
    before = content(tmp_path)
    with pytest.raises(UserError, match=r"holds stability\.parquet, which `unimat hull` would replace"):
        write_hull(tmp_path, 2)
    assert content(tmp_path) == before
    write_hull(tmp_path, 2, force=True)
    assert content(tmp_path)["stability.parquet"] == b"no table"
    assert content(tmp_path)["stability.parquet.kept"] == b"mine, of whatever"


def test_a_folder_in_the_place_of_a_file_stays_even_with_force(tmp_path):
    (tmp_path / "stability.parquet").mkdir()
    (tmp_path / "stability.parquet/notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"stability\.parquet is in the way of what is to be written"):
        write_hull(tmp_path, 2, force=True)
    assert content(tmp_path) == {"stability.parquet/notes.txt": b"mine"}


def test_a_link_in_the_place_of_a_file_makes_room_with_force_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/stability.parquet").symlink_to("../precious")
    with pytest.raises(UserError, match=r"stability\.parquet"):
        write_hull(tmp_path / "out", 1)
    write_hull(tmp_path / "out", 1, force=True)
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "out/stability.parquet.kept").is_symlink()


def test_a_link_to_a_folder_is_written_through(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    write_hull(tmp_path / "link", 1)
    assert (tmp_path / "link").is_symlink()
    assert sorted(content(tmp_path / "far")) == ["stability.json", "stability.parquet"]


def test_what_is_no_name_of_a_folder_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    for name, said in {
        "": "is empty",
        "file": "file is a file",
        "file/": "file/ is a file",
        "file/inside": "file is no folder",
        "dangling": "is a link to nowhere, which is not there",
        "loop": "is a link to loop",
        "pipe": "pipe is a file",
        "n" * 300: "name too long",
    }.items():
        with pytest.raises(UserError, match="(?i)" + said) as error:
            folder_to_write(name)
        assert "\n" not in str(error.value)


def test_a_collection_is_made_in_no_folder_of_other_things(tmp_path):
    (tmp_path / "history.csv").write_text("my own history\n")
    with pytest.raises(UserError, match=r"holds history\.csv, which `unimat run\.py` would replace"):
        open_collection(tmp_path)
    assert content(tmp_path) == {"history.csv": b"my own history\n"}
    open_collection(tmp_path / "out")
    open_collection(tmp_path / "out")
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(
        UserError, match=r"holds what no unimat command wrote there \(notes\.txt\); give --collect a new"
    ):
        open_collection(tmp_path / "out")


def test_caches_add_files_and_touch_no_others(tmp_path):
    (tmp_path / "notes.parquet").write_text("mine")
    (tmp_path / "data.jsonl").write_text("mine")
    RowCache(tmp_path, "geometry", {}, (pa.field("x", pa.float64()),)).store({"a": {"x": 1.0}})
    Cache(tmp_path, set()).add({"0" * 64: {"material_id": "a", "relaxation": {}, "structure": None}})
    found = content(tmp_path)
    assert len(found) == 4
    assert (found["notes.parquet"], found["data.jsonl"]) == (b"mine", b"mine")
