"""Substitution: templates indexed, a library read, and candidates of compositions against libraries of three sizes.

The libraries are the prototypes of AFLOW with elements drawn at random, since published tables are not everywhere;
--templates takes a library of one's own in the place of the largest. Times are processor times of one core. The library
of 88,000 is read in a process of its own, whose memory is measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from harness import Figure, finish, peak_memory_mib, say

from unimat import crystal_table
from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.materials.search import aflow, libraries
from unimat.materials.search.candidates import predict
from unimat.materials.search.compositions import Asked
from unimat.materials.search.settings import SubstitutionSettings
from unimat.materials.search.substitution import Substitution, formula_of
from unimat.materials.search.templates import FIELDS, VERSION, Templates, index

T = TypeVar("T")
ELEMENTS = np.array([z for z in range(1, 95) if z not in (2, 10, 18, 36, 43, 54, 61, *range(84, 90))])
PER_SECOND = 100  # compositions, against 30,000 templates
SECONDS_TO_READ = 1.0  # of 88,000 templates
MEMORY = 300.0  # MiB, of the same


def drawn(n: int, seed: int = 0) -> CrystalTable:
    """A library of `n` prototypes with elements at random, at volumes of the elements that they had."""
    rng, table = np.random.default_rng(seed), aflow.library().table
    crystals = [exchanged(table[int(row)], f"t{i}", rng) for i, row in enumerate(rng.integers(len(table), size=n))]
    return from_crystals(crystals, fields=FIELDS, index_version=VERSION, name="prototypes with elements at random")


def exchanged(prototype: Crystal, name: str, rng: np.random.Generator) -> Crystal:
    old, where = np.unique(prototype.atomic_numbers, return_inverse=True)
    new = rng.choice(ELEMENTS, len(old), replace=False)
    sites = [prototype.properties["sites"][place] for place in np.argsort(new)]
    about = {"space_group": prototype.properties["space_group"], "sites": sites}
    return Crystal(name, prototype.lattice, new[where], prototype.frac_coords, about)


def asked_of(table: CrystalTable, n: int) -> list[Asked]:
    """Compositions of `n` crystals of a table, drawn with a seed."""
    rows = np.random.default_rng(1).integers(len(table), size=n)
    found = []
    for row in rows.tolist():
        numbers, counts = np.unique(table[row].atomic_numbers, return_counts=True)
        each = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        found.append(Asked(formula_of(each), each, truth_id=table.material_ids[row]))
    return found


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Processor seconds of a call, and what it returns."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def searches(table: CrystalTable, n: int, target: float | None) -> list[Figure]:
    """Compositions a second against the templates of a table, one candidate and twenty."""
    templates, asked, figures = Templates(table), asked_of(table, n), []
    substitution = Substitution(templates)
    for count in (1, 20):
        settings = SubstitutionSettings(count=count, without_own=True)
        seconds, (found, rejected) = timed(lambda settings=settings: predict(substitution, asked, settings))
        say(f"{len(table)} templates: {len(found)} candidates, {len(rejected)} missing, {seconds:.2f} s")
        name = f"{len(table)} templates, {count} candidate{'s' if count > 1 else ''} each"
        figures.append(Figure(name, n / seconds, "compositions/s", target=target, better="higher"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[7500, 15000, 30000], help="templates of the libraries")
    parser.add_argument("--read", type=int, default=88000, help="templates of the library that is read")
    parser.add_argument("--n", type=int, default=400, help="compositions (default: 400)")
    parser.add_argument("--n-index", type=int, default=1000, help="crystals that are indexed (default: 1000)")
    parser.add_argument("--templates", type=Path, help="library in the place of that which is read")
    parser.add_argument("--only-read", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only_read:
        read_alone(args.only_read)
        return
    crystals = drawn(args.n_index)
    seconds, _ = timed(lambda: index(crystals))
    figures = [Figure(f"index {len(crystals)} crystals", len(crystals) / seconds, "crystals/s", better="higher")]
    for size in args.sizes:
        figures += searches(drawn(size), args.n, PER_SECOND if size == 30000 else None)
    with tempfile.TemporaryDirectory() as folder:
        path = args.templates or Path(folder, "library.parquet")
        if not args.templates:
            crystal_table.write(drawn(args.read), path)
        in_a_process_of_its_own = [sys.executable, __file__, "--only-read", path]
        done = subprocess.run(in_a_process_of_its_own, stdout=subprocess.PIPE, text=True, check=True)
    n, seconds, memory = json.loads(done.stdout)
    figures.append(Figure(f"read {n} templates", seconds, "s", target=SECONDS_TO_READ))
    figures.append(Figure("peak memory of reading them and of one search", memory, "MiB", target=MEMORY))
    finish("substitution", figures)


def read_alone(path: Path) -> None:
    """Read a library, search for one composition, and print templates, seconds and the peak memory."""
    seconds, templates = timed(lambda: libraries.read([path]))
    Substitution(templates).candidates({3: 4, 8: 16, 15: 4, 26: 4}, 20)
    print(json.dumps([len(templates), seconds, peak_memory_mib()]))


if __name__ == "__main__":
    main()
