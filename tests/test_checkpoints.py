import json

import jax
import numpy as np
import pytest
from model_helpers import TINY_MODEL, write_tiny_dataset

from unimat.errors import UserError
from unimat.model import networks
from unimat.model.checkpoints import DESCRIPTION, read_model, write_model
from unimat.model.encoded import read_encoding
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
