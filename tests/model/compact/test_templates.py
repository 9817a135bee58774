"""Templates in view of the compact network: what it is shown, the paths, and sampling from a template."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from tests.model.model_helpers import TINY_TRAIN, random_crystal, random_table
from unimat import crystal_table
from unimat.errors import UserError
from unimat.model import networks
from unimat.model.checkpoints import Model, write_model
from unimat.model.compact import flow
from unimat.model.compact.names import CELLS, TEMPLATE
from unimat.model.compact.templates import Bridge, drawn_bridge, told
from unimat.model.compact.torus import wrapped
from unimat.model.representation.augmentation import permuted_axes, translated
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.representation.encoded import TEMPLATE_CELL, TEMPLATE_COORDS, TEMPLATE_LATTICE, read_encoding
from unimat.model.representation.shards import EncodedSplit
from unimat.model.sampling.requests import elements_before
from unimat.model.sampling.sampled_sets import sample
from unimat.model.settings import EncodeSettings, ModelSettings, SampleSettings
from unimat.model.training.fine_tuning import start_of
from unimat.model.training.train import train
from unimat.model.training.train_state import initial_state, make_optimizer

PLAIN = ModelSettings(network="compact", channels=16, layers=2, head_dim=8, harmonics=3, occupancy_channels=8)
COMPACT = dataclasses.replace(PLAIN, templates=True, pair_features="vectors", distance_features=4)
TRAIN = dataclasses.replace(TINY_TRAIN, batch_size=4, pairing="nearest")
ENCODE = EncodeSettings(elements=("C", "Si"), lattice_lengths="volume", templates=True)
PARAMETERS = np.array([[4.0, 5.0, 6.0, 80.0, 90.0, 100.0]], np.float32)


def with_templates(n, seed):
    """Crystals whose templates are 3 % smaller, with the first atom elsewhere; the last has none."""
    rng = np.random.default_rng(seed)
    crystals = []
    for at in range(n):
        numbers = [6, 14, 6] if at % 2 else [14, 14]
        crystal = random_crystal(rng, f"r{seed}-{at}", numbers)
        there = crystal.frac_coords.copy()
        there[0] += 0.05
        known = {
            "template_lattice": (0.99 * crystal.lattice).ravel().tolist(),
            "template_coords": there.ravel().tolist(),
            "template_species": [14 if z == 6 else 6 for z in numbers],
        }
        crystals.append(dataclasses.replace(crystal, properties=known if at < n - 1 else dict.fromkeys(known)))
    return crystal_table.from_crystals(crystals)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    tables = {
        name: [with_templates(n, seed)] for seed, (name, n) in enumerate((("train", 12), ("val", 5), ("test", 3)))
    }
    encode_dataset(tables, ENCODE, folder)
    return folder


@pytest.fixture(scope="module")
def encoding(encoded):
    return read_encoding(encoded)


def random_params(network):
    """Random ones, but for those that begin at zero: fresh parameters predict zero."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda p: jnp.asarray(rng.normal(0, 0.3, p.shape), jnp.float32), network.init(key=jax.random.key(0))
    )


def bridge_of(batch, encoding, **changes):
    settings = dataclasses.replace(TRAIN, template_dropout=0.0, **changes)
    return drawn_bridge(batch, encoding, settings, True, key=jax.random.key(5)), settings


@pytest.fixture(scope="module")
def batch(encoded, encoding):
    return jax.tree.map(jnp.asarray, EncodedSplit(encoded, "train").batch(np.arange(12), encoding.max_atoms))


# ---- encoding


def test_templates_lie_beside_their_crystals(encoded):
    table, split = with_templates(12, 0), EncodedSplit(encoded, "train")
    batch = split.batch(np.array([1, 11]), 4)
    there = np.array(table[1].properties["template_coords"]).reshape(-1, 3)
    sign = np.sign(np.linalg.det(table[1].lattice))
    np.testing.assert_allclose(batch[TEMPLATE_COORDS][0, :3], np.mod(sign * there, 1), atol=1e-6)
    np.testing.assert_allclose(batch[TEMPLATE_LATTICE][0, :3], 0.99 * batch["lattice"][0, :3], rtol=1e-5)
    np.testing.assert_allclose(batch[TEMPLATE_LATTICE][0, 3:], batch["lattice"][0, 3:], rtol=1e-5)
    cell_of = read_encoding(encoded).grid.cell_of
    assert batch[TEMPLATE_CELL].tolist() == [[cell_of[14], cell_of[6], cell_of[14], -1], [-1] * 4]
    assert np.isnan(batch[TEMPLATE_LATTICE][1]).all()
    assert not batch[TEMPLATE_COORDS][1].any()


def test_shards_hold_templates_however_they_are_cut(encoded, tmp_path):
    tables = {
        name: [with_templates(n, seed)] for seed, (name, n) in enumerate((("train", 12), ("val", 5), ("test", 3)))
    }
    encode_dataset(tables, ENCODE, tmp_path / "cut", shard_rows=5)
    whole, cut = EncodedSplit(encoded, "train"), EncodedSplit(tmp_path / "cut", "train")
    assert whole.content == cut.content
    rows = np.array([0, 4, 6, 11])
    for name, values in whole.batch(rows, 4).items():
        np.testing.assert_array_equal(values, cut.batch(rows, 4)[name])


def test_a_dataset_without_templates_is_what_it_was(tmp_path):
    tables = {name: [random_table(3, (6, 14), 3, seed)] for seed, name in enumerate(("train", "val", "test"))}
    encode_dataset(tables, EncodeSettings(elements=("C", "Si")), tmp_path)
    split = EncodedSplit(tmp_path, "train")
    assert "template" not in (tmp_path / "encoding.json").read_text()
    assert sorted(split.batch(np.arange(2), 3)) == ["cell", "coords", "lattice", "slot"]
    with pytest.raises(UserError, match=r"model\.templates is true.*have no templates.*encode\.templates true"):
        train(tmp_path, COMPACT, dataclasses.replace(TRAIN, batch_size=2), tmp_path / "work", tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: crystal_table.CrystalTable(t.arrow.drop_columns("template_coords")), "no column 'template_coords'"),
        (lambda t: t.with_column("template_coords", [[0.0] * 3] * len(t)), r"r0-0: 3 numbers in place of 6"),
    ],
)
def test_templates_that_are_none_are_told(tmp_path, change, message):
    tables = {name: [change(with_templates(4, seed))] for seed, name in enumerate(("train", "val", "test"))}
    with pytest.raises(UserError, match=message):
        encode_dataset(tables, ENCODE, tmp_path)


@pytest.mark.parametrize("change", [permuted_axes, translated])
def test_augmentations_move_crystal_and_template_alike(batch, change):
    same = {**batch, TEMPLATE_COORDS: batch["coords"], TEMPLATE_LATTICE: batch["lattice"]}
    changed = change(same, key=jax.random.key(3))
    assert np.abs(changed["coords"] - batch["coords"]).max() > 0.1
    np.testing.assert_array_equal(changed[TEMPLATE_COORDS], changed["coords"])
    np.testing.assert_array_equal(changed[TEMPLATE_LATTICE], changed["lattice"])


# ---- network


def test_a_network_that_begins_to_see_templates_says_what_it_said(encoding):
    plain = dataclasses.replace(PLAIN, pair_features="vectors", distance_features=4)
    before, after = networks.build(plain, encoding), networks.build(COMPACT, encoding)
    params = random_params(before)
    known = flatten_dict(params)
    fresh = flatten_dict(after.init(key=jax.random.key(1)))
    assert set(known) < set(fresh)
    from unimat.model.training.fine_tuning import _merged

    merged = _merged(known, after.init(key=jax.random.key(1)))
    rng = np.random.default_rng(1)
    noisy = {"coords": jnp.asarray(rng.uniform(size=(2, 3, 3)), jnp.float32), "lattice": jnp.zeros((2, 6))}
    cells, log_snr = jnp.array([[0, 1, 1], [0, 0, -1]]), jnp.array([-1.0, 2.0])
    template = jnp.asarray(rng.uniform(size=(2, 3, 3)), jnp.float32)
    moved_from = jnp.array([[2, 1, 1], [3, 3, -1]])
    shown = told(template, jnp.ones((2, 6)), moved_from, jnp.ones(2, bool), jnp.array([True, False]))

    def squares(network, params, conditions):
        found = network.apply(params, noisy, log_snr, {CELLS: cells, **conditions})
        return sum((values**2).sum() for values in found.values())

    one, of_one = jax.value_and_grad(lambda p: squares(before, p, {}))(params)
    two, of_two = jax.value_and_grad(lambda p: squares(after, p, shown))(merged)
    np.testing.assert_allclose(one, two, rtol=1e-6)
    of_two = flatten_dict(of_two)
    for name, gradient in flatten_dict(of_one).items():
        np.testing.assert_allclose(gradient, of_two[name], rtol=1e-4, atol=1e-5)
    for layer in (
        ("template_in",),
        ("template_move",),
        ("blocks", "attention", "template_out"),
        ("template_lattice_out",),
        ("template_ways",),
    ):
        assert np.abs(of_two[(*layer, "kernel")]).max() > 1e-3, layer  # and it can learn of the template


def test_a_crystal_without_a_template_is_told_nothing(encoding):
    network = networks.build(COMPACT, encoding)
    params = random_params(network)
    noisy = {"coords": jnp.full((1, 3, 3), 0.3), "lattice": jnp.zeros((1, 6))}
    cells = jnp.array([[0, 1, 1]])

    def velocity(coords, shown, moved_from=(0, 1, 1)):
        of_atoms = coords, coords[:, :2].reshape(1, 6), jnp.array([moved_from])
        conditions = told(*of_atoms, jnp.array([shown]), jnp.array([False]))
        return network.apply(params, noisy, jnp.zeros(1), {CELLS: cells, **conditions})["coords"]

    here, there = jnp.full((1, 3, 3), 0.1), jnp.full((1, 3, 3), 0.2)
    np.testing.assert_array_equal(velocity(here, False), velocity(there, False))
    assert np.abs(velocity(here, True) - velocity(there, True)).max() > 1e-3
    np.testing.assert_array_equal(velocity(here, False), velocity(here, False, (3, 1, 1)))
    assert np.abs(velocity(here, True) - velocity(here, True, (3, 1, 1))).max() > 1e-3
    np.testing.assert_array_equal(velocity(here, True), velocity(here, True, (-1, -1, -1)))  # nothing is said of a move


def test_fine_tuning_brings_templates_to_a_model_without(encoded, encoding, tmp_path):
    plain = dataclasses.replace(PLAIN, pair_features="vectors", distance_features=4)
    network = networks.build(plain, encoding)
    params = random_params(network)
    about = {"settings": {"model": dataclasses.asdict(plain)}, "encoding": encoding.to_json()}
    write_model(tmp_path / "model.npz", params, about)
    settings = dataclasses.replace(TRAIN, initial=str(tmp_path / "model.npz"))
    begun = start_of(settings, COMPACT, encoding)
    state = begun.state(initial_state(networks.build(COMPACT, encoding), make_optimizer(settings), 0))
    found = flatten_dict(state.params)
    for name, values in flatten_dict(params).items():
        np.testing.assert_array_equal(found[name], values)
    assert not found["template_in", "kernel"].any()
    write_model(tmp_path / "with.npz", state.params, {**about, "settings": {"model": dataclasses.asdict(COMPACT)}})
    back = dataclasses.replace(settings, initial=str(tmp_path / "with.npz"))
    with pytest.raises(UserError, match=r"model\.templates"):  # what it has learned of them would be lost
        start_of(back, plain, encoding)


def test_a_model_that_knows_templates_learns_from_crystals_without(encoded, encoding, tmp_path):
    network = networks.build(COMPACT, encoding)
    about = {"settings": {"model": dataclasses.asdict(COMPACT)}, "encoding": encoding.to_json()}
    write_model(tmp_path / "model.npz", random_params(network), about)
    tables = {name: [random_table(4, (6, 14), 3, seed)] for seed, name in enumerate(("train", "val", "test"))}
    encode_dataset(
        tables, EncodeSettings(elements=("C", "Si"), lattice_lengths="volume", max_atoms=3, slots=2), tmp_path
    )
    settings = dataclasses.replace(TRAIN, steps=2, batch_size=2, initial=str(tmp_path / "model.npz"))
    report = train(tmp_path, COMPACT, settings, tmp_path / "work", tmp_path / "out")
    assert np.isfinite(report["final"]["loss"])


# ---- paths


def test_a_bridge_leads_from_the_template_to_the_crystal(batch, encoding):
    bridge, settings = bridge_of(batch, encoding, template_start=1.0, template_jitter=0.0)
    assert np.asarray(bridge.starts).tolist() == [True] * 11 + [False]
    coords, lattice = flow.coordinates_of(batch, encoding, None)
    cells, end = batch["cell"].astype(jnp.int32), {"coords": coords, "lattice": lattice}
    start = flow.base(coords.shape, 6, key=jax.random.key(1))
    n, has = len(coords), np.asarray(bridge.starts)
    first, velocity, shown = bridge.path(start, end, cells, settings, jnp.zeros(n))
    last, _, _ = bridge.path(start, end, cells, settings, jnp.ones(n))
    # A template is 3 % smaller in volume and its first atom 0.05 away: the rest moves back by the mean.
    np.testing.assert_allclose(wrapped(first["coords"] - shown[TEMPLATE_COORDS])[has], 0, atol=1e-6)
    np.testing.assert_allclose(first["lattice"][has], bridge.lattice[has], atol=1e-6)
    np.testing.assert_allclose(last["lattice"], lattice, atol=1e-5)
    for row in np.flatnonzero(has):
        atoms = int((cells[row] >= 0).sum())
        wanted = np.full((atoms, 3), 0.05 / atoms)
        wanted[0] -= 0.05
        moved = np.asarray(wrapped(last["coords"] - first["coords"]))[row, :atoms]
        order = np.argmin(np.abs(np.linalg.norm(moved, axis=1)[:, None] - np.linalg.norm(wanted, axis=1)), axis=1)
        np.testing.assert_allclose(np.abs(moved), np.abs(wanted[order]), atol=1e-5)
        np.testing.assert_allclose(moved.sum(0), 0, atol=1e-5)
    np.testing.assert_allclose(velocity["lattice"], lattice - first["lattice"], atol=1e-6)


def test_noise_goes_to_the_crystal_where_its_template_is_seen(batch, encoding):
    bridge, settings = bridge_of(batch, encoding, template_start=0.0)
    coords, lattice = flow.coordinates_of(batch, encoding, None)
    cells, n = batch["cell"].astype(jnp.int32), len(coords)
    start = flow.base(coords.shape, 6, key=jax.random.key(1))
    last, _, shown = bridge.path(start, {"coords": coords, "lattice": lattice}, cells, settings, jnp.ones(n))
    has = np.asarray(bridge.shown)
    assert has.sum() == 11
    beyond = np.abs(wrapped(last["coords"] - shown[TEMPLATE_COORDS]))[has[:, None] & np.asarray(cells >= 0)]
    assert beyond.max() < 0.05  # the origin of the crystal is tied to the template's
    assert np.asarray(shown[TEMPLATE])[-1].tolist() == [0, 0]
    # Without a template the path is that of a network which knows none.
    alone = {"coords": flow.nearest(start["coords"], coords, cells), "lattice": lattice}
    halfway, velocity = flow.path(start, alone, cells >= 0, jnp.full(n, 0.5))
    found, same, _ = bridge.path(start, {"coords": coords, "lattice": lattice}, cells, settings, jnp.full(n, 0.5))
    np.testing.assert_allclose(found["coords"][-1], halfway["coords"][-1], atol=1e-6)
    np.testing.assert_allclose(same["coords"][-1], velocity["coords"][-1], atol=1e-6)


def test_where_an_element_moved_from_goes_with_its_place():
    """Two equal atoms, whose template has another element at either place: the noise lies the other way round."""
    places = jnp.array([[[0.1, 0.2, 0.3], [0.6, 0.7, 0.8]]])
    flags = jnp.array([True]), jnp.array([False])
    jitter = {"coords": jnp.zeros((1, 2, 3)), "lattice": jnp.zeros((1, 6))}
    bridge = Bridge(places, jnp.zeros((1, 6)), jnp.array([[2, 3]]), *flags, jitter, jnp.array([0.5]))
    start, end = ({"coords": coords, "lattice": jnp.zeros((1, 6))} for coords in (places[:, ::-1] + 0.01, places))
    settings = dataclasses.replace(TRAIN, pairing="nearest")
    _, _, shown = bridge.path(start, end, jnp.array([[1, 1]]), settings, jnp.array([0.5]))
    np.testing.assert_allclose(shown[TEMPLATE_COORDS], places[:, ::-1] + 0.01, atol=1e-5)
    assert shown[TEMPLATE_CELL].tolist() == [[3, 2]]


def test_errors_of_bridges_count_in_units_of_their_length():
    flags = jnp.array([True, False])
    bridge = Bridge(
        jnp.zeros((2, 1, 3)), jnp.zeros((2, 6)), jnp.full((2, 1), -1), flags, flags, {}, jnp.array([0.1, 0.2])
    )
    velocity = {"coords": jnp.full((2, 1, 3), 0.1), "lattice": jnp.full((2, 6), 2.0)}
    squared = {"coords": jnp.array([0.01 * 12, 1.0]), "lattice": jnp.array([4.0, 1.0])}
    found = bridge.weighted(squared, velocity, jnp.ones((2, 1), bool))
    np.testing.assert_allclose(found["coords"], [0.01 / (0.01 + 0.02**2), 1.0], rtol=1e-5)
    np.testing.assert_allclose(found["lattice"], [4 / (4 + 0.15**2), 1.0], rtol=1e-5)
    np.testing.assert_allclose(bridge.times(jnp.array([0.6, 0.7])), [0.1, 0.7], rtol=1e-6)


# ---- sampling


@pytest.fixture(scope="module")
def fresh(encoding):
    """A model that says nothing: all velocities are zero."""
    network = networks.build(COMPACT, encoding)
    return Model(COMPACT, encoding, network, network.init(key=jax.random.key(0)), {})


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    path = tmp_path_factory.mktemp("templates") / "templates.parquet"
    bare = with_templates(5, 7)
    crystal_table.write(crystal_table.CrystalTable(bare.arrow.select(list(crystal_table.STRUCTURE_COLUMNS))), path)
    return path


def settings_of(templates, **changes):
    return SampleSettings(**{"steps": 3, "batch_size": 4, "clip": False, "templates": str(templates), **changes})


def test_what_starts_at_a_template_and_goes_nowhere_is_the_template(fresh, templates):
    found, rejected, _ = sample(fresh, settings_of(templates, start="template"))
    known = crystal_table.read(templates)
    assert not rejected
    assert found.column("template_id").tolist() == known.material_ids
    for ours, theirs in zip(found, known, strict=True):
        assert sorted(ours.atomic_numbers) == sorted(theirs.atomic_numbers)
        np.testing.assert_allclose(
            np.linalg.norm(ours.lattice, axis=1), np.linalg.norm(theirs.lattice, axis=1), rtol=1e-5
        )
        sign = np.sign(np.linalg.det(theirs.lattice))
        order = np.argsort(theirs.atomic_numbers, kind="stable")
        np.testing.assert_allclose(wrapped(ours.frac_coords - sign * theirs.frac_coords[order]), 0, atol=1e-5)


def test_jitter_moves_a_start(fresh, templates):
    still, moved = (
        sample(fresh, settings_of(templates, start="template", keep_symmetry=False, template_jitter=jitter))[0]
        for jitter in (0.0, 0.02)
    )
    assert 0.005 < np.abs(wrapped(still.flat_frac_coords - moved.flat_frac_coords)).mean() < 0.04
    assert np.abs(still.lattices - moved.lattices).max() > 1e-3


def test_what_starts_at_templates_learns_where_the_crystals_are(batch, encoding):
    """Every crystal's first atom lies 0.05 before its template's, and the lattice is 1 % longer."""
    settings = dataclasses.replace(
        TRAIN, template_dropout=0.0, template_start=1.0, permute_axes=False, occupancy_orders=1
    )
    network = networks.build(COMPACT, encoding)
    loss, optimizer = flow.make_loss(network, encoding, COMPACT, settings), optax.adam(1e-2)
    near = {name: values[:11] for name, values in batch.items()}

    @jax.jit
    def step(params, state, key):
        gradients, report = jax.grad(loss, has_aux=True)(params, near, key, True)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, (report["loss_coords"], report["loss_lattice"])

    params = network.init(key=jax.random.key(0))
    state, errors = optimizer.init(params), []
    for number in range(150):
        params, state, found = step(params, state, jax.random.key(number))
        errors.append(np.array(found))
    first, last = np.mean(errors[:10], axis=0), np.mean(errors[-10:], axis=0)
    assert (last < 0.6 * first).all(), (first, last)


def test_bad_requests_are_told(fresh, encoding, templates, tmp_path):
    plain = networks.build(PLAIN, encoding)
    knows_none = Model(PLAIN, encoding, plain, plain.init(key=jax.random.key(0)), {})
    with pytest.raises(UserError, match=r"the model knows none; give one that was trained with model\.templates true"):
        sample(knows_none, settings_of(templates))
    salt = random_table(2, (11, 17), 2, 0)
    crystal_table.write(salt, tmp_path / "salt.parquet")
    with pytest.raises(UserError, match=r"2 of .*salt\.parquet cannot be used, the first r0-0: .* has no cell"):
        sample(fresh, settings_of(tmp_path / "salt.parquet"))
    for changes, message in (
        ({"start": "template"}, "need templates"),
        ({"templates": "x", "composition": "SiC"}, "leave composition"),
    ):
        with pytest.raises(ValueError, match=message):
            SampleSettings(**changes)
    with pytest.raises(ValueError, match="templates are for network compact"):
        ModelSettings(templates=True)


def test_elements_before_the_exchange_are_those_of_the_moves():
    rows = [random_crystal(np.random.default_rng(0), name, [8, 38, 8]) for name in "abcd"]
    table = crystal_table.from_crystals(rows)
    assert elements_before(table).tolist() == [8, 38, 8] * 4
    table = table.with_column("moves", ["Ba->Sr S->O", "Ba->Sr", "Ba->Sr (1 of 2)", None])
    assert elements_before(table).reshape(4, 3).tolist() == [[16, 56, 16], [8, 56, 8], [8, 38, 8], [8, 38, 8]]
