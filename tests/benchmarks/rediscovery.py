"""How many new compositions by substitution are those of known crystals that were left out, by the distance allowed.

Templates are the part of MP-20's training split that UNIMAT_DATA_DIR has; left out are the crystals of the validation
split. Distances of elements are learned from these templates alone, and the test split is not touched. Whole
substitutions only. Those of the last third are counted on their own, since the likeliest compositions come first.

Without UNIMAT_DATA_DIR, the folder of published data, there is nothing to measure, and it says so.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from harness import Figure, finish, say
from structure_prediction import TEMPLATES, crystals_of

from unimat.crystal_table import from_crystals
from unimat.materials.search.discovery import Discovery, formulas_of
from unimat.materials.search.learning import learn
from unimat.materials.search.settings import SubstitutionSettings
from unimat.materials.search.templates import Templates, index

LIMITS = (1.0, 1.5, 2.0, 3.0, 4.0, None)  # nats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=6000, help="substitutions at each limit (default: %(default)s)")
    args = parser.parse_args()
    if "UNIMAT_DATA_DIR" not in os.environ:
        parser.error("set UNIMAT_DATA_DIR to the folder of published data")
    folder = Path(os.environ["UNIMAT_DATA_DIR"])
    train, val = TEMPLATES["mp_20"]
    known = from_crystals(crystals_of(folder, [train]), unique=False)
    templates = Templates(index(known)[0], train)
    left_out = {*formulas_of(from_crystals(crystals_of(folder, [val]), unique=False))} - {*formulas_of(known)}
    exchange = learn(templates)
    figures = [
        Figure("templates", len(templates), "crystals"),
        Figure("compositions that were left out", len(left_out), "compositions"),
    ]
    for limit in LIMITS:
        settings = SubstitutionSettings(n=args.n, partial=0.0, max_distance=limit)
        table, rejected = Discovery(templates, settings, [known], exchange).crystals()
        found = np.array([formula in left_out for formula in formulas_of(table)])
        within = "without a limit" if limit is None else f"within {limit:g} nats"
        say(f"{within}: {found.sum()} of {len(found)}")
        last = found[2 * len(found) // 3 :]
        figures += [
            Figure(f"found again {within}", 100 * float(found.mean()), "%", better="higher"),
            Figure(f"found again {within}, of the last third", 100 * float(last.mean()), "%", better="higher"),
            Figure(f"not found {within}", len(rejected), "crystals"),
        ]
    finish("rediscovery", figures)


if __name__ == "__main__":
    main()
