"""A training that is killed at random moments, as a power cut does it, ends with the bytes of one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

OUTPUTS = ("model.npz", "history.csv")
KILLS = 5
ROOT = Path(__file__).parents[2]
# A process of the run: steps take a moment, so that there is something to interrupt, and the programs are compiled
# once for all attempts. `begun` says that steps are being taken.
RUN = """
import dataclasses, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import jax
from tests.model import model_helpers
jax.config.update("jax_compilation_cache_dir", sys.argv[4])
from unimat.model.training import loader, train as training
rows, begun, pause = loader.batch_rows, Path(sys.argv[3], "begun"), float(sys.argv[5])
def slowly(seed, step, batch_size, n):
    time.sleep(pause)
    if step > 4:
        begun.touch()
    return rows(seed, step, batch_size, n)
loader.batch_rows = slowly
settings = dataclasses.replace(model_helpers.TINY_TRAIN, steps=40, checkpoint_every=2, validate_every=20)
if not Path(sys.argv[2], "encoding.json").exists():
    model_helpers.write_tiny_dataset(sys.argv[2])
training.train(sys.argv[2], model_helpers.TINY_MODEL, settings, sys.argv[3] + "/work", sys.argv[3])
"""


def start(scratch: Path, out: Path, devices: int, pause: float) -> subprocess.Popen[bytes]:
    out.mkdir(exist_ok=True)
    (out / "begun").unlink(missing_ok=True)
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    folders = [ROOT, scratch / "encoded", out, scratch / f"programs-{devices}"]
    return subprocess.Popen([sys.executable, "-c", RUN, *map(str, folders), str(pause)], env=environment)


def killed(scratch: Path, out: Path, devices: int, after: float) -> bool:
    """Whether a run was still going on when SIGKILL met it, so many seconds after its first steps."""
    process = start(scratch, out, devices, pause=0.15)
    while not (out / "begun").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_killed_five_times_at_random_a_run_ends_with_the_same_bytes(tmp_path, devices):
    straight, out = tmp_path / "straight", tmp_path / "killed"
    assert start(tmp_path, straight, devices, pause=0.0).wait() == 0
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails
    moments = random.Random(seed)
    for _ in range(KILLS):
        assert killed(tmp_path, out, devices, after=moments.uniform(0, 1.5))
        assert not (out / "model.npz").exists()
    assert start(tmp_path, out, devices, pause=0.0).wait() == 0
    steps = json.loads((out / "training.json").read_text())["speed"]["steps_in_this_process"]
    assert steps < 40, "the last attempt began anew"
    for name in OUTPUTS:
        assert (out / name).read_bytes() == (straight / name).read_bytes(), name
