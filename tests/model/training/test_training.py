import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN, write_tiny_dataset
from unimat import checked_csv
from unimat.errors import UserError
from unimat.files import read_json
from unimat.model import networks
from unimat.model.checkpoints import Model
from unimat.model.machine.interruption import EXIT_CODE, Interrupted, Interruption
from unimat.model.representation.encoded import read_encoding
from unimat.model.representation.shards import EncodedSplit
from unimat.model.sampling.denoising import make_denoiser
from unimat.model.settings import SampleSettings, TrainSettings
from unimat.model.training import history as training_history
from unimat.model.training import loader
from unimat.model.training import loop as training_loop
from unimat.model.training import train as training
from unimat.model.training.loader import Loader
from unimat.settings import as_dict

OUTPUTS = ("model.npz", "history.csv")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    write_tiny_dataset(folder)
    return folder


@pytest.fixture(scope="module")
def straight(dataset, tmp_path_factory):
    """Outputs of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("straight")
    training.train(dataset, TINY_MODEL, TINY_TRAIN, out / "work", out)
    return out


def loader_of(folder, batch_size):
    return Loader(EncodedSplit(folder, "train"), read_encoding(folder).max_atoms, 0, batch_size)


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def same_bytes(one, other):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in OUTPUTS)


def test_history_starts_at_the_loss_of_predicting_nothing(straight):
    rows = rows_of(straight / "history.csv")
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8]
    assert [bool(row["val_loss"]) for row in rows] == [False, True, False, True]
    # Zero-initialised output: the first losses are the variance of noise, 1 for each of the two parts.
    assert float(rows[0]["loss_coords"]) == pytest.approx(1, abs=0.25)
    assert float(rows[0]["loss"]) == pytest.approx(
        float(rows[0]["loss_coords"]) + float(rows[0]["loss_lattice"]), rel=1e-4
    )
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([5e-4, 1e-3, 1e-3, 1e-3])  # two steps of warm-up: 0, half, then all
    # Adam moves each of the parameters by at most some learning rates.
    n_parameters = read_json(straight / "training.json")["n_parameters"]
    assert 0.1e-3 * n_parameters**0.5 < float(rows[-1]["update_norm"]) < 2e-3 * n_parameters**0.5
    with np.load(straight / "model.npz") as archive:
        norm = np.sqrt(sum((archive[name] ** 2).sum() for name in archive.files if name != "description"))
    assert float(rows[-1]["param_norm"]) == pytest.approx(norm, rel=1e-2)
    clock = rows_of(straight / "speed.csv")
    assert [int(row["step"]) for row in clock] == [2, 4, 6, 8]
    assert float(clock[-1]["crystals_per_s"]) == pytest.approx(8 * float(clock[-1]["steps_per_s"]), rel=1e-4)
    report = read_json(straight / "training.json")
    assert report["final"]["step"] == 8
    assert set(report["speed"]) >= {"samples_per_second", "compile_seconds"}


def test_run_interrupted_by_an_error_continues_to_the_same_bytes(dataset, straight, tmp_path, monkeypatch):
    rows = loader.batch_rows

    def failing(seed, step, *others):
        if step == 5:  # after the checkpoint of step 3
            raise RuntimeError("power cut")
        return rows(seed, step, *others)

    monkeypatch.setattr(loader, "batch_rows", failing)
    with pytest.raises(RuntimeError, match="power cut"):
        training.train(dataset, TINY_MODEL, TINY_TRAIN, tmp_path / "work", tmp_path)
    assert not (tmp_path / "model.npz").exists()
    monkeypatch.setattr(loader, "batch_rows", rows)
    report = training.train(dataset, TINY_MODEL, TINY_TRAIN, tmp_path / "work", tmp_path)
    assert report["speed"]["steps_in_this_process"] == 5
    assert same_bytes(straight, tmp_path)


def test_finished_run_is_not_trained_again(dataset, straight, tmp_path):
    report = training.train(dataset, TINY_MODEL, TINY_TRAIN, straight / "work", tmp_path)
    assert report["speed"]["steps_in_this_process"] == 0
    assert same_bytes(straight, tmp_path)


def test_a_finished_model_of_another_training_is_refused(dataset, straight, tmp_path):
    out = tmp_path / "model"
    shutil.copytree(straight, out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    other = dataclasses.replace(TINY_TRAIN, steps=2)
    with pytest.raises(UserError, match=r"holds a finished model of another training \(train.steps: 2 here, 8 there\)"):
        training.train(dataset, TINY_MODEL, other, tmp_path / "work", out)
    assert not (tmp_path / "work").exists()  # before any step
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    training.train(dataset, TINY_MODEL, TINY_TRAIN, out / "work", out)  # the same one is written again
    assert read_json(out / "training.json")["steps"] == 8
    training.train(dataset, TINY_MODEL, other, tmp_path / "work", out, force=True)
    assert read_json(out / "training.json")["steps"] == 2


def test_a_working_folder_of_something_else_is_not_cleared(dataset, tmp_path):
    notes = tmp_path / "checkpoints/1/notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    with pytest.raises(UserError, match=r"holds checkpoints/, which `unimat train --work` would replace"):
        training.train(dataset, TINY_MODEL, TINY_TRAIN, tmp_path, tmp_path / "model", fresh=True)
    assert notes.read_text() == "mine"


def test_fresh_removes_checkpoints_and_nothing_else(dataset, straight, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(straight / "work", work)
    (work / "checkpoints/notes.txt").write_text("mine")
    (work / "checkpoints/2026-05").mkdir()
    training.train(dataset, TINY_MODEL, dataclasses.replace(TINY_TRAIN, steps=2), work, tmp_path / "model", fresh=True)
    assert (work / "checkpoints/notes.txt").read_text() == "mine"
    assert (work / "checkpoints/2026-05").is_dir()
    assert [path.name for path in (work / "checkpoints").iterdir() if path.name.isdecimal()] == ["2"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_process_continues_to_the_same_bytes(dataset, straight, tmp_path, how):
    """The command line, killed in the middle and called again."""
    (tmp_path / "model.json").write_text(json.dumps(as_dict(TINY_MODEL)))
    (tmp_path / "train.json").write_text(json.dumps(as_dict(TINY_TRAIN)))
    # Steps take a moment, so that the signal meets the run between its first checkpoint and its end.
    slow = (
        "import sys, time; from unimat.model.training import loader; from unimat.cli import main\n"
        "rows = loader.batch_rows\n"
        "loader.batch_rows = lambda *a: (time.sleep(0.3), rows(*a))[1]\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [
        *(sys.executable, "-c", slow, "train", "--encoded", dataset, "--model-settings", tmp_path / "model.json"),
        *("--settings", tmp_path / "train.json", "--work", tmp_path / "model/work", "--out", tmp_path / "model"),
    ]
    process = subprocess.Popen(list(map(str, command)))
    deadline = time.monotonic() + 240
    while not any((tmp_path / "model/work/checkpoints").glob("[0-9]*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    assert process.wait(60) == (-signal.SIGKILL if how == signal.SIGKILL else EXIT_CODE)
    assert not (tmp_path / "model/model.npz").exists()
    assert subprocess.run(list(map(str, command)), check=False).returncode == 0
    assert same_bytes(straight, tmp_path / "model")


class AskedAt(Interruption):
    """A request to stop that arrives before the loop looks for the n-th time."""

    looks, n = 0, 0

    @property
    def asked(self):
        type(self).looks += 1
        return self.looks >= self.n


def test_a_stop_at_any_moment_validation_included_continues_to_the_same_bytes(dataset, straight, tmp_path, monkeypatch):
    monkeypatch.setattr(training_loop, "Interruption", AskedAt)
    # Eight steps are eight looks, and one batch in each of two validations is one more.
    for n, stopped_after, rows in ((5, 4, [2]), (10, 8, [2, 4, 6])):
        out = tmp_path / str(n)
        monkeypatch.setattr(AskedAt, "n", n)
        monkeypatch.setattr(AskedAt, "looks", 0)
        with pytest.raises(Interrupted, match=f"after step {stopped_after}, "):
            training.train(dataset, TINY_MODEL, TINY_TRAIN, out / "work", out)
        written = [int(row["step"]) for row in checked_csv.rows_of(out / "work" / "history.csv")[1]]
        assert written == rows  # the row with the validation is not there yet
        monkeypatch.setattr(AskedAt, "n", 10**6)
        training.train(dataset, TINY_MODEL, TINY_TRAIN, out / "work", out)
        assert same_bytes(straight, out)


def test_a_row_that_was_written_again_stands_once(tmp_path):
    history = training_history.Rows(tmp_path / "history.csv", ("step", "loss"), 0)
    for step, loss in ((2, 1.0), (4, 0.5), (4, 0.25)):
        history.add(step, {"loss": loss})
    assert checked_csv.text_of(tmp_path / "history.csv") == "step,loss\n2,1\n4,0.25\n"


def test_time_limit_saves_and_stops(dataset, straight, tmp_path):
    hurried = dataclasses.replace(TINY_TRAIN, time_limit_minutes=1e-9)
    with pytest.raises(Interrupted, match="time limit after step 1"):
        training.train(dataset, TINY_MODEL, hurried, tmp_path / "work", tmp_path)
    assert [path.name for path in (tmp_path / "work" / "checkpoints").glob("[0-9]*")] == ["1"]


def test_working_folder_of_other_settings_is_refused_by_name(dataset, straight, tmp_path):
    other = dataclasses.replace(TINY_TRAIN, learning_rate=5e-4)
    with pytest.raises(UserError, match=r"train.learning_rate: 0.0005 here, 0.001 there"):
        training.train(dataset, TINY_MODEL, other, straight / "work", tmp_path)
    wider = dataclasses.replace(TINY_MODEL, channels=16)
    with pytest.raises(UserError, match=r"model.channels: 16 here, 8 there.*--fresh"):
        training.train(dataset, wider, TINY_TRAIN, straight / "work", tmp_path)
    assert not (tmp_path / "model.npz").exists()


def test_changed_dataset_is_refused(straight, tmp_path):
    write_tiny_dataset(tmp_path / "other", choices=(6, 14), elements=("C", "Si"))
    with pytest.raises(UserError, match=r"data\.train"):
        training.train(tmp_path / "other", TINY_MODEL, TINY_TRAIN, straight / "work", tmp_path)


def test_size_of_shards_changes_no_byte(straight, tmp_path):
    """Nor does it make another dataset: the working folder of one is continued with the other."""
    write_tiny_dataset(tmp_path / "cut", shard_rows=3)
    assert len(list((tmp_path / "cut" / "train").glob("*.arrow"))) == 7
    training.train(tmp_path / "cut", TINY_MODEL, TINY_TRAIN, tmp_path / "work", tmp_path)
    assert same_bytes(straight, tmp_path)
    report = training.train(tmp_path / "cut", TINY_MODEL, TINY_TRAIN, straight / "work", tmp_path)
    assert report["speed"]["steps_in_this_process"] == 0


def test_thread_of_the_loader_ends_with_the_run(dataset, tmp_path):
    hurried = dataclasses.replace(TINY_TRAIN, time_limit_minutes=1e-9)
    with pytest.raises(Interrupted):
        training.train(dataset, TINY_MODEL, hurried, tmp_path / "work", tmp_path)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def test_loss_that_is_not_finite_stops_the_run(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "make_optimizer", lambda settings: _explodes_at(5))
    with pytest.raises(UserError, match=r"at step 6 .*; the last good checkpoint is of step 3 in ") as caught:
        training.train(dataset, TINY_MODEL, TINY_TRAIN, tmp_path / "work", tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model.npz").exists()
    bad = read_json(tmp_path / "work" / "bad_batch.json")
    assert bad["step"] == 6
    # The crystals of step 6 are those of rows 40 to 47 of the stream; three epochs of 20 crystals.
    expected = [f"r0-{row}" for row in loader.batch_rows(TINY_TRAIN.seed, 5, 8, 20)]
    assert bad["material_ids"] == expected
    assert f"crystals {', '.join(expected[:5])} and 3 more" in str(caught.value)


def test_loss_that_explodes_stops_the_run(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "EXPLODED", 0.1)
    with pytest.raises(UserError, match=r"has exploded, at step 1 .*no checkpoint is saved"):
        training.train(dataset, TINY_MODEL, TINY_TRAIN, tmp_path / "work", tmp_path)


def _explodes_at(step):
    import optax

    schedule = lambda count: jnp.where(count == step - 1, jnp.inf, 1e-3)  # noqa: E731
    return optax.adam(schedule)


def test_batch_that_cannot_be_shared_out_is_one_line(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * 3)
    with pytest.raises(UserError, match=r"train.batch_size 8 cannot be shared out among 3 devices"):
        training.train(dataset, TINY_MODEL, TINY_TRAIN, tmp_path / "work", tmp_path)
    assert not (tmp_path / "work").exists()


def test_a_conditional_model_is_trained_and_shown_its_conditions(dataset, tmp_path):
    model = dataclasses.replace(TINY_MODEL, conditions=("elements", "composition"))
    settings = dataclasses.replace(TINY_TRAIN, steps=3, warmup_steps=0)
    report = training.train(dataset, model, settings, tmp_path / "work", tmp_path)
    assert report["final"]["loss"] < 3
    with np.load(tmp_path / "model.npz") as archive:
        kept = json.loads(archive["description"].tobytes())["settings"]["model"]["conditions"]
    assert kept == ["elements", "composition"]


def test_min_snr_weight_and_tensorboard_are_settings(dataset, tmp_path):
    settings = dataclasses.replace(TINY_TRAIN, steps=2, loss_weight="min_snr", min_snr_gamma=1.0, tensorboard=True)
    training.train(dataset, TINY_MODEL, settings, tmp_path / "work", tmp_path)
    row = rows_of(tmp_path / "history.csv")[-1]
    assert float(row["loss"]) < 0.95 * (float(row["loss_coords"]) + float(row["loss_lattice"]))
    (events,) = (tmp_path / "work" / "tensorboard").iterdir()
    assert b"val_loss" in events.read_bytes()


def test_learning_rate_rises_and_falls():
    """Adam's first update is the learning rate times the sign of the gradient."""
    settings = TrainSettings(steps=100, warmup_steps=10, learning_rate=0.1, learning_rate_decay="cosine")
    optimizer = training.make_optimizer(settings)
    params, sizes = {"w": jnp.zeros(1)}, []
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for _ in range(100):
        updates, state = update({"w": jnp.ones(1)}, state, params)
        sizes.append(-float(updates["w"][0]))
    assert sizes[0] == 0
    assert sizes[5] == pytest.approx(0.05, rel=1e-3)
    assert sizes[10] == pytest.approx(0.1, rel=1e-3)
    assert sizes[55] == pytest.approx(0.05, rel=1e-2)  # half way down the cosine
    assert sizes[99] < 1e-4


def test_average_of_parameters_follows_its_definition(dataset):
    settings = dataclasses.replace(TINY_TRAIN, ema_decay=0.15, warmup_steps=0)
    encoding, batches = read_encoding(dataset), loader_of(dataset, 8)
    network = networks.build(TINY_MODEL, encoding)
    optimizer = training.make_optimizer(settings)
    state = training.initial_state(network, optimizer, 0)
    step = jax.jit(training.make_step(network, optimizer, encoding, TINY_MODEL, settings))
    weight = lambda tree: np.asarray(jax.tree.leaves(tree["out"])[0], float)  # noqa: E731
    expected = weight(state.ema_params)
    for i in range(3):
        state = step(state, batches.batch(i))
        decay = min(0.15, (1 + i) / (10 + i))  # 0.1, then 0.15
        expected = decay * expected + (1 - decay) * weight(state.params)
        np.testing.assert_allclose(weight(state.ema_params), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("form", ["raw", "circle"])
def test_no_type_is_promoted_silently(dataset, form):
    settings = dataclasses.replace(TINY_MODEL, coordinate_form=form)
    encoding, batch = read_encoding(dataset), loader_of(dataset, 20).batch(0)
    network = networks.build(settings, encoding)
    params = jax.eval_shape(lambda key: network.init(key=key), jax.random.key(0))
    loss = training.make_loss(network, encoding, settings, TINY_TRAIN)
    model = Model(settings, encoding, network, params, {})
    denoise = make_denoiser(model, SampleSettings(n=2, steps=4))
    keys = jax.random.split(jax.random.key(0), 2)
    noisy = {name: jnp.zeros((2, *shape)) for name, shape in network.shapes.items()}
    with jax.numpy_dtype_promotion("strict"):
        value, _ = jax.eval_shape(lambda p: loss(p, batch, keys[0], True), params)
        state = jax.eval_shape(denoise, params, noisy, keys, jnp.arange(4))
    assert {value.dtype, *(x.dtype for x in state.values())} == {jnp.dtype("float32")}
