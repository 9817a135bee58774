"""Training that starts from a finished model: its parameters, its grid and its standardisation."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN, random_table, write_tiny_dataset
from unimat.cli import main
from unimat.errors import UserError
from unimat.files import read_json
from unimat.model.checkpoints import read_model
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.representation.encoded import read_encoding
from unimat.model.settings import EncodeSettings, ModelSettings
from unimat.model.shipped import model_card, pretrained
from unimat.model.shipped.publishing import publish
from unimat.model.training.fine_tuning import Start, in_terms_of, model_settings_of, start_of
from unimat.model.training.train import train
from unimat.model.training.train_state import initial_state, make_optimizer
from unimat.settings import as_dict


def encode(folder, most=3, **settings):
    """Encoded dataset of other random carbon crystals than `write_tiny_dataset` makes."""
    tables = {
        name: [random_table(n, (6,), most, seed)] for name, n, seed in (("train", 9, 7), ("val", 4, 8), ("test", 1, 9))
    }
    encode_dataset(tables, EncodeSettings(**({"elements": ("C",)} | settings)), folder)
    return read_encoding(folder)


def start(source, encoding, model=TINY_MODEL):
    return start_of(dataclasses.replace(TINY_TRAIN, initial=str(source)), model, encoding)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_tiny_dataset(folder / "encoded")
    train(folder / "encoded", TINY_MODEL, TINY_TRAIN, folder / "work", folder)
    return folder


@pytest.fixture
def named(trained, tmp_path, monkeypatch):
    """The trained model as a published one, `tiny`."""
    publish(trained / "model.npz", tmp_path / "published", "tiny", "CC0-1.0", {"name": "tiny"})
    monkeypatch.setenv(pretrained.VARIABLE, str(tmp_path / "published"))
    return "tiny"


def test_no_initial_model_changes_nothing(tmp_path):
    encoding = encode(tmp_path)
    assert start_of(TINY_TRAIN, TINY_MODEL, encoding) == Start(encoding)
    fresh = object()
    assert Start(encoding).state(fresh) is fresh


def test_parameters_are_the_model_s_and_each_array_its_own(trained, tmp_path):
    from unimat.model import networks

    begun = start(trained / "model.npz", encode(tmp_path))
    network = networks.build(TINY_MODEL, begun.encoding)
    state = begun.state(initial_state(network, make_optimizer(TINY_TRAIN), 0))
    model = read_model(trained / "model.npz")
    for tree in (state.params, state.ema_params):
        jax.tree.map(np.testing.assert_array_equal, tree, model.params)
    assert not {id(leaf) for leaf in jax.tree.leaves(state.params)} & {
        id(leaf) for leaf in jax.tree.leaves(state.ema_params)
    }
    assert int(state.step) == 0


def test_lattices_keep_the_standardisation_that_the_model_knows(trained, tmp_path):
    ours, theirs = encode(tmp_path), read_encoding(trained / "encoded")
    encoding = start(trained / "model.npz", ours).encoding
    assert encoding.lattice_mean == theirs.lattice_mean
    assert encoding.lattice_std == theirs.lattice_std
    assert encoding.slots == theirs.slots
    assert encoding.max_atoms == theirs.max_atoms
    assert encoding.n == ours.n
    # The same range of lattices: standardised by either, it means the same lengths and angles.
    for low in ("lattice_low", "lattice_high"):
        one, other = (
            np.array(getattr(each, low)) * np.array(each.lattice_std) + np.array(each.lattice_mean)
            for each in (encoding, ours)
        )
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert in_terms_of(theirs, theirs).to_json()["lattice_mean"] == theirs.to_json()["lattice_mean"]


def test_training_goes_on_from_the_model_and_resumes(trained, tmp_path):
    """One step at a learning rate of nothing keeps the model; a few at a real one move it."""
    encode(tmp_path / "encoded")
    settings = dataclasses.replace(TINY_TRAIN, initial=str(trained / "model.npz"), steps=1, warmup_steps=0)
    still = dataclasses.replace(settings, learning_rate=1e-30)
    train(tmp_path / "encoded", TINY_MODEL, still, tmp_path / "work", tmp_path / "still")
    before, after = (read_model(folder / "model.npz") for folder in (trained, tmp_path / "still"))
    jax.tree.map(np.testing.assert_array_equal, after.params, before.params)
    assert after.encoding.lattice_mean == before.encoding.lattice_mean
    moved = dataclasses.replace(settings, steps=3)
    train(tmp_path / "encoded", TINY_MODEL, moved, tmp_path / "moved-work", tmp_path / "moved")
    assert read_json(tmp_path / "moved/training.json")["settings"]["train"]["initial"] == str(trained / "model.npz")
    parts = zip(
        *(jax.tree.leaves(read_model(folder / "model.npz").params) for folder in (trained, tmp_path / "moved")),
        strict=True,
    )
    assert any(not np.array_equal(one, other) for one, other in parts)
    again = train(tmp_path / "encoded", TINY_MODEL, moved, tmp_path / "moved-work", tmp_path / "again")
    assert again["steps"] == 3
    with pytest.raises(UserError, match=r"train.initial: None here"):
        train(
            tmp_path / "encoded",
            TINY_MODEL,
            dataclasses.replace(moved, initial=None),
            tmp_path / "moved-work",
            tmp_path / "x",
        )


def test_another_network_is_refused_in_one_line(named, trained, tmp_path):
    encoding = encode(tmp_path / "encoded")
    other = dataclasses.replace(TINY_MODEL, channels=16, prediction="v", dropout=0.3)
    with pytest.raises(UserError) as caught:
        start(named, encoding, other)
    assert "train.initial 'tiny' does not fit: model.channels: 16 here, 8 there; model.prediction: 'v' here" in str(
        caught.value
    )
    assert "`unimat pretrained tiny --sections`" in str(caught.value)
    assert "dropout" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError) as caught:
        start(trained / "model.npz", encoding, other)
    assert "unimat pretrained" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"elements": ("C", "Si")}, r"encode.rows: \[1, 2\] here, \[1\] there"),
        ({"lattice_lengths": "raw"}, "encode.lattice_lengths: 'raw' here, 'log' there"),
        ({"coordinates": "cartesian"}, "encode.coordinates: 'cartesian' here, 'fractional' there"),
        ({"slots": 24}, "encode.slots: 24 here, at most 3 there"),
    ],
)
def test_another_grid_is_refused_by_its_key(trained, tmp_path, settings, said):
    with pytest.raises(UserError, match=said):
        start(trained / "model.npz", encode(tmp_path, **settings))


def test_larger_cells_and_missing_properties_are_refused(trained, tmp_path):
    with pytest.raises(UserError, match=r"encode.slots: 6 here, at most 3 there; encode.max_atoms: 6 here, at most 3"):
        start(trained / "model.npz", encode(tmp_path, most=6))


def test_smaller_cells_take_the_model_s_slots(trained, tmp_path):
    ours = encode(tmp_path, most=2)
    assert (ours.slots, ours.max_atoms) == (2, 2)
    assert start(trained / "model.npz", ours).encoding.tensor_shape == (3, 1, 1)


def test_unknown_models_are_one_line(tmp_path, monkeypatch):
    encoding = encode(tmp_path)
    with pytest.raises(UserError, match="no trained model 'carbn'; there are"):
        start("carbn", encoding)
    with pytest.raises(UserError, match=r"nowhere.npz does not exist"):
        start("nowhere.npz", encoding)


def test_settings_that_are_left_out_are_the_model_s(named):
    assert model_settings_of(None, named) == TINY_MODEL
    assert model_settings_of('{"dropout": 0.0}', named) == dataclasses.replace(TINY_MODEL, dropout=0.0)
    assert model_settings_of('{"channels": 16}', None) == ModelSettings(channels=16)
    with pytest.raises(UserError, match="unknown key 'chanels'"):
        model_settings_of('{"chanels": 16}', named)


def test_the_command_fine_tunes_by_name(named, tmp_path, capsys):
    encode(tmp_path / "encoded")
    settings = {**as_dict(TINY_TRAIN), "initial": named, "steps": 2}
    flags = ["train", "--encoded", tmp_path / "encoded", "--work", tmp_path / "work", "--out", tmp_path / "model"]
    assert main([str(word) for word in [*flags, "--settings", json.dumps(settings)]]) == 0
    assert read_model(tmp_path / "model/model.npz").settings == TINY_MODEL
    begun = {"source": "tiny", "name": "tiny", "licence": "CC0-1.0", "dataset": {"name": "tiny"}, "initial": None}
    assert read_json(tmp_path / "model/training.json")["initial"] == begun
    card = publish(tmp_path / "model/model.npz", tmp_path / "again", "moved", "MIT", {"name": "mine"})
    assert card["initial"] == begun
    assert "| Starting model | tiny, trained on tiny (licence: not stated) |" in model_card.page(card)
    assert "Parameters: MIT. Data: not stated. Parameters of the starting model: CC0-1.0." in model_card.page(card)
    words = [*flags, "--fresh", "--settings", json.dumps(settings), "--model-settings", '{"blocks": 2}']
    assert main([str(word) for word in words]) == 2
    assert "model.blocks: 2 here, 1 there" in capsys.readouterr().err
