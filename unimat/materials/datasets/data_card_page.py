"""The data card as one self-contained HTML page."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unimat.materials.datasets.data_card import Distributions
from unimat.periodic_table import CELL_OF_SYMBOL, N_COLUMNS, N_ROWS

COLOUR_OF_SPLIT = {"train": "#33658a", "val": "#d9822b", "test": "#3a8f5c"}
_LABELS = {
    "a": "a (Å)",
    "b": "b (Å)",
    "c": "c (Å)",
    "alpha": "α (°)",
    "beta": "β (°)",
    "gamma": "γ (°)",
    "density": "density (g/cm³)",
    "volume_per_atom": "volume per atom (Å³)",
}


def card_page(card: Mapping[str, Any], values: Mapping[str, Distributions]) -> str:
    """HTML of `card`, with the splits' distributions drawn; the same input gives the same bytes."""
    loader = jinja2.PackageLoader("unimat.materials.datasets", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["percent"] = percent
    filled = {split: each for split, each in values.items() if len(each.n_atoms)}
    return environment.get_template("data_card.html").render(
        card=card,
        cells=element_cells(card["elements"], sum(card["crystals"].values())),
        colours=COLOUR_OF_SPLIT,
        n_atoms_figure=n_atoms_figure(filled),
        lattice_figure=lattice_figure(filled),
    )


def percent(part: Mapping[str, int]) -> str:
    """E.g. "12.5 %" of a mapping with count and of; "0 of 0" has no rate."""
    return f"{100 * part['count'] / part['of']:.3g} %" if part["of"] else "–"


def element_cells(counts: Mapping[str, int], n_crystals: int) -> list[list[dict[str, Any] | None]]:
    """Rows of the periodic table: symbol, count and shade (0 to 1, by the logarithm) of each cell; None without one."""
    rows: list[list[dict[str, Any] | None]] = [[None] * N_COLUMNS for _ in range(N_ROWS)]
    largest = max(counts.values(), default=1)
    for symbol, (row, column) in CELL_OF_SYMBOL.items():
        count = counts.get(symbol, 0)
        shade = (1 + np.log(count)) / (1 + np.log(largest)) if count else 0.0
        rows[row][column] = {"symbol": symbol, "count": count, "of": n_crystals, "shade": f"{shade:.2f}"}
    return rows


def n_atoms_figure(values: Mapping[str, Distributions]) -> str:
    """SVG: share of crystals by number of atoms per cell, for each split."""

    def draw(axes: Axes, splits: Mapping[str, np.ndarray]) -> None:
        for index, (split, values) in enumerate(splits.items()):
            numbers, counts = np.unique(values, return_counts=True)
            width = 0.8 / len(splits)
            axes.bar(numbers - 0.4 + (index + 0.5) * width, counts / len(values), width, color=COLOUR_OF_SPLIT[split])
        axes.set_xlabel("atoms per cell")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    return _figure("n_atoms", [({split: each.n_atoms for split, each in values.items()}, draw)], (6.5, 2.6))


def lattice_figure(values: Mapping[str, Distributions]) -> str:
    """SVG: distributions of cell lengths, cell angles, density and volume per atom, for each split."""
    panels = [
        ({split: each.lattice[name] for split, each in values.items()}, _histogram(label))
        for name, label in _LABELS.items()
    ]
    return _figure("lattice", panels, (10.5, 7.0), n_columns=3)


Draw = Callable[[Axes, Mapping[str, np.ndarray]], None]


def _histogram(label: str, n_bins: int = 40) -> Draw:
    def draw(axes: Axes, splits: Mapping[str, np.ndarray]) -> None:
        together = np.concatenate(list(splits.values()))
        low, high = np.quantile(together, [0.001, 0.999])  # a few outliers would leave one bar
        edges = np.linspace(low, high if high > low else low + 1.0, n_bins + 1)
        for split, values in splits.items():
            counts = np.histogram(np.clip(values, low, high), edges)[0]
            axes.stairs(counts / len(values), edges, color=COLOUR_OF_SPLIT[split], linewidth=1.3)
        axes.set_xlabel(label)

    return draw


def _figure(
    name: str, panels: Sequence[tuple[Mapping[str, np.ndarray], Draw]], size: tuple[float, float], n_columns: int = 1
) -> str:
    n_rows = -(-len(panels) // n_columns)
    # The salt makes the ids within the SVG the same in every run, and different between figures of one page.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=size, layout="constrained")
        for index, (splits, draw) in enumerate(panels):
            axes = figure.add_subplot(n_rows, n_columns, index + 1)
            draw(axes, splits)
            axes.set_ylabel("share of crystals")
            axes.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    return re.sub(r'<g id="[^"]*"', "<g", svg[svg.index("<svg") :])
