"""What the job store costs for each job: none, in memory, embedded, and the embedded ones of maggma as they are.

A job here computes nothing and returns what a force field's document holds for a crystal of 10 atoms and 30 steps. The
embedded store is filled up to `--n`; cost is that of the last hundred jobs, since a store that looks through what it
holds gets slower with each. maggma's own MontyStore and JSONStore get `--n-slow` documents alone. "Nothing" is the
result built and handed back without a job, as force fields do where the store is `memory`.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Figure, finish, peak_memory_mib, say
from jobflow import JobStore, job
from maggma.stores import JSONStore, MontyStore
from pymatgen.core import Lattice, Structure

from unimat.materials.relax.jobs.context import embedded_folder, labelled, recorded_by, recording
from unimat.materials.relax.jobs.recorder import JobRecorder
from unimat.materials.relax.jobs.run import run
from unimat.materials.relax.jobs.store import OpenStore

RELAXATION = 0.5  # s of a CHGNet relaxation of 4 to 14 atoms on one core
ATOMS, STEPS, LAST = 10, 30, 100


def result() -> dict[str, Any]:
    structure = Structure(Lattice.cubic(6.0), ["Si"] * ATOMS, [[n / ATOMS, n * 0.3 % 1, 0.1] for n in range(ATOMS)])
    forces = [[0.001, -0.002, 0.003]] * ATOMS
    steps = [{"energy": -5.0 - step / 1000} for step in range(STEPS)]
    return {"structure": structure, "input": structure, "forces": forces, "stress": forces[:3], "ionic_steps": steps}


@job(data=["trajectory"])
def relaxation() -> dict[str, Any]:
    return result()


def milliseconds(work: Callable[[], Any], n: int) -> float:
    """Of one of the last calls of `n`."""
    for _ in range(n - LAST):
        work()
    start = time.perf_counter()
    for _ in range(LAST):
        work()
    return (time.perf_counter() - start) / LAST * 1e3


def labelled_job() -> None:
    with labelled(material_id="c-1", content_key="0" * 64):
        run(relaxation())


def through(part: Callable[[str], Any], folder: Path, n: int) -> float:
    """Of a JobStore of maggma's own, as it is."""
    store = JobStore(part("outputs"), additional_stores={"data": part("blobs")})
    store.connect()
    with recorded_by(JobRecorder(OpenStore(store, "maggma's"), folder / "unsent.jsonl")):
        return milliseconds(labelled_job, n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="jobs (default: 1000)")
    parser.add_argument("--n-slow", type=int, default=300, help="jobs of maggma's own stores (default: 300)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unimat-") as temporary:
        folder = Path(temporary)
        nothing = milliseconds(result, 2 * LAST)
        memory = milliseconds(labelled_job, 2 * LAST)
        say(f"in memory: {memory:.1f} ms")
        with recording("embedded", folder, "all"):
            embedded = milliseconds(labelled_job, args.n)
        size = sum(path.stat().st_size for path in embedded_folder(folder, "all").rglob("*") if path.is_file())
        say(f"embedded: {embedded:.1f} ms")
        monty = through(lambda name: MontyStore(name, database_path=str(folder / "monty")), folder, args.n_slow)
        say(f"MontyStore: {monty:.1f} ms")
        plain = through(lambda name: JSONStore(str(folder / f"{name}.json"), read_only=False), folder, args.n_slow)
    finish(
        "job_stores",
        [
            Figure("no job", nothing, "ms"),
            Figure("memory", memory, "ms", RELAXATION * 50, baseline=nothing),
            Figure(f"embedded at {args.n:,} documents", embedded, "ms", RELAXATION * 50, baseline=memory),
            Figure("embedded, share of a relaxation", embedded / RELAXATION / 10, "%", 5),
            Figure("embedded, size of a document", size / args.n / 1e3, "kB"),
            Figure(f"maggma's MontyStore at {args.n_slow:,} documents", monty, "ms", baseline=embedded),
            Figure(f"maggma's JSONStore at {args.n_slow:,} documents", plain, "ms", baseline=embedded),
            Figure("peak memory", peak_memory_mib(), "MiB"),
        ],
    )


if __name__ == "__main__":
    main()
