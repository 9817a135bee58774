"""The flow with a template in view, held against the template alone: match rate and RMSE on MP-20's test compositions.

--dataset is a folder of `unimat ingest` of MP-20 with `split: {keep_val: 500}`. Its train split is the library of
templates. For --take of the test crystals (seed 0) the likeliest template by substitution is compared with the crystal,
then what the model makes of it (start: template), then one sample of the composition without any template. Crystals
that none of 20 templates matches are told apart, with one sample and with any of five. Matches are those of
`unimat match` (StructureMatcher, stol 0.5, ltol 0.3, angle 10 degrees).
"""

import argparse
import dataclasses
import itertools
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from harness import Figure, finish, say

from unimat import crystal_table
from unimat.crystal_table import Crystal
from unimat.materials.matching.comparer import Comparer
from unimat.materials.metrics.settings import matcher_settings
from unimat.materials.search import libraries
from unimat.materials.search.substitution import Substitution, formula_of, moves_text
from unimat.model.checkpoints import Model, read_model
from unimat.model.sampling.sampled_sets import sample
from unimat.model.settings import SampleSettings
from unimat.model.shipped.pretrained import model_file

BINS = (0.0, 0.5, 1.0, 1.5, 2.5, np.inf)  # nats, of the template's distance
CANDIDATES = 20
MAX_SECONDS = 20.0  # of one comparison


@dataclasses.dataclass
class Case:
    """A test crystal, its candidates, likeliest first, and the distance of the first; infinite without any."""

    truth: Crystal
    formula: str
    candidates: list[Crystal]
    distance: float


class Judge:
    """RMSE of a crystal to a truth, NaN where they do not match."""

    def __init__(self) -> None:
        self._comparer = Comparer(matcher_settings("cdvae"), MAX_SECONDS)

    def __call__(self, crystal: Crystal | None, truth: Crystal) -> float:
        found = None if crystal is None else self._comparer.distance(crystal, truth)
        return np.nan if found is None else found


def cases(dataset: Path, split: str, take: int, cache: Path) -> list[Case]:
    substitution = Substitution(libraries.read([dataset / "train.parquet"], cache=cache))
    table = crystal_table.read(dataset / f"{split}.parquet")
    rows = np.sort(np.random.default_rng(0).permutation(len(table))[:take])
    found = []
    for truth in table.take(rows):
        numbers, counts = np.unique(truth.atomic_numbers, return_counts=True)
        wanted = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        candidates = substitution.candidates(wanted, CANDIDATES)
        crystals = [substitution.crystal(each, truth.material_id, moves=moves_text(each.moves)) for each in candidates]
        found.append(Case(truth, formula_of(wanted), crystals, candidates[0].distance if candidates else np.inf))
    return found


def refined(model: Model, crystals: Sequence[Crystal], settings: SampleSettings, folder: Path) -> list[Crystal | None]:
    """What the model makes of each crystal as a template; None where it is no crystal."""
    path = folder / "templates.parquet"
    named = [dataclasses.replace(each, material_id=f"t{row}") for row, each in enumerate(crystals)]
    crystal_table.write(crystal_table.from_crystals(named), path)
    table, _, _ = sample(model, dataclasses.replace(settings, templates=str(path)))
    by_row = dict(zip(table.column("template_id").tolist(), table, strict=True))
    return [by_row.get(f"t{row}") for row in range(len(crystals))]


def sampled(
    model: Model, formulas: Sequence[str], settings: SampleSettings, n: int, folder: Path
) -> list[list[Crystal]]:
    """Up to `n` samples of each composition, without a template."""
    path = folder / "compositions.csv"
    path.write_text("\n".join(["formula,count", *(f"{each},{n}" for each in formulas)]) + "\n", encoding="utf-8")
    table, _, _ = sample(model, dataclasses.replace(settings, compositions=str(path)))
    found: list[list[Crystal]] = [[] for _ in formulas]
    for crystal in table:
        found[int(crystal.material_id.removeprefix("gen-")) // n].append(crystal)
    return found


def figures(
    name: str, errors: np.ndarray, distances: np.ndarray, baseline: np.ndarray | None = None
) -> Iterable[Figure]:
    """Match rate and RMSE over all, and by bins of the distance."""
    for low, high in ((0.0, np.inf), *itertools.pairwise(BINS)):
        here = (distances >= low) & ((distances < high) | (high == np.inf))
        if not here.any():
            continue
        where = "all" if (low, high) == (0.0, np.inf) else f"{low:g} to {high:g} nats"
        beside = None if baseline is None else baseline[here]
        rate, rmse = (_rate(errors[here]), _rmse(errors[here]))
        yield Figure(
            f"match rate, {name}, {where} ({here.sum()})", rate, "%",
            baseline=None if beside is None else _rate(beside), better="higher",
        )  # fmt: skip
        yield Figure(f"RMSE, {name}, {where}", rmse, "", baseline=None if beside is None else _rmse(beside))


def _rate(errors: np.ndarray) -> float:
    return float(100 * np.isfinite(errors).mean())


def _rmse(errors: np.ndarray) -> float:
    return float(np.nanmean(errors)) if np.isfinite(errors).any() else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--take", type=int, default=1500, metavar="N")
    parser.add_argument("--model", default="mp_20", metavar="NPZ_OR_NAME")
    parser.add_argument("--steps", type=int, default=10, help="of a refinement")
    parser.add_argument("--sample-steps", type=int, default=50, help="of a sample from noise")
    parser.add_argument("--anti-annealing", type=float, default=10.0, help="of a sample from noise")
    args = parser.parse_args()
    judge, model = Judge(), read_model(model_file(args.model))
    from_template = SampleSettings(
        steps=args.steps, anti_annealing=0.0, batch_size=128, start="template", templates="-"
    )
    from_noise = SampleSettings(steps=args.sample_steps, anti_annealing=args.anti_annealing, batch_size=128)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = cases(args.dataset, args.split, args.take, folder)
        distances = np.array([each.distance for each in found])
        some = [row for row, each in enumerate(found) if each.candidates]
        raw, better, alone = (np.full(len(found), np.nan) for _ in range(3))
        raw[some] = [judge(found[row].candidates[0], found[row].truth) for row in some]
        say(f"templates alone: {_rate(raw):.1f} %")
        if model.settings.templates:
            made = refined(model, [found[row].candidates[0] for row in some], from_template, folder)
            better[some] = [judge(made[at], found[row].truth) for at, row in enumerate(some)]
            say(f"refined: {_rate(better):.1f} %")
        drawn = sampled(model, [each.formula for each in found], from_noise, 1, folder)
        alone[:] = [judge(each[0] if each else None, case.truth) for each, case in zip(drawn, found, strict=True)]
        hard = [
            row
            for row, each in enumerate(found)
            if np.isnan(raw[row]) and all(np.isnan(judge(other, each.truth)) for other in each.candidates[1:])
        ]
        five = sampled(model, [found[row].formula for row in hard], from_noise, 5, folder)
        errors = [[judge(each, found[row].truth) for each in group] for row, group in zip(hard, five, strict=True)]
        of_five = np.array([np.nanmin(each) if np.isfinite(each).any() else np.nan for each in errors])
    result = [*figures("template alone", raw, distances)]
    if model.settings.templates:
        result += figures("from the template", better, distances, raw)
    result += figures("without a template", alone, distances)
    result += [
        Figure(f"match rate, no template, {len(hard)} that none matches", _rate(alone[hard]), "%", better="higher"),
        Figure("match rate, the same, any of 5 samples", _rate(of_five), "%", better="higher"),
    ]  # fmt: skip
    finish("template_flow", result, model=args.model, split=args.split, n=len(found))


if __name__ == "__main__":
    main()
