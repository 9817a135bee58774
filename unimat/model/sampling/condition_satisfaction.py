"""How many crystals of a conditional set are what they were asked to be."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np

from unimat.model.sampling.formula import parsed, reduced
from unimat.model.sampling.requests import Requests

# What a composition, or else a chemical system, is obeyed in.
OF_COMPOSITION = (
    "same_composition",
    "same_reduced_composition",
    "same_elements",
    "only_requested_elements",
    "same_n_atoms",
)
OF_SYSTEM = ("same_elements", "only_requested_elements")


def obeyed(requests: Requests, index: int, atomic_numbers: np.ndarray) -> list[str]:
    """In what crystal `index`, as it came out, is what was asked for; of `OF_COMPOSITION` or `OF_SYSTEM`."""
    formula, found = requests.formula(index), collections.Counter(np.asarray(atomic_numbers).tolist())
    asked = dict.fromkeys(requests.system or (), 1) if formula is None else parsed(formula)
    if not asked:
        return []
    tests = {"same_elements": found.keys() == asked.keys(), "only_requested_elements": found.keys() <= asked.keys()}
    if formula is not None:
        tests["same_composition"] = dict(found) == dict(asked)
        tests["same_reduced_composition"] = reduced(found) == reduced(asked)
        tests["same_n_atoms"] = found.total() == sum(asked.values())
    return [name for name, passed in tests.items() if passed]


def obedience(requests: Requests, counts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """How many crystals of a set obeyed, of all that were asked for; empty for a set without such a request.

    Args:
        counts: crystals by what was asked (formula, or an empty text) and by what they obeyed it in.
    """
    asked = requests.formulas if "composition" in requests.conditions else (("", len(requests)),)
    names = OF_COMPOSITION if "composition" in requests.conditions else OF_SYSTEM
    if not {"composition", "elements"} & set(requests.conditions):
        return {}
    of: collections.Counter[str] = collections.Counter()
    for formula, n in asked:
        of[str(formula)] += n
    total = {name: sum(counts.get((formula, name), 0) for formula in of) for name in names}
    report: dict[str, Any] = {name: _rate(count, len(requests)) for name, count in total.items()}
    if len(of) > 1:
        by_formula = {f: {"of": n, **{name: counts.get((f, name), 0) for name in names}} for f, n in of.items()}
        report["by_composition"] = by_formula
    return report


def _rate(count: int, of: int) -> dict[str, float]:
    return {"count": count, "of": of, "rate": count / of}
