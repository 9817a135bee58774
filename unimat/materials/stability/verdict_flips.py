"""Crystals whose verdict hangs on the hull reference, and what makes the difference."""

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from unimat.materials.stability.decomposition import Hulls

STABLE, METASTABLE, UNSTABLE, NOT_JUDGED = "stable", "metastable", "unstable", "not judged"
COLUMNS = (
    "material_id", "formula", "reference_a", "reference_b", "verdict_a", "verdict_b", "decomposition_energy_a",
    "decomposition_energy_b", "by_elements", "by_competing_phases", "decomposition_a", "decomposition_b", "why",
)  # fmt: skip
SAME_ENERGY = 1e-6  # eV/atom


def verdict_flips(frames: Mapping[str, pd.DataFrame], hulls: Mapping[str, Hulls]) -> pd.DataFrame:
    """One row for each crystal and pair of references that disagree on it: stable, metastable, or neither.

    The difference of the decomposition energies is the sum of two, eV/atom, b minus a: `by_elements`, that of the
    formation energies (the references differ in their elements, corrections or pseudopotentials), and
    `by_competing_phases`, that of the hulls below the crystal, with the sign changed. `why` names the larger one's
    cause: the competing phases that one reference lacks or has at a higher formation energy.

    Args:
        frames: stability tables of the same crystals (`hull.stability_tables`), by name of the reference.
        hulls: hulls by the same names.
    """
    rows = []
    for a, b in itertools.combinations(frames, 2):
        ours, theirs = (verdicts(frames[name]) for name in (a, b))
        # Unstable and not judged are the same to somebody who looks for materials.
        flipped = (ours != theirs) & ~(ours.isin([UNSTABLE, NOT_JUDGED]) & theirs.isin([UNSTABLE, NOT_JUDGED]))
        rows += [_flip(frames, hulls, (a, b), (ours[row], theirs[row]), row) for row in flipped[flipped].index]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def verdicts(frame: pd.DataFrame) -> pd.Series:
    """Verdict on each crystal of a stability table, in a word."""
    words = pd.Series(UNSTABLE, index=frame.index, dtype=object)
    words[frame["decomposition_energy"].isna()] = NOT_JUDGED
    words[frame["metastable"]] = METASTABLE
    words[frame["stable"]] = STABLE
    return words


def flip_counts(flips: pd.DataFrame, frames: Mapping[str, pd.DataFrame], generated: int) -> list[dict[str, Any]]:
    """For each pair of references, how many verdicts they share and how many flip, by both verdicts."""
    found = []
    for a, b in itertools.combinations(frames, 2):
        rows = flips[(flips["reference_a"] == a) & (flips["reference_b"] == b)]
        kinds = rows.groupby(["verdict_a", "verdict_b"]).size()
        both = frames[a]["stable"] & frames[b]["stable"]
        found.append(
            {
                "reference_a": a,
                "reference_b": b,
                "stable_in_both": {"count": int(both.sum()), "of": generated},
                "flips": {"count": len(rows), "of": generated},
                "kinds": [
                    {"verdict_a": kind[0], "verdict_b": kind[1], "count": int(count)}  # type: ignore[index]
                    for kind, count in kinds.items()
                ],
            }
        )
    return found


def _flip(
    frames: Mapping[str, pd.DataFrame],
    hulls: Mapping[str, Hulls],
    names: tuple[str, str],
    words: tuple[str, str],
    row: int,
) -> dict[str, Any]:
    ours, theirs = (frames[name].loc[row] for name in names)
    by_elements = theirs["e_form_per_atom"] - ours["e_form_per_atom"]
    difference = theirs["decomposition_energy"] - ours["decomposition_energy"]
    flip = {
        "material_id": ours["material_id"],
        "formula": ours["formula"],
        **{f"reference_{side}": name for side, name in zip("ab", names, strict=True)},
        **{f"verdict_{side}": word for side, word in zip("ab", words, strict=True)},
        **{f"{key}_{side}": each[key] for side, each in zip("ab", (ours, theirs), strict=True)
           for key in ("decomposition_energy", "decomposition")},
        "by_elements": by_elements,
        "by_competing_phases": difference - by_elements,
    }  # fmt: skip
    if NOT_JUDGED in words:
        place = words.index(NOT_JUDGED)
        return flip | {"why": f"not judged against {names[place]!r}: {(ours, theirs)[place]['not_judged']}"}
    strict, lax = (1, 0) if difference > 0 else (0, 1)
    towards = 1 if difference > 0 else -1
    phases, elements = towards * (difference - by_elements), towards * by_elements
    if phases < elements:
        why = (
            f"its formation energy is {elements:.3f} eV/atom higher against {names[strict]!r} than against"
            f" {names[lax]!r}: elements, corrections or pseudopotentials differ"
        )
        return flip | {"why": why}
    products = (ours, theirs)[strict]["products"]
    return flip | {"why": _missing_phases(products, names[strict], names[lax], hulls[names[lax]])}


def _missing_phases(products: list[dict[str, Any]], strict: str, lax: str, lax_hulls: Hulls) -> str:
    """Which of the phases that compete in one reference are absent from the other, or higher there."""
    found = []
    for product in products:
        name = f"{product['formula']} ({product['entry_id']})"
        theirs = lax_hulls.phase_at(product["formula"])
        if theirs is None:
            found.append(f"{name} is in {strict!r} alone")
        elif (lower := theirs[1] - product["e_form_per_atom"]) > SAME_ENERGY:
            found.append(f"{name} is {lower:.3f} eV/atom lower in {strict!r} than {theirs[0]} in {lax!r}")
    return "; ".join(found)
