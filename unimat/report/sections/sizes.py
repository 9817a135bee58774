"""Rates against the size of a crystal, and against how the set was sampled."""

import pandas as pd
from matplotlib.figure import Figure

from unimat.materials.metrics.breakdown import BINS
from unimat.report.blocks import Block, Missing, Section, Text, drawn
from unimat.report.crystal_rows import crystal_rows
from unimat.report.known import known_crystals, novelty_judged_after
from unimat.report.quantities import Share, millis
from unimat.report.rates_figure import Point, rates_figure
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections.stability import threshold

TITLE = "Rates by size and by sampling"
SIZES = {"n_atoms": "atoms per cell", "n_elements": "elements per crystal"}
SAMPLING = {"steps": "denoising steps", "guidance": "guidance weight ω"}
# Name: column of `judged`. No curve joins what was judged before relaxation with what was judged after.
CURVES = {"valid": "valid", "V.U.N.": "new", "S.U.N. (relaxed)": "sun"}


def sizes(run: RunFiles, primary: SetFiles | None) -> Section:
    """Validity and S.U.N. of the primary set by size, and of the sampled sets by steps and guidance weight."""
    if primary is None:
        return Section("sizes", TITLE, "", [Missing("No rates by size: sets/ is empty; `unimat sample` makes a set.")])
    blocks: list[Block] = []
    figures: dict[str, Figure] = {}
    rows = judged(primary)
    for key, label in SIZES.items():
        curves = _by_size(rows, key)
        if not curves:
            continue
        figure = figures[f"rates_by_{key}"] = rates_figure(curves, label)
        caption = f"Rates by {label}, of the crystals of “{primary.name}” of that size, with 95 % intervals."
        blocks.append(drawn(figure, f"rates-{key}", f"Rates by {label}", caption, half=True))
    if not blocks:
        text = f"No rates by size: {primary.name} has no verdicts and no stabilities; `unimat metrics` makes them."
        blocks.append(Missing(text))
    if not any(rows["sun"].notna()):
        blocks.append(Missing(f"No S.U.N. for {primary.name}: `unimat hull` with `--known` judges it.", partial=True))
    blocks += _by_sampling(run, figures)
    lead = (
        f"S.U.N.: E_d below {millis(threshold(primary))} after relaxation, unique in the set and not in "
        f"{known_crystals(run, primary)}, both judged after relaxation; not converged counts as no. Valid, and V.U.N. "
        "(valid, unique and novel), are of the crystals as generated. Draws that are no crystal have no size."
    )
    return Section("sizes", TITLE, lead, blocks, figures)


def judged(one: SetFiles) -> pd.DataFrame:
    """n_atoms, n_elements, and as 1, 0 or missing: valid, new (valid, unique and novel, as generated), sun."""
    rows = crystal_rows(one)
    found = pd.DataFrame({"n_atoms": pd.to_numeric(rows["n_atoms"], errors="coerce")})
    found["n_elements"] = rows["formula"].str.count("[A-Z]").astype(float)
    flags = {name: rows[f"{name}_generated"].astype("boolean") for name in ("valid", "unique", "novel")}
    found["valid"] = flags["valid"]
    new = flags["valid"] & flags["unique"] & flags["novel"]
    found["new"] = new.where(flags["unique"].notna())  # outside the draw of `metrics.matching_take` nobody asked
    if not novelty_judged_after(one):
        found["sun"] = pd.NA
    else:
        after = [rows[name].astype("boolean").fillna(False) for name in ("unique", "novel")]
        found["sun"] = rows["verdict"].isin(["stable", "metastable"]) & after[0] & after[1]
    return found


def _by_size(rows: pd.DataFrame, key: str) -> dict[str, list[Point]]:
    """Points of each curve; a curve without a verdict is left out."""
    curves: dict[str, list[Point]] = {}
    for name, column in CURVES.items():
        known = rows[rows[column].notna() & rows[key].notna()]
        for place, (first, last) in enumerate(BINS[key]):
            here = known[(known[key] >= first) & (known[key] <= (last or float("inf")))]
            if len(here):
                label = f"{first}+" if last is None else f"{first}" if first == last else f"{first}–{last}"
                point = Point(place, label, Share(int(here[column].sum()), len(here)))
                curves.setdefault(name, []).append(point)
    return curves


def _by_sampling(run: RunFiles, figures: dict[str, Figure]) -> list[Block]:
    """A point for each sampled set, against what the sets differ in; a sentence where they do not."""
    sampled = [each for each in run.sets.values() if (each.sampling or {}).get("settings")]
    blocks: list[Block] = []
    for key, label in SAMPLING.items():
        asked = [(each, _asked(each, key)) for each in sampled]
        if len({value for _, value in asked if value is not None}) < 2:
            continue
        curves = _by_setting([(each, value) for each, value in asked if value is not None])
        figure = figures[f"rates_by_{key}"] = rates_figure(curves, label, lines=False)
        named = ", ".join(f"{each.name} {value:g}" for each, value in asked if value is not None)
        caption = f"Rates by {label}, of everything generated; a point for each sampled set ({named})."
        blocks.append(drawn(figure, f"rates-{key}", f"Rates of the sampled sets by {label}", caption, half=True))
    if not blocks and sampled:
        return [Text("The sampled sets differ neither in denoising steps nor in guidance weight: no rates by those.")]
    return blocks


def _asked(one: SetFiles, key: str) -> float | None:
    value = (one.sampling or {})["settings"].get(key)
    return None if value is None else float(value)


def _by_setting(asked: list[tuple[SetFiles, float]]) -> dict[str, list[Point]]:
    values = sorted({value for _, value in asked})
    curves: dict[str, list[Point]] = {name: [] for name in CURVES}
    for each, value in sorted(asked, key=lambda pair: (pair[1], pair[0].name)):
        rows = judged(each)
        for name, column in CURVES.items():
            if rows[column].notna().any():
                share = Share(int(rows[column].sum()), each.n_generated or len(rows))
                curves[name].append(Point(values.index(value), f"{value:g}", share))
    return {name: points for name, points in curves.items() if points}
