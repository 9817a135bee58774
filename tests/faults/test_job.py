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

from unimat.model.interruption import EXIT_CODE

FOLDER = Path(__file__).parents[1]
MODEL = {"channels": 8, "multipliers": [1], "blocks": 1, "head_dim": 8, "attention": "joint"}
RECIPE = {"batch_size": 8, "steps": 40, "warmup_steps": 2, "log_every": 5, "validate_every": 40, "checkpoint_every": 10}
# The command line, at steps of a fifth of a second.
RUN = """
import sys, time
from unimat.cli import main
from unimat.model import loader
rows = loader.batch_rows
loader.batch_rows = lambda *a: (time.sleep(0.2), rows(*a))[1]
sys.exit(main(sys.argv[1:]))
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
def scratch(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    from model_helpers import write_tiny_dataset

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
