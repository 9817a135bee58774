"""Comparison of two sets per composition: Equations 3 and 4 of the paper."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from unimat.report.blocks import Block, Missing, Section, Table, drawn
from unimat.report.figures import pairs_figure
from unimat.report.quantities import MISSING, energy, energy_label, number, share
from unimat.report.run_files import Comparison, RunFiles
from unimat.report.sections.stability import engine_of

DRAWN = {"composition": "whole compositions", "crystal": "crystals"}


def comparison(run: RunFiles) -> Section:
    """Equations 3 and 4 for each pair of sets."""
    title = "Per-composition comparison"
    if not run.comparisons:
        text = "No comparison of two sets: compare/ is empty; `unimat compare` makes it."
        return Section("comparison", title, "", [Missing(text)])
    blocks: list[Block] = [_comparison_table(run.comparisons), *_convergence_table(run.comparisons)]
    figures: dict[str, Figure] = {}
    for index, each in enumerate(run.comparisons):
        a, b = str(each.summary.get("a")), str(each.summary.get("b"))
        differences = _differences(each)
        if not len(differences):
            blocks.append(Missing(f"{a} against {b}: no two converged crystals of one composition, nothing to draw."))
            continue
        figure = pairs_figure(differences, a, b, each.summary.get("delta_e_form") or {})
        figures["per_composition" if not figures else f"per_composition_{a}_vs_{b}"] = figure
        total = each.summary.get("n_pairs") or len(differences)
        drawn_of = f" (a draw of all {total:,})" if total > len(differences) else ""
        caption = (
            f"Formation energy of {a} minus {b} for {len(differences):,} pairs of one composition{drawn_of}, "
            f"energies by {_pair_engine(run, each)}. Below zero {a} is lower. "
            "Line and band: mean (Equation 3) and its interval."
        )
        label = f"Histogram of formation energy differences between {a} and {b}"
        blocks.append(drawn(figure, f"pairs-{index}", label, caption))
    lead = (
        "Crystals of one reduced composition are paired, every one of A with every one of B. ΔE_f is the mean of "
        "E_f(A) − E_f(B) (Equation 3 of the paper), the reduction rate the share of pairs in which A "
        "is lower (Equation 4)."
    )
    return Section("comparison", title, lead, blocks, figures)


def _comparison_table(comparisons: list[Comparison]) -> Table:
    rows = []
    for each in comparisons:
        summary = each.summary
        rate = share(summary.get("reduction_rate"), summary.get("n_pairs"))
        matched = [summary.get(key) for key in ("n_a_matched", "n_b_matched")]
        rows.append(
            [
                _names(summary),
                _interval(summary.get("delta_e_form"), signed=True),
                f"{rate or MISSING}{_rate_interval(summary.get('reduction_rate'))}",
                number(summary.get("n_pairs")),
                number(summary.get("n_compositions")),
                " / ".join(number(value) for value in matched),
            ]
        )
        lowest = summary.get("lowest_energy_pairs") or {}
        if lowest.get("n_pairs"):
            rate = share(lowest.get("reduction_rate"), lowest["n_pairs"])
            rows.append(
                [
                    f"{_names(summary)}, lowest of each composition",
                    _interval(lowest.get("delta_e_form"), signed=True),
                    f"{rate or MISSING}{_rate_interval(lowest.get('reduction_rate'))}",
                    number(lowest["n_pairs"]),
                    number(summary.get("n_compositions")),
                    MISSING,
                ]
            )
    boot = comparisons[0].summary.get("bootstrap") or {}
    level = f"{100 * float(boot.get('level', 0.95)):g} %"
    drawn_things = DRAWN.get(str(boot.get("unit")), DRAWN["composition"])
    caption = f"A against B. In brackets: {level} bootstrap intervals ({number(boot.get('n'))} draws of {drawn_things})"
    columns = ("A against B", "ΔE_f (eV/atom)", "Reduction rate", "Pairs", "Compositions", "Crystals matched, A / B")
    return Table(caption, columns, rows)


def _convergence_table(comparisons: list[Comparison]) -> list[Block]:
    """Compositions of which at least one structure converged, as Section 3.3 and Appendix 8 of the paper count them."""
    rows = []
    for each in comparisons:
        for side, other in ("ab", "ba"):
            found = (each.summary.get("convergence") or {}).get(side)
            if not found:
                continue
            rates = [
                str(share(found.get(key)) or MISSING)
                for key in ("overall", "where_the_other_converged", "where_the_other_did_not")
            ]
            weighted = found.get("weighted") or {}
            value = weighted.get("value")
            text = MISSING if value is None else f"{100 * value:.1f} %{_rate_interval(weighted)}"
            rows.append([str(each.summary.get(side)), str(each.summary.get(other)), *rates, text])
    if not rows:
        return []
    caption = "Compositions of which at least one structure relaxed; the last column weighs both splits (Appendix 8)"
    columns = ("Set", "The other", "Converged", "Where the other did", "Where the other did not", "Weighted")
    return [Table(caption, columns, rows, (0, 1))]


def _names(summary: dict[str, Any]) -> str:
    return f"{summary.get('a')} against {summary.get('b')}"


def _interval(entry: Any, signed: bool) -> str:
    if not isinstance(entry, dict) or entry.get("value") is None:
        return MISSING
    text = energy(entry["value"], signed)
    if entry.get("low") is None or entry.get("high") is None:
        return text
    return f"{text} [{energy(entry['low'], signed)}, {energy(entry['high'], signed)}]"


def _rate_interval(entry: Any) -> str:
    if not isinstance(entry, dict) or entry.get("low") is None or entry.get("high") is None:
        return ""
    return f" [{100 * entry['low']:.1f}, {100 * entry['high']:.1f} %]"


def _differences(one: Comparison) -> np.ndarray:
    if one.pairs is None or "difference" not in one.pairs:
        return np.zeros(0)
    values = one.pairs["difference"].to_numpy(float)
    return values[np.isfinite(values)]


def _pair_engine(run: RunFiles, one: Comparison) -> str:
    files = run.sets.get(str(one.summary.get("a")))
    return engine_of(files) if files else energy_label(one.summary.get("energy_type"))
