"""The whole evaluation of a published set, 10,000 crystals of DiffCSP against MP-20's 9,046 test crystals.

`cold` reads both files as they were published and evaluates with an empty cache; `cached` does it again; `itself`
judges the test split by itself. They run the command line in processes of their own, whose memory (children included,
shared pages counted once) is sampled. `draws` repeats CDVAE's draw of 1,000 valid crystals with other seeds.
`composition` is the SMACT rule against smact's own walk through all combinations of oxidation states, on compositions
of either side, in CPU seconds, and on made-up ones of eight elements that smact cannot finish. `energy` adds CHGNet's
energies of both sides, and is left out unless named, as it takes longer than all the others.

Two sources have published numbers for this set. `NOTEBOOK` is what the evaluation of those who released the file
printed: the WyckoffTransformer repository, research_notebooks/cdvae_metrics.ipynb at commit 55a851f, unfiltered, whole
sets (what it calls recall is a share of the 10,000 generated, COV-P here). `PUBLISHED` is a table elsewhere, whose
coverage is of the valid crystals alone, recall and precision exchanged: the case `valid` computes it.

Without UNIMAT_DATA_DIR, the folder of published data, there is nothing to measure, and it says so. Each case that is
named in --cases runs alone; --work keeps the cache and the summaries, so that cases may run one by one.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figure, finish, say
from pymatgen.core import Composition
from tqdm import tqdm

from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.metrics import distributions, validity
from unimat.materials.metrics.coverage import cdvae_coverage, nearest
from unimat.materials.metrics.fingerprint_distances import Prints
from unimat.materials.metrics.fingerprints.fingerprints import Fingerprints
from unimat.materials.metrics.fingerprints.magpie import composition, reduced
from unimat.materials.metrics.settings import MetricsSettings
from unimat.materials.metrics.verdicts import Work

GENERATED, TEST = "generated/diffcsp_mp_20/DiffCSP_mp_20.pt", "mp_20/test.feather"
PUBLISHED = {"structure valid": 1.0, "composition valid": 0.832}
PUBLISHED_OF_VALID = {"COV-R": 0.9951, "COV-P": 0.9982}  # under each other's names there
PUBLISHED_DISTANCES = {"density": 0.3508, "n_elements": 0.3466}
NOTEBOOK = {"composition valid": 0.8322, "COV-P": 0.9976}
NOTEBOOK_DISTANCES = {"density": 0.351324, "n_elements": 0.346054}
ROUNDING = 1e-6
TOLERANCE, TOLERANCE_OF_DISTANCES = 0.002, 0.01
COLD_SECONDS, CACHED_SECONDS, MEMORY_MIB = 15 * 60, 60, 4096
SPEED_UP = 20
N_DRAWS, N_COMPOSITIONS, N_MANY, N_ELEMENTS = 20, 1500, 200, 8
FOUR_DIGITS = 5e-5
CASES = ("cold", "cached", "valid", "itself", "draws", "composition", "energy")


def peak_of_tree(pid: int, stop: threading.Event, peak: list[float]) -> None:
    """Sample the memory of a process and all below it until `stop`; the largest sum in MiB goes into `peak`."""
    while not stop.wait(0.5):
        peak[0] = max(peak[0], sum(map(proportional_mib, [pid, *descendants(pid)])))


def descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def proportional_mib(pid: int) -> float:
    """Memory of one process, what it shares divided among the sharers; 0 when it has gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def evaluated(work: Path, name: str, crystals: Path, reference: Path, *options: str) -> dict[str, Any]:
    """Summary of the command line's evaluation, with its wall seconds and peak memory."""
    out = work / f"{name}.json"
    command = [sys.executable, "-m", "unimat", "metrics", "--crystals", crystals, "--reference", reference,
               "--set", name, "--cache", work / "cache", "--processes", "2", "--out-file", out,
               "--verdicts", work / f"{name}.parquet", *options]  # fmt: skip
    stop, peak, start = threading.Event(), [0.0], time.perf_counter()
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=sys.stderr) as process:
        watch = threading.Thread(target=peak_of_tree, args=(process.pid, stop, peak))
        watch.start()
        returncode = process.wait()
        stop.set()
        watch.join()
    assert returncode == 0, f"{name}: exit code {returncode}"
    return json.loads(out.read_text()) | {"seconds": time.perf_counter() - start, "peak": peak[0]}


def costs(name: str, summary: dict[str, Any], limit: float) -> Iterator[Figure]:
    yield Figure(f"evaluation, {name}", summary["seconds"], "s", limit)
    yield Figure(f"peak memory, {name}, children included", summary["peak"], "MiB", MEMORY_MIB)


def near(name: str, value: float, published: float, tolerance: float, unit: str = "") -> Iterator[Figure]:
    yield Figure(name, value, unit or "of 1", baseline=published)
    yield Figure(f"{name}, off the published value", abs(value - published), unit or "of 1", tolerance)


def equal(name: str, value: float, published: float, unit: str = "of 1") -> Figure:
    return Figure(f"{name}, off the notebook's value", abs(value - published), unit, ROUNDING)


def cold(data: Path, work: Path) -> Iterator[Figure]:
    shutil.rmtree(work / "cache", ignore_errors=True)
    summary = evaluated(work, "cold", data / GENERATED, data / TEST)
    yield from costs("cold", summary, COLD_SECONDS)
    for part in ("cdvae", "strict"):
        rates, coverage = summary[part]["rates"], summary[part]["coverage"]
        found = {
            "structure valid": rates["structure_valid"],
            "composition valid": rates["composition_valid"],
            "COV-R": coverage["cov_recall"],
            "COV-P": coverage["cov_precision"],
        }
        for name, entry in found.items():
            if part == "cdvae" and name in PUBLISHED:
                yield from near(f"{name}, cdvae", entry["rate"], PUBLISHED[name], TOLERANCE)
            else:
                yield Figure(f"{name}, {part}", entry["rate"], "of 1")
            if part == "cdvae" and name in NOTEBOOK:
                yield equal(f"{name}, cdvae", entry["rate"], NOTEBOOK[name])
    yield Figure("crystals without a fingerprint", sum(summary["fingerprints"]["n_without"].values()), "crystals")


def cached(data: Path, work: Path) -> Iterator[Figure]:
    if not (work / "cache").exists():
        say("the cache is empty: filling it first")
        evaluated(work, "cold", data / GENERATED, data / TEST)
    yield from costs("cached", evaluated(work, "cached", data / GENERATED, data / TEST), CACHED_SECONDS)


def valid(data: Path, work: Path) -> Iterator[Figure]:
    """Coverage of and by the valid crystals alone; fingerprints come from the cache, if it has them."""
    crystals, reference = read_crystals(data / GENERATED)[0], read_crystals(data / TEST)[0]
    settings = MetricsSettings()
    prints = Prints.of(crystals, reference, len(crystals), settings, Work(2, work / "cache", settings.max_seconds))
    ok = np.array([validity.formula_failure(reduced(each.atomic_numbers)) is None for each in crystals])
    ours = prints.generated
    failures = [failure for failure, kept in zip(ours.failures, ok, strict=True) if kept]
    generated = Fingerprints(ours.structure[ok], ours.composition[ok], failures)
    of_theirs, of_ours = nearest(generated, prints.reference, settings.coverage_cutoffs)
    found = cdvae_coverage(of_theirs, of_ours, settings.coverage_cutoffs, int(ok.sum()))
    for name, key in (("COV-R", "cov_recall"), ("COV-P", "cov_precision")):
        rate = found[key]["rate"]
        yield from near(f"{name} of the valid alone, cdvae", rate, PUBLISHED_OF_VALID[name], FOUR_DIGITS)


def itself(data: Path, work: Path) -> Iterator[Figure]:
    summary = evaluated(work, "itself", data / TEST, data / TEST, "--settings", "{distribution_take: null}")
    for part in ("cdvae", "strict"):
        coverage = summary[part]["coverage"]
        for name in ("cov_recall", "cov_precision"):
            value = coverage[name]["rate"]
            yield Figure(f"test split against itself, {name}, {part}", value, "of 1", 1.0, better="higher")
        far = [coverage[f"{kind}_{side}"]["value"] for kind in ("amsd", "amcd") for side in ("recall", "precision")]
        yield Figure(f"test split against itself, largest mean distance, {part}", max(far), "", 0.0)


def draws(data: Path, work: Path) -> Iterator[Figure]:
    crystals, reference = read_crystals(data / GENERATED)[0], read_crystals(data / TEST)[0]
    theirs = distributions.properties(reference)
    ok = [validity.formula_failure(reduced(crystal.atomic_numbers)) is None for crystal in crystals]
    valid = distributions.properties(crystals.take(np.array(ok)))  # every structure of this set is valid
    found = [distributions.distances(valid, theirs, 1000, seed) for seed in range(N_DRAWS)]
    whole = distributions.distances(valid, theirs)
    for name, published in PUBLISHED_DISTANCES.items():
        values, unit = [each[name]["wasserstein"] for each in found], distributions.PROPERTIES[name] or "elements"
        yield from near(f"Wasserstein distance of {name}, all valid", whole[name]["wasserstein"], published,
                        TOLERANCE_OF_DISTANCES, unit)  # fmt: skip
        yield equal(f"Wasserstein distance of {name}", whole[name]["wasserstein"], NOTEBOOK_DISTANCES[name], unit)
        yield Figure(f"the same, mean of {N_DRAWS} draws of 1,000", statistics.mean(values), unit, baseline=published)
        yield Figure(f"the same, standard deviation over {N_DRAWS} draws", statistics.stdev(values), unit)
        yield Figure(f"the same, smallest of {N_DRAWS} draws", min(values), unit)
        yield Figure(f"the same, largest of {N_DRAWS} draws", max(values), unit)


def composition_rule(data: Path, work: Path) -> Iterator[Figure]:
    from smact.screening import smact_validity

    drawn = random.Random(0)
    formulas = []
    for path in (GENERATED, TEST):
        found = sorted({reduced(crystal.atomic_numbers) for crystal in read_crystals(data / path)[0]})
        formulas += drawn.sample(found, N_COMPOSITIONS)
    compositions = [composition(each) for each in formulas]
    smact_validity(compositions[0], oxidation_states_set="smact14")  # its tables are read at the first call
    for number in range(1, 104):
        validity.formula_failure(((1, 1), (number, 1)))
    validity.formula_failure.cache_clear()
    start = time.process_time()
    ours = [validity.formula_failure(each) is None for each in formulas]
    middle = time.process_time()
    theirs = [
        smact_validity(each, oxidation_states_set="smact14") for each in tqdm(compositions, "smact", disable=None)
    ]
    rate, naive = len(ours) / (middle - start), len(ours) / (time.process_time() - middle)
    yield Figure("composition rule", rate, "compositions/s", SPEED_UP * naive, naive, "higher")
    yield Figure("composition rule against smact's loop", rate / naive, "ratio", SPEED_UP, better="higher")
    yield Figure("verdicts that differ", sum(a != b for a, b in zip(ours, theirs, strict=True)), "compositions", 0)
    symbols = re.findall("[A-Z][a-z]?", "MnFeCrVMoWReRuOsIrTiNbTaCoNiOSSeNPClBrIC")
    many = [
        Composition({each: drawn.randint(1, 8) for each in drawn.sample(symbols, N_ELEMENTS)}) for _ in range(N_MANY)
    ]
    start = time.process_time()
    for each in many:
        validity.composition_failure(each)
    yield Figure(f"{N_ELEMENTS} elements", 1000 * (time.process_time() - start) / N_MANY, "ms/composition", 10)


def energy(data: Path, work: Path) -> Iterator[Figure]:
    settings = ("--settings", "{energy_predictor: chgnet}")
    for name, limit in (("energy, cold", None), ("energy, cached", CACHED_SECONDS)):
        summary = evaluated(work, name.replace(", ", "_"), data / GENERATED, data / TEST, *settings)
        yield Figure(f"evaluation with CHGNet's {name}", summary["seconds"], "s", limit)
    entry = summary["cdvae"]["distributions"]["energy_per_atom"]
    yield Figure("Wasserstein distance of energy (CHGNet)", entry["wasserstein"], "eV/atom")
    yield Figure("crystals without an energy", sum(summary["failures"]["energy"].values()), "crystals")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [case for case in CASES if case != "energy"]
    parser.add_argument("--cases", nargs="+", choices=CASES, default=default, help=f"default: {' '.join(default)}")
    parser.add_argument("--work", type=Path, help="folder of cache and summaries (default: a temporary one)")
    args = parser.parse_args()
    folder = os.environ.get("UNIMAT_DATA_DIR")
    if not folder:
        sys.exit(f"set UNIMAT_DATA_DIR to a folder that holds {GENERATED} and {TEST}")
    runs = dict(zip(CASES, (cold, cached, valid, itself, draws, composition_rule, energy), strict=True))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        for case in args.cases:
            say(f"case {case}")
            for figure in runs[case](Path(folder), work):
                say(f"  {figure.name}: {figure.value:.6g} {figure.unit}")
                figures.append(figure)
    finish("evaluation", figures)


if __name__ == "__main__":
    main()
