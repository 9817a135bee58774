"""Uniqueness and novelty against plain pairwise StructureMatcher, and their time at the size of a paper's evaluation.

Verdicts: crystals of the set of DiffCSP, those first whose composition occurs most often, among themselves and against
all of MP-20 that is there; and polymorphs of Carbon-24, where every pair has to be compared. The plain way asks
StructureMatcher.fit both ways for every pair of one reduced formula. Times of the two ways are CPU seconds of one
process; those of the whole set are wall times with `--processes`. Average minimum distances are timed beside.

Without UNIMAT_DATA_DIR, the folder of published data, there is nothing to measure, and it says so.
"""

import argparse
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness import Figure, finish, peak_memory_mib, say
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from tqdm import tqdm

from unimat.crystal_table import Crystal
from unimat.materials.crystals.structures import reduced_formula, to_structure
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.matching.average_minimum_distance import average_minimum_distances, nearest, nearest_in_set
from unimat.materials.matching.clusters import clusters, matches_known

GENERATED = "generated/diffcsp_mp_20/DiffCSP_mp_20.pt"
KNOWN = ("mp_20/train_partial.csv.gz", "mp_20/val.feather", "mp_20/test.feather")
CARBON = ("carbon_24/val.csv", "carbon_24/test.csv")
MINUTES = 5.0  # for 10,000 against all known, on two cores


def read(folder: Path, names: Sequence[str]) -> list[Crystal]:
    return [crystal for name in names for crystal in read_crystals(folder / name)[0]]


def by_formula(crystals: Sequence[Crystal]) -> dict[str, list[int]]:
    rows = defaultdict(list)
    for row, crystal in enumerate(crystals):
        rows[reduced_formula(crystal.atomic_numbers)].append(row)
    return rows


def same(matcher: StructureMatcher, one: Structure, other: Structure) -> bool:
    return matcher.fit(one, other) or matcher.fit(other, one)


def plain_clusters(crystals: Sequence[Crystal]) -> list[int]:
    """A label of each crystal's connected component, every pair of one formula asked for."""
    matcher, structures = StructureMatcher(), [to_structure(crystal) for crystal in crystals]
    labels = list(range(len(crystals)))
    for rows in tqdm(by_formula(crystals).values(), "plain uniqueness", disable=None):
        for at, row in enumerate(rows):
            for other in rows[:at]:
                if same(matcher, structures[row], structures[other]):
                    old, new = labels[row], labels[other]
                    labels = [new if label == old else label for label in labels]
    return labels


def plain_known(crystals: Sequence[Crystal], known: Sequence[Crystal]) -> list[str | None]:
    matcher, candidates = StructureMatcher(), by_formula(known)
    found = []
    for crystal in tqdm(crystals, "plain novelty", disable=None):
        ours, rows = to_structure(crystal), candidates.get(reduced_formula(crystal.atomic_numbers), [])
        matches = [known[row].material_id for row in rows if same(matcher, ours, to_structure(known[row]))]
        found.append(matches[0] if matches else None)
    return found


def timed(work: Callable, *arguments: Any, clock: Callable[[], float] = time.process_time) -> tuple[float, Any]:
    start = clock()
    result = work(*arguments)
    return clock() - start, result


def moved(labels: Sequence[int], others: Sequence[int]) -> int:
    """Crystals whose cluster is another set of crystals."""
    sets: list[dict[int, set[int]]] = []
    for each in (labels, others):
        sets.append(defaultdict(set))
        for row, label in enumerate(each):
            sets[-1][label].add(row)
    return sum(sets[0][one] != sets[1][other] for one, other in zip(labels, others, strict=True))


def verdicts(generated: list[Crystal], known: list[Crystal], carbon: list[Crystal]) -> list[Figure]:
    """Disagreements, and throughput against the plain way."""
    (ours, labels), (theirs, plain) = timed(clusters, generated), timed(plain_clusters, generated)
    (ours_known, matched), (theirs_known, plain_matched) = (
        timed(way, generated, known) for way in (matches_known, plain_known)
    )
    (ours_carbon, polymorphs), (theirs_carbon, plain_polymorphs) = (
        timed(way, carbon) for way in (clusters, plain_clusters)
    )
    differ = sum(one != other for one, other in zip(matched, plain_matched, strict=True))
    say(f"{len(set(labels))} unique and {matched.count(None)} novel of {len(generated)}")
    return [
        Figure(f"other verdicts, uniqueness of {len(generated)}", moved(labels, plain), "crystals", 0),
        Figure(f"other verdicts, novelty of {len(generated)}", differ, "crystals", 0),
        Figure(
            f"other verdicts, {len(carbon)} of Carbon-24", moved(polymorphs, plain_polymorphs), "crystals", 0
        ),
        Figure("uniqueness", ours, "CPU s", baseline=theirs),
        Figure("novelty", ours_known, "CPU s", baseline=theirs_known),
        Figure("uniqueness, Carbon-24", ours_carbon, "CPU s", baseline=theirs_carbon),
    ]  # fmt: skip


def whole(generated: list[Crystal], known: list[Crystal], carbon: list[Crystal], processes: int) -> list[Figure]:
    """Wall times of everything."""
    wall = time.perf_counter
    unique, labels = timed(lambda: clusters(generated, processes=processes), clock=wall)
    novel, matched = timed(lambda: matches_known(generated, known, processes=processes), clock=wall)
    say(f"{len(set(labels)):,} unique and {matched.count(None):,} novel of {len(generated):,}")
    polymorphs, carbon_labels = timed(lambda: clusters(carbon, processes=processes), clock=wall)
    amd, (ours, theirs) = timed(
        lambda: [average_minimum_distances(each, processes=processes) for each in (generated, known)], clock=wall
    )
    compared, _ = timed(
        lambda: [(nearest_in_set(generated, ours, same), nearest(generated, ours, known, theirs, same))
                 for same in (True, False)], clock=wall
    )  # fmt: skip
    against = f"{len(generated):,} against {len(known):,}"
    return [
        Figure(f"uniqueness and novelty, {against}", (unique + novel) / 60, "min", MINUTES),
        Figure(f"unique of {len(generated):,}", len(set(labels)), "clusters"),
        Figure(f"novel of {len(generated):,}", matched.count(None), "crystals"),
        Figure(f"uniqueness of {len(carbon):,} of Carbon-24", polymorphs / 60, "min"),
        Figure(f"unique of {len(carbon):,} of Carbon-24", len(set(carbon_labels)), "clusters"),
        Figure(f"average minimum distances of {len(generated) + len(known):,}", amd / 60, "min"),
        Figure(f"nearest by them, {against}", compared / 60, "min"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2000, help="generated crystals compared plainly (default: 2000)")
    parser.add_argument("--n-carbon", type=int, default=100, help="of Carbon-24, plainly (default: 100)")
    parser.add_argument("--n-whole", type=int, default=10_000, help="generated crystals timed (default: 10000)")
    parser.add_argument("--n-whole-carbon", type=int, default=2000, help="of Carbon-24, timed (default: 2000)")
    parser.add_argument("--n-known", type=int, help="of MP-20, as the known (default: all 22,472)")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if not (data := os.environ.get("UNIMAT_DATA_DIR")):
        sys.exit("set UNIMAT_DATA_DIR to a folder that holds mp_20, carbon_24 and generated/diffcsp_mp_20")
    generated, known, carbon = (read(Path(data), names) for names in ([GENERATED], KNOWN, CARBON))
    known = known[: args.n_known]
    formulas = [reduced_formula(crystal.atomic_numbers) for crystal in generated]
    counts = Counter(formulas)
    order = sorted(range(len(generated)), key=lambda row: -counts[formulas[row]])  # stable: repeated ones first
    figures = verdicts([generated[row] for row in order[: args.n]], known, carbon[: args.n_carbon])
    figures += whole(generated[: args.n_whole], known, carbon[: args.n_whole_carbon], args.processes)
    of_processes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    memory = peak_memory_mib() + args.processes * of_processes
    finish("matching", [*figures, Figure("peak memory, all processes at most", memory, "MiB", 4096)])


if __name__ == "__main__":
    main()
