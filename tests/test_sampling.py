import dataclasses

import jax
import numpy as np
import pytest
from model_helpers import TINY_MODEL, write_tiny_dataset

from unimat import crystal_table
from unimat.cli import main
from unimat.files import read_json
from unimat.model import networks
from unimat.model.checkpoints import Model, write_model
from unimat.model.encoded import read_encoding
from unimat.model.sampling import denoised_batches, sample
from unimat.model.settings import SampleSettings
from unimat.settings import as_dict

SETTINGS = SampleSettings(n=6, steps=8, batch_size=6, seed=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model on a grid of three elements and, right of hydrogen, a cell without one."""
    folder = tmp_path_factory.mktemp("model")
    write_tiny_dataset(folder, choices=(1, 3, 4), elements=("H", "Be"))
    encoding = read_encoding(folder)
    network = networks.build(TINY_MODEL, encoding)
    params = jax.tree.map(
        lambda p: np.asarray(np.random.default_rng(0).normal(0, 0.1, p.shape), np.float32),
        network.init(key=jax.random.key(0)),
    )
    return Model(TINY_MODEL, encoding, network, params, {})


def states(model, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    batches = [state for _, state in denoised_batches(model, settings)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in ("coords", "lattice")}


def test_crystals_depend_on_seed_and_index_alone(model):
    whole, parts, fewer, other = (
        states(model, **changes) for changes in ({}, {"batch_size": 4}, {"n": 3}, {"seed": 2})
    )
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], atol=1e-4)
        np.testing.assert_allclose(fewer[name], whole[name][:3], atol=1e-4)
        assert np.abs(other[name] - whole[name]).max() > 0.1
        assert len({row.tobytes() for row in whole[name]}) == 6


def test_table_report_and_rejections_add_up(model):
    table, rejected, report = sample(model, SETTINGS)
    assert table.metadata["n_requested"] == 6
    assert len(table) + len(rejected) == 6 == report["n_crystals"] + report["n_rejected"]
    names = sorted([*table.material_ids, *(row.material_id for row in rejected)])
    assert names == [f"gen-{i:06d}" for i in range(6)]
    assert {int(z) for z in table.flat_atomic_numbers} <= {1, 3, 4}
    assert report["near_null_border"]["of"] == 6 * model.encoding.slots * 3
    assert sum(report["n_atoms"].values()) == len(table)


def test_command_writes_the_same_bytes_twice(model, tmp_path):
    description = {"settings": {"model": as_dict(TINY_MODEL)}, "encoding": model.encoding.to_json()}
    write_model(tmp_path / "model.npz", model.params, description)
    for out in ("a", "b"):
        settings = '{"n": 6, "steps": 8}'
        command = ["sample", "--model", f"{tmp_path}/model.npz", "--settings", settings, "--out", f"{tmp_path}/{out}"]
        assert main(command) == 0
    for name in ("crystals.parquet", "rejected.parquet", "sampling.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    table = crystal_table.read(tmp_path / "a" / "crystals.parquet")
    assert read_json(tmp_path / "a" / "sampling.json")["n_crystals"] == len(table)
    assert main(["sample", "--model", str(tmp_path / "none.npz"), "--out", str(tmp_path / "c")]) == 2
    assert not (tmp_path / "c").exists()
