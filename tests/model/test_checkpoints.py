import errno
import json
import logging
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.model_helpers import TINY_MODEL, write_tiny_dataset
from unimat.errors import UserError
from unimat.model import networks
from unimat.model.checkpoints import DESCRIPTION, read_model, write_model
from unimat.model.representation.encoded import read_encoding
from unimat.model.settings import ModelSettings, TrainSettings
from unimat.model.training.work_folder import WorkFolder, all_finite, checksum, with_defaults
from unimat.settings import as_dict


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Path of a model.npz of random parameters, with those parameters and its description."""
    folder = tmp_path_factory.mktemp("model")
    write_tiny_dataset(folder)
    encoding = read_encoding(folder)
    params = networks.build(TINY_MODEL, encoding).init(key=jax.random.key(0))
    description = {"settings": {"model": as_dict(TINY_MODEL)}, "encoding": encoding.to_json(), "steps": 5}
    write_model(folder / "model.npz", params, description)
    return folder / "model.npz", params, description


def test_model_comes_back_with_all_that_sampling_needs(written, tmp_path):
    path, params, description = written
    (tmp_path / "elsewhere.npz").write_bytes(path.read_bytes())  # alone, away from the dataset
    model = read_model(tmp_path / "elsewhere.npz")
    assert model.settings == TINY_MODEL
    assert model.encoding.to_json() == description["encoding"]
    assert model.description["steps"] == 5
    jax.tree.map(np.testing.assert_array_equal, model.params, jax.tree.map(np.asarray, params))


def test_same_model_is_the_same_bytes_without_pickle(written, tmp_path):
    path, params, description = written
    write_model(tmp_path / "again.npz", params, description)
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    with np.load(path, allow_pickle=False) as archive:
        assert {archive[name].dtype for name in archive.files if name != DESCRIPTION} == {np.dtype(np.float32)}
        assert json.loads(archive[DESCRIPTION].tobytes())["format"] == 1


def changed(path, target, **arrays):
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files} | arrays
    np.savez(target, **{name: value for name, value in content.items() if value is not None})
    return target


def test_broken_and_foreign_files_are_one_line(written, tmp_path):
    path, _, description = written
    content = path.read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.npz").write_text("not a model")
    np.save(tmp_path / "lone.npy", np.zeros(3))
    other = {**description, "format": 1}
    other["settings"] = {"model": {**description["settings"]["model"], "channels": 16}}
    as_array = np.frombuffer(json.dumps(other).encode(), np.uint8)
    older = np.frombuffer(json.dumps({**description, "format": 0}).encode(), np.uint8)
    cases = {
        tmp_path / "missing.npz": "does not exist",
        tmp_path: "is a folder; give the model.npz in it",
        tmp_path / "cut.npz": "not a readable model.npz",
        tmp_path / "text.npz": "not a readable model.npz",
        tmp_path / "lone.npy": "single numpy array",
        changed(path, tmp_path / "foreign.npz", **{DESCRIPTION: None}): "no description",
        changed(path, tmp_path / "wide.npz", **{DESCRIPTION: as_array}): "has shape .* its network wants",
        changed(path, tmp_path / "old.npz", **{DESCRIPTION: older}): "format 0",
        changed(path, tmp_path / "extra.npz", stray=np.zeros(2)): "parameter stray has shape",
    }
    for case, message in cases.items():
        with pytest.raises(UserError, match=message) as caught:
            read_model(case)
        assert "\n" not in str(caught.value)
        assert case.name in str(caught.value)


def state_at(step):
    return {"step": jnp.int32(step), "w": jnp.arange(6.0).reshape(2, 3) + step}


@pytest.fixture
def saved(tmp_path):
    """Path of a working folder with checkpoints of steps 3 and 6, that of 3 in place of one of 1."""
    folder = WorkFolder(tmp_path / "work", {"a": 1})
    for step in (1, 3, 6):
        folder.save(step, state_at(step))
    folder.finish()
    folder.close()
    return folder.path


def restored(path, like=None):
    folder = WorkFolder(path, {"a": 1})
    try:
        return folder.restore(state_at(0) if like is None else like), folder
    finally:
        folder.close()


def largest_file(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def cut(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(folder):
    path = largest_file(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def empty(folder):
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.unlink()


def test_latest_checkpoint_comes_back(saved):
    state, _ = restored(saved)
    assert int(state["step"]) == 6
    np.testing.assert_array_equal(state["w"], state_at(6)["w"])
    assert sorted(path.name for path in (saved / "checkpoints").glob("[0-9]*")) == ["3", "6"]


@pytest.mark.parametrize("harm", [cut, empty])
def test_broken_checkpoint_is_named_and_the_one_before_taken(saved, caplog, harm):
    harm(saved / "checkpoints" / "6")
    with caplog.at_level(logging.WARNING, "unimat"):
        state, folder = restored(saved)
    assert int(state["step"]) == 3
    (warning,) = [record.message for record in caplog.records if record.name == "unimat.checkpoints"]
    assert f"{saved}/checkpoints/6 is broken" in warning
    assert (saved / "broken-6").is_dir()
    assert folder.latest_step == 3


def test_step_of_a_broken_checkpoint_can_be_saved_again(saved):
    cut(saved / "checkpoints" / "6")
    folder = WorkFolder(saved, {"a": 1})
    folder.restore(state_at(0))
    folder.save(6, state_at(6))
    folder.finish()
    folder.close()
    assert int(restored(saved)[0]["step"]) == 6


def test_checkpoint_of_other_numbers_than_were_saved_is_refused(saved, caplog, monkeypatch):
    folder = WorkFolder(saved, {"a": 1})
    monkeypatch.setattr("unimat.model.training.work_folder.checksum", lambda state: checksum(state) + 1)
    folder.save(9, state_at(9))
    folder.finish()
    folder.close()
    monkeypatch.undo()
    assert int(restored(saved)[0]["step"]) == 6
    assert "checkpoints/9 is broken (its numbers are not those that were saved)" in caplog.text


def test_flipped_byte_is_found_or_harmless(saved):
    """Storage finds it, or the checksum does; never another number."""
    flip(saved / "checkpoints" / "6")
    state, _ = restored(saved)
    step = int(state["step"])
    np.testing.assert_array_equal(state["w"], state_at(step)["w"])


def test_half_written_checkpoint_is_not_there(saved):
    half = saved / "checkpoints" / "9.orbax-checkpoint-tmp-1234"
    half.mkdir()
    (half / "manifest").write_text("half")
    assert int(restored(saved)[0]["step"]) == 6


def test_no_sound_checkpoint_is_one_line(saved):
    for step in ("3", "6"):
        cut(saved / "checkpoints" / step)
    with pytest.raises(UserError, match=r"none of its checkpoints can be read; start anew with --fresh"):
        restored(saved)


def test_full_disk_is_one_line_and_keeps_the_last_good_checkpoint(saved, monkeypatch):
    folder = WorkFolder(saved, {"a": 1})

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder._manager, "save", full)
    with pytest.raises(UserError, match=r"no space left .* last good checkpoint is of step 6 .*make room") as caught:
        folder.save(9, state_at(9))
    assert "\n" not in str(caught.value)
    folder.close()
    assert int(restored(saved)[0]["step"]) == 6


def test_writes_that_a_full_disk_left_on_their_way_print_nothing(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    before = sys.unraisablehook
    folder = WorkFolder(tmp_path / "work", {})
    for error in (RuntimeError("Event loop is closed"), ValueError("something else")):
        sys.unraisablehook(types.SimpleNamespace(exc_type=type(error), exc_value=error))
    folder.close()
    assert [str(each.exc_value) for each in heard] == ["something else"]
    assert sys.unraisablehook is before


def test_any_changed_word_changes_the_checksum():
    tree = {"a": jnp.zeros(5), "b": jnp.arange(4, dtype=jnp.int32)}
    first = int(checksum(tree))
    for i in range(5):
        assert int(checksum({**tree, "a": tree["a"].at[i].set(1e-30)})) != first
    assert int(checksum({**tree, "b": jnp.array([1, 0, 2, 3], jnp.int32)})) != first
    assert bool(all_finite(tree))
    assert not bool(all_finite({**tree, "a": tree["a"].at[2].set(jnp.nan)}))


def test_settings_younger_than_a_folder_had_their_defaults():
    old = {"model": {"channels": 8}, "train": {"seed": 1}, "data": {}}
    filled = with_defaults(old)
    assert filled["model"] == as_dict(ModelSettings(channels=8))
    assert filled["train"]["loss_weight"] == TrainSettings().loss_weight
    assert filled["train"]["seed"] == 1
    assert "fsdp" not in filled["train"]
