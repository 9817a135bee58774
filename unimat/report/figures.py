"""The report's figures. Each function returns a matplotlib Figure and touches no global state."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from unimat.report.svg import COLOURS, SERIES, figure_style

WIDE = (7.6, 3.0)  # inches, at 72 units to the inch
HALF = (4.6, 3.0)
MAX_INTEGER_BINS = 40
MANY_STEPS = 200  # from here on a running median is drawn over the raw losses
LOSSES = {
    "loss": "training",
    "loss_coords": "training, coordinates",
    "loss_lattice": "training, lattice",
    "val_loss": "validation, averaged (EMA) parameters",
}
LOSS_ROLES = {"loss": "series-1", "loss_coords": "series-4", "loss_lattice": "series-5", "val_loss": "series-3"}
PARTS = ("loss_coords", "loss_lattice")


def loss_figure(history: pd.DataFrame) -> Figure | None:
    """Training and validation loss against the step; None if the history has no such columns."""
    names = [name for name in LOSSES if name in history.columns and history[name].notna().any()]
    if "step" not in history.columns or not names:
        return None
    with figure_style():
        figure, axes = _axes(WIDE)
        for name, role in zip(names, [LOSS_ROLES[name] for name in names], strict=True):
            _draw_loss(axes, history[["step", name]].dropna(), LOSSES[name], COLOURS[role], thin=name in PARTS)
        if np.nanmin(history[names].to_numpy(float)) > 0:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="training step", ylabel="loss (mean squared error)")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0.2)
    return figure


def _draw_loss(axes: Axes, values: pd.DataFrame, label: str, colour: str, thin: bool) -> None:
    step, loss = values.to_numpy(float).T
    if len(values) > MANY_STEPS:
        if not thin:
            axes.plot(step, loss, color=colour, alpha=0.25, linewidth=0.8)
        loss = values.iloc[:, 1].rolling(max(3, len(values) // 50), center=True, min_periods=1).median().to_numpy()
        label += " (running median)"
    style: dict[str, Any] = {"linewidth": 0.9, "linestyle": (0, (3, 1.5))} if thin else {}
    axes.plot(step, loss, color=colour, label=label, marker="o" if len(values) <= 40 else "", markersize=3, **style)


def distribution_figure(
    values: Mapping[str, np.ndarray], reference: str | None, label: str, integer: bool = False
) -> Figure:
    """Overlaid histograms of one quantity, each set's bars summing to 100 %.

    Args:
        values: by set name; the reference among them is drawn as an outline.
        label: axis label with the unit.
        integer: one bin per whole number.
    """
    with figure_style():
        figure, axes = _axes(HALF)
        _draw_distribution(axes, values, reference, label, integer)
    return figure


def distributions_figure(
    panels: Sequence[tuple[Mapping[str, np.ndarray], str | None, str, bool]],
) -> Figure:
    """All distributions side by side, for a file of their own."""
    with figure_style():
        columns = min(2, len(panels))
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(HALF[0] * columns, HALF[1] * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_distribution(axes, *panel)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
    return figure


def _draw_distribution(
    axes: Axes, values: Mapping[str, np.ndarray], reference: str | None, label: str, integer: bool
) -> None:
    edges = _edges(np.concatenate(list(values.values())), integer, min(map(len, values.values())))
    colours = series_colours(list(values), reference)
    for name, each in values.items():
        if not len(each):
            continue
        heights = 100 * np.histogram(np.clip(each, edges[0], edges[-1]), edges)[0] / len(each)
        role = COLOURS[colours[name]]
        text = f"{name} ({len(each):,})"
        if name == reference:
            axes.stairs(heights, edges, color=role, linewidth=1.6, label=text, zorder=3)
        else:
            axes.stairs(heights, edges, color=role, fill=True, alpha=0.4, label=text)
            axes.stairs(heights, edges, color=role, linewidth=1.0)
    axes.set(xlabel=label, ylabel="share of the set (%)")
    if integer:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_above(axes)


def decomposition_figure(
    energies: Mapping[str, tuple[np.ndarray, int]], threshold: float, max_energy: float, reference_set: str | None
) -> Figure:
    """Histogram of decomposition energy for each set, one below the other on one axis.

    Args:
        energies: by set name: E_d in eV/atom of those that have one, and how many crystals the set has in all.
        threshold: E_d below which a crystal that is not stable counts as metastable, eV/atom.
        max_energy: larger energies are counted in the last bar, eV/atom.
    """
    pooled = np.concatenate([each for each, _ in energies.values()])
    step = 0.025
    low = min(-step, np.floor(max(pooled.min(), -max_energy) / step) * step)
    high = np.ceil(min(np.quantile(pooled, 0.98) + 2 * step, max_energy) / step) * step
    high = max(high, 8 * step)
    width = step * max(1, round((high - low) / step / 60))  # 0 and 25 meV/atom stay bin edges when they can
    edges = np.arange(np.floor(low / width) * width, high + width / 2, width)
    with figure_style():
        figure = Figure(figsize=(WIDE[0], 0.9 + 1.55 * len(energies)), layout="constrained")
        grid = figure.subplots(len(energies), 1, sharex=True, squeeze=False)
        colours = series_colours(list(energies), reference_set)
        for axes, (name, (values, n)) in zip(grid.flat, energies.items(), strict=True):
            counts = np.histogram(np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf)), edges)[0]
            axes.bar(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=COLOURS[colours[name]])
            axes.axvline(0, color=COLOURS["good"], linewidth=1.2)
            axes.axvline(threshold, color=COLOURS["warn"], linewidth=1.2, linestyle=(0, (4, 2)))
            beyond = int((values >= edges[-1]).sum())
            below = int((values < edges[0]).sum())
            note = f"{name}: {len(values):,} of {n:,} crystals have an E_d"
            note += f"; {beyond:,} beyond the right edge" if beyond else ""
            note += f"; {below:,} beyond the left edge" if below else ""
            axes.set_title(note, color=COLOURS["ink"])
            axes.set_ylabel("crystals")
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        top = grid.flat[0]
        top.set_ylim(top=1.25 * top.get_ylim()[1])
        _threshold_labels(top, threshold)
        grid.flat[-1].set_xlabel("decomposition energy E_d (eV/atom)")
    return figure


def _threshold_labels(axes: Axes, threshold: float) -> None:
    transform = axes.get_xaxis_transform()
    axes.text(0, 0.97, "stable ", color=COLOURS["good"], transform=transform, ha="right", va="top", fontsize=9)
    text = f" metastable below {1000 * threshold:g} meV/atom"
    axes.text(threshold, 0.97, text, color=COLOURS["warn"], transform=transform, ha="left", va="top", fontsize=9)


def pairs_figure(differences: np.ndarray, a: str, b: str, summary: Mapping[str, float | None]) -> Figure:
    """Histogram of the differences in formation energy of pairs of one composition.

    Args:
        differences: e_form of `a` minus e_form of `b`, eV/atom.
        summary: `value`, `low`, `high` of the mean (Equation 3), eV/atom.
    """
    reach = max(0.05, float(np.quantile(np.abs(differences), 0.98)) * 1.1)
    edges = np.linspace(-reach, reach, 2 * min(30, max(8, int(np.sqrt(len(differences)) * 1.2))) + 1)
    counts = np.histogram(np.clip(differences, edges[0], edges[-1]), edges)[0]
    with figure_style():
        figure, axes = _axes(WIDE)
        centres = (edges[:-1] + edges[1:]) / 2
        colours = np.where(centres < 0, COLOURS["series-1"], COLOURS["series-2"])
        axes.bar(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=colours)
        axes.axvline(0, color=COLOURS["muted"], linewidth=1.0)
        value, low, high = (summary.get(key) for key in ("value", "low", "high"))
        if value is not None:
            if low is not None and high is not None:
                axes.axvspan(low, high, color=COLOURS["series-3"], alpha=0.22, linewidth=0)
            axes.axvline(value, color=COLOURS["series-3"], linewidth=1.6, label="mean, with its confidence interval")
            axes.legend(loc="upper left", bbox_to_anchor=(0, 0.9))
        top = axes.get_xaxis_transform()
        axes.text(-0.02 * reach, 1.0, f"← {a} lower", transform=top, ha="right", va="bottom", color=COLOURS["series-1"])
        axes.text(0.02 * reach, 1.0, f"{b} lower →", transform=top, ha="left", va="bottom", color=COLOURS["muted"])
        axes.set(xlabel=f"formation energy of {a} minus {b}, same composition (eV/atom)", ylabel="pairs")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    return figure


def series_colours(names: Sequence[str], reference: str | None) -> dict[str, str]:
    """Colour role of each set: the reference is always grey, the others keep their order."""
    others = iter([role for role in SERIES if role != "series-2"] * len(names))
    return {name: "series-2" if name == reference else next(others) for name in names}


def _edges(values: np.ndarray, integer: bool, smallest: int) -> np.ndarray:
    """Bin edges for all of `values`, coarse enough for the smallest set."""
    if integer:
        low, high = int(values.min()), int(values.max())
        step = -(-(high - low + 1) // MAX_INTEGER_BINS)
        return np.arange(low, high + step + 1, step) - 0.5
    low, high = np.quantile(values, [0.005, 0.995])  # one exploded cell must not squeeze all others into one bin
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, int(np.clip(2 * np.sqrt(smallest), 10, 40)) + 1)


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderaxespad=0.2, columnspacing=1.2)


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()
