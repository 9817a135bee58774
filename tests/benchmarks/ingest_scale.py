"""Ingestion of GNoME-format files, a table and one zip of CIFs, at 20,000 and at 200,000 crystals.

The files are made up (`tests/materials/datasets/gnome_like.py`): real column names, valid crystals of 2 to 40 atoms.
Each run is the command `unimat ingest` in a process of its own, fetched manifest to data card, timed in CPU seconds
from start to end, imports included. A run with two worker processes at the larger size gives the wall time that 2.2
million crystals, the number of UniMat's paper, would take; the step from the smaller to the larger size is taken for
linear.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ROOT, Figure, finish, say

SMALL, LARGE, PAPER = 20_000, 200_000, 2_200_000
TARGET_RATIO = 0.8
TARGET_MEMORY = 1.5 * 1024  # MiB


def make_files(folder: Path, n: int) -> None:
    """A fetched folder of `n` made-up crystals, as `unimat fetch --dataset gnome` leaves it."""
    made = folder / "made"
    subprocess.run([sys.executable, "-m", "tests.materials.datasets.gnome_like", made, str(n)], cwd=ROOT, check=True)
    fetch = [sys.executable, "-m", "unimat", "fetch", "--dataset", "gnome", "--mirror", made, "--out", folder / "files"]
    subprocess.run(fetch, check=True, stderr=subprocess.DEVNULL)


def run(folder: Path, n_processes: int) -> dict[str, float]:
    """CPU and wall seconds, and peak memory in MiB, of one ingestion; of the main process with its workers' time."""
    settings = json.dumps({"name": "gnome", "split": {"kind": "fractions", "group_by": "reduced_formula"}})
    words = ["ingest", "--settings", settings, "--files", folder / "files", "--out", folder / "out"]
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "unimat", *words, "--processes", str(n_processes)], stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"unimat ingest ended with exit code {child.returncode}")
    return {
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": time.perf_counter() - began,
        "memory": usage.ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=SMALL)
    parser.add_argument("--large", type=int, default=LARGE)
    args = parser.parse_args()
    results, walls = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for n in (args.small, args.large):
            folder = Path(scratch) / str(n)
            say(f"making {n:,} crystals")
            make_files(folder, n)
            say("ingesting on one core")
            results[n] = run(folder, 1)
            say(f"{results[n]}; now with two processes")
            walls[n] = run(folder, 2)
            n_accepted = sum(json.loads((folder / "out/card.json").read_text())["crystals"].values())
            assert n_accepted == n, f"{n_accepted} of {n} accepted"
    rate = {n: n / result["cpu"] for n, result in results.items()}
    slope = (walls[args.large]["wall"] - walls[args.small]["wall"]) / (args.large - args.small)
    paper = (walls[args.large]["wall"] + slope * (PAPER - args.large)) / 60
    small, large = f"{args.small:,}", f"{args.large:,}"
    finish(
        "ingest_scale",
        [
            Figure(f"throughput at {small}", rate[args.small], "crystals/CPU s"),
            Figure(f"throughput at {large}", rate[args.large], "crystals/CPU s"),
            Figure(
                f"throughput at {large} against {small}",
                rate[args.large] / rate[args.small],
                "ratio",
                TARGET_RATIO,
                better="higher",
            ),
            Figure(f"peak memory at {small}", results[args.small]["memory"], "MiB", TARGET_MEMORY),
            Figure(f"peak memory at {large}", results[args.large]["memory"], "MiB", TARGET_MEMORY),
            Figure(f"wall time at {large} with two processes", walls[args.large]["wall"], "s"),
            Figure(f"peak memory of the main process of two workers at {large}", walls[args.large]["memory"], "MiB"),
            Figure(f"extrapolated to {PAPER:,} with two processes", paper, "min"),
        ],
    )


if __name__ == "__main__":
    main()
