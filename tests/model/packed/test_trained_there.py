"""A run trained and sampled elsewhere by the packed code alone: the same bytes as one that never left."""

import json
import re
import shutil
import tarfile

import jax
import pytest

import unimat
from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN
from tests.model.packed.pack_helpers import SETS, packed, refusal, run_there, same_bytes, unpacked
from unimat.cli import main
from unimat.files import read_json
from unimat.model.checkpoints import read_model, write_model
from unimat.model.machine.interruption import Interrupted
from unimat.model.packed import sets
from unimat.model.packed.absorb import absorb_sets, absorb_training
from unimat.model.packed.collection import read_collection, steps_of
from unimat.model.packed.pack import pack, record_of
from unimat.model.sampling import sampled_sets
from unimat.model.training import train as training
from unimat.settings import as_dict


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
    sets.continue_set(read_collection(out), "generated", tmp_path / "two")
    assert len(list((tmp_path / "two").glob(".sampling-*/part-*"))) == 1
    written = []
    monkeypatch.setattr(sampled_sets, "_write_part", lambda *arguments: written.append(write(*arguments)))
    assert sets.sample_set(model, "generated", settings, tmp_path / "two", 60)
    assert len(written) == 2  # of three batches of 2, 2 and 1
    sets.collect_set(tmp_path / "two", out, "generated", settings, model, True)
    collection = read_collection(out)
    assert sorted(collection.files) == [f"sets/generated/{name}" for name in sorted(sets.FILES)]
    assert not list(out.glob("*.tar"))
    absorb_sets(collection, SETS, straight / "model.npz", tmp_path / "sets")
    sampled_sets.sample_into(model, settings, tmp_path / "here")
    assert same_bytes(tmp_path / "here", tmp_path / "sets/generated", ("crystals.parquet",))
