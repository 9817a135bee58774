"""A run packed, trained elsewhere by the packed code alone, and brought back: the same bytes as one that never left."""

import ast
import contextlib
import dataclasses
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pytest
from model_helpers import TINY_MODEL, TINY_TRAIN, write_tiny_dataset

import unimat
from unimat.cli import main
from unimat.errors import UserError
from unimat.files import read_json, write_json
from unimat.model import sampled_sets, training
from unimat.model.checkpoints import read_model, write_model
from unimat.model.encoded import EncodedCrystals
from unimat.model.interruption import EXIT_CODE, Interrupted, Interruption
from unimat.model.packed import collection as collections
from unimat.model.packed import contents, machine, sets, there
from unimat.model.packed.absorb import absorb_sets, absorb_training
from unimat.model.packed.collection import collect_training, read_collection, steps_of
from unimat.model.packed.deadline import interrupting
from unimat.model.packed.launcher import Options, checked_manifest
from unimat.model.packed.pack import Packed, pack, record_of, say_size
from unimat.model.shards import write_shard
from unimat.settings import as_dict

SETS = {"generated": {"n": 5, "steps": 4, "batch_size": 2, "seed": 1}}
OUTPUTS = ("model.npz", "history.csv")
HURRIED = dataclasses.replace(TINY_TRAIN, time_limit_minutes=1e-9)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    write_tiny_dataset(folder)
    return folder


@pytest.fixture(scope="module")
def straight(dataset, tmp_path_factory):
    """Outputs of a run that never left."""
    out = tmp_path_factory.mktemp("straight")
    training.train(dataset, TINY_MODEL, TINY_TRAIN, out / "work", out)
    return out


def packed(dataset, **changes):
    return Packed(name="tiny", model=TINY_MODEL, train=TINY_TRAIN, sets=SETS, encoded=dataset, **changes)


def unpacked(archive, folder):
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


def run_there(root, *arguments):
    """run.py, without a way to any code but the packed one and the environment's packages."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # What was compiled here need not be compiled again.
    environment |= {
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_PLATFORMS": "cpu",
    }
    command = list(map(str, [sys.executable, root / "run.py", *arguments]))
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root.parent, timeout=300)


@pytest.fixture(scope="module")
def archive(dataset, tmp_path_factory):
    """The run before anything is trained; its own time limit is over after one step."""
    path = tmp_path_factory.mktemp("archive") / "tiny.tar"
    pack(dataclasses.replace(packed(dataset), train=HURRIED), path)
    return path


@pytest.fixture(scope="module")
def collected(archive, tmp_path_factory):
    """Folder that a machine gave back whose time was over after a step."""
    folder = tmp_path_factory.mktemp("elsewhere")
    done = run_there(unpacked(archive, folder / "machine"), "train", "--device", "cpu", "--collect", folder / "out")
    assert done.returncode == EXIT_CODE, done.stderr
    assert "stopped after step 1 of 8; the same command goes on" in done.stderr
    assert "step 1 of 8 is in" in done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def finished(dataset, collected, tmp_path_factory):
    """Folder of a second machine, which got what the first one gave back packed with the rest."""
    folder = tmp_path_factory.mktemp("finished")
    absorb_training(read_collection(collected), record_of(dataset, TINY_MODEL, TINY_TRAIN), folder / "work")
    pack(packed(dataset, work=folder / "work"), folder / "tiny.tar.gz")
    root = unpacked(folder / "tiny.tar.gz", folder / "machine")
    flags = ("--minutes", "9", "--collect", folder / "out")
    trained = run_there(root, "train", *flags, "--largest-file", "0.03")
    assert trained.returncode == 0, trained.stderr
    assert "going on from step 1" in trained.stderr
    sampled = run_there(root, "sample", *flags)
    assert sampled.returncode == 0, sampled.stderr
    assert re.search("set 'generated': [1-5] of 5 sampled tensors are crystals", sampled.stderr), sampled.stderr
    return folder / "out"


@pytest.fixture
def copied(collected, tmp_path):
    return Path(shutil.copytree(collected, tmp_path / "collected"))


def refusal(function, *arguments):
    """The one line that refuses."""
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same_bytes(one, other, names=OUTPUTS):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_stopped_there_and_continued_here_ends_with_the_same_bytes(dataset, straight, collected, tmp_path):
    settings = tmp_path / "train.json"
    settings.write_text(json.dumps(as_dict(TINY_TRAIN)))
    (tmp_path / "model.json").write_text(json.dumps(as_dict(TINY_MODEL)))
    flags = ["--encoded", dataset, "--settings", settings, "--model-settings", tmp_path / "model.json"]
    places = ["--work", tmp_path / "work", "--out", tmp_path / "model"]
    assert main([str(each) for each in ["absorb", "--collected", collected, *flags, *places]]) == 0
    assert steps_of(tmp_path / "work") == [1]
    assert main([str(each) for each in ["train", *flags, *places]]) == 0
    assert read_json(tmp_path / "model" / "training.json")["speed"]["steps_in_this_process"] == 7
    assert same_bytes(straight, tmp_path / "model")


def test_a_packed_run_goes_on_from_the_packed_checkpoint_to_the_same_bytes(dataset, straight, finished, tmp_path):
    assert same_bytes(straight, finished)
    collection = read_collection(finished)
    assert collection.training["finished"]
    # Cut into parts of at most 0.03 MiB, in which the two last checkpoints are.
    assert len(collection.training["archive"]) > 3
    assert max((finished / name).stat().st_size for name in collection.training["archive"]) <= 0.03 * 2**20
    pieces = read_json(finished / "training.json")["pieces"]
    assert [(piece["from_step"], piece["to_step"], piece["device"]) for piece in pieces] == [
        (0, 1, "1 x cpu"),
        (1, 8, "1 x cpu"),
    ]
    assert pieces[0]["versions"]["unimat"] == unimat.__version__
    expected = record_of(dataset, TINY_MODEL, TINY_TRAIN)
    report = absorb_training(collection, expected, tmp_path / "work", tmp_path / "model")
    assert report == {"step": 8, "steps": 8, "finished": True, "brought": True}
    assert same_bytes(straight, tmp_path / "model")
    # The working folder is that of a finished run, too.
    training.train(dataset, TINY_MODEL, TINY_TRAIN, tmp_path / "work", tmp_path / "again")
    assert same_bytes(straight, tmp_path / "again")
    # Once more changes nothing, not even the age of a file.
    before = (tmp_path / "model/model.npz").stat().st_mtime_ns
    assert not absorb_training(collection, expected, tmp_path / "work", tmp_path / "model")["brought"]
    assert (tmp_path / "model/model.npz").stat().st_mtime_ns == before


def test_a_set_is_sampled_there_and_is_the_one_that_is_sampled_here(straight, finished, tmp_path):
    reports = absorb_sets(read_collection(finished), SETS, straight / "model.npz", tmp_path / "sets")
    assert reports["generated"]["n_requested"] == 5
    command = ["sample", "--model", straight / "model.npz", "--settings", json.dumps(SETS["generated"])]
    assert main([str(each) for each in [*command, "--out", tmp_path / "here"]]) == 0
    assert same_bytes(tmp_path / "here", tmp_path / "sets/generated", ("crystals.parquet", "rejected.parquet"))


def test_sets_of_another_model_or_other_settings_are_refused(straight, finished, tmp_path):
    collection, place = read_collection(finished), tmp_path / "sets"
    more = {"generated": SETS["generated"] | {"n": 6}}
    told = refusal(absorb_sets, collection, more, straight / "model.npz", place)
    assert "holds the set 'generated' of other settings (n: 6 here, 5 there)" in told
    told = refusal(absorb_sets, collection, {"mine": {}}, straight / "model.npz", place)
    assert "holds the set 'generated', and the run samples mine" in told
    model = read_model(straight / "model.npz")
    write_model(tmp_path / "other.npz", jax.tree.map(lambda x: x + 1, model.params), model.description)
    told = refusal(absorb_sets, collection, SETS, tmp_path / "other.npz", place)
    assert "sampled by another model" in told
    assert not place.exists()


def test_an_unfinished_set_goes_on_behind_its_last_batch(straight, tmp_path, monkeypatch):
    model, settings = read_model(straight / "model.npz"), sets.settings_of_set(SETS["generated"], "generated")
    write, out = sampled_sets._write_part, tmp_path / "out"

    def stopping(part, folder, table):
        write(part, folder, table)
        raise Interrupted("stopped by the time limit")

    monkeypatch.setattr(sampled_sets, "_write_part", stopping)
    assert not sets.sample_set(model, "generated", settings, tmp_path / "one", None)
    sets.collect_set(tmp_path / "one", out, "generated", settings, model, False)
    monkeypatch.setattr(sampled_sets, "_write_part", write)
    sets.continue_set(read_collection(out), "generated", tmp_path / "two")
    (batch,) = (tmp_path / "two").glob(".sampling-*/part-*")
    made = (batch / "crystals.parquet").stat().st_mtime_ns
    assert sets.sample_set(model, "generated", settings, tmp_path / "two", 60)
    sets.collect_set(tmp_path / "two", out, "generated", settings, model, True)
    assert made
    collection = read_collection(out)
    assert sorted(collection.files) == [f"sets/generated/{name}" for name in sorted(sets.FILES)]
    assert not list(out.glob("*.tar"))
    absorb_sets(collection, SETS, straight / "model.npz", tmp_path / "sets")
    sampled_sets.sample_into(model, settings, tmp_path / "here")
    assert same_bytes(tmp_path / "here", tmp_path / "sets/generated", ("crystals.parquet",))


def test_what_knows_of_no_time_limit_stops_when_its_time_is_over():
    with pytest.raises(Interrupted, match="stopped by the time limit"), interrupting(0.05):
        time.sleep(5)
    with interrupting(None):
        pass
    with interrupting(0.01, nearly_done=lambda: True):
        time.sleep(0.05)
    with pytest.raises(Interrupted, match="stopped by SIGTERM"), interrupting(5):
        signal.raise_signal(signal.SIGTERM)
    with interrupting(0.05), Interruption() as asked:  # what a training remembers, and looks at between steps
        time.sleep(0.1)
        assert asked.asked
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_another_archive_goes_on_from_what_was_collected(archive, collected, straight, tmp_path):
    """The same archive, unpacked on a fresh machine beside the folder that the last one gave back."""
    root, out = unpacked(archive, tmp_path / "machine"), tmp_path / "out"
    shutil.copytree(collected, out)
    done = run_there(root, "train", "--minutes", "9", "--collect", out, "--newest-only")
    assert done.returncode == 0, done.stderr
    assert same_bytes(straight, out)
    collection = read_collection(out)
    assert len(collection.training["archive"]) == 1
    with tarfile.open(out / collection.training["archive"][0]) as tar:
        assert {name.split("/")[1] for name in tar.getnames() if "/" in name} == {"8"}


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
    assert {"run.py", "pack.json", "settings.json", "code/unimat/model/training.py"} <= names
    assert "encoded/train/shard-00000.arrow" in names
    # The judges and the test split stay at home.
    assert not {name for name in names if "materials" in name or "cli" in name or name.startswith("encoded/test")}
    pack(packed(dataset), tmp_path / "folder")
    assert {path.relative_to(tmp_path / "folder").as_posix() for path in (tmp_path / "folder").rglob("*")} >= names


def test_the_packed_code_names_no_package_that_a_bare_machine_lacks():
    folder = Path(unimat.__file__).parent / "model/packed"
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"unimat", "jax", "numpy"}


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["train", "--device", "gpu", "--collect", "out"],
            "a gpu was asked for, and JAX found 1 x cpu (cpu); ",
        ),
        (
            ["train", "--minutes", "0.5", "--collect", "out"],
            "--minutes 0.5 leaves nothing beside --reserve 45 s",
        ),
        (["sample", "--collect", "out"], "there is no trained model here; finish `run.py train`, or pack with --model"),
    ],
)
def test_what_is_wrong_there_is_one_line(archive, tmp_path, arguments, words):
    done = run_there(unpacked(archive, tmp_path / "machine"), *arguments)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert words in line
    assert "Traceback" not in done.stderr


def test_missing_and_old_packages_are_told_with_the_line_that_installs_them(monkeypatch, tmp_path):
    found = {"jax": "0.9.1", "numpy": "2.4.0", "flax": "0.13.1"}

    def version(name):
        if name not in found:
            raise machine.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(machine, "version", version)
    wanted = ["flax<0.13,>=0.12.8", "jax<0.12,>=0.10.2", "numpy<3,>=2.4", "orbax-checkpoint<0.13,>=0.12.8"]
    told = refusal(machine.check_packages, wanted, "gpu", None, False)
    assert told.startswith("jax 0.9.1 is older than 0.10.2; orbax-checkpoint is not installed: ")
    assert told.endswith("-m pip install 'jax[cuda12]<0.12,>=0.10.2' 'orbax-checkpoint<0.13,>=0.12.8'")
    assert "-m pip install --no-index -f wheels 'jax<0.12" in refusal(
        machine.check_packages, wanted, "any", Path("wheels"), False
    )
    found |= {"jax": "0.11.2", "orbax-checkpoint": "0.12.8"}
    machine.check_packages(wanted, "gpu", None, False)


def test_missing_packages_are_installed_from_wheels_if_asked(monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(
        machine.subprocess, "run", lambda command, **_: ran.append(command) or subprocess.CompletedProcess(command, 1)
    )
    told = refusal(machine.check_packages, ["no-such-package>=1"], "any", tmp_path, True)
    assert ran == [[sys.executable, "-m", "pip", "install", "--no-index", "-f", str(tmp_path), "no-such-package>=1"]]
    assert told.startswith("pip could not install what is missing")


def test_requirements_are_those_of_the_package():
    wanted = machine.requirements()
    assert [line for line in wanted if machine.fault(line)] == []
    assert {machine._name(line) for line in wanted} >= {"jax", "flax", "optax", "orbax-checkpoint", "numpy", "pyarrow"}
    assert "tqdm" not in {machine._name(line) for line in wanted}


def test_run_py_says_so_on_an_old_python(monkeypatch):
    run = runpy.run_path(str(Path(machine.__file__).with_name("run.py")))
    monkeypatch.setattr(sys, "version_info", (3, 8, 1))
    monkeypatch.setattr(sys, "version", "3.8.1 (default)")
    with pytest.raises(SystemExit, match=r"this is Python 3\.8\.1; start it with Python 3\.11 or newer"):
        run["main"]()


def expected_of(dataset, **changes):
    return record_of(dataset, TINY_MODEL, dataclasses.replace(TINY_TRAIN, **changes))


def test_damaged_collections_are_refused_by_name(copied):
    (archive,) = read_collection(copied).training["archive"]
    whole = (copied / archive).read_bytes()
    (copied / archive).write_bytes(whole[: len(whole) // 2])
    assert f"{archive} has {len(whole) // 2} bytes, {len(whole)} in collection.json" in refusal(read_collection, copied)
    (copied / archive).write_bytes(whole[:-1] + b"x")
    assert "its SHA-256 differs); copy the folder from that machine again" in refusal(read_collection, copied)
    (copied / archive).unlink()
    assert "is missing, and collection.json lists it" in refusal(read_collection, copied)
    (copied / "collection.json").write_text("{")
    assert "is not valid JSON" in refusal(read_collection, copied)
    (copied / "collection.json").write_text("[]")
    assert "is no collection of format 1" in refusal(read_collection, copied)
    (copied / "collection.json").unlink()
    assert "holds no collection.json; give the folder that run.py filled" in refusal(read_collection, copied)


def test_collections_of_other_settings_or_data_are_refused_by_name(dataset, copied, tmp_path):
    collection, work = read_collection(copied), tmp_path / "work"
    told = refusal(absorb_training, collection, expected_of(dataset, learning_rate=5e-4), work)
    assert "is a training of other settings (train.learning_rate: 0.0005 here, 0.001 there)" in told
    write_tiny_dataset(tmp_path / "other", choices=(6, 14), elements=("C", "Si"))
    told = refusal(absorb_training, collection, expected_of(tmp_path / "other"), work)
    assert "is a training of other data (data.train: " in told
    assert not work.exists()


def test_a_collection_that_is_behind_is_refused(dataset, straight, copied, tmp_path):
    work = Path(shutil.copytree(straight / "work", tmp_path / "work"))
    before = sorted(path for path in work.rglob("*"))
    told = refusal(absorb_training, read_collection(copied), expected_of(dataset), work)
    assert "is of step 1, behind the checkpoint of step 8 in" in told
    assert sorted(path for path in work.rglob("*")) == before


def test_a_working_folder_of_another_run_is_refused(dataset, copied, tmp_path):
    write_json(tmp_path / "work/settings.json", expected_of(dataset, seed=4))
    told = refusal(absorb_training, read_collection(copied), expected_of(dataset), tmp_path / "work")
    assert "holds a training of other settings (train.seed: 3 here, 4 there)" in told
    (tmp_path / "work/checkpoints/3").mkdir(parents=True)
    told = refusal(pack, packed(dataset, work=tmp_path / "work"), tmp_path / "tiny.tar")
    assert "holds a training of other settings (train.seed" in told
    assert not (tmp_path / "tiny.tar").exists()


def test_what_is_listed_is_there_whenever_the_machine_is_taken_away(dataset, straight, tmp_path, monkeypatch):
    """Collected again when there is more, and cut off at every write: `collection.json` names whole files."""
    work, out = Path(shutil.copytree(straight / "work", tmp_path / "work")), tmp_path / "out"
    later = work / "checkpoints/8"
    later.rename(tmp_path / "8")
    assert collect_training(work, out, 8, []).step == 6
    (tmp_path / "8").rename(later)
    for call in range(4):
        copy = Path(shutil.copytree(out, tmp_path / f"out{call}"))
        monkeypatch.setattr(collections, "write_json", power_cut(collections.write_json, 0 if call == 0 else 9))
        monkeypatch.setattr(Path, "replace", power_cut(Path.replace, call - 1 if call else 9))
        with contextlib.suppress(RuntimeError):
            collect_training(work, copy, 8, [])
        monkeypatch.undo()
        assert read_collection(copy).step == (6 if call < 3 else 8)
    assert collect_training(work, out, 8, []).step == 8
    assert not list(out.glob("*00000006.tar"))


def power_cut(function, calls):
    """`function`, but for a call after so many."""
    left = [calls]

    def cut(*arguments, **options):
        if not left[0]:
            raise RuntimeError("power cut")
        left[0] -= 1
        return function(*arguments, **options)

    return cut


def test_checkpoints_that_vanish_while_they_are_read_are_read_again(straight, tmp_path, monkeypatch):
    work, seen = straight / "work", []

    def vanishing(*arguments):
        seen.append(arguments)
        if len(seen) == 1:
            raise FileNotFoundError("removed by the training")
        return collections_archive(*arguments)

    collections_archive = collections._archive
    monkeypatch.setattr(collections, "_archive", vanishing)
    assert collect_training(work, tmp_path, 8, []).step == 8
    assert collect_training(tmp_path / "nothing", tmp_path / "none", 8, []) is None


def test_minutes_stand_in_for_the_time_limit_of_the_run(archive, tmp_path):
    root = unpacked(archive, tmp_path / "machine")
    options = Options(tmp_path / "out", 120.0, "1 x cpu", checkpoint_every=5)
    _, settings = there._training_settings(root, options)
    assert (settings.time_limit_minutes, settings.checkpoint_every) == (None, 5)
    assert settings.steps == TINY_TRAIN.steps
    _, settings = there._training_settings(root, Options(tmp_path / "out", None, "1 x cpu"))
    assert settings.time_limit_minutes == HURRIED.time_limit_minutes


def test_a_training_is_collected_while_it_goes_on(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    seen = threading.Event()
    with there._collecting(seen.set, tmp_path, 1e-4):
        assert not seen.wait(0.1)
        (tmp_path / "checkpoints/3").mkdir()
        assert seen.wait(10)
    assert not [thread for thread in threading.enumerate() if thread.name == "collect"]


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
