import dataclasses
import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from pymatgen.core import Lattice

from tests.model.model_helpers import encoded_in_memory, random_crystal, random_table
from unimat import crystal_stream, crystal_table
from unimat.cli import main
from unimat.errors import UserError
from unimat.files import read_json
from unimat.model.representation import encode_stream
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.representation.encoded import SPLITS, concatenated, read_encoding
from unimat.model.representation.shards import EncodedSplit
from unimat.model.settings import EncodeSettings

# What the encoder of version 0.1, which read whole tables, said of the crystals of `tables`.
FRACTIONAL = {
    "slots": 9,
    "max_atoms": 9,
    "lattice_mean": [1.87328] * 3 + [85.2019741] * 3,
    "lattice_std": [0.459442999] * 3 + [31.859835] * 3,
    "lattice_low": [-2.54387977] * 3 + [-2.1984969] * 3,
    "lattice_high": [1.31759596] * 3 + [2.27844801] * 3,
    "n": {"train": 30, "val": 7, "test": 5},
    "n_rejected": 0,
    "count_histogram": {"1": 7, "2": 7, "3": 7, "4": 7, "5": 4, "6": 7, "7": 1, "9": 2},
}
CARTESIAN = {
    "slots": 4,
    "max_atoms": 5,
    "lattice_mean": [0.0] * 9,
    "lattice_std": [4.60116393] * 9,
    "lattice_low": [-2.59174382] * 9,
    "lattice_high": [2.59174382] * 9,
    "n": {"train": 16, "val": 6, "test": 0},
    "n_rejected": 20,
    "count_histogram": {"1": 7, "2": 4, "3": 5, "4": 5, "5": 1},
}
REJECTING = {"coordinates": "cartesian", "elements": ("C", "Si"), "slots": 4, "max_atoms": 5}


def tables():
    return {
        "train": random_table(30, (6, 14, 26), 6, 5),
        "val": random_table(7, (6, 14), 6, 6),
        "test": random_table(5, (6,), 9, 7),
    }


def in_parts(table, rows):
    return [table.take(np.arange(start, min(start + rows, len(table)))) for start in range(0, len(table), rows)]


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("choices", "expected"), [({}, FRACTIONAL), (REJECTING, CARTESIAN)])
@pytest.mark.parametrize("rows", [4, 100])
def test_numbers_are_those_of_encoding_at_once(tmp_path, choices, expected, rows):
    parts = {name: in_parts(table, rows) for name, table in tables().items()}
    encoding = encode_dataset(parts, EncodeSettings(**choices), tmp_path, shard_rows=7)
    said = encoding.to_json()
    assert {name: said[name] for name in expected} == expected
    assert said["cartesian_radius"] == pytest.approx(12.782366421797708, rel=1e-12)
    assert read_encoding(tmp_path) == encoding
    for name, table in tables().items():
        ours = EncodedSplit(tmp_path, name)
        assert len(ours) == expected["n"][name]
        if name == "train":
            whole, _, _ = encoded_in_memory(table, EncodeSettings(**choices))
            for array in ("offsets", "cell", "slot", "coords", "lattice"):
                np.testing.assert_array_equal(getattr(concatenated(ours.shards), array), getattr(whole, array))


def test_lattice_statistics_are_pymatgens_of_the_training_split(tmp_path):
    encoding = encode_dataset({name: [table] for name, table in tables().items()}, EncodeSettings(), tmp_path)
    parameters = np.array([Lattice(crystal.lattice).parameters for crystal in tables()["train"]])
    lengths = np.log(parameters[:, :3])
    np.testing.assert_allclose(encoding.lattice_mean[0], lengths.mean(), rtol=1e-8)
    np.testing.assert_allclose(encoding.lattice_std[0], lengths.std(), rtol=1e-8)
    np.testing.assert_allclose(encoding.lattice_high[0], (lengths.max() - lengths.mean()) / lengths.std(), rtol=1e-8)
    corners = [
        np.linalg.norm(np.array(signs) @ crystal.lattice) / 2
        for crystal in tables()["train"]
        for signs in [(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)]
    ]
    assert encoding.cartesian_radius == pytest.approx(max(corners), rel=1e-12)


def test_parts_and_repetition_change_no_byte(tmp_path):
    for folder, rows in (("a", 3), ("b", 3), ("c", 100)):
        parts = {name: in_parts(table, rows) for name, table in tables().items()}
        encode_dataset(parts, EncodeSettings(**REJECTING), tmp_path / folder, shard_rows=7)
    first, second, third = (content(tmp_path / folder) for folder in "abc")
    assert first == second
    rejected = [crystal_table.read_rejected(tmp_path / folder / "rejected.parquet") for folder in "ac"]
    assert rejected[0] == rejected[1]
    assert len(rejected[0]) == 20
    for each in (first, third):
        del each["rejected.parquet"]  # the same rows, in groups of another size
    assert first == third


def test_splits_but_the_first_may_be_empty(tmp_path):
    encode_dataset({"train": [random_table(4)], "val": [], "test": [random_table(0)]}, EncodeSettings(), tmp_path)
    assert [len(EncodedSplit(tmp_path, name)) for name in SPLITS] == [4, 0, 0]
    assert list((tmp_path / "val").iterdir()) == []
    assert read_encoding(tmp_path).n == {"train": 4, "val": 0, "test": 0}


def test_nothing_usable_leaves_nothing(tmp_path):
    oxygen = crystal_table.from_crystals([random_crystal(np.random.default_rng(0), "x", [8])])
    with pytest.raises(UserError, match=r"no usable crystal in the training split; the first: x: O has no cell"):
        encode_dataset({"train": [oxygen], "val": [], "test": []}, EncodeSettings(elements=("C",)), tmp_path)
    assert content(tmp_path) == {}


def test_an_error_midway_leaves_what_was_there(tmp_path):

    def broken():
        yield random_table(8)
        raise RuntimeError("power cut")

    splits = {"train": [random_table(4)], "val": [], "test": []}
    encode_dataset(splits, EncodeSettings(), tmp_path, shard_rows=2)
    before = content(tmp_path)
    with pytest.raises(RuntimeError, match="power cut"):
        encode_dataset({**splits, "train": broken()}, EncodeSettings(), tmp_path, shard_rows=2)
    assert content(tmp_path) == before
    assert len(EncodedSplit(tmp_path, "train")) == 4


def test_shards_of_an_earlier_run_go_and_nothing_else_does(tmp_path):
    encode_dataset({"train": [random_table(6)], "val": [], "test": []}, EncodeSettings(), tmp_path, shard_rows=2)
    (tmp_path / "train/notes.txt").write_text("mine")
    encode_dataset({"train": [random_table(4)], "val": [], "test": []}, EncodeSettings(), tmp_path, shard_rows=2)
    shards = [path.name for path in (tmp_path / "train").iterdir()]
    assert sorted(shards) == ["notes.txt", "shard-00000.arrow", "shard-00001.arrow"]
    assert (tmp_path / "train/notes.txt").read_text() == "mine"


def test_bad_settings_leave_an_earlier_run_alone(tmp_path):
    encode_dataset({"train": [random_table(4)]}, EncodeSettings(), tmp_path)
    before = content(tmp_path)
    with pytest.raises(UserError, match="at least one crystal, found 0 shard rows"):
        encode_dataset({"train": [random_table(4)]}, EncodeSettings(), tmp_path, shard_rows=0)
    with pytest.raises(UserError, match="grid rows must be rising"):
        encode_dataset({"train": [random_table(4)]}, EncodeSettings(rows=(2, 1)), tmp_path)
    assert content(tmp_path) == before


def test_an_earlier_runs_surplus_shards_are_gone(tmp_path):
    for shard_rows in (1, 3):
        encode_dataset({"train": [random_table(4)]}, EncodeSettings(), tmp_path, shard_rows)
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["shard-00000.arrow", "shard-00001.arrow"]


def test_command_streams_tables_and_counts_what_it_took(tmp_path, caplog):
    for name, table in tables().items():
        with crystal_stream.writing(tmp_path / f"{name}.parquet", table) as writer:
            for part in in_parts(table, 9):
                writer.write(part)
    flags = [word for name in SPLITS for word in (f"--{name}", str(tmp_path / f"{name}.parquet"))]
    settings = json.dumps({**REJECTING, "elements": ["C", "Si"]})
    command = ["encode", *flags, "--settings", settings, "--out", str(tmp_path / "out"), "--shard-rows", "5"]
    assert main(command) == 0
    assert "encoded 22 of 42 crystals as 4 x 2 x 1 tensors" in caplog.text
    assert len(EncodedSplit(tmp_path / "out", "train").shards) == 4
    assert read_json(tmp_path / "out" / "encoding.json")["n_rejected"] == 20
    assert main([*command[:-1], "0"]) == 2
    again = [sys.executable, "-m", "unimat", *command[: command.index("--out")], "--out", str(tmp_path / "again")]
    subprocess.run(again, check=True)  # with nothing imported but what the command itself needs
    assert EncodedSplit(tmp_path / "again", "train").content == EncodedSplit(tmp_path / "out", "train").content


def test_peak_of_memory_does_not_grow_with_the_table(tmp_path, monkeypatch):
    """Ten times the crystals, and hardly more at once: only lattice parameters are kept, and copied for statistics."""
    monkeypatch.setattr(encode_stream, "BLOCK", 500)
    peaks = []
    part = random_table(500, seed=1)
    for repeats in (4, 40):
        tracemalloc.start()
        encode_dataset({"train": (part for _ in range(repeats))}, EncodeSettings(), tmp_path, shard_rows=500)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 36 * 500 * 48 * 5


def test_row_of_the_rejected_table_names_split_and_reason(tmp_path):
    rng = np.random.default_rng(1)
    flat = dataclasses.replace(random_crystal(rng, "flat", [6]), lattice=np.zeros((3, 3)))
    val = crystal_table.from_crystals([random_crystal(rng, "ok", [6]), flat])
    encode_dataset({"train": [random_table(2)], "val": [val]}, EncodeSettings(), tmp_path)
    (row,) = crystal_table.read_rejected(tmp_path / "rejected.parquet")
    assert (row.material_id, row.source, row.reason) == ("flat", "val", "degenerate_lattice")
