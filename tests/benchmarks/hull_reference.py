"""Reading a hull reference until the first crystal is judged, and judging against it.

The larger reference is made up: random formulas of one to five of 89 elements at random energies, and a phase of every
element. The smaller has the number of phases of the Materials Project's published summary, and is that summary itself
where UNIMAT_DATA_DIR holds it. Seconds of reading are the process' CPU time from the Parquet file to the first
decomposition energy, without the imports. The alternative for reading makes a pymatgen entry of every row, as scripts
around pymatgen do, on a part of the rows; that for judging builds one phase diagram per candidate of all entries within
its elements.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from harness import Figure, finish, peak_memory_mib, say
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element

from unimat.materials.stability.decomposition import Hulls, elements_of
from unimat.materials.stability.references import reference
from unimat.materials.stability.references.build import build
from unimat.materials.stability.references.entries import Entries, table_of
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import ReferenceSettings

PUBLISHED = "hull/mp_materials_summary.csv"
SMALL = 31_840  # phases of the published summary
TARGETS = {"small": 1.0, "large": 10.0}  # s
TARGET_SPEED_UP = 3.0
TARGET_DISAGREEMENT = 1e-6  # eV/atom
ENERGY_TYPE = {"calculator": "none: made up", "functional": "none", "corrections": "none", "quantity": "total energy"}


def made_up(n: int, rng: np.random.Generator) -> Reference:
    """Random phases of up to five elements, and one of every element."""
    symbols = [Element.from_Z(number).symbol for number in range(1, 90)]
    sizes = np.concatenate([np.ones(len(symbols), int), rng.integers(2, 6, n - len(symbols))])
    members = [[index] for index in range(len(symbols))]
    members += [sorted(rng.choice(len(symbols), size, replace=False).tolist()) for size in sizes[len(symbols) :]]
    amounts = [rng.integers(1, 9, len(each)).astype(float).tolist() for each in members]
    columns = {
        "entry_id": [f"made-up-{index}" for index in range(n)],
        "formula": [_formula(symbols, *each) for each in zip(members, amounts, strict=True)],
        "elements": [[index + 1 for index in each] for each in members],
        "amounts": amounts,
        "energy_per_atom": -4.0 - 0.3 * (sizes - 1) + rng.uniform(0, 0.6, n) * (sizes > 1),
        "correction_per_atom": rng.uniform(-0.5, 0, n),
        **{name: ENERGY_TYPE[name] for name in ("functional", "calculator")},
    }
    return Reference("made up", Entries(table_of(columns)), ENERGY_TYPE)


def _formula(symbols: list[str], members: list[int], amounts: list[float]) -> str:
    return " ".join(f"{symbols[index]}{amount:g}" for index, amount in zip(members, amounts, strict=True))


def cpu_seconds(work: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def first_judged(path: Path, composition: Composition) -> Callable[[], Any]:
    return lambda: Hulls(reference.read(path)).judge(composition, -5.0)


def entry_by_entry(path: Path, rows: int) -> Callable[[], Any]:
    """The first rows as a list of pymatgen's entries with their sets of elements, from their formulas."""

    def work() -> list[Any]:
        table = pq.read_table(path, columns=["entry_id", "formula", "energy_per_atom"]).slice(0, rows).to_pylist()
        compositions = [Composition(row["formula"]) for row in table]
        entries = [
            PDEntry(own, row["energy_per_atom"] * own.num_atoms, name=row["entry_id"])
            for own, row in zip(compositions, table, strict=True)
        ]
        return [(entry, elements_of(entry.composition)) for entry in entries]

    return work


def judged(known: Reference, candidates: list[tuple[Composition, float]]) -> tuple[float, list[float]]:
    """Seconds and decomposition energies, by one diagram per chemical system."""
    hulls, start = Hulls(known), time.process_time()
    energies = [float(hulls.judge(*candidate)["decomposition_energy"]) for candidate in candidates]
    return time.process_time() - start, energies


def judged_one_by_one(known: Reference, candidates: list[tuple[Composition, float]]) -> tuple[float, list[float]]:
    """The same by plain pymatgen; the entries and their sets of elements are at hand before the clock starts."""
    everything = [(entry, elements_of(entry.composition)) for entry in known.entries]
    start, energies = time.process_time(), []
    for composition, energy in candidates:
        own = elements_of(composition)
        diagram = PhaseDiagram([entry for entry, elements in everything if elements <= own])
        energies.append(energy - float(diagram.get_hull_energy_per_atom(composition)))
    return time.process_time() - start, energies


def candidates_of(known: Reference, n: int, rng: np.random.Generator) -> list[tuple[Composition, float]]:
    """Compositions of entries of the reference at energies near theirs."""
    hulls, found = Hulls(known), []
    for row in rng.permutation(len(known.entries)).tolist():
        entry = known.entries[row]
        if not hulls.missing_elements(elements_of(entry.composition)):
            found.append((entry.composition, entry.energy_per_atom + float(rng.uniform(-0.2, 0.2))))
        if len(found) == n:
            break
    return found


def published(args: argparse.Namespace) -> tuple[Reference, float] | None:
    """The published summary and the wall time of correcting it; None where it is not at hand."""
    if not args.published or not Path(os.environ.get("UNIMAT_DATA_DIR", ""), PUBLISHED).is_file():
        return None
    start = time.perf_counter()
    built = build(ReferenceSettings(kind="materials_project", path=PUBLISHED), {}, n_processes=args.processes)
    return built, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=SMALL, help=f"phases of the smaller one (default: {SMALL})")
    parser.add_argument("--large", type=int, default=500_000, help="phases of the larger one (default: 500000)")
    parser.add_argument("--candidates", type=int, default=2000, help="crystals to judge (default: 2000)")
    parser.add_argument("--alternative", type=int, default=100, help="so many by the alternative, too (default: 100)")
    parser.add_argument("--repeats", type=int, default=3, help="the shortest time counts (default: 3)")
    parser.add_argument("--processes", type=int, default=2, help="processes that correct the summary (default: 2)")
    parser.add_argument("--no-published", dest="published", action="store_false", help="made-up phases alone")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    figures = []
    corrected = published(args)
    with tempfile.TemporaryDirectory() as folder:
        references = {"large": made_up(args.large, rng), "small": made_up(args.small, rng)}
        if corrected:
            references["small"] = corrected[0]
            figures.append(Figure("corrections of the published summary", corrected[1], "s"))
        for size, known in references.items():
            path = Path(folder, f"{size}.parquet")
            reference.write(known, path)
            say(f"{len(known.entries)} phases in {path.stat().st_size / 1e6:.1f} MB")
            seconds = cpu_seconds(first_judged(path, known.entries[len(known.entries) // 2].composition), args.repeats)
            rows = min(20_000, len(known.entries))
            slow = cpu_seconds(entry_by_entry(path, rows), 1) * len(known.entries) / rows
            name = f"{len(known.entries)} phases, read until the first is judged"
            figures.append(Figure(name, seconds, "s", TARGETS[size], slow))
            megabytes = path.stat().st_size / 1e6
            figures.append(Figure(f"{len(known.entries)} phases, file", megabytes, "MB"))
        known = reference.read(Path(folder, "small.parquet"))
    candidates = candidates_of(known, args.candidates, rng)
    fast_time, fast = judged(known, candidates)
    few = candidates[: args.alternative]
    slow_time, slow = judged_one_by_one(known, few)
    rate, slow_rate = len(candidates) / fast_time, len(few) / slow_time
    difference = max(abs(a - b) for a, b in zip(fast, slow, strict=False))
    figures += [
        Figure("candidates judged", rate, "1/s", TARGET_SPEED_UP * slow_rate, slow_rate, "higher"),
        Figure("disagreement with PhaseDiagram", difference, "eV/atom", TARGET_DISAGREEMENT),
        Figure("peak memory", peak_memory_mib(), "MiB"),
    ]
    finish("hull_reference", figures)


if __name__ == "__main__":
    main()
