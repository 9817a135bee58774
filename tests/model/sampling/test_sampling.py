import dataclasses
import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import monitoring

from tests.model.model_helpers import TINY_MODEL, random_table, write_tiny_dataset
from unimat import crystal_table
from unimat.cli import main
from unimat.files import read_json
from unimat.model import networks
from unimat.model.checkpoints import Model, read_model, write_model
from unimat.model.noise.samplers import SAMPLERS
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.representation.encoded import read_encoding
from unimat.model.sampling import denoising
from unimat.model.sampling.denoising import batch_size, denoised_batches
from unimat.model.sampling.requests import requests_of
from unimat.model.sampling.sampled_sets import sample, sample_into
from unimat.model.settings import EncodeSettings, SampleSettings
from unimat.settings import as_dict

COMPILED = "/jax/core/compile/backend_compile_duration"
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


def written(model, folder, train=None):
    """model.npz of a model in `folder`."""
    settings = {"model": as_dict(model.settings), **({"train": train} if train else {})}
    write_model(folder / "model.npz", model.params, {"settings": settings, "encoding": model.encoding.to_json()})
    return str(folder / "model.npz")


NAMES = ("crystals.parquet", "rejected.parquet", "sampling.json")


def test_command_writes_the_same_bytes_twice(model, tmp_path):
    path = written(model, tmp_path)
    for out in ("a", "b"):
        settings = '{"n": 6, "steps": 8}'
        assert main(["sample", "--model", path, "--settings", settings, "--out", f"{tmp_path}/{out}"]) == 0
    assert sorted(each.name for each in (tmp_path / "a").iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    table = crystal_table.read(tmp_path / "a" / "crystals.parquet")
    assert read_json(tmp_path / "a" / "sampling.json")["n_crystals"] == len(table)
    assert main(["sample", "--model", str(tmp_path / "none.npz"), "--out", str(tmp_path / "c")]) == 2
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("file", [None, "crystals.parquet", "rejected.parquet", "tally.json"])
def test_an_interrupted_set_goes_on_behind_its_last_batch_and_ends_the_same(model, tmp_path, monkeypatch, file):
    settings = dataclasses.replace(SETTINGS, batch_size=2)
    sample_into(model, settings, tmp_path / "whole")
    made = []
    started = denoising._start

    def stopped_in_the_third_batch(*args):
        made.append(args)
        if len(made) == 3:
            raise KeyboardInterrupt
        return started(*args)

    monkeypatch.setattr(denoising, "_start", stopped_in_the_third_batch)
    with pytest.raises(KeyboardInterrupt):
        sample_into(model, settings, tmp_path / "broken")
    assert not [name for name in NAMES if (tmp_path / "broken" / name).exists()]
    if file:
        damaged = next((tmp_path / "broken").glob(f".sampling-*/part-00000000/{file}"))
        damaged.write_bytes(damaged.read_bytes()[:-3])
    sample_into(model, settings, tmp_path / "broken")
    assert len(made) == (
        5 if file else 4
    )  # two batches, the one that was interrupted, that one and a damaged one again
    assert sorted(each.name for each in (tmp_path / "broken").iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    in_memory, _, report = sample(model, settings)
    assert crystal_table.read(tmp_path / "whole" / "crystals.parquet").arrow.equals(in_memory.arrow)
    assert read_json(tmp_path / "whole" / "sampling.json") == report


def test_a_finished_set_is_left_and_another_one_is_refused(model, tmp_path, capsys):
    path, out = written(model, tmp_path), tmp_path / "out"
    words = ["sample", "--model", path, "--out", str(out), "--settings", '{"steps": 8}', "--count"]
    assert main([*words, "6"]) == 0
    before = {name: ((out / name).read_bytes(), (out / name).stat().st_mtime_ns) for name in NAMES}
    assert main([*words, "6"]) == 0
    assert {name: ((out / name).read_bytes(), (out / name).stat().st_mtime_ns) for name in NAMES} == before
    capsys.readouterr()
    assert main([*words, "5"]) == 2
    error = capsys.readouterr().err
    assert "holds a finished set, another one than is asked for (n: 5 here, 6 there)" in error
    assert error.count("\n") == 1
    write_model(path, jax.tree.map(lambda x: x + 1, model.params), read_model(path).description)
    assert main([*words, "6"]) == 2
    assert "of another model or other compositions" in capsys.readouterr().err
    assert {name: ((out / name).read_bytes(), (out / name).stat().st_mtime_ns) for name in NAMES} == before
    assert main([*words, "5", "--force"]) == 0
    assert read_json(out / "sampling.json")["n_requested"] == 5


def test_the_end_of_sampling_says_where_everything_lies_and_how_to_get_cifs(model, tmp_path, caplog):
    path, out = written(model, tmp_path), tmp_path / "out"
    words = ["sample", "--model", path, "--out", str(out), "--settings", '{"steps": 8}', "--count", "6"]
    with caplog.at_level("INFO", "unimat.sample"):
        assert main(words) == 0
    told = caplog.messages[-1].removeprefix("CIF files of them: unimat ")
    assert f"crystals: {out / 'crystals.parquet'}; counts: {out / 'sampling.json'}" in caplog.text
    if len(crystal_table.read(out / "crystals.parquet")):
        assert main(told.split()) == 0
        assert len(list((tmp_path / "out_cifs").glob("*.cif"))) == len(crystal_table.read(out / "crystals.parquet"))


def test_sets_of_almost_one_size_share_a_compiled_program(model):
    compiled = []
    monitoring.register_event_duration_secs_listener(lambda name, seconds, **_: compiled.append(name))
    settings = dataclasses.replace(SETTINGS, batch_size=64, steps=12, seed=5)
    sample(model, dataclasses.replace(settings, n=60))
    first = compiled.count(COMPILED)
    for n in (57, 64, 130, 60):
        sample(model, dataclasses.replace(settings, n=n, seed=n))
    assert first > 0
    assert compiled.count(COMPILED) == first


@pytest.mark.parametrize(("n", "devices", "size"), [(1000, 1, 256), (200, 1, 224), (3, 1, 3), (3, 2, 4), (129, 8, 160)])
def test_batch_is_not_much_larger_than_the_set(n, devices, size):
    assert batch_size(256, n, devices) == size


def test_crystals_do_not_depend_on_the_number_of_devices(model, tmp_path):
    """One device here, two fake ones there."""
    path = written(model, tmp_path)
    script = (
        "import sys, jax, numpy; sys.path.insert(0, sys.argv[1]); "
        "from tests.model.sampling.test_sampling import SETTINGS, states; "
        "from unimat.model.checkpoints import read_model; assert jax.local_device_count() == 2; "
        "numpy.savez(sys.argv[3], **states(read_model(sys.argv[2])))"
    )
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    command = [sys.executable, "-c", script, Path(__file__).parents[3], path, tmp_path / "two.npz"]
    subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}, check=True)
    one, two = states(model), np.load(tmp_path / "two.npz")
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-4)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """An untrained model with conditions; `conditional.written` is its file."""
    folder = tmp_path_factory.mktemp("conditional")
    table = random_table(20, (1, 3, 4), 3).with_column("gap", np.linspace(0, 4, 20), "eV")
    splits = {"train": [table], "val": [table.take([])], "test": [table.take([])]}
    encode_dataset(splits, EncodeSettings(elements=("H", "Be"), slots=3, properties=("gap",)), folder)
    settings = dataclasses.replace(TINY_MODEL, conditions=("composition", "elements", "gap"))
    network = networks.build(settings, read_encoding(folder))
    params = jax.tree.map(
        lambda p: np.asarray(np.random.default_rng(0).normal(0, 0.1, p.shape), np.float32),
        network.init(key=jax.random.key(0)),
    )
    made = Model(settings, read_encoding(folder), network, params, {})
    written(made, folder, {"shuffle_slots": "occupied"})
    return folder / "model.npz"


def test_what_is_asked_for_changes_the_crystals_and_guidance_more_so(conditional):
    model = read_model(conditional)
    plain, asked, guided, gap = (
        states(model, **changes)["coords"]
        for changes in (
            {},
            {"composition": "LiH2"},
            {"composition": "LiH2", "guidance": 3.0},
            {"properties": {"gap": 4.0}},
        )
    )
    assert np.abs(asked - plain).max() > 0.01
    assert np.abs(guided - asked).max() > 0.01
    assert np.abs(gap - plain).max() > 1e-3


@pytest.mark.parametrize("sampler", ["dpm++", "heun"])
def test_samplers_that_remember_and_that_churn_are_independent_of_batches(model, sampler):
    options = {"sampler": sampler, "churn": 5.0 if sampler == "heun" else 0.0, "steps": 40}
    whole, parts = states(model, **options), states(model, **options, batch_size=4)
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], atol=1e-3)


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_no_type_is_promoted_silently(conditional, sampler):
    model = read_model(conditional)
    asked = SampleSettings(composition="LiH2", guidance=2.0, mask_slots=True, sampler=sampler, steps=4)
    settings = dataclasses.replace(asked, churn=1.0 if sampler == "heun" else 0.0)
    requests = requests_of(settings, model)
    program = denoising.program_of(model, settings, requests)
    grid, keys = SAMPLERS[sampler].log_snrs(4, -20.0, 20.0), jax.random.split(jax.random.key(0), 2)
    noisy = {name: jnp.zeros((2, *shape)) for name, shape in model.network.shapes.items()}
    given = denoising.given_to(model, settings, requests, np.arange(2))
    run = functools.partial(denoising._denoised, program)
    with jax.numpy_dtype_promotion("strict"):
        carry = noisy, SAMPLERS[sampler].memory(noisy)
        limits = denoising.limits_of(model, settings)
        state, _ = jax.eval_shape(run, grid, limits, model.params, carry, keys, jnp.arange(4), *given)
    assert {x.dtype for x in state.values()} == {jnp.dtype("float32")}


def test_masked_slots_give_the_composition_that_was_asked_for(conditional):
    model = read_model(conditional)
    settings = dataclasses.replace(SETTINGS, composition="LiH2", mask_slots=True)
    table, rejected, report = sample(model, settings)
    assert all(sorted(crystal.atomic_numbers) == [1, 1, 3] for crystal in table)
    assert report["obeyed"]["same_composition"] == {"count": len(table), "of": 6, "rate": len(table) / 6}
    assert len(table) + len(rejected) == 6
    assert 0 <= report["null_slots_read_as_atoms"] <= 3 * 6


def test_requests_work_as_typed(conditional, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("formula,count\nLiH2,3\nBe,1\n", encoding="utf-8")
    typed = {
        "composition": ["--composition", "LiH2", "--count", "4"],
        "system": ["--chemical-system", "Li-H", "--count", "4", "--property", "gap=1.5", "--guidance", "2"],
        "list": ["--compositions", str(listed), "--property", "gap=1.5"],
    }
    tables = {}
    for name, flags in typed.items():
        command = ["sample", "--model", str(conditional), "--settings", '{"steps": 4}', "--out", str(tmp_path / name)]
        assert main([*command, *flags]) == 0
        tables[name] = crystal_table.read(tmp_path / name / "crystals.parquet")
        report = read_json(tmp_path / name / "sampling.json")
        assert report["n_requested"] == 4 == tables[name].metadata["n_requested"]
        assert {found["of"] for key, found in report["obeyed"].items() if key != "by_composition"} == {4}
    assert tables["composition"].property_names == ["requested_composition"]
    assert tables["system"].property_names == ["requested_chemical_system", "requested_gap"]
    assert set(tables["system"].column("requested_chemical_system")) <= {"H-Li"}
    asked = dict(zip(tables["list"].material_ids, tables["list"].column("requested_composition"), strict=True))
    assert asked.items() <= {f"gen-{i:06d}": "LiH2" if i < 3 else "Be" for i in range(4)}.items()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--composition", "Li9"], "9 atoms of Li, and the model has L = 3"),
        (["--composition", "NaCl"], "Na has no cell"),
        (["--property", "density=2"], "not trained with the condition 'density'"),
        (["--count", "0"], "n must be above 0"),
        (["--composition", "Li", "--compositions", "x.csv"], "give one of them"),
    ],
)
def test_requests_that_cannot_be_met_end_in_one_line(conditional, tmp_path, capsys, flags, said):
    assert main(["sample", "--model", str(conditional), "--out", str(tmp_path / "out"), *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
