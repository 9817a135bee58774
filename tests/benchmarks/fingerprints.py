"""CrystalNN fingerprints of crystals, against matminer's featurizer called for each site.

Half of the crystals are real (a draw of MP-20's test split), half generated (a draw of the set of DiffCSP). Both ways
run on one core in turns of 50 crystals, so that what else the machine does falls on both alike, and are timed in CPU
seconds. The numbers of every crystal are compared; a crystal for which matminer raises must raise here, too.

Without UNIMAT_DATA_DIR, the folder of published data, there is nothing to measure, and it says so.
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import Figure, finish, peak_memory_mib, say
from pymatgen.core import Structure
from tqdm import tqdm

from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.metrics.fingerprints.site_fingerprints import featurizer, mean_fingerprint

SETS = {"real": "mp_20/test.feather", "generated": "generated/diffcsp_mp_20/DiffCSP_mp_20.pt"}
TARGET_SPEED_UP = 8.0
TARGET_DIFFERENCE = 1e-4
TURN = 50  # crystals


def drawn(path: Path, n: int, seed: int) -> list[Structure]:
    crystals, rejected = read_crystals(path)
    assert not rejected, rejected[0]
    rows = np.random.default_rng(seed).choice(len(crystals), min(n, len(crystals)), replace=False)
    return [to_structure(crystal) for crystal in crystals.take(np.sort(rows))]


def by_matminer(structure: Structure) -> np.ndarray:
    return np.mean([featurizer().featurize(structure, site) for site in range(len(structure))], axis=0)


def timed(work: Callable, structures: list[Structure]) -> tuple[float, list]:
    """CPU seconds, and what `work` gives for each structure: None where it raises."""
    found = []
    start = time.process_time()
    for structure in structures:
        try:
            found.append(work(structure))
        except (ValueError, TypeError, RuntimeError):
            found.append(None)
    return time.process_time() - start, found


def difference(ours: tuple[np.ndarray, int] | None, theirs: np.ndarray | None) -> float:
    if ours is None or theirs is None:
        return 0.0 if ours is None and theirs is None else float("inf")
    return float(np.abs(ours[0] - theirs).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=500, help="crystals of each set (default: 500)")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="default: both")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    folder = os.environ.get("UNIMAT_DATA_DIR")
    if not folder:
        sys.exit("set UNIMAT_DATA_DIR to a folder that holds mp_20/test.feather and generated/diffcsp_mp_20")
    warnings.simplefilter("ignore")  # CrystalNN's, at each site without oxidation states
    figures = []
    seconds, n_crystals, n_atoms, n_left = np.zeros(2), 0, 0, 0
    for name in args.sets:
        structures = drawn(Path(folder) / SETS[name], args.n, args.seed)
        timed(mean_fingerprint, structures[:2])  # imports
        off, here = [], np.zeros(2)
        for start in tqdm(range(0, len(structures), TURN), desc=name, unit="turn", disable=None):
            part = structures[start : start + TURN]
            (our_time, ours), (their_time, theirs) = timed(mean_fingerprint, part), timed(by_matminer, part)
            here += our_time, their_time
            off += [difference(*pair) for pair in zip(ours, theirs, strict=True)]
            n_left += sum(found[1] for found in ours if found is not None)
        say(f"{name}: {here[1] / here[0]:.1f} times matminer's throughput")
        figures.append(Figure(f"largest difference, {name}", max(off), "of 0 to 1", TARGET_DIFFERENCE))
        figures.append(Figure(f"throughput against matminer's, {name}", here[1] / here[0], "ratio", better="higher"))
        n_crystals, n_atoms = n_crystals + len(structures), n_atoms + sum(map(len, structures))
        seconds += here
    rate, their_rate = (n_crystals / seconds).tolist()
    finish(
        "fingerprints",
        [
            Figure("structure fingerprints", rate, "crystals/s", TARGET_SPEED_UP * their_rate, their_rate, "higher"),
            Figure("throughput against matminer's", rate / their_rate, "ratio", TARGET_SPEED_UP, better="higher"),
            *figures,
            Figure("atoms left to matminer", 100 * n_left / n_atoms, "% of the atoms"),
            Figure("crystals", n_crystals, "crystals"),
            Figure("peak memory", peak_memory_mib(), "MiB"),
        ],
    )


if __name__ == "__main__":
    main()
