"""Relaxation by CHGNet on two cores, against CHGNet's own StructOptimizer.

Crystals of MP-20's test split, drawn with a seed. Ours is `unimat relax` as the workflow runs it, two shards with one
thread each at the same time, then `unimat gather`; CHGNet's is one process with two threads that relaxes one crystal
after the other, with the same optimizer, force limit and step limit. Wall times are from the start of the processes to
their end, imports and tables included. Energies and verdicts are compared crystal by crystal; where energies differ by
more than 1 meV/atom, StructOptimizer is compared with itself, atoms moved by 1e-6 Å (the baseline of that difference).

A shard's own code is what is neither the force field's (atomate2, ASE, CHGNet, loading included) nor the imports: keys,
journal, checks and tables, timed within the shards.

Without UNIMAT_DATA_DIR, the folder of published data, there is nothing to measure, and it says so.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figure, finish, say

from unimat import crystal_table
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.relax.settings import RelaxSettings

SETTINGS = RelaxSettings(threads=1)
CORES = 2
SAME = 1.0  # meV/atom


def draw(folder: Path, n: int, seed: int) -> crystal_table.CrystalTable:
    crystals = read_crystals(folder / "mp_20/test.feather")[0]
    rows = np.random.default_rng(seed).choice(len(crystals), min(n, len(crystals)), replace=False)
    return crystal_table.from_crystals([crystals[row] for row in rows])


def shard(folder: Path, k: int) -> None:
    """One shard, in a process of its own, with the time that each part took."""
    seconds = {"field": 0.0, "load": 0.0}
    from unimat import cli
    from unimat.materials.relax import shard as module

    def timed(work: Any, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                seconds[name] += time.perf_counter() - began

        return call

    make_engine = timed(module.make_engine, "load")

    def made(settings: RelaxSettings) -> Any:
        engine = make_engine(settings)
        engine.maker._run_ase_safe = timed(engine.maker._run_ase_safe, "field")
        return engine

    module.make_engine = made
    began = time.perf_counter()
    flags = ["--crystals", "crystals.parquet", "--work", "work", "--out-file", f"{k}.parquet"]
    code = cli.main(["relax", "--shard", f"{k}/{CORES}", *flags])
    seconds["all"] = time.perf_counter() - began
    (folder / f"{k}.json").write_text(json.dumps(seconds))
    sys.exit(code)


def plain(folder: Path) -> None:
    """CHGNet's optimizer over all crystals, as its documentation shows it."""
    import torch
    from chgnet.model import StructOptimizer

    from unimat.materials.crystals.structures import to_structure

    torch.set_num_threads(CORES)
    warnings.simplefilter("ignore")
    optimizer = StructOptimizer(optimizer_class=SETTINGS.optimizer, use_device="cpu", on_isolated_atoms="ignore")
    rows = []
    for crystal in crystal_table.read(folder / "crystals.parquet"):
        structure = to_structure(crystal)
        try:
            found = optimizer.relax(structure, fmax=SETTINGS.fmax, steps=SETTINGS.max_steps, verbose=False)
            energies = found["trajectory"].energies
            rows.append([float(energies[-1]) / len(structure), len(energies) - 2])
        except Exception as error:
            rows.append([None, str(error)])
    (folder / "plain.json").write_text(json.dumps(rows))


def run(commands: list[list[str]], folder: Path, threads: int) -> tuple[float, float]:
    """Wall seconds of commands that run at the same time, and the sum of their peak memories, MiB."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    processes = [subprocess.Popen([sys.executable, *each], cwd=folder, env=environment) for each in commands]
    memory = 0.0
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{process.args} ended with {process.returncode}")
        memory += usage.ru_maxrss / 1024
    return time.perf_counter() - began, memory


def compared(folder: Path) -> tuple[dict[str, float], float]:
    """Differences of energies, meV/atom, of crystals that both relaxed, by id; share of the same verdicts."""
    table = crystal_table.read(folder / "relaxed.parquet")
    theirs = json.loads((folder / "plain.json").read_text())
    ours = zip(table.column("energy_per_atom"), table.column("converged"), strict=True)
    off, same = {}, []
    for material_id, (energy, converged), (other, steps) in zip(table.material_ids, ours, theirs, strict=True):
        verdict = other is not None and steps < SETTINGS.max_steps
        same.append(bool(converged) == verdict)
        if converged and verdict:
            off[material_id] = float(abs(energy - other)) * 1000
        if not same[-1] or off.get(material_id, 0) > SAME:
            say(f"{material_id}: {energy} eV/atom, converged {converged}; plainly {other}, {steps} steps")
    return off, float(np.mean(same))


def from_itself(folder: Path, ids: list[str]) -> dict[str, float]:
    """How far StructOptimizer's energies move, meV/atom, when the atoms of these crystals do by 1e-6 Å.

    From the top of a saddle, rounding decides where a relaxation goes.
    """
    if not ids:
        return {}
    from chgnet.model import StructOptimizer

    from unimat.materials.crystals.structures import to_structure

    warnings.simplefilter("ignore")
    optimizer = StructOptimizer(optimizer_class=SETTINGS.optimizer, use_device="cpu", on_isolated_atoms="ignore")
    table, found = crystal_table.read(folder / "crystals.parquet"), {}
    for material_id in ids:
        structure, ends = to_structure(table[table.material_ids.index(material_id)]), []
        for moved in (structure, structure.copy().perturb(1e-6)):
            done = optimizer.relax(moved, fmax=SETTINGS.fmax, steps=SETTINGS.max_steps, verbose=False)
            ends.append(float(done["trajectory"].energies[-1]) / len(structure))
        found[material_id] = abs(ends[0] - ends[1]) * 1000
        say(f"{material_id}: StructOptimizer's energy moves by {found[material_id]:.2f} meV/atom with atoms by 1e-6 Å")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200, help="crystals (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", help=argparse.SUPPRESS)  # what a process of the benchmark is to do
    args = parser.parse_args()
    if args.child:
        return plain(Path()) if args.child == "plain" else shard(Path(), int(args.child))
    data = os.environ.get("UNIMAT_DATA_DIR")
    if not data:
        sys.exit("set UNIMAT_DATA_DIR to a folder that holds mp_20/test.feather")
    with tempfile.TemporaryDirectory() as scratch:
        folder, here = Path(scratch), str(Path(__file__).resolve())
        table = draw(Path(data), args.n, args.seed)
        crystal_table.write(table, folder / "crystals.parquet")
        seconds, memory = run([[here, "--child", str(k + 1)] for k in range(CORES)], folder, threads=1)
        shards = [f"{k + 1}.parquet" for k in range(CORES)]
        gather = ["gather", "--shards", *shards, "--like", "crystals.parquet", "--out-file", "relaxed.parquet"]
        gathering, _ = run([["-m", "unimat", *gather]], folder, threads=1)
        say(f"ours: {seconds + gathering:.1f} s")
        plainly, plain_memory = run([[here, "--child", "plain"]], folder, threads=CORES)
        say(f"StructOptimizer: {plainly:.1f} s")
        parts = [json.loads((folder / f"{k + 1}.json").read_text()) for k in range(CORES)]
        off, same = compared(folder)
        itself = from_itself(folder, [name for name, difference in off.items() if difference > SAME])
    whole, loading = (sum(part[name] for part in parts) for name in ("all", "load"))
    own = whole - loading - sum(part["field"] for part in parts)
    ratio = plainly / (seconds + gathering)
    finish(
        "forcefield",
        [
            Figure("throughput against StructOptimizer's", ratio, "ratio", 1.5, better="higher"),
            Figure(f"{len(table)} crystals", seconds + gathering, "s", baseline=plainly),
            Figure(
                "largest difference of an energy", max(off.values()), "meV/atom", 1.0, max(itself.values(), default=0)
            ),
            Figure("crystals that differ by more than 1 meV/atom", len(itself), "crystals"),
            Figure("of these, not so far from itself", sum(itself[n] < off[n] / 2 for n in itself), "crystals", 0),
            Figure("same convergence verdicts", same, "share", 1.0, better="higher"),
            Figure("our own code in the shards' time", own / whole, "share", 0.05),
            Figure("loading the force field in the shards' time", loading / whole, "share"),
            Figure("peak memory, both shards", memory, "MiB", baseline=plain_memory),
        ],
    )
    return None


if __name__ == "__main__":
    main()
