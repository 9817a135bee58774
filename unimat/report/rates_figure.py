"""Rates with their intervals against something that comes in steps."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from unimat.report.figures import HALF
from unimat.report.quantities import Share
from unimat.report.svg import COLOURS, figure_style

ROLES = ("series-1", "series-3", "good")
MARKERS = ("o", "s", "D")
APART = 0.12  # of a step, between points that would hide each other


@dataclasses.dataclass(frozen=True)
class Point:
    """A rate.

    Attributes:
        place: index on the axis. label: what stands there.
    """

    place: int
    label: str
    share: Share


def rates_figure(curves: Mapping[str, Sequence[Point]], label: str, lines: bool = True) -> Figure:
    """Rates in percent with 95 % Wilson intervals, a curve for each name.

    Args:
        label: of the horizontal axis.
        lines: join the points of a curve.
    """
    labels = {point.place: point.label for points in curves.values() for point in points}
    with figure_style():
        figure = Figure(figsize=HALF, layout="constrained")
        axes = figure.subplots()
        for index, (name, points) in enumerate(curves.items()):
            place = np.array([point.place for point in points]) + APART * (index - (len(curves) - 1) / 2)
            rate = np.array([point.share.rate for point in points], float)
            low, high = np.array([point.share.interval() for point in points], float).T
            axes.errorbar(
                place,
                100 * rate,
                100 * np.maximum(0, [rate - low, high - rate]),
                fmt=f"{MARKERS[index]}{'-' if lines else ''}",
                color=COLOURS[ROLES[index]],
                markersize=4,
                linewidth=1.1,
                elinewidth=0.9,
                capsize=2,
                label=name,
            )
        axes.set(xlabel=label, ylabel="rate (%)", ylim=(-3, 103))
        axes.set_xticks(sorted(labels), [labels[place] for place in sorted(labels)])
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderaxespad=0.2, columnspacing=1.2)
    return figure
