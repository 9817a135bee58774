"""Figures as SVG: the same bytes every time, and safe to stand beside others in one page."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Colours by role. In the page each becomes a CSS variable, so that a figure follows the reader's light or dark theme;
# a file of its own keeps the values below.
COLOURS = {
    "ink": "#1c2430",
    "muted": "#5b6676",
    "grid": "#e2e6eb",
    "series-1": "#1f5fa8",
    "series-2": "#6d7785",
    "series-3": "#b4690e",
    "series-4": "#0d7d72",
    "series-5": "#8b3f86",
    "good": "#1a7f4b",
    "warn": "#b3531a",
}
SERIES = ("series-1", "series-2", "series-3", "series-4", "series-5")

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "unimat",  # ids that do not change from run to run
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's own font
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.facecolor": "none",
    "axes.unicode_minus": True,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.labelcolor": COLOURS["ink"],
    "ytick.labelcolor": COLOURS["ink"],
    "text.parse_math": False,  # a dollar sign in a set's name is a dollar sign
    "text.color": COLOURS["ink"],
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 1.6,
    "figure.facecolor": "none",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Style of every figure; nothing outside the block changes."""
    with matplotlib.rc_context(_STYLE):
        yield


def figure_file(figure: Figure) -> str:
    """Text of a stand-alone SVG file on white."""
    text = _subscripts(_draw(figure, "white"))
    return re.sub(r"font-family: [^;\"]*", "font-family: Helvetica, Arial, sans-serif", text)


def inline_figure(figure: Figure, name: str, label: str) -> Markup:
    """The figure as an ``<svg>`` element for the page.

    Args:
        name: prefix of every id in it; must be unique in the page, or clip paths of one figure would cut another.
        label: what the figure shows, for those who cannot see it.
    """
    text = _draw(figure, "none")
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)  # would style the whole page
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r' font-family: [^;"]*;?', "", body)  # the page's own font
    body = prefix_ids(_subscripts(body), name)
    for role, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{role})")
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    width, height = (72 * size for size in figure.get_size_inches())
    return Markup(
        f'<svg class="figure" role="img" aria-label="{escape(label)}" viewBox="0 0 {width:g} {height:g}" '
        f'stroke-linejoin="round">{body}</svg>'
    )


def prefix_ids(body: str, name: str) -> str:
    """`body` with every id and every reference to one starting with `name`."""
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", body)


def _subscripts(text: str) -> str:
    """E_d and E_f in SVG text with their index lowered."""
    index = r'<tspan dy="2.2" font-size="75%">\1</tspan><tspan dy="-2.2">&#8203;</tspan>'
    return re.sub(r"\bE_([df])\b", rf'<tspan font-style="italic">E</tspan>{index}', text)


def _draw(figure: Figure, background: str) -> str:
    buffer = io.StringIO()
    with figure_style():
        figure.set_facecolor(background)
        FigureCanvasSVG(figure).print_svg(
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return buffer.getvalue()
