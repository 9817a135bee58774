"""Elements of two sets as one heat map over the periodic table.

Drawn here, in the page's own style, after the split cells of pymatviz. pymatviz itself draws by Plotly, which brings
4 MB of script or a browser to make a picture; pymatgen's `periodic_table_heatmap` knows one value per element and
hands over to pymatviz when that is installed.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from unimat.crystal_table import CrystalTable
from unimat.periodic_table import CELL_OF_SYMBOL, SYMBOLS
from unimat.report.svg import COLOURS, figure_style

SIZE = (7.6, 4.6)  # inches
GAP = 0.35  # rows between the table and the f block
FAINTEST, FULLEST = 0.04, 0.65  # opacities of the rarest and the commonest element, the symbol still readable
UPPER = ((0, 0), (1, 0), (0, 1))
LOWER = ((1, 0), (1, 1), (0, 1))


def element_shares(table: CrystalTable) -> dict[str, float]:
    """Share of the crystals of a table that contain each element."""
    owner = np.repeat(np.arange(len(table)), table.n_atoms)
    pairs = np.unique(np.stack([owner, table.flat_atomic_numbers]), axis=1)
    numbers, counts = np.unique(pairs[1], return_counts=True)
    return {SYMBOLS[z - 1]: count / len(table) for z, count in zip(numbers.tolist(), counts.tolist(), strict=True)}


def elements_figure(shares: Mapping[str, Mapping[str, float]], reference: str) -> Figure:
    """Periodic table, each cell halved where there are two sets: the first above, `reference` below.

    Args:
        shares: by set name, what `element_shares` returns.
    """
    top = max(value for each in shares.values() for value in each.values())
    with figure_style():
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set(xlim=(-0.1, 18.1), ylim=(9 + GAP + 0.1, -0.1), aspect="equal")
        axes.set_axis_off()
        for symbol, (row, column) in CELL_OF_SYMBOL.items():
            left, top_edge = float(column), row + GAP * (row > 6)
            for name, each in shares.items():
                if each.get(symbol):
                    colour = "series-2" if name == reference else "series-1"
                    corners = _half(name == reference, len(shares)) + np.array([left, top_edge])
                    opacity = _opacity(each[symbol], top)
                    axes.add_patch(Polygon(corners, color=COLOURS[colour], alpha=opacity, linewidth=0))
            known = any(each.get(symbol) for each in shares.values())
            axes.add_patch(Rectangle((left, top_edge), 1, 1, fill=False, edgecolor=COLOURS["grid"], linewidth=0.8))
            ink = COLOURS["ink" if known else "muted"]
            axes.text(left + 0.5, top_edge + 0.5, symbol, ha="center", va="center", fontsize=8, color=ink)
        _scale(axes, list(shares), reference, top)
    return figure


def _half(lower: bool, n: int) -> np.ndarray:
    """Corners of the part of a cell that a set fills."""
    return np.array([(0, 0), (1, 0), (1, 1), (0, 1)] if n == 1 else LOWER if lower else UPPER, float)


def _opacity(value: float, top: float) -> float:
    """By the square root: a linear scale would show oxygen and little else, a logarithmic one no differences."""
    return FAINTEST + (FULLEST - FAINTEST) * float(np.sqrt(value / top))


def _scale(axes: Axes, names: list[str], reference: str, top: float) -> None:
    """A bar for each set in the gap above the transition metals, with the shares that its ends stand for."""
    for line, name in enumerate(names):
        y = 0.35 + 0.8 * line
        colour = COLOURS["series-2" if name == reference else "series-1"]
        for step, value in enumerate(top * (np.arange(1, 13) / 12) ** 2):
            opacity = _opacity(float(value), top)
            axes.add_patch(Rectangle((4.6 + 0.25 * step, y), 0.25, 0.5, color=colour, alpha=opacity, linewidth=0))
        axes.text(4.5, y + 0.27, "0", ha="right", va="center", fontsize=8, color=COLOURS["muted"])
        axes.text(7.7, y + 0.27, f"{100 * top:.2g} %  {name}", ha="left", va="center", fontsize=8)
