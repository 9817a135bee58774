"""A rerun of a set whose every crystal is relaxed: `unimat relax` decides that nothing is to be done.

Crystals of 2 to 20 atoms, made up; their results are written to two journals, as two shards leave them, and to a cache
that runs share, among ten times as many results of others. Timed from the start of the process to its end, the table
written. The baseline is what a rerun would cost beside that if it loaded the force field first.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import Figure, finish, say

from unimat.crystal_table import Crystal, from_crystals, read, write
from unimat.materials.crystals.structures import to_structure
from unimat.materials.relax.engine import Relaxation
from unimat.materials.relax.journal import Cache, Journal
from unimat.materials.relax.relaxation_key import content_key, settings_text
from unimat.materials.relax.settings import RelaxSettings

SECONDS = 20.0
LOADING = "from unimat.materials.relax.engine import *; make_engine(RelaxSettings())"


def made_up(n: int) -> list[Crystal]:
    rng = np.random.default_rng(0)
    found = []
    for row in range(n):
        n_atoms = int(rng.integers(2, 21))
        lattice = np.eye(3) * (15 * n_atoms) ** (1 / 3) + rng.uniform(0, 0.5, (3, 3))
        coords = rng.random((n_atoms, 3))
        found.append(Crystal(f"c-{row}", lattice, rng.integers(1, 84, n_atoms), coords))
    return found


def fill(folder: Path, crystals: list[Crystal], others: int) -> None:
    """Journals of two shards in `work`; a cache with the same and `others` times as many under other keys."""
    text = settings_text(RelaxSettings())
    journals = [Journal(folder / "work", f"set-{k}of2", ()) for k in (1, 2)]
    for row, crystal in enumerate(crystals):
        outcome = Relaxation(to_structure(crystal), -5.0, -4.9, 0.01, 12, True)
        journals[row % 2].append(content_key(crystal, text), outcome, crystal.material_id)
    entries = {key: entry for journal in journals for key, entry in journal.results.items()}
    for number in range(others + 1):
        renamed = {f"{number:x}{key[1:]}" if number else key: entry for key, entry in entries.items()}
        Cache(folder / "cache", ()).add(renamed)


def timed(command: list[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=folder, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=5000, help="finished crystals (default: 5000)")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    crystals = made_up(args.n)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(from_crystals(crystals), folder / "set/crystals.parquet")
        fill(folder, crystals, others=10)
        say("results written")
        flags = ["-m", "unimat", "relax", "--crystals", "set/crystals.parquet", "--out-file", "relaxed.parquet"]
        from_journal = timed([*flags, "--work", "work"], folder)
        assert read(folder / "relaxed.parquet").column("converged").all()
        from_cache = timed([*flags, "--work", "empty", "--cache", "cache"], folder)
        assert read(folder / "relaxed.parquet").column("converged").all()
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        loading = timed(["-c", LOADING], folder)
    finish(
        "finished",
        [
            Figure(f"{args.n} finished crystals", from_journal, "s", SECONDS, baseline=from_journal + loading),
            Figure(f"the same, from a shared cache of {11 * args.n}", from_cache, "s", SECONDS),
            Figure("peak memory", memory, "MiB"),
        ],
    )


if __name__ == "__main__":
    main()
