"""Which of several candidates is the right crystal: by votes of templates, by a force field's energy, by both together.

Truths are crystals of MP-20's validation split, which are left out of the templates in turn (the part of the training
split that UNIMAT_DATA_DIR has, the validation split, and tiers A and B of mp_20/extra_train.jsonl.gz). Up to four
candidates of each that do not match each other are relaxed by CHGNet. A candidate is right if StructureMatcher (stol
0.5, ltol 0.3, angle_tol 10) maps it onto the truth after relaxation. The test split is not touched.

Without UNIMAT_DATA_DIR, the folder of published data, there is nothing to measure, and it says so.
"""

import argparse
import dataclasses
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from harness import Figure, finish, say
from structure_prediction import EXTRA, MAX_SECONDS, TEMPLATES, crystals_of, extra

from unimat.crystal_table import Crystal, from_crystals
from unimat.materials.matching.comparer import Comparer
from unimat.materials.metrics.settings import matcher_settings
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.relax.shard import relax_shard
from unimat.materials.search.ranked import PER_NAT
from unimat.materials.search.substitution import Substitution
from unimat.materials.search.templates import Templates, index

MAX_ATOMS = 14
CANDIDATES = 4
LOOKED_AT = 8
PER_NATS = (0.005, 0.02, 0.05, PER_NAT, 0.2)  # eV/atom


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A candidate after relaxation; energy in eV/atom, errors None where it does not match."""

    share: float
    energy: float
    before: float | None
    after: float | None


def candidates_of(truth: Crystal, substitution: Substitution, comparer: Comparer) -> list[Crystal]:
    """Those that do not match each other, the likeliest first."""
    numbers, amounts = np.unique(truth.atomic_numbers, return_counts=True)
    counts = dict(zip(numbers.tolist(), amounts.tolist(), strict=True))
    found = substitution.candidates(counts, LOOKED_AT, without={truth.material_id})
    kept: list[Crystal] = []
    for each in found:
        crystal = substitution.crystal(each, f"{truth.material_id}-{len(kept)}", share=each.share)
        if all(comparer.distance(crystal, other) is None for other in kept):
            kept.append(crystal)
    return kept[:CANDIDATES]


def rates(found: Sequence[Sequence[Candidate]]) -> list[Figure]:
    """How many truths the candidate that comes first matches, by what decides."""

    def right(score: Callable[[Candidate], float]) -> int:
        return sum(min(each, key=score).after is not None for each in found)

    def by_both(per_nat: float) -> int:
        return right(lambda each: each.energy - per_nat * math.log(max(each.share, 1e-6)))

    votes = right(lambda each: -each.share)
    matched = [each[0] for each in found if each[0].before is not None and each[0].after is not None]
    return [
        Figure("truths", len(found), "crystals"),
        Figure("candidates", sum(map(len, found)), "crystals"),
        Figure("right by votes", votes, "truths", better="higher"),
        Figure("right by the lowest energy", right(lambda each: each.energy), "truths", None, votes, better="higher"),
        *(
            Figure(f"right by energy less {per:g} eV/atom for each nat of votes", by_both(per), "truths", None, votes)
            for per in PER_NATS
        ),
        Figure("any of them right", sum(any(each.after is not None for each in one) for one in found), "truths"),
        Figure("RMSE of the first before relaxation", _mean([each.before for each in matched]), "(V/n)^(1/3)"),
        Figure("RMSE of the same after it", _mean([each.after for each in matched]), "(V/n)^(1/3)"),
    ]


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=90, help="truths drawn; small cells of them count (default: 90)")
    parser.add_argument("--seed", type=int, default=11, help="of the draw (default: 11)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep finished relaxations here, and take them")
    parser.add_argument("--processes", type=int, default=1, help="that index templates (default: 1)")
    args = parser.parse_args()
    if "UNIMAT_DATA_DIR" not in os.environ:
        parser.error("set UNIMAT_DATA_DIR to the folder of published data")
    folder = Path(os.environ["UNIMAT_DATA_DIR"])
    known = [*crystals_of(folder, TEMPLATES["mp_20"]), *extra(folder / EXTRA)]
    substitution = Substitution(Templates(index(from_crystals(known, unique=False), args.processes)[0]))
    validation = crystals_of(folder, [TEMPLATES["mp_20"][1]])
    rows = np.random.default_rng(args.seed).permutation(len(validation))[: args.n].tolist()
    truths = [validation[row] for row in rows if len(validation[row].atomic_numbers) <= MAX_ATOMS]
    comparer = Comparer(matcher_settings("cdvae"), MAX_SECONDS)
    asked = [(truth, found) for truth in truths if (found := candidates_of(truth, substitution, comparer))]
    table = from_crystals([each for _, found in asked for each in found])
    say(f"{len(asked)} truths, {len(table)} candidates")
    with tempfile.TemporaryDirectory() as scratch:
        settings = RelaxSettings(engine="chgnet", fmax=0.1, max_steps=200)
        relaxed = relax_shard(table, settings, args.work or Path(scratch))
    judged, row = [], 0
    for truth, found in asked:
        one = []
        for crystal in found:
            after = relaxed[row]
            energy = float(after.properties["energy_per_atom"]) if after.properties["converged"] else math.inf
            errors = [comparer.distance(each, truth) for each in (crystal, after)]
            one.append(Candidate(crystal.properties["share"], energy, *errors))
            row += 1
        judged.append(one)
    finish("polymorph_ranking", rates(judged))


if __name__ == "__main__":
    main()
