"""The same training on 1 device, on 8, with parameters cut in 8 and in 2, and in 2 processes that meet over loopback.

Losses in float32 must agree: sharding is where arrays lie, not what is computed. Devices are made up, of one CPU.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import ROOT, Figure, finish, say

TARGET = 1e-5
MODEL = {"channels": 16, "multipliers": [1, 2], "blocks": 1, "head_dim": 8, "dropout": 0.1}
RECIPE = {"batch_size": 16, "warmup_steps": 5, "learning_rate": 1e-3, "log_every": 1, "validation_crystals": 8}
# One process of a training: its losses of every step, as exactly as they are.
WORKER = """
import json, sys
from unimat.model.machine import distributed
from unimat.model.training import history
distributed.connect()
from unimat.model.settings import ModelSettings, TrainSettings
from unimat.model.training.train import train
from unimat.settings import load_settings
means, losses = history.means, []
def recorded(sums):
    row = means(sums)
    losses.append([row["loss"], row["grad_norm"]])
    return row
history.means = recorded
encoded, model, recipe, out = sys.argv[1:]
report = train(encoded, load_settings(ModelSettings, model), load_settings(TrainSettings, recipe), out + "/work", out)
print(json.dumps({"losses": losses, "devices": report["speed"]["devices"]}))
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(encoded: Path, out: Path, recipe: dict, devices: int, **variables: str) -> subprocess.Popen[str]:
    """A process with so many made-up devices; compiled without optimisation, which would take the time."""
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **variables}
    command = [sys.executable, "-c", WORKER, str(encoded), json.dumps(MODEL), json.dumps(recipe), str(out)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def losses_of(process: subprocess.Popen[str]) -> list[list[float]]:
    text, _ = process.communicate()
    if process.returncode:
        sys.exit(f"a training ended with code {process.returncode}")
    return json.loads(text.splitlines()[-1])["losses"]


def alone(encoded: Path, out: Path, recipe: dict, devices: int) -> list[list[float]]:
    say(f"{devices} devices, fsdp {recipe.get('fsdp', 1)}")
    return losses_of(start(encoded, out, recipe, devices))


def together(encoded: Path, out: Path, recipe: dict, processes: int) -> list[list[float]]:
    say(f"{processes} processes over loopback")
    address = f"127.0.0.1:{free_port()}"
    names = {"UNIMAT_COORDINATOR": address, "UNIMAT_PROCESSES": str(processes)}
    running = [start(encoded, out, recipe, 1, **names, UNIMAT_PROCESS=str(index)) for index in range(processes)]
    found = [losses_of(process) for process in running]
    assert all(losses == found[0] for losses in found), "processes of one job saw different losses"
    return found[0]


def largest_difference(ours: list[list[float]], theirs: list[list[float]]) -> float:
    """Of the losses, relative."""
    return max(abs(a[0] - b[0]) / abs(b[0]) for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--layouts", nargs="*", help="of 8, fsdp2, fsdp8, processes (default: all)")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.model.model_helpers import write_tiny_dataset

    recipe = {**RECIPE, "steps": args.steps, "validate_every": args.steps, "checkpoint_every": args.steps}
    with tempfile.TemporaryDirectory() as scratch:
        encoded, out = Path(scratch) / "encoded", Path(scratch) / "out"
        write_tiny_dataset(encoded, choices=(6, 14), elements=("C", "Si"))
        one = alone(encoded, out / "1", recipe, 1)
        layouts = {
            "8": ("1 against 8 devices", lambda: alone(encoded, out / "8", recipe, 8)),
            "fsdp2": ("1 against 8 devices, fsdp 2", lambda: alone(encoded, out / "f2", {**recipe, "fsdp": 2}, 8)),
            "fsdp8": ("1 against 8 devices, fsdp 8", lambda: alone(encoded, out / "f8", {**recipe, "fsdp": 8}, 8)),
            "processes": ("1 against 2 processes", lambda: together(encoded, out / "2", recipe, 2)),
        }
        figures = [
            Figure(f"largest difference of losses, {name}", largest_difference(run(), one), "relative", TARGET)
            for key, (name, run) in layouts.items()
            if not args.layouts or key in args.layouts
        ]
    finish("sharding", figures)


if __name__ == "__main__":
    main()
