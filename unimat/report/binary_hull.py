"""Convex hull of a binary system, for the figure: formation energy against composition."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pymatgen.util.string import unicodeify

from unimat.materials.stability.hull import binary_hull
from unimat.materials.stability.references.reference import Reference
from unimat.report.figures import WIDE
from unimat.report.svg import COLOURS, figure_style

MAX_POINTS = 1500  # of a set; beyond it the ones nearest to the hull are drawn, to keep the page small


@dataclasses.dataclass(frozen=True)
class BinaryPhases:
    """Reference phases of a binary system.

    Attributes:
        elements: the two symbols, by atomic number.
        fraction: (m,) atomic fraction of the second element.
        e_form: (m,) formation energy relative to the lowest elemental phases among them, eV/atom.
        corners: phases on the hull: columns `x`, `e_form_per_atom`, `formula`, by x.
    """

    elements: tuple[str, str]
    fraction: np.ndarray
    e_form: np.ndarray
    corners: pd.DataFrame


def binary_phases(reference: Reference) -> BinaryPhases | None:
    """Phases of a hull reference; None unless it spans exactly two elements and has both of them pure."""
    elements = sorted(reference.elements, key=lambda element: element.Z)
    if len(elements) != 2:
        return None
    fraction = np.array([entry.composition.get_atomic_fraction(elements[1]) for entry in reference.entries])
    energies = np.array([entry.energy_per_atom for entry in reference.entries])
    if not (np.any(fraction == 0) and np.any(fraction == 1)):
        return None
    ends = energies[fraction == 0].min(), energies[fraction == 1].min()
    e_form = energies - (1 - fraction) * ends[0] - fraction * ends[1]
    symbols = (elements[0].symbol, elements[1].symbol)
    return BinaryPhases(symbols, fraction, e_form, binary_hull(reference, elements))


def hull_figure(
    phases: BinaryPhases, fraction: np.ndarray, e_form: np.ndarray, stable: np.ndarray, name: str, max_energy: float
) -> Figure:
    """Formation energy against composition: the reference's hull, its phases, and the crystals of a set.

    Args:
        fraction: (n,) atomic fraction of the second element of each crystal.
        e_form: (n,) formation energy, eV/atom; further than `max_energy` above zero is not drawn.
        stable: (n,) bool, decomposition energy below zero.
        name: of the set.
    """
    corners = phases.corners
    above = e_form - np.interp(fraction, corners["x"], corners["e_form_per_atom"])
    shown = _nearest(above, e_form <= max_energy)
    with figure_style():
        figure = Figure(figsize=(WIDE[0], 4.0), layout="constrained")
        axes = figure.subplots()
        label = f"{name} ({int(shown.sum()):,} of {len(shown):,} shown)"
        rest = shown & ~stable
        if rest.any():
            axes.scatter(fraction[rest], e_form[rest], 20, COLOURS["series-1"], alpha=0.55, linewidth=0, label=label)
        near = _nearest(phases.e_form, phases.e_form <= max_energy)
        axes.plot(phases.fraction[near], phases.e_form[near], "_", color=COLOURS["muted"], markersize=7, alpha=0.6,
                  label=f"reference phases ({int(near.sum()):,} of {len(near):,} shown)")  # fmt: skip
        line: dict[str, Any] = {"color": COLOURS["ink"], "marker": "s", "markersize": 5}
        axes.plot(corners["x"], corners["e_form_per_atom"], label="hull of the reference", **line)
        if stable.any():
            axes.scatter(fraction[stable], e_form[stable], s=46, marker="D", color=COLOURS["good"], zorder=4,
                         label=f"{name}, below the hull ({int(stable.sum()):,})")  # fmt: skip
        for corner in corners.iloc[1:-1].itertuples():
            place = (corner.x, corner.e_form_per_atom)
            axes.annotate(unicodeify(str(corner.formula)), place, (0, -14), textcoords="offset points", ha="center")
        lowest = min(float(corners["e_form_per_atom"].min()), float(e_form.min()) if len(e_form) else 0.0)
        axes.set_ylim(bottom=lowest - 0.12 * (max_energy - lowest) * 0.8)
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], [phases.elements[0], "0.25", "0.50", "0.75", phases.elements[1]])
        axes.set(xlabel=f"atomic fraction of {phases.elements[1]}", ylabel="formation energy (eV/atom)")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0.2)
    return figure


def _nearest(above: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Mask of the `MAX_POINTS` lowest of `above` among the allowed."""
    chosen = np.zeros(len(above), bool)
    chosen[np.argsort(above, kind="stable")[:MAX_POINTS]] = True
    return chosen & allowed
