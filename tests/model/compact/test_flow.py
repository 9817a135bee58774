"""Flow matching on the torus: the path, and training and sampling of a whole compact model."""

import dataclasses
import json
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.model_helpers import TINY_TRAIN, random_table
from unimat import crystal_table
from unimat.cli import main
from unimat.errors import UserError
from unimat.model.checkpoints import read_model
from unimat.model.compact import flow
from unimat.model.compact.names import OCCUPANCY
from unimat.model.machine.interruption import Interrupted
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.sampling.sampled_sets import sample, sample_into
from unimat.model.settings import EncodeSettings, ModelSettings, SampleSettings
from unimat.model.training.train import train
from unimat.model.training.train_state import make_optimizer

COMPACT = ModelSettings(network="compact", channels=16, layers=2, head_dim=8, harmonics=3, occupancy_channels=8)
TRAIN = dataclasses.replace(TINY_TRAIN, batch_size=4, occupancy_steps=3)
SETTINGS = SampleSettings(n=6, steps=4, batch_size=4, seed=1)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    tables = {
        name: [random_table(n, (6, 14), 6, seed)]
        for seed, (name, n) in enumerate(zip(("train", "val", "test"), (22, 7, 5), strict=True))
    }
    encode_dataset(tables, EncodeSettings(elements=("C", "Si"), lattice_lengths="per_atom"), folder)
    return folder


@pytest.fixture(scope="module")
def trained(encoded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    report = train(encoded, COMPACT, TRAIN, folder / "work", folder / "model")
    return folder, report


@pytest.fixture(scope="module")
def model(trained):
    return read_model(trained[0] / "model" / "model.npz")


def test_path_is_the_shortest_way_and_leaves_the_centre_alone():
    present = jnp.array([[True, True, False]])
    start = {"coords": jnp.array([[[0.9, 0.5, 0.0], [0.1, 0.5, 0.0], [0.3, 0.3, 0.3]]]), "lattice": jnp.zeros((1, 6))}
    end = {"coords": jnp.array([[[0.1, 0.5, 0.2], [0.1, 0.9, 0.2], [0.0, 0.0, 0.0]]]), "lattice": jnp.ones((1, 6))}
    halfway, velocity = flow.path(start, end, present, jnp.array([0.5]))
    # 0.2 over the border for the first atom and 0.4 up for the second; less their means of 0.1, 0.2 and 0.2.
    wanted = [[[0.1, -0.2, 0.0], [-0.1, 0.2, 0.0], [0, 0, 0]]]
    np.testing.assert_allclose(velocity["coords"], wanted, atol=1e-6)
    np.testing.assert_allclose(halfway["coords"][0, :2], [[0.95, 0.4, 0.0], [0.05, 0.6, 0.0]], atol=1e-6)
    np.testing.assert_allclose(halfway["lattice"], 0.5)
    arrived, _ = flow.path(start, end, present, jnp.array([1.0]))
    moved = flow.wrapped(arrived["coords"] - end["coords"])[0, :2]
    np.testing.assert_allclose(moved[0], moved[1], atol=1e-6)  # the crystal of the data, at another origin


def test_log_snr_of_the_path():
    np.testing.assert_allclose(flow.log_snr_of(jnp.array([0.5, 0.9])), [0, 2 * np.log(9)], rtol=1e-5)
    assert np.isfinite(flow.log_snr_of(jnp.array([0.0, 1.0]))).all()


def test_pairing_changes_what_is_learned_and_nothing_else(encoded, trained, tmp_path):
    settings = dataclasses.replace(TRAIN, pairing="nearest")
    report = train(encoded, COMPACT, settings, tmp_path / "work", tmp_path / "model")
    assert report["final"]["loss_coords"] < trained[1]["final"]["loss_coords"]  # shorter paths
    crystals, rejected, _ = sample(read_model(tmp_path / "model" / "model.npz"), SETTINGS)
    assert len(crystals) + len(rejected) == SETTINGS.n


def test_times_are_even_or_normal_in_the_logarithm_of_noise_over_data():
    even = np.asarray(flow.times(4000, TRAIN, key=jax.random.key(0)))
    np.testing.assert_allclose(np.sort(even), np.linspace(0, 1, 4000), atol=3e-4)
    settings = dataclasses.replace(TRAIN, noise_levels="log_normal", noise_mean=-0.6, noise_std=1.2)
    late = np.asarray(flow.times(4000, settings, key=jax.random.key(0)), float)
    assert ((late > 0) & (late < 1)).all()
    ratio = np.log((1 - late) / late)
    assert (np.median(ratio), ratio.std()) == pytest.approx((-0.6, 1.2), abs=0.02)


def test_training_writes_what_it_does_of_other_networks(trained):
    folder, report = trained
    assert report["steps"] == 8
    history = (folder / "model" / "history.csv").read_text().splitlines()
    row = dict(zip(history[0].split(","), history[-1].split(","), strict=True))
    assert float(row["loss"]) == pytest.approx(float(row["loss_coords"]) + float(row["loss_lattice"]), rel=1e-4)
    assert float(row["loss_occupancy"]) > 0
    assert float(row["val_loss"]) > 0


def test_validation_measures_the_loss_that_training_reports(encoded, tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "OCCUPANCY_WEIGHT", 1e6)
    settings = dataclasses.replace(TRAIN, steps=1, learning_rate=1e-12, warmup_steps=0)
    final = train(encoded, COMPACT, settings, tmp_path / "work", tmp_path / "model")["final"]
    assert final["val_loss"] == pytest.approx(final["loss"], rel=0.9)  # few crystals, but no composition's loss in it


def test_each_order_of_a_composition_is_drawn_by_itself(encoded, tmp_path):
    found = {}
    for orders in (1, 200):
        settings = dataclasses.replace(TRAIN, steps=1, learning_rate=1e-12, warmup_steps=0, occupancy_orders=orders)
        found[orders] = train(encoded, COMPACT, settings, tmp_path / f"w{orders}", tmp_path / f"m{orders}")["final"]
    assert found[1]["loss_coords"] == found[200]["loss_coords"]
    assert found[1]["loss_occupancy"] != found[200]["loss_occupancy"]


def test_an_interrupted_training_ends_with_the_same_parameters(trained, encoded, tmp_path):
    limited = dataclasses.replace(TRAIN, time_limit_minutes=1e-6)
    for _ in range(20):
        try:
            train(encoded, COMPACT, limited, tmp_path / "work", tmp_path / "model")
            break
        except Interrupted:
            continue
    again, once = read_model(tmp_path / "model" / "model.npz"), read_model(trained[0] / "model" / "model.npz")
    jax.tree.map(np.testing.assert_array_equal, again.params, once.params)


def test_model_of_compositions_rests_after_its_steps(encoded, tmp_path):
    params = []
    for steps in (4, 8):
        settings = dataclasses.replace(TRAIN, steps=steps, ema_decay=0.0, occupancy_steps=4)
        train(encoded, COMPACT, settings, tmp_path / f"work{steps}", tmp_path / f"model{steps}")
        params.append(read_model(tmp_path / f"model{steps}" / "model.npz").params)
    jax.tree.map(np.testing.assert_array_equal, params[0]["occupancy"], params[1]["occupancy"])
    assert np.abs(params[0]["coords"]["kernel"] - params[1]["coords"]["kernel"]).max() > 0


def test_rate_of_the_model_of_compositions_is_in_units_of_the_learning_rate():
    params = {OCCUPANCY: {"size": np.zeros(3)}, "coords": {"kernel": np.zeros(3)}}
    gradients = {OCCUPANCY: {"size": np.ones(3)}, "coords": {"kernel": np.ones(3)}}
    leaves = ((OCCUPANCY, "size"), ("coords", "kernel"))

    def moved(**changes):
        settings = dataclasses.replace(TRAIN, warmup_steps=0, learning_rate=1e-3, steps=100, **changes)
        optimizer = make_optimizer(settings)
        state, steps = optimizer.init(params), []
        for _ in range(5):
            updates, state = optimizer.update(gradients, state, params)
            steps.append([-float(updates[name][leaf][0]) for name, leaf in leaves])
        return np.array(steps).T

    fading = 0.5 * (1 + np.cos(np.pi * np.arange(5) / 4))
    for steps, factors in ((None, np.ones(5)), (4, fading)):
        occupancy, coords = moved(occupancy_rate=3.0, occupancy_steps=steps)
        np.testing.assert_allclose(coords, 1e-3, rtol=1e-4)
        np.testing.assert_allclose(occupancy, 3e-3 * factors, rtol=1e-4, atol=1e-9)


def test_numbers_of_atoms_are_as_frequent_as_in_the_train_split(model):
    sizes = model.params["occupancy"]["size"]
    wanted = np.bincount(random_table(22, (6, 14), 6, 0).n_atoms, minlength=7) / 22
    np.testing.assert_allclose(np.exp(sizes), wanted, atol=1e-6)


def table_of(model, **changes):
    return sample(model, dataclasses.replace(SETTINGS, **changes))


def formulas(table):
    ends = np.cumsum(table.n_atoms)[:-1]
    return [sorted(part.tolist()) for part in np.split(np.asarray(table.flat_atomic_numbers), ends)]


def test_crystals_depend_on_seed_and_index_alone(model):
    whole, parts, other = (table_of(model, **c)[0] for c in ({}, {"batch_size": 2}, {"seed": 2}))
    assert formulas(whole) == formulas(parts)
    np.testing.assert_allclose(whole.flat_frac_coords, parts.flat_frac_coords, atol=1e-4)
    assert formulas(whole) != formulas(other)


def test_a_composition_is_always_obeyed(model):
    table, rejected, report = table_of(model, composition="Si2C3")
    assert formulas(table) == [[6, 6, 6, 14, 14]] * len(table)
    assert len(table) + len(rejected) == 6
    assert report["obeyed"]["same_composition"]["count"] == len(table)
    assert "near_null_border" not in report


def test_more_atoms_than_any_crystal_of_the_data_can_be_asked_for(model):
    table = table_of(model, composition="Si6C4")[0]
    assert {len(formula) for formula in formulas(table)} == {10}


def test_numbers_of_atoms_and_elements_are_obeyed_when_compositions_are_drawn(model):
    table = table_of(model, n_atoms=5, n=20)[0]
    assert set(table.n_atoms.tolist()) == {5}
    table = table_of(model, chemical_system="C", n=20)[0]
    assert {z for formula in formulas(table) for z in formula} == {6}
    table = table_of(model, chemical_system="C-Si", n=20)[0]
    assert all(set(formula) == {6, 14} for formula in formulas(table))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": "ancestral"}, "a compact network has euler"),
        ({"n_atoms": 7}, "no crystal of 7 atoms can be drawn; the model knows crystals of up to 6"),
        ({"n_atoms": 1, "chemical_system": "C-Si"}, "at least one atom of each"),
        ({"composition": "NaCl"}, "Na has no cell"),
        ({"properties": {"band_gap": 1.0}}, "not trained with the condition 'band_gap'"),
    ],
)
def test_what_cannot_be_drawn_is_told(model, changes, message):
    with pytest.raises(UserError, match=message):
        table_of(model, **changes)


def test_an_interrupted_set_goes_on(model, tmp_path, monkeypatch):
    monkeypatch.setattr("unimat.model.compact.sampling.WINDOW", 1)
    from unimat.model.sampling import sampled_sets

    write = sampled_sets._write_part
    monkeypatch.setattr(sampled_sets, "_write_part", lambda *a: (write(*a), (_ for _ in ()).throw(KeyboardInterrupt)))
    with pytest.raises(KeyboardInterrupt):
        sample_into(model, SETTINGS, tmp_path / "set")
    assert len(list((tmp_path / "set").glob(".sampling-*/part-*"))) == 1
    monkeypatch.setattr(sampled_sets, "_write_part", write)
    sample_into(model, SETTINGS, tmp_path / "set")
    whole = table_of(model)[0]
    found = crystal_table.read(tmp_path / "set" / "crystals.parquet")
    assert found.material_ids == whole.material_ids
    np.testing.assert_allclose(found.flat_frac_coords, whole.flat_frac_coords, atol=1e-6)


def test_command_line(trained, tmp_path):
    path = str(trained[0] / "model" / "model.npz")
    settings = json.dumps({"steps": 2, "n": 3})
    assert main(["sample", "--model", path, "--settings", settings, "--out", str(tmp_path / "set")]) in (0, None)
    assert (tmp_path / "set" / "sampling.json").exists()


def test_late_steps_settle_and_never_pass_the_end():
    """On a flow to one point, Euler's method with anti-annealing ends there for any slope."""
    from unimat.model.compact.sampling import Course, _followed

    class ToOrigin:
        shapes: ClassVar = {"lattice": (6,)}

        def apply(self, params, state, log_snr, conditions):
            t = 1 / (1 + jnp.exp(-log_snr / 2))
            return {"coords": flow.wrapped(-state["coords"]) / (1 - t)[:, None, None], "lattice": -state["lattice"]}

        __hash__ = object.__hash__

    mesh = jax.sharding.Mesh(np.array(jax.local_devices()[:1]), ("data",))
    for slope in (0.0, 5.0, 50.0):
        course = Course(ToOrigin(), 10, slope, 0.0, (), mesh)
        keys = jax.vmap(jax.random.key)(jnp.arange(3))
        state = _followed(course, 2, 2, {}, keys, {})
        np.testing.assert_allclose(flow.wrapped(state["coords"]), 0, atol=1e-4)
