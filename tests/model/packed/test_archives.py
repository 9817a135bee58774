"""What an archive of a run holds, how large it is, and what is refused."""

import ast
import dataclasses
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa

import unimat
from tests.model.model_helpers import TINY_TRAIN
from tests.model.packed.pack_helpers import packed, refusal, run_there, unpacked
from unimat.files import read_json
from unimat.model.packed import contents, machine, there
from unimat.model.packed.launcher import Options, checked_manifest
from unimat.model.packed.pack import pack, say_size
from unimat.model.representation.encoded import EncodedCrystals
from unimat.model.representation.shards import write_shard


def test_equal_input_gives_equal_bytes_and_nothing_of_the_machine(dataset, archive, tmp_path):
    for name in ("one.tar", "other.tar", "one.tar.gz", "other.tar.gz"):
        pack(packed(dataset), tmp_path / name)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.uid, member.uname, member.mtime) for member in members} == {(0, "", contents.TIME)}
    names = {member.name.split("/", 1)[1] for member in members}
    assert {"run.py", "pack.json", "settings.json", "code/unimat/model/training/train.py"} <= names
    assert "encoded/train/shard-00000.arrow" in names
    # The judges and the test split stay at home.
    assert not {name for name in names if "materials" in name or "cli" in name or name.startswith("encoded/test")}
    pack(packed(dataset), tmp_path / "folder")
    assert {path.relative_to(tmp_path / "folder").as_posix() for path in (tmp_path / "folder").rglob("*")} >= names


def test_size_is_said_and_a_limit_warned_of(dataset, tmp_path, caplog):
    caplog.set_level("INFO", "unimat")
    big = tmp_path / "wheels"
    big.mkdir()
    (big / "jax-0.0-py3-none-any.whl").write_bytes(os.urandom(3 * 2**20))
    sizes = pack(packed(dataset, wheels=big), tmp_path / "tiny.tar.gz")
    say_size(sizes, tmp_path / "tiny.tar.gz", 64)
    assert not [each for each in caplog.records if each.levelname == "WARNING"]
    assert re.search(r"tiny.tar.gz: 3\.[0-9] MiB \(wheels 3\.0, code 0\.[0-9]", caplog.text)
    say_size(sizes, tmp_path / "tiny.tar.gz", 2)
    assert "above --limit 2; leave wheels out" in caplog.text


def test_an_archive_of_the_size_of_mp_20_is_some_megabytes(tmp_path):
    """27,136 crystals of up to 20 atoms, ten and a half on average, as its training split has."""
    rng = np.random.default_rng(0)
    n_atoms = rng.integers(1, 21, 27_136)
    offsets = np.concatenate([[0], np.cumsum(n_atoms)])
    n = int(offsets[-1])
    crystals = EncodedCrystals(
        pa.array([f"mp-{i}" for i in range(len(n_atoms))]),
        offsets,
        rng.integers(0, 162, n).astype(np.uint8),
        rng.integers(0, 20, n).astype(np.uint8),
        rng.random((n, 3), np.float32),
        rng.random((len(n_atoms), 6)),
    )
    write_shard(crystals, tmp_path / "shard.arrow")
    assert 2**20 < (tmp_path / "shard.arrow").stat().st_size < 10 * 2**20


def test_a_damaged_archive_is_refused_by_name(archive, tmp_path):
    root = unpacked(archive, tmp_path / "machine")
    shard = root / "encoded/train/shard-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:-1])
    done = run_there(root, "check")
    assert done.returncode == 2
    assert re.fullmatch(
        r"run.py check: error: .*shard-00000.arrow has \d+ bytes, \d+ in pack.json \(truncated\?\); "
        r"unpack the archive again\n",
        done.stderr,
    )
    shutil.copy(root / "code/unimat/errors.py", root / "code/unimat/older.py")
    shard.unlink()
    assert "is missing, and pack.json lists it" in refusal(checked_manifest, root)
    shutil.rmtree(root)
    root = unpacked(archive, tmp_path / "again")
    (root / "code/unimat/older.py").touch()
    assert "older.py is of another archive; unpack into an empty folder" in refusal(checked_manifest, root)
    (root / "code/unimat/model/packed/launcher.py").unlink()
    done = run_there(root, "check")
    assert done.stderr.count("\n") == 1
    assert "the folder code is not whole" in done.stderr


def test_what_cannot_be_packed_is_one_line(dataset, straight, tmp_path):
    def told(**changes):
        return refusal(pack, dataclasses.replace(packed(dataset), **changes), tmp_path / "tiny.tar")

    assert "give --encoded to train, --model to sample" in told(encoded=None)
    assert "has no place in an archive" in told(
        train=dataclasses.replace(TINY_TRAIN, initial=str(straight / "model.npz"))
    )
    assert "sets.generated: unknown key 'm'" in told(sets={"generated": {"m": 5}})
    copy = Path(shutil.copytree(dataset, tmp_path / "encoded"))
    shard = copy / "train/shard-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert "is not the file that encoding.json lists" in told(encoded=copy)
    assert "name a .tar, a .tar.gz, or a folder" in refusal(pack, packed(dataset), tmp_path / "tiny.zip")
    assert not (tmp_path / "tiny.tar").exists()


def test_a_model_alone_is_packed_to_sample_with(straight, tmp_path, monkeypatch):
    (tmp_path / "list.csv").write_text("formula,count\nC2,1\nC3,2\n")
    chosen = {"listed": {"steps": 4, "compositions": str(tmp_path / "list.csv")}}
    trained = dataclasses.replace(packed(None), trained=straight / "model.npz", sets=chosen)
    pack(trained, tmp_path / "folder")
    read = read_json(tmp_path / "folder/settings.json")["sets"]["listed"]["compositions"]
    assert (tmp_path / "folder" / read).read_text() == (tmp_path / "list.csv").read_text()
    options = Options(tmp_path / "out", None, "1 x cpu", set="listed", count=3, settings='{"seed": 7}')
    settings = there._chosen_sets(tmp_path / "folder", options)["listed"]
    assert (settings.n, settings.seed, settings.steps) == (3, 7, 4)
    assert Path(settings.compositions).is_file()
    assert there._model_of(tmp_path / "folder", tmp_path / "out").name == "model.npz"
    assert "no encoded crystals to train on" in refusal(there.train, tmp_path / "folder", options)
    assert "no set 'other' is packed; there are listed" in refusal(
        there._chosen_sets, tmp_path / "folder", dataclasses.replace(options, set="other")
    )


def test_the_packed_code_names_no_package_that_a_bare_machine_lacks():
    folder = Path(unimat.__file__).parent / "model/packed"
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"unimat", "jax", "numpy"}


def test_requirements_are_those_of_the_package():
    wanted = machine.requirements()
    assert [line for line in wanted if machine.fault(line)] == []
    assert {machine._name(line) for line in wanted} >= {"jax", "flax", "optax", "orbax-checkpoint", "numpy", "pyarrow"}
    assert "tqdm" not in {machine._name(line) for line in wanted}
