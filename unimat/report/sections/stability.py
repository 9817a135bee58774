"""Stability: counts and histogram of decomposition energy, and the hull of a binary system."""

from typing import Any

import numpy as np
import pandas as pd
from pymatgen.core import Composition

from unimat.materials.stability.hull_tolerance import HULL_TOLERANCE, below
from unimat.report.binary_hull import binary_phases, hull_figure
from unimat.report.blocks import Block, Missing, Section, Table, Text, drawn
from unimat.report.figures import decomposition_figure
from unimat.report.quantities import MISSING, dig, energy, energy_label, millis, number, share
from unimat.report.run_files import RunFiles, SetFiles

COUNTS = ("stable", "metastable", "stable_unique_novel", "metastable_unique_novel")
DEFAULT_THRESHOLD = 0.025  # eV/atom, Table 3 of the paper; used when no file names one


def stability(run: RunFiles, primary: SetFiles | None, max_energy: float) -> Section:
    """Counts and histogram of decomposition energy, and the hull of a binary system."""
    judged = [each for each in run.sets.values() if each.stability is not None]
    if not judged:
        text = "No stabilities: no set has a stability.parquet; `unimat reference` and `unimat hull` make it."
        return Section("stability", "Stability", "", [Missing(text)])
    blocks: list[Block] = [_stability_table(judged)]
    figures = {}
    alike = [each for each in judged if _scale(each) == _scale(judged[0])]
    drawable = {each.name: _energies(each) for each in alike if len(_energies(each)[0])}
    limit = threshold(judged[0])
    reference = hull_name(run, judged[0])
    if drawable:
        figure = decomposition_figure(drawable, limit, max_energy, _reference_set(run, primary, list(drawable)))
        figures["decomposition_energy"] = figure
        caption = (
            f"Decomposition energy E_d of converged crystals against the hull {reference}; energies by "
            f"{engine_of(judged[0])}. "
            f"Solid line: E_d = 0, below it a crystal is stable. Dashed: {millis(limit)}, below it metastable. "
            "The outermost bars hold everything beyond the axis."
        )
        label = f"Histograms of decomposition energy for {', '.join(drawable)}"
        blocks.append(drawn(figure, "ed", label, caption))
    blocks += [Text(_other_scale(each)) for each in judged if _scale(each) != _scale(judged[0])]
    blocks += _hull(run, primary, max_energy, figures)
    blocks += _by_reference(judged)
    blocks += [Text(text) for each in judged for text in (_on_hull(each), _lost_phases(each)) if text]
    without = [each.name for each in run.sets.values() if each.stability is None]
    if without:
        blocks.append(Missing(f"No stabilities for: {', '.join(without)}; stability.parquet is not there.", True))
    lead = (
        f"Energies: {engine_of(judged[0], full=True)}. Formation energies are relative to the elements of the "
        f"reference, E_d to the hull {reference}."
    )
    theirs = (judged[0].stability_summary or {}).get("reference_energy_type")
    if theirs and energy_label(theirs, full=True) != engine_of(judged[0], full=True):
        lead += (
            f" The reference's own energies are by {energy_label(theirs, full=True)}; the difference enters every E_d."
        )
    return Section("stability", "Stability", lead, blocks, figures)


def threshold(one: SetFiles) -> float:
    """E_d below which a crystal that is not stable counts as metastable, eV/atom."""
    found = dig((one.stability_summary or {}).get("thresholds"), "metastable")
    return DEFAULT_THRESHOLD if found is None else float(found)


def _scale(one: SetFiles) -> tuple[str, str]:
    """Whose energies, against which hull: what must agree for two sets to share a figure."""
    return engine_of(one, full=True), str((one.stability_summary or {}).get("reference"))


def _other_scale(one: SetFiles) -> str:
    engine, reference = _scale(one)
    return f"The set “{one.name}” is not drawn beside them: its energies are by {engine}, its hull is “{reference}”."


def _on_hull(one: SetFiles) -> str | None:
    found = share((one.stability_summary or {}).get("on_hull"), one.n_generated)
    if found is None or not found.count:
        return None
    return (
        f"{found.count:,} crystals of “{one.name}” lie on the hull, within {HULL_TOLERANCE:g} eV/atom: they are as low"
        " as phases of the reference and no lower, and count among the metastable ones."
    )


def _lost_phases(one: SetFiles) -> str | None:
    """Which verdicts hang on phases that the reference should have and has not."""
    found = (one.stability_summary or {}).get("lost_phases") or {}
    verdicts = found.get("verdicts") or {}
    if not verdicts.get("count"):
        return None
    ids, systems = verdicts["first"], found["systems"]
    more = ", …" if len(ids) < verdicts["count"] else ""
    return (
        f"{verdicts['count']:,} of {verdicts['of']:,} verdicts of “{one.name}” are of chemical systems that contain"
        f" phases which the reference lost ({sum(systems.values()):,}, listed in hull/reference.json); these crystals"
        f" may look more stable than they are: {', '.join(map(str, ids))}{more}."
    )


def hull_name(run: RunFiles, one: SetFiles) -> str:
    """Name and size of the hull reference, for captions."""
    name = (one.stability_summary or {}).get("reference") or (run.reference and run.reference.name) or "unnamed"
    if isinstance(name, dict):
        name = dig(name, "name") or "unnamed"
    size = f" ({len(run.reference.entries):,} phases)" if run.reference is not None else ""
    return f"“{name}”{size}"


def engine_of(one: SetFiles, full: bool = False) -> str:
    """The calculator of a set's energies, in words."""
    return energy_label(energy_type_of(one), full)


def energy_type_of(one: SetFiles) -> dict[str, Any] | None:
    """What a set's energies are, as its files say."""
    relaxed = one.relaxed.metadata.get("energy_type") if one.relaxed is not None else None
    return (one.stability_summary or {}).get("energy_type") or relaxed


def _stability_table(judged: list[SetFiles]) -> Table:
    rows = []
    for each in judged:
        summary, n = each.stability_summary or {}, each.n_generated
        lowest = _energies(each)[0]
        row = [each.name, number(n), number(summary.get("n_relaxed"))]
        row += [str(share(summary.get(key), n) or MISSING) for key in COUNTS]
        row += [energy(float(np.min(lowest)) if len(lowest) else None)]
        row += [energy(float(np.median(lowest)) if len(lowest) else None)]
        rows.append(row)
    limit = millis(threshold(judged[0]))
    columns = ("Set", "Generated", "Converged", "Stable, E_d < 0", f"Metastable, 0 ≤ E_d < {limit}",
               "Stable, unique and novel", "Either, unique and novel", "Lowest E_d (eV/atom)",
               "Median E_d (eV/atom)")  # fmt: skip
    return Table("Stability of each set; the denominator is everything generated", columns, rows)


def _by_reference(judged: list[SetFiles]) -> list[Block]:
    """Counts against each of several references, and the crystals on which they disagree; nothing of one reference."""
    rows: list[list[str]] = []
    flips: list[list[str]] = []
    n_flips = 0
    for each in judged:
        summary = each.stability_summary or {}
        found = summary.get("references") or []
        if len(found) < 2:
            continue
        for one in found:
            counts = [str(share(one.get(key), each.n_generated) or MISSING) for key in COUNTS]
            size, n_judged = (number(one.get(key)) for key in ("reference_entries", "n_judged"))
            rows.append([each.name, str(one.get("reference")), size, n_judged, *counts])
        about = summary.get("verdict_flips") or {}
        n_flips += sum(int(pair["flips"]["count"]) for pair in about.get("pairs") or [])
        flips += [_flip(each.name, row) for row in about.get("first") or []]
    if not rows:
        return []
    columns = ("Set", "Reference", "Phases", "Judged", "Stable", "Metastable", "Stable, unique and novel",
               "Either, unique and novel")  # fmt: skip
    blocks: list[Block] = [Table("Stability against each reference; of everything generated", columns, rows, (0, 1))]
    if flips:
        caption = f"Disagreements of two references, {len(flips):,} of {n_flips:,}; all are in verdict_flips.parquet"
        names = ("Set", "Crystal", "Formula", "Verdicts", "E_d (eV/atom)", "Why")
        blocks.append(Table(caption, names, flips, (0, 1, 2, 3, 5)))
    return blocks


def _flip(name: str, row: dict[str, Any]) -> list[str]:
    sides = [(row.get(f"verdict_{side}"), row.get(f"reference_{side}")) for side in "ab"]
    energies = " / ".join(energy(row.get(f"decomposition_energy_{side}"), True) for side in "ab")
    words = ", ".join(f"{verdict} against “{reference}”" for verdict, reference in sides)
    return [name, str(row.get("material_id")), str(row.get("formula")), words, energies, str(row.get("why"))]


def _energies(one: SetFiles) -> tuple[np.ndarray, int]:
    """E_d of the converged crystals, and how many crystals the set has in all."""
    assert one.stability is not None
    values = one.stability["decomposition_energy"].to_numpy(float)
    if "converged" in one.stability:
        values = values[_flags(one.stability, "converged")]
    return values[np.isfinite(values)], one.n_generated or len(one.stability)


def _flags(frame: pd.DataFrame, name: str) -> np.ndarray:
    return frame[name].fillna(False).to_numpy(bool) if name in frame else np.zeros(len(frame), bool)


def _reference_set(run: RunFiles, primary: SetFiles | None, names: list[str]) -> str | None:
    """The set to draw in grey: the first that was not sampled, if any."""
    others = [name for name in names if run.sets[name].sampling is None and (primary is None or name != primary.name)]
    return next(iter(others), None)


def _hull(run: RunFiles, primary: SetFiles | None, max_energy: float, figures: dict[str, Any]) -> list[Block]:
    if run.reference is None:
        return [Missing("No hull figure: hull/reference.parquet is not there; `unimat reference` makes it.")]
    phases = binary_phases(run.reference)
    n = len(run.reference.elements)
    if phases is None:
        return [Text(f"No hull figure: it is drawn for binary systems, and the reference spans {n} elements.")]
    if primary is None or primary.stability is None:
        return []
    rows = primary.stability[np.isfinite(primary.stability["e_form_per_atom"].to_numpy(float))]
    rows = rows[_flags(rows, "converged")] if "converged" in rows else rows
    fraction = np.array([Composition(str(each)).get_atomic_fraction(phases.elements[1]) for each in rows["formula"]])
    stable = below(rows["decomposition_energy"].to_numpy(float))
    figure = hull_figure(phases, fraction, rows["e_form_per_atom"].to_numpy(float), stable, primary.name, max_energy)
    figures["hull"] = figure
    caption = (
        f"Formation energy against composition in {'–'.join(phases.elements)}, relative to the elemental phases of the "
        f"hull {hull_name(run, primary)}; energies by {engine_of(primary)}. Converged crystals of {primary.name}."
    )
    label = f"Convex hull of {'–'.join(phases.elements)} with the crystals of {primary.name}"
    return [drawn(figure, "hull", label, caption)]
