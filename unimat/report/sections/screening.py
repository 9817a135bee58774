"""Screening: what a judged set handed on to a dearer engine, and how often its verdicts held there."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from unimat.report.blocks import Block, Missing, Section, Table, drawn
from unimat.report.quantities import MISSING, energy, millis, number, share, with_interval
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections.stability import threshold
from unimat.report.svg import COLOURS, figure_style

FLIPS_SHOWN = 10
SQUARE = (4.6, 4.2)  # inches
KINDS = {"stable": "stable", "metastable": "metastable", "near": "stable or metastable"}


def screening(run: RunFiles) -> list[Section]:
    """A section for the screened sets of a run; none without them."""
    chosen = [each for each in run.sets.values() if each.screening is not None]
    if not chosen:
        return []
    blocks: list[Block] = [_choices(chosen), *_left_out(chosen)]
    figures: dict[str, Figure] = {}
    for each in chosen:
        if each.agreement is None:
            text = f"{each.name}: no second verdict; put it among hull.sets, and `unimat agreement` compares the two."
            blocks.append(Missing(text, partial=True))
            continue
        blocks += [_held(each.agreement), _numbers(each.agreement), *_flips(each.agreement)]
        figure = parity_figure(each.agreement_crystals, each.agreement, threshold(each))
        if figure is not None:
            figures[f"screening_{each.name}"] = figure
            blocks.append(drawn(figure, f"screening-{each.name}", *_words(each)))
    lead = (
        "The best crystals of a judged set were handed on to a dearer engine, under the same ids. How often the first "
        "verdict held is told for crystals of either verdict; what was never handed on has no second verdict, so "
        "stable crystals that the first engine missed are not counted."
    )
    return [Section("screening", "Screening", lead, blocks, figures)]


def _choices(chosen: list[SetFiles]) -> Table:
    rows = []
    for each in chosen:
        summary = each.screening or {}
        cost, budget = summary.get("core_hours") or {}, summary.get("budget") or {}
        low, amount, high = (_hours(cost.get(key)) for key in ("low", "total", "high"))
        rows.append(
            [
                each.name,
                str(summary.get("of")),
                str(share(summary.get("chosen")) or MISSING),
                str(share(summary.get("stable")) or MISSING),
                f"{amount} [{low}, {high}]",
                _hours(budget.get("core_hours")),
                str(cost.get("engine", MISSING)),
            ]
        )
    columns = ("Set", "Of", "Chosen", "Stable handed on", "Core-hours, estimated", "Budget", "Engine")
    caption = (
        "What was chosen, of everything that was asked for; in brackets the span that the estimate may be wrong by"
    )
    return Table(caption, columns, rows, text_columns=(0, 1, 6))


def _left_out(chosen: list[SetFiles]) -> list[Block]:
    rows = [
        [each.name, str(reason["reason"]), str(share(reason))]
        for each in chosen
        for reason in (each.screening or {}).get("left_out", [])
    ]
    if not rows:
        return []
    return [Table("What was left out, each crystal for one reason", ("Set", "Reason", "Crystals"), rows, (0, 1))]


def _held(numbers: dict[str, Any]) -> Table:
    first, second = (_side(numbers, side) for side in "ab")
    rows = []
    for key, words in KINDS.items():
        for direction, (one, other) in (("held", (first, second)), ("held_back", (second, first))):
            entry = numbers[direction][key]
            rows.append(
                [f"{words} by {one}", f"{words} by {other}", with_interval(share(entry)), number(entry["not_judged"])]
            )
    caption = (
        f"How often a verdict held, of the {number(numbers['n_both']['count'])} crystals in both sets: of those that "
        "the first column names and that the other engine judged. In brackets: 95 % Wilson intervals"
    )
    return Table(caption, ("Of the crystals", "are also", "Crystals", "Not judged by the other"), rows, (0, 1))


def _numbers(numbers: dict[str, Any]) -> Table:
    differences, ranks, same = numbers["energy"], numbers["ranks"], numbers["structures"]["same"]
    within = ranks["within_compositions"]
    unit = f"{number(within['crystals'])} crystals of {number(within['compositions'])} compositions"
    rows = [
        [
            "E_d, second minus first: mean (eV/atom)",
            energy(differences["mean"], sign=True),
            f"{differences['n']} crystals",
        ],
        ["the same: mean absolute", energy(differences["mean_absolute"]), f"{differences['n']} crystals"],
        ["Spearman’s ρ within compositions", number(within["spearman"], 2), unit],
        ["Kendall’s τ within compositions", number(within["kendall"], 2), unit],
        ["Spearman’s ρ of all E_d", number(ranks["all"]["spearman"], 2), f"{ranks['all']['crystals']} crystals"],
        ["Lowest of a composition is the same crystal", str(share(ranks["lowest_is_lowest"])), "compositions"],
        ["Relaxed to the same structure", str(share(same)), "of which both converged"],
        [
            "Volume, second to first: median",
            number(numbers["structures"]["median_volume_ratio"]),
            f"{same['of']} crystals",
        ],
    ]
    first, second = (_side(numbers, side) for side in "ab")
    return Table(f"{second} beside {first}", ("Quantity", "Value", "Of"), rows, text_columns=(0, 2))


def _flips(numbers: dict[str, Any]) -> list[Block]:
    flips = numbers["flips"]
    rows = [
        [each["material_id"], each["formula"], each["verdict_a"], each["verdict_b"],
         energy(each["decomposition_energy_a"]), energy(each["decomposition_energy_b"])]
        for each in flips["first"][:FLIPS_SHOWN]
    ]  # fmt: skip
    if not rows:
        return []
    more = f"; the first {len(rows)}, all are in agreement.parquet" if flips["count"] > len(rows) else ""
    caption = f"Verdicts that changed: {share(flips)} that both engines judged{more}"
    columns = ("Crystal", "Formula", "First verdict", "Second", "First E_d (eV/atom)", "Second")
    return [Table(caption, columns, rows, text_columns=(0, 1, 2, 3))]


def parity_figure(frame: pd.DataFrame | None, numbers: dict[str, Any], metastable: float) -> Figure | None:
    """Second against first decomposition energy of the crystals that both engines judged; None without any."""
    both = frame[frame["difference"].notna()] if frame is not None else pd.DataFrame()
    if both.empty:
        return None
    first, second = (both[f"decomposition_energy_{side}"].to_numpy(float) for side in "ab")
    low, high = (float(limit) for limit in (np.minimum(first, second).min(), np.maximum(first, second).max()))
    margin = 0.05 * (high - low) or 0.01
    with figure_style():
        figure = Figure(figsize=SQUARE, layout="constrained")
        axes = figure.subplots()
        for value, style in ((0.0, "solid"), (metastable, "dashed")):
            axes.axhline(value, color=COLOURS["muted"], linewidth=0.8, linestyle=style)
            axes.axvline(value, color=COLOURS["muted"], linewidth=0.8, linestyle=style)
        axes.plot([low - margin, high + margin], [low - margin, high + margin], color=COLOURS["muted"], linewidth=0.6)
        flips = both["flip"].to_numpy(bool)
        for mask, role, words in ((~flips, "series-1", "held"), (flips, "series-3", "changed")):
            axes.plot(
                first[mask], second[mask], "o", markersize=4, color=COLOURS[role], label=f"{words}: {mask.sum():,}"
            )
        axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
        axes.set(
            xlabel=f"decomposition energy by {_side(numbers, 'a')} (eV/atom)",
            ylabel=f"decomposition energy by {_side(numbers, 'b')} (eV/atom)",
        )
        axes.legend(loc="lower right")
    return figure


def _words(one: SetFiles) -> tuple[str, str]:
    """Label and caption of the parity plot."""
    numbers = one.agreement or {}
    n, of = numbers["n_judged_by_both"]["count"], numbers["n_both"]["count"]
    caption = (
        f"Decomposition energy by both engines of the {n:,} of {of:,} crystals that both judged. Solid lines: E_d = 0, "
        f"below it a crystal is stable. Dashed: {millis(threshold(one))}, below it metastable."
    )
    return f"Decomposition energies of {one.name} by two engines", caption


def _side(numbers: dict[str, Any], side: str) -> str:
    """Calculator and set, since one calculator may judge both."""
    return f"{numbers[side]['by']} ({numbers[side]['set']})"


def _hours(value: float | None) -> str:
    return MISSING if value is None else number(float(value), 2)
