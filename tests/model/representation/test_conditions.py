"""What a network is told of a crystal: values by hand, what is left out, and what is refused."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from pymatgen.core import Composition

from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN, random_table
from unimat.errors import UserError
from unimat.model import networks
from unimat.model.noise.samplers import SamplerSettings
from unimat.model.representation.conditions import condition_shapes, left_out, training_conditions
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.representation.encoded import Encoding, read_encoding
from unimat.model.representation.shards import EncodedSplit
from unimat.model.sampling.condition_satisfaction import obedience, obeyed
from unimat.model.sampling.denoising import Program, guided
from unimat.model.sampling.formula import chemical_system, parsed, reduced
from unimat.model.sampling.requests import Requests, conditions_of, requested_slots, requests_of
from unimat.model.settings import EncodeSettings, ModelSettings, SampleSettings
from unimat.model.training import train as training

ALL = dataclasses.replace(TINY_MODEL, conditions=("composition", "elements", "band_gap", "text"))
CERTAIN = dataclasses.replace(TINY_TRAIN, condition_dropout=0.0)


def encoded(table, settings, folder):
    """Encoding and training split of a dataset on disk, in shards of seven crystals."""
    encode_dataset({"train": [table], "val": [table.take([])], "test": [table.take([])]}, settings, folder, 7)
    return read_encoding(folder), EncodedSplit(folder, "train")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Encoded crystals of H, Li and Be with a scalar property, missing in every third, and a vector."""
    table = random_table(30, choices=(1, 3, 4), most=4)
    rng = np.random.default_rng(0)
    gaps = np.where(np.arange(30) % 3, rng.normal(2.0, 0.5, 30), np.nan)
    vectors = rng.normal(1.0, 2.0, (30, 4))
    table = table.with_column("band_gap", gaps, "eV").with_column("text", vectors.tolist())
    settings = EncodeSettings(elements=("H", "Be"), slots=4, properties=("band_gap", "text"))
    encoding, split = encoded(table, settings, tmp_path_factory.mktemp("encoded"))
    return split, encoding, gaps, vectors


def present_in(encoding: Encoding, counts: list[dict[tuple[int, int], int]]) -> jax.Array:
    """Slots filled from the last one down, where the composition counts from the first one up."""
    slots = np.zeros((len(counts), *encoding.tensor_shape), bool)
    for row, cells in enumerate(counts):
        for (h, w), n in cells.items():
            slots[row, encoding.slots - n :, h, w] = True
    return jnp.asarray(slots)


def test_elements_and_composition_are_those_of_the_crystal(dataset):
    _, encoding, *_ = dataset
    present = present_in(encoding, [{(0, 0): 2, (1, 1): 1}, {(1, 0): 4}])
    settings = dataclasses.replace(TINY_MODEL, conditions=("elements", "composition"))
    made = training_conditions({}, present, encoding, settings, CERTAIN, key=jax.random.key(0), train=True)
    assert made["composition"][0, :, 0, 0, 0].tolist() == [1, 1, 0, 0]
    assert made["composition"][0, :, 1, 1, 0].tolist() == [1, 0, 0, 0]
    assert made["composition"][1, :, 1, 0, 0].tolist() == [1, 1, 1, 1]
    assert float(made["composition"][..., 0].sum()) == 7
    assert made["elements"][0, :, 0, 0, 0].tolist() == [1, 1, 1, 1]
    assert float(made["elements"][..., 0].sum()) == 4 * 3
    for values in made.values():
        assert values.shape == (2, 4, *encoding.grid.shape, 2)
        assert (values[..., 1] == 1).all()  # given


def test_properties_are_standardised_and_missing_ones_are_left_out(dataset):
    split, encoding, gaps, vectors = dataset
    batch = split.batch(np.arange(30), encoding.max_atoms)
    given = np.isfinite(gaps)
    assert encoding.properties["band_gap"]["count"] == given.sum() == 20
    assert encoding.properties["band_gap"]["mean"] == pytest.approx(gaps[given].mean(), rel=1e-6)
    assert encoding.properties["text"]["std"] == pytest.approx(vectors.std(), rel=1e-6)
    present = present_in(encoding, [{(0, 0): 1}] * 30)
    made = training_conditions(batch, present, encoding, ALL, CERTAIN, key=jax.random.key(0), train=True)
    expected = (gaps - gaps[given].mean()) / gaps[given].std()
    np.testing.assert_allclose(made["band_gap"][:, 0], np.where(given, expected, 0), atol=1e-5)
    np.testing.assert_array_equal(made["band_gap"][:, 1], given)
    np.testing.assert_allclose(made["text"][:, :4], (vectors - vectors.mean()) / vectors.std(), atol=1e-5)
    assert {name: values.shape[1:] for name, values in made.items()} == condition_shapes(ALL, encoding)


def test_conditions_are_left_out_at_the_rate_asked_for_and_never_in_validation(dataset):
    _, encoding, *_ = dataset
    settings = dataclasses.replace(TINY_MODEL, conditions=("elements", "composition"))
    recipe = dataclasses.replace(TINY_TRAIN, condition_dropout=0.2)
    present = present_in(encoding, [{(0, 0): 1}] * 20_000)
    draw = lambda train: training_conditions(  # noqa: E731
        {}, present, encoding, settings, recipe, key=jax.random.key(1), train=train
    )
    told = {name: np.asarray(values)[:, 0, 0, 0] for name, values in draw(True).items()}
    shown = {name: values[:, 1] == 1 for name, values in told.items()}
    for name, values in told.items():
        assert shown[name].mean() == pytest.approx(0.8 * 0.8, abs=0.02)
        assert (values[~shown[name]] == 0).all()
    assert (~shown["elements"] & ~shown["composition"]).mean() == pytest.approx(0.2 + 0.8 * 0.2**2, abs=0.02)
    assert all((values[..., 1] == 1).all() for values in draw(False).values())


def test_a_model_without_conditions_is_told_nothing(dataset):
    _, encoding, *_ = dataset
    present = present_in(encoding, [{(0, 0): 1}])
    made = training_conditions({}, present, encoding, TINY_MODEL, TINY_TRAIN, key=jax.random.key(0), train=True)
    assert made == condition_shapes(TINY_MODEL, encoding) == {}


def test_the_loss_of_a_conditional_model_depends_on_what_it_is_told(dataset):
    split, encoding, *_ = dataset
    network = networks.build(ALL, encoding)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda p: jnp.asarray(rng.normal(0, 0.1, p.shape), jnp.float32), network.init(key=jax.random.key(0))
    )
    loss = jax.jit(training.make_loss(network, encoding, ALL, CERTAIN), static_argnums=3)
    batch = jax.device_put(split.batch(np.arange(1, 5), encoding.max_atoms))
    with jax.numpy_dtype_promotion("strict"):
        value = lambda batch: float(loss(params, batch, jax.random.key(1), False)[0])  # noqa: E731
        told, other = value(batch), value({**batch, "properties": batch["properties"] + 3.0})
        nothing = value({**batch, "properties": jnp.full_like(batch["properties"], jnp.nan)})
    assert len({round(each, 6) for each in (told, other, nothing)}) == 3


def test_a_condition_that_the_dataset_does_not_have_is_refused(dataset):
    _, encoding, *_ = dataset
    settings = dataclasses.replace(TINY_MODEL, conditions=("volume",))
    with pytest.raises(UserError, match=r"model.conditions names 'volume'.*elements, composition, band_gap, text"):
        networks.build(settings, encoding)
    with pytest.raises(ValueError, match="conditions holds 'elements' twice"):
        ModelSettings(conditions=("elements", "elements"))
    with pytest.raises(ValueError, match="properties cannot hold 'elements'"):
        EncodeSettings(properties=("elements",))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (["a", "b"], "a column of string"),
        ([[1.0, 2.0], [1.0]], "vectors of one length"),
        ([None, None], "no crystal of the training split has a value"),
    ],
)
def test_a_column_that_is_no_property_is_refused(column, said, tmp_path):
    array = pa.array(column, pa.float64()) if column == [None, None] else column
    table = random_table(2, choices=(6,)).with_column("found", array)
    with pytest.raises(UserError, match=said):
        encoded(table, EncodeSettings(properties=("found",)), tmp_path)
    with pytest.raises(UserError, match="no column 'lost'; its property columns: found"):
        encoded(table, EncodeSettings(properties=("lost",)), tmp_path)


@pytest.mark.parametrize("formula", ["LiFePO4", "Li4Fe4P4O16", "Ca(OH)2", "Al2(SO4)3", "Na3[Fe(CN)6]", "C", "Si4 C4"])
def test_formulas_are_read_as_pymatgen_reads_them(formula):
    expected = Composition(formula)
    assert dict(parsed(formula)) == {element.Z: int(count) for element, count in expected.items()}
    theirs, _ = expected.get_reduced_composition_and_factor()
    assert reduced(parsed(formula)) == {element.Z: int(count) for element, count in theirs.items()}


@pytest.mark.parametrize("formula", ["", "Xx2", "Si0.5C", "Si4C0", "Si(C", "SiC)", "si", "2SiC"])
def test_what_is_no_formula_is_refused(formula):
    with pytest.raises(UserError, match="composition"):
        parsed(formula)


def model_of(dataset, **changes):
    _, encoding, *_ = dataset
    settings = dataclasses.replace(ALL, **changes)
    network = networks.build(settings, encoding)
    return types.SimpleNamespace(settings=settings, encoding=encoding, network=network, description={})


REFUSED = [
    ({"composition": "NaCl"}, {}, "Na has no cell in the model's grid, which has H, Li, Be"),
    ({"composition": "Li5H"}, {}, "5 atoms of Li, and the model has L = 4 slots"),
    ({"chemical_system": "Li-Na"}, {}, "chemical_system 'Li-Na': Na has no cell"),
    ({"chemical_system": "Li-Xx"}, {}, "'Xx' is no element"),
    ({"composition": "LiH"}, {"conditions": ("elements",)}, "not trained with the condition 'composition'.*elements"),
    ({"chemical_system": "Li-H"}, {"conditions": ()}, "not trained with the condition 'elements'.*none"),
    ({"properties": {"density": 2.0}}, {}, "not trained with the condition 'density'.*band_gap"),
    ({"properties": {"band_gap": (1.0, 2.0)}}, {}, "band_gap: 2 numbers, and the model was trained with 1"),
    ({"properties": {"band_gap": float("nan")}}, {}, "band_gap: nan is not finite"),
    ({"composition": "LiH", "chemical_system": "Li-Be"}, {}, "not of the chemical_system"),
    ({"guidance": 1.0}, {}, "guidance needs something to strengthen"),
    ({"composition": "LiH", "mask_slots": True}, {}, "shuffle_slots"),
    ({"chemical_system": "Li-H", "mask_slots": True}, {}, "mask_slots needs a composition"),
    ({"compositions": "nowhere.csv"}, {}, "nowhere.csv does not exist"),
]


@pytest.mark.parametrize(("asked", "model", "said"), REFUSED)
def test_requests_that_cannot_be_met_are_refused_in_one_line(dataset, asked, model, said):
    with pytest.raises(UserError, match=said) as caught:
        requests_of(SampleSettings(**asked), model_of(dataset, **model))
    assert "\n" not in str(caught.value)


def test_a_list_of_compositions_says_how_many_of_each(dataset, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("formula,count\nLiH,2\nBe2,\n", encoding="utf-8")
    model = model_of(dataset)
    requests = requests_of(SampleSettings(n=3, compositions=str(listed)), model)
    assert [requests.formula(i) for i in range(len(requests))] == ["LiH", "LiH", "Be2", "Be2", "Be2"]
    assert requests.row(0)["requested_composition"] == "LiH"
    slots = np.asarray(requested_slots(requests, np.arange(1, 7), model.encoding))  # padded beyond the last
    assert slots.sum((1, 2, 3)).tolist() == [2, 2, 2, 2, 2, 2]
    listed.write_text("formula,count\nLiH,many\n", encoding="utf-8")
    with pytest.raises(UserError, match="count 'many' of LiH"):
        requests_of(SampleSettings(compositions=str(listed)), model)
    listed.write_text("name\nLiH\n", encoding="utf-8")
    with pytest.raises(UserError, match="column formula"):
        requests_of(SampleSettings(compositions=str(listed)), model)


def test_sampling_tells_the_network_what_training_told_it(dataset):
    """A request for what a crystal is gives the conditions that training would give for it, and no more than asked."""
    _, encoding, *_ = dataset
    model = model_of(dataset)
    h, w = divmod(encoding.grid.cell_of[3], encoding.grid.shape[1])
    present = present_in(encoding, [{(0, 0): 2, (h, w): 1}])
    batch = {"properties": jnp.asarray([[1.7, 0.1, 0.2, 0.3, 0.4]], jnp.float32)}
    told = training_conditions(batch, present, encoding, ALL, CERTAIN, key=jax.random.key(0), train=False)
    properties = {"band_gap": 1.7, "text": (0.1, 0.2, 0.3, 0.4)}
    requests = requests_of(SampleSettings(composition="LiH2", properties=properties), model)
    asked = conditions_of(requests, np.arange(1), model)
    for name in told:
        np.testing.assert_allclose(asked[name], told[name], atol=1e-6)
    only = conditions_of(requests_of(SampleSettings(properties={"band_gap": 1.7}), model), np.arange(1), model)
    for name, values in left_out(told, ("composition", "elements", "text")).items():
        np.testing.assert_allclose(only[name], values, atol=1e-6)


class FlagNetwork:
    """Predicts three times whether the composition is given, plus once whether the gap is."""

    def apply(self, params, noisy, log_snr, conditions):
        flags = 3 * conditions["composition"][:, 0, 0, 0, 1] + conditions["band_gap"][:, 1]
        return {"lattice": jnp.broadcast_to(flags[:, None], noisy["lattice"].shape)}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"composition": "LiH"}, 3 * 3 - 2 * 0),
        ({"properties": {"band_gap": 1.0}}, 3 * 1 - 2 * 0),
        ({"composition": "LiH", "properties": {"band_gap": 1.0}}, 3 * 4 - 2 * 3),  # Equation 2: c stays in both terms
    ],
)
def test_guidance_is_equation_2(dataset, asked, expected):
    model = model_of(dataset)
    requests = requests_of(SampleSettings(**asked, guidance=2.0), model)
    conditions = conditions_of(requests, np.arange(3), model)
    program = Program(FlagNetwork(), "epsilon", SamplerSettings(), 2.0, requests.auxiliary, ())
    found = guided(program, {}, {"lattice": jnp.zeros((3, 6))}, jnp.zeros(3), conditions)["lattice"]
    np.testing.assert_allclose(found, expected)


def test_obedience_counts_what_came_out_as_asked():
    requests = Requests((("Si4C4", 4), ("C2", 2)), None, {})
    made = {0: [14] * 4 + [6] * 4, 1: [14, 6], 2: [14, 6, 8], 4: [6] * 3}  # 3 and 5 were no crystals
    counts: dict[tuple[str, str], int] = {}
    for index, numbers in made.items():
        for name in obeyed(requests, index, np.array(numbers)):
            key = (str(requests.formula(index)), name)
            counts[key] = counts.get(key, 0) + 1
    report = obedience(requests, counts)
    found = {name: (of["count"], of["of"]) for name, of in report.items() if name != "by_composition"}
    assert found == {
        "same_composition": (1, 6),
        "same_reduced_composition": (3, 6),
        "same_elements": (3, 6),
        "only_requested_elements": (3, 6),
        "same_n_atoms": (1, 6),
    }
    assert report["by_composition"]["C2"]["of"] == 2
    assert report["by_composition"]["C2"]["same_reduced_composition"] == 1
    assert obedience(Requests(((None, 5),)), {}) == {}
    system = Requests(((None, 2),), chemical_system("Si-C"))
    assert obeyed(system, 0, np.array([6, 6])) == ["only_requested_elements"]
