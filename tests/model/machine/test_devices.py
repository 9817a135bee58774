"""Meshes and jobs: what is cut and what is copied, what cannot be shared out, and that no layout changes a loss."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from tests.model.model_helpers import TINY_TRAIN
from unimat.errors import UserError
from unimat.model.machine import devices
from unimat.model.machine.distributed import Job, any_process, connect, job_of
from unimat.model.settings import TrainSettings

FOLDER = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("shape", "fsdp", "expected"),
    [
        ((3, 64, 128), 4, PartitionSpec(None, None, "fsdp")),  # the largest
        ((128, 130), 4, PartitionSpec("fsdp")),  # the largest that divides
        ((64, 64), 4, PartitionSpec("fsdp")),  # the first of equals
        ((3, 5), 4, PartitionSpec()),
        ((), 4, PartitionSpec()),
        ((64,), 1, PartitionSpec()),
    ],
)
def test_parameters_are_cut_along_their_largest_axis_that_divides(shape, fsdp, expected):
    assert devices.spec(shape, fsdp) == expected


@pytest.mark.parametrize(
    ("batch_size", "fsdp", "n_devices", "message"),
    [
        (512, 1, 24, r"train.batch_size 512 cannot be shared out among 24 devices; give a multiple of 24"),
        (512, 3, 8, r"train.fsdp 3 does not divide the 8 devices; give one of 1, 2, 4, 8"),
        (4, 8, 8, r"train.batch_size 4 cannot be shared out among 8 devices"),
    ],
)
def test_what_cannot_be_shared_out_is_one_line(batch_size, fsdp, n_devices, message):
    with pytest.raises(UserError, match=message) as caught:
        devices.check_division(TrainSettings(batch_size=batch_size, fsdp=fsdp), n_devices)
    assert "\n" not in str(caught.value)


def test_few_crystals_are_copied_and_many_cut():
    layout = devices.layout(TINY_TRAIN)
    rows = {"coords": np.arange(24, dtype=np.float32).reshape(8, 3)}
    np.testing.assert_array_equal(layout.place(rows, 8)["coords"], rows["coords"])
    tree = {"w": jnp.ones((4, 6)), "b": jnp.ones(3)}
    assert devices.bytes_per_device(tree, layout.sharded(tree)) == (24 + 3) * 4


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}, None),  # a batch script, not a step
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
        ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}, Job("auto")),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({"TPU_WORKER_HOSTNAMES": "10.0.0.1,10.0.0.2"}, Job("auto")),
        ({"UNIMAT_COORDINATOR": "auto"}, Job("auto")),
        (
            {"UNIMAT_COORDINATOR": "a:1", "UNIMAT_PROCESSES": "2", "UNIMAT_PROCESS": "1", "SLURM_PROCID": "0"},
            Job("a:1", 2, 1),
        ),
    ],
)
def test_job_is_what_the_environment_says(environment, expected):
    assert job_of(environment) == expected


def test_flags_go_before_the_environment():
    environment = {"UNIMAT_COORDINATOR": "a:1", "UNIMAT_PROCESSES": "2", "UNIMAT_PROCESS": "1"}
    assert job_of(environment, {"coordinator": "b:2", "processes": None, "process": "0"}) == Job("b:2", 2, 0)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"UNIMAT_COORDINATOR": "a:1"}, "without UNIMAT_PROCESSES, UNIMAT_PROCESS; set all three"),
        ({"UNIMAT_PROCESSES": "2", "UNIMAT_PROCESS": "0"}, "without UNIMAT_COORDINATOR"),
        ({"UNIMAT_COORDINATOR": "a:1", "UNIMAT_PROCESSES": "2", "UNIMAT_PROCESS": "2"}, "is 2 of 2 processes"),
        ({"UNIMAT_COORDINATOR": "a:1", "UNIMAT_PROCESSES": "two", "UNIMAT_PROCESS": "0"}, "'two'; give a whole number"),
    ],
)
def test_job_named_in_part_or_wrongly_is_one_line(environment, message):
    with pytest.raises(UserError, match=message):
        job_of(environment)


def test_a_process_alone_asks_nobody(monkeypatch):
    monkeypatch.delenv("UNIMAT_COORDINATOR", raising=False)
    connect()
    assert any_process(True)
    assert not any_process(False)
    assert jax.process_count() == 1


LAYOUTS = """
import dataclasses, json, sys
sys.path.insert(0, sys.argv[1])
import jax
from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN, write_tiny_dataset
from unimat.model import networks
from unimat.model.machine import devices
from unimat.model.training import train as training
from unimat.model.representation.encoded import read_encoding
from unimat.model.training.loader import Loader
from unimat.model.representation.shards import EncodedSplit
from unimat.model.training.train_state import initial_state, make_optimizer, state_shardings

write_tiny_dataset(sys.argv[2])
encoding, split = read_encoding(sys.argv[2]), EncodedSplit(sys.argv[2], "train")
network, optimizer = networks.build(TINY_MODEL, encoding), make_optimizer(TINY_TRAIN)
for n_devices, fsdp in ((1, 1), (8, 1), (8, 4)):
    settings = dataclasses.replace(TINY_TRAIN, fsdp=fsdp)
    layout = devices.layout(settings, jax.devices()[:n_devices])
    state = initial_state(network, optimizer, 0, layout)
    step = training.make_step(network, optimizer, encoding, TINY_MODEL, settings, layout)
    step = jax.jit(step, donate_argnums=0, out_shardings=state_shardings(state, layout))
    loader = Loader(split, encoding.max_atoms, 3, settings.batch_size, sharding=layout.batch)
    sums = []
    for i in range(4):
        state = step(state, loader.batch(i))
        sums.append(float(state.sums["loss"]))
    cut = [x for x in jax.tree.leaves(state.params) if not x.sharding.is_fully_replicated]
    held = max(x.addressable_shards[0].data.size / x.size for x in cut) if cut else 1.0
    print(json.dumps({"sums": sums, "cut": len(cut), "held": held}))
"""


def test_one_device_and_eight_agree_whatever_is_cut(tmp_path):
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", LAYOUTS, str(FOLDER.parent), str(tmp_path / "encoded")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, data, fsdp = map(json.loads, done.stdout.splitlines())
    np.testing.assert_allclose(data["sums"], one["sums"], rtol=1e-5)
    np.testing.assert_allclose(fsdp["sums"], one["sums"], rtol=1e-5)
    assert (one["cut"], data["cut"]) == (0, 0)
    assert fsdp["cut"] > 10
    assert fsdp["held"] == 0.25


@pytest.mark.slow
def test_losses_of_20_steps_on_one_device_on_eight_and_in_two_processes():
    script = FOLDER / "benchmarks" / "sharding.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert len(figures) == 4
    assert all(figure["met"] for figure in figures), figures


def test_settings_of_the_layout_do_not_make_another_run():
    from unimat.model.training.work_folder import FREE

    assert {"fsdp", "time_limit_minutes"} <= set(FREE) <= {field.name for field in dataclasses.fields(TrainSettings)}
