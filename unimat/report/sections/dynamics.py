"""Molecular dynamics: do the best crystals hold at a temperature? Absent from runs without it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unimat.crystal_table import Crystal
from unimat.report.blocks import Block, Section, Table, drawn
from unimat.report.quantities import MISSING, Share, energy_label, number
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.svg import COLOURS, figure_style

ROLES = (
    "series-1",
    "series-3",
    "series-4",
    "series-5",
)  # one for each crystal that a figure shows; grey is the reference's
STYLES = ("solid", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
SIZE = (7.6, 3.3)  # inches
COLUMNS = (
    "Crystal", "Formula", "Atoms", "Time (ps)", "Temperature (K)", "Drift (meV/atom/ps)", "MSD (Å²)",
    "Diffusion (Å²/ps)", "Lindemann ratio", "Structure",
)  # fmt: skip
LEAD = (
    "The best crystals of a set, moved at constant volume and temperature. Drift is the slope of the energy that the"
    " thermostat's equations conserve; MSD the mean-square displacement of the element that moves farthest, at half the"
    " time after equilibration; diffusion is given only of an element whose displacement grows with time. A structure"
    " is kept if every atom's mean place is that of its site."
)


def dynamics(run: RunFiles) -> list[Section]:
    """One section, or none."""
    sets = [each for each in run.sets.values() if each.dynamics is not None]
    if not sets:
        return []
    blocks: list[Block] = []
    figures: dict[str, Figure] = {}
    for each in sets:
        blocks.append(_table(each))
        if figure := dynamics_figure((each.dynamics_summary or {}).get("crystals", [])):
            name = f"dynamics_{each.name}"
            label = f"Mean-square displacement and energy drift of the best crystals of {each.name}"
            caption = (
                f"{each.name}: mean-square displacement after equilibration, averaged over time origins (left), and the"
                " conserved energy from its first frame on (right)"
            )
            blocks.append(drawn(figure, name, label, caption))
            figures[name] = figure
    return [Section("dynamics", "Molecular dynamics", LEAD, blocks, figures)]


def _table(one: SetFiles) -> Table:
    assert one.dynamics is not None
    table, settings = one.dynamics, one.dynamics.metadata.get("md", {})
    formulas = {each["material_id"]: each["formula"] for each in (one.dynamics_summary or {}).get("crystals", [])}
    rows = [_row(crystal, formulas.get(crystal.material_id, MISSING)) for crystal in table]
    kept = Share(sum(bool(crystal.properties["kept"]) for crystal in table), len(table))
    engine = energy_label(table.metadata.get("energy_type"))
    caption = f"{one.name}, {engine}, {number(settings.get('temperature'))} K: {kept} kept their structure"
    return Table(caption, COLUMNS, rows, text_columns=(0, 1, 9))


def _row(crystal: Crystal, formula: str) -> list[str]:
    values = crystal.properties
    if values["failure"] is not None:
        return [crystal.material_id, formula, *[MISSING] * 7, str(values["failure"])]
    heat = f"{values['mean_temperature']:.0f} ± {values['temperature_std']:.0f}"
    shown = [number(values[name]) for name in ("conserved_drift", "max_msd")]
    verdict = "kept" if values["kept"] else f"lost: an atom moved by {values['largest_shift']:.1f} Å"
    start = [crystal.material_id, formula, number(values["n_atoms"]), number(values["duration"])]
    return [*start, heat, *shown, _diffusion(values["displacements"]), number(values["lindemann"]), verdict]


def _diffusion(text: str) -> str:
    """Coefficients of the elements that diffuse, with their errors."""
    found = {name: each for name, each in json.loads(text).items() if each["diffusion"] is not None}
    return (
        ", ".join(
            f"{name} {number(each['diffusion'], 2)} ± {number(each['diffusion_error'], 1)}"
            for name, each in found.items()
        )
        or MISSING
    )


def dynamics_figure(crystals: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Mean-square displacement against lag, and energy against time; None if nothing ran.

    Args:
        crystals: `crystals` of dynamics.json, the best first; the first four that ran are drawn.
    """
    ran = [each for each in crystals if each.get("time")][: len(ROLES)]
    if not ran:
        return None
    with figure_style():
        figure = Figure(figsize=SIZE, layout="constrained")
        left, right = figure.subplots(1, 2)
        for crystal, role in zip(ran, ROLES, strict=False):
            for (symbol, msd), style in zip(crystal["msd"].items(), STYLES * len(crystal["msd"]), strict=False):
                label = f"{crystal['formula']}: {symbol}"
                left.plot(crystal["lag"], msd, color=COLOURS[role], linestyle=style, label=label)
            _draw_energy(right, crystal, COLOURS[role])
        left.set(xlabel="time between two frames (ps)", ylabel="mean-square displacement (Å²)")
        left.set_ylim(bottom=0)
        left.set_xlim(left=0)
        conserved = all(_has_conserved(each) for each in ran)
        right.set(xlabel="time (ps)", ylabel=f"{'conserved' if conserved else 'potential'} energy (meV/atom)")
        right.set_xlim(left=0)
        right.axhline(0, color=COLOURS["muted"], linewidth=0.8)
        for axes, columns in ((left, min(3, len(ran))), (right, 2)):
            axes.legend(
                loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, borderaxespad=0.2, columnspacing=1.0
            )
    return figure


def _draw_energy(axes: Axes, crystal: Mapping[str, Any], colour: str) -> None:
    values = crystal["conserved"] if _has_conserved(crystal) else crystal["potential"]
    axes.plot(crystal["time"], np.array(values, float), color=colour, linewidth=1.1, label=_name(crystal))


def _name(crystal: Mapping[str, Any]) -> str:
    return f"{crystal['material_id']} ({crystal['formula']})"


def _has_conserved(crystal: Mapping[str, Any]) -> bool:
    return any(value is not None for value in crystal["conserved"])
