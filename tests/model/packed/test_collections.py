"""What a machine gave back: whole at every moment, and refused where it does not fit."""

import contextlib
import shutil
from pathlib import Path

from tests.model.model_helpers import write_tiny_dataset
from tests.model.packed.pack_helpers import expected_of, packed, refusal
from unimat.files import write_json
from unimat.model.packed import collection as collections
from unimat.model.packed.absorb import absorb_training
from unimat.model.packed.collection import collect_training, read_collection
from unimat.model.packed.pack import pack


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
