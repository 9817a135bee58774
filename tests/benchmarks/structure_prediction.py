"""Structures of the test split's compositions by substitution of elements in other crystals, counted as by CDVAE.

Templates are the crystals of the other splits (of MP-20 the part of the training split that UNIMAT_DATA_DIR has), with
`--extended` also tiers A and B of mp_20/extra_train.jsonl.gz, which match no test crystal of their formula. Distances
of elements are learned from these templates alone, so nothing was fitted to a test crystal. A truth counts as found by
the first so many candidates of the same number of atoms if pymatgen's StructureMatcher (stol 0.5, ltol 0.3, angle_tol
10) maps one of them onto it; all truths are in the denominator. The baseline of one candidate is the template whose
elements lie nearest by Mendeleev number, electronegativity, radius, group and period, without votes.

Without UNIMAT_DATA_DIR, the folder of published data, there is nothing to measure, and it says so.
"""

import argparse
import dataclasses
import functools
import gzip
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from harness import Figure, finish, peak_memory_mib, say
from pymatgen.core import Lattice

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.materials.crystals.processes import Processes
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.matching.comparer import Comparer
from unimat.materials.metrics.settings import matcher_settings
from unimat.materials.search.exchange import Exchange
from unimat.materials.search.learning import learn, properties_of_elements
from unimat.materials.search.substitution import Candidate, Substitution
from unimat.materials.search.templates import Templates, index, reduced_counts
from unimat.periodic_table import ATOMIC_NUMBER
from unimat.progress import progress

TEMPLATES = {
    "mp_20": ("mp_20/train_partial.csv.gz", "mp_20/val.feather"),
    "perov_5": ("perov_5/perov5_heat_ref.json.zip",),
    "carbon_24": ("carbon_24/carbon24_energy_per_atom.json.zip",),
}
TRUTHS = {"mp_20": "mp_20/test.feather", "perov_5": "perov_5/test.csv", "carbon_24": "carbon_24/test.csv"}
EXTRA = "mp_20/extra_train.jsonl.gz"
CANDIDATES = 20
KS = (1, 2, 3, 5, 10, 20)
BINS = (0.0, 0.5, 1.0, 1.5, 2.5, 4.0, np.inf)  # nats
CHANCES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95, 1.01)
MAX_SECONDS = 20.0  # of one comparison
CHUNK = 50


@dataclasses.dataclass(frozen=True)
class Judged:
    """What was found for one truth.

    Attributes:
        place: of the first candidate that matches; None: none does. errors: of the first candidate, and of that one.
        first: candidate; None if there is no template.
        volume: log of the first candidate's volume over the truth's.
        baseline: whether the template whose elements lie nearest by their properties matches.
    """

    place: int | None
    errors: tuple[float | None, float | None]
    first: Candidate | None
    volume: float
    baseline: bool = False


def extra(path: Path) -> Iterator[Crystal]:
    with gzip.open(path, "rt") as lines:
        for row in map(json.loads, lines):
            if row["tier"][0] in "AB":
                numbers = np.array([ATOMIC_NUMBER[symbol] for symbol in row["species"]])
                lattice = np.array(Lattice.from_parameters(*row["cell"]).matrix)
                yield Crystal(row["id"], lattice, numbers, np.array(row["frac"], float))


def crystals_of(folder: Path, names: Sequence[str]) -> list[Crystal]:
    return [dataclasses.replace(each, properties={}) for name in names for each in read_crystals(folder / name)[0]]


def judged(truths: Sequence[Crystal], substitution: Substitution, plain: Substitution | None, n: int) -> list[Judged]:
    comparer = Comparer(matcher_settings("cdvae"), MAX_SECONDS)
    return [_judged(truth, substitution, plain, n, comparer) for truth in truths]


def _judged(
    truth: Crystal, substitution: Substitution, plain: Substitution | None, n: int, comparer: Comparer
) -> Judged:
    numbers, amounts = np.unique(truth.atomic_numbers, return_counts=True)
    counts = dict(zip(numbers.tolist(), amounts.tolist(), strict=True))
    found = substitution.candidates(counts, n)
    if not found:
        return Judged(None, (None, None), None, np.nan)
    crystals = (substitution.crystal(each, "candidate") for each in found)
    errors: list[float | None] = []
    volume = np.nan
    for crystal in crystals:
        if not errors:
            sizes = [abs(np.linalg.det(each.lattice)) / len(each.atomic_numbers) for each in (crystal, truth)]
            volume = float(np.log(sizes[0] / sizes[1]))
        errors.append(comparer.distance(crystal, truth))
        if errors[-1] is not None:
            break
    baseline = False
    if plain is not None:
        units = reduced_counts(counts)[2]
        every = plain.candidates(counts, 400)
        nearest = min(every, key=lambda each: (each.units != units, each.distance))
        baseline = comparer.distance(plain.crystal(nearest, "nearest"), truth) is not None
    place = len(errors) - 1 if errors[-1] is not None else None
    return Judged(place, (errors[0], errors[-1]), found[0], volume, baseline)


def kinds_of(table: CrystalTable) -> list[tuple]:
    """Kind of each crystal of an index, whatever its elements are."""
    found = []
    for crystal in table:
        numbers, amounts = np.unique(crystal.atomic_numbers, return_counts=True)
        key = reduced_counts(dict(zip(numbers.tolist(), amounts.tolist(), strict=True)))[0]
        about = crystal.properties
        found.append((key, about["space_group"], tuple(sorted(about["sites"]))))
    return found


def rates(found: Sequence[Judged], ks: Sequence[int], plain: bool, targets: dict[int, float]) -> list[Figure]:
    places = np.array([np.inf if each.place is None else each.place for each in found])
    baseline = 100 * float(np.mean([each.baseline for each in found])) if plain else None
    figures = []
    for k in ks:
        name = "match rate of one candidate" if k == 1 else f"match rate of any of {k} candidates"
        rate = 100 * float((places < k).mean())
        figures.append(Figure(name, rate, "%", targets.get(k), baseline if k == 1 else None, better="higher"))
    return figures


def details(found: Sequence[Judged], seen: np.ndarray) -> list[Figure]:
    right = np.array([each.place == 0 for each in found])
    errors = [each.errors[0] for each in found if each.place == 0]
    figures = [
        Figure("RMSE of one candidate", float(np.mean(errors)), "(V/n)^(1/3)", 0.025),
        Figure("median of the same", float(np.median(errors)), "(V/n)^(1/3)"),
        Figure("truths", len(found), "crystals"),
        Figure("without a template", sum(each.first is None for each in found), "crystals"),
        Figure("none of the candidates matches", sum(each.place is None for each in found), "crystals"),
        Figure("truths whose kind no template has", int((~seen).sum()), "crystals"),
    ]
    for which, mask in (("these", ~seen), ("the others", seen)):
        if mask.any():
            figures.append(Figure(f"match rate of one candidate of {which}", 100 * float(right[mask].mean()), "%"))
    volumes = np.array([abs(each.volume) for each in found if each.place == 0])
    figures.append(Figure("mean error of the log of the volume, where it matches", float(volumes.mean()), "1"))
    for what, edges, values in (
        ("distance", BINS, [np.nan if each.first is None else each.first.distance for each in found]),
        ("share of votes", CHANCES, [np.nan if each.first is None else each.first.share for each in found]),
    ):
        for low, high in itertools.pairwise(edges):
            inside = (np.array(values) >= low) & (np.array(values) < high)
            if inside.any():
                name = f"match rate of one candidate, {what} {low:g} to {high:g}"
                figures.append(Figure(name, 100 * float(right[inside].mean()), "%"))
                figures.append(Figure(f"candidates, {what} from {low:g}", int(inside.sum()), "crystals"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=TRUTHS, default="mp_20", help="(default: mp_20)")
    parser.add_argument("--extended", action="store_true", help="with the further crystals of MP-20")
    parser.add_argument("--n", type=int, help="truths, drawn by seed 0 (default: all)")
    parser.add_argument("--candidates", type=int, default=CANDIDATES, help="(default: %(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="(default: 1)")
    args = parser.parse_args()
    if "UNIMAT_DATA_DIR" not in os.environ:
        parser.error("set UNIMAT_DATA_DIR to the folder of published data")
    folder = Path(os.environ["UNIMAT_DATA_DIR"])
    truths = crystals_of(folder, [TRUTHS[args.dataset]])
    asked = {each.material_id for each in truths}  # the file of Perov-5, and that of Carbon-24, holds all splits
    known = [each for each in crystals_of(folder, TEMPLATES[args.dataset]) if each.material_id not in asked]
    known += list(extra(folder / EXTRA)) if args.extended else []
    start = time.perf_counter()
    library, _ = index(from_crystals(known, unique=False), args.processes)
    indexed = time.perf_counter() - start
    templates = Templates(library)
    seen_kinds = set(kinds_of(library))
    if args.n:
        rows = np.random.default_rng(0).permutation(len(truths))[: args.n]
        truths = [truths[row] for row in sorted(rows.tolist())]
    say(f"{len(known)} crystals, {len(templates)} templates")
    substitution = Substitution(templates, learn(templates))
    elements = properties_of_elements()
    plain = Substitution(templates, Exchange(elements, np.ones(len(elements)), share=0.0, units=100.0, known=0.0))
    work = functools.partial(judged, substitution=substitution, plain=plain, n=args.candidates)
    parts = [truths[at : at + CHUNK] for at in range(0, len(truths), CHUNK)]
    found: list[Judged] = []
    with Processes(args.processes, len(truths)) as pool, progress(total=len(truths), desc="truths") as bar:
        for each in pool.over(work, parts):
            found += each
            bar.update(len(each))
    seen = np.array([kinds_of(index(from_crystals([truth]))[0])[0] in seen_kinds for truth in truths])
    targets = {1: 77.0, 5: 89.0, 20: 93.0} if args.extended else {1: 73.0}
    figures = [
        *rates(found, [k for k in KS if k <= args.candidates], True, targets),
        *details(found, seen),
        Figure("templates", len(templates), "crystals"),
        Figure("index", len(known) / indexed, "crystals/s", better="higher"),
        Figure("peak memory", peak_memory_mib(), "MiB"),
    ]
    finish("structure_prediction", figures)


if __name__ == "__main__":
    main()
