"""Two processes of one training: what is asked of one is done by both, and together they go on where they stopped."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.model.model_helpers import write_tiny_dataset
from unimat.model.machine.interruption import EXIT_CODE

ROOT = Path(__file__).parents[2]
MODEL = {"channels": 8, "multipliers": [1], "blocks": 1, "head_dim": 8, "attention": "joint"}
RECIPE = {"batch_size": 8, "steps": 40, "warmup_steps": 2, "log_every": 5, "validate_every": 40, "checkpoint_every": 10}
# The command line, at steps of a fifth of a second.
RUN = """
import sys, time
from unimat.cli import main
from unimat.model.training import loader
rows = loader.batch_rows
loader.batch_rows = lambda *a: (time.sleep(0.2), rows(*a))[1]
sys.exit(main(sys.argv[1:]))
"""
# An untrained model of the encoded dataset, written into the folder that is named.
WRITE_MODEL = f"""
import sys
import jax
sys.path.insert(0, {str(ROOT)!r})
from tests.model.model_helpers import TINY_MODEL
from unimat.model import networks
from unimat.model.checkpoints import write_model
from unimat.model.representation.encoded import read_encoding
from unimat.settings import as_dict
encoding = read_encoding(sys.argv[1] + "/encoded")
params = networks.build(TINY_MODEL, encoding).init(key=jax.random.key(0))
settings = {{"model": as_dict(TINY_MODEL), "train": {{}}}}
write_model(sys.argv[1] + "/model.npz", params, {{"settings": settings, "encoding": encoding.to_json(), "data": {{}}}})
"""


def started(scratch: Path, works: tuple[str, str] = ("work", "work")) -> list[subprocess.Popen[str]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    cache = {"JAX_COMPILATION_CACHE_DIR": str(scratch / "programs"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0", **cache}
    command = [sys.executable, "-c", RUN, "train", "--encoded", str(scratch / "encoded")]
    command += ["--model-settings", json.dumps(MODEL), "--settings", json.dumps(RECIPE), "--out", str(scratch / "out")]
    command += ["--coordinator", address, "--processes", "2"]
    return [
        subprocess.Popen(
            [*command, "--process", str(index), "--work", str(scratch / work)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index, work in enumerate(works)
    ]


@pytest.fixture
def scratch(tmp_path):
    write_tiny_dataset(tmp_path / "encoded")
    return tmp_path


@pytest.mark.slow
def test_sigterm_to_one_process_stops_both_and_both_continue(scratch):
    processes = started(scratch)
    deadline = time.monotonic() + 300
    while not (scratch / "work/checkpoints/10").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    processes[1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [EXIT_CODE, EXIT_CODE], said
    assert not (scratch / "out").exists()
    processes = started(scratch)
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert json.loads((scratch / "out/training.json").read_text())["speed"]["steps_in_this_process"] < 30
    with (scratch / "out/history.csv").open(newline="") as stream:
        assert [int(row["step"]) for row in csv.DictReader(stream)] == list(range(5, 41, 5))


@pytest.mark.slow
def test_working_folder_that_is_not_shared_is_one_line(scratch):
    processes = started(scratch, ("work", "elsewhere"))
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2], said
    for line in said:
        assert "is not the same folder on every host; give one that all of them share" in line


@pytest.mark.slow
def test_two_processes_sample_the_set_that_one_does(scratch):
    """Each of the two makes every other batch, and one puts them together."""
    subprocess.run([sys.executable, "-c", WRITE_MODEL, str(scratch)], check=True, timeout=300)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    settings = json.dumps({"n": 10, "steps": 4, "batch_size": 3})
    command = [sys.executable, "-m", "unimat", "sample", "--model", str(scratch / "model.npz"), "--settings", settings]
    job = ["--out", str(scratch / "two"), "--coordinator", address, "--processes", "2", "--process"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    processes = [subprocess.Popen([*command, *job, str(index)], env=environment) for index in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    subprocess.run([*command, "--out", str(scratch / "one")], env=environment, check=True, timeout=300)
    for name in ("crystals.parquet", "rejected.parquet", "sampling.json"):
        assert (scratch / "two" / name).read_bytes() == (scratch / "one" / name).read_bytes()
    assert {path.name for path in (scratch / "two").iterdir()} == {path.name for path in (scratch / "one").iterdir()}
