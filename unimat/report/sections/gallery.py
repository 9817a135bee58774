"""The best crystals: a picture and the facts of each."""

from typing import Any

import pandas as pd
from pymatgen.util.string import unicodeify

from unimat.report.best import best_crystals
from unimat.report.blocks import Block, Card, Gallery, Missing, Section, Table
from unimat.report.crystals import crystal_picture, drawn_repeats, element_colours
from unimat.report.known import known_crystals
from unimat.report.quantities import MISSING, energy
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections.stability import engine_of, hull_name


def best(run: RunFiles, primary: SetFiles | None, n: int) -> Section:
    """The `n` distinct crystals of lowest decomposition energy of the primary set."""
    title = "Lowest-lying crystals"
    if primary is None or primary.stability is None or primary.relaxed is None:
        text = "No crystals to show: stability.parquet and relaxed.parquet of the set are needed for that."
        return Section("crystals", title, "", [Missing(text)])
    crystals = best_crystals(primary, n)
    if not crystals:
        why = "report.best is 0" if n == 0 else f"no crystal of the set {primary.name} converged with an E_d"
        return Section("crystals", title, "", [Missing(f"No crystals to show: {why}.")])
    cards = [
        Card(
            each,
            _formula(each),
            crystal_picture(each.pictured, f"crystal-{index}", f"Unit cell of {_formula(each)}, {each.spacegroup}"),
            element_colours(each.pictured),
            _facts(each),
        )
        for index, each in enumerate(crystals)
    ]
    rows = [
        [_formula(each), each.material_id, each.spacegroup, energy(_value(each.row, "decomposition_energy"), sign=True),
         energy(_value(each.row, "e_form_per_atom"), sign=True), str(each.times), _yes(each.row, "unique"),
         _yes(each.row, "novel"), str(each.row.get("decomposition") or MISSING)]
        for each in crystals
    ]  # fmt: skip
    columns = ("Formula", "Crystal", "Space group", "E_d (eV/atom)", "E_f (eV/atom)", "Times found", "Unique", "Novel",
               "Competing phases")  # fmt: skip
    caption = f"The same crystals as a table; E_d against the hull {hull_name(run, primary)}"
    blocks: list[Block] = [Gallery(cards), Table(caption, columns, rows, text_columns=(0, 1, 2, 6, 7, 8))]
    lead = (
        f"Distinct converged crystals of “{primary.name}” with the lowest decomposition energy E_d, relaxed with "
        f"{engine_of(primary)}. Each is shown once; “times found” counts its copies among the converged crystals of "
        "like energy. Unique and novel are judged on relaxed crystals, novel against "
        f"{known_crystals(run, primary)}. Pictures show the "
        " conventional cell (space group to 0.1 Å); the CIF holds the relaxed cell."
    )
    return Section("crystals", title, lead, blocks)


def _formula(each: Any) -> str:
    return unicodeify(each.structure.composition.reduced_formula)


def _facts(each: Any) -> list[tuple[str, str]]:
    repeats = drawn_repeats(each.pictured)
    drawn = f", drawn {' × '.join(map(str, repeats))}" if max(repeats) > 1 else ""
    facts = [
        ("E_d", f"{energy(_value(each.row, 'decomposition_energy'), sign=True)} eV/atom"),
        ("Space group", each.spacegroup),
        ("Cell", f"{len(each.pictured)} atoms{drawn}"),
        ("Unique, novel", f"{_yes(each.row, 'unique')}, {_yes(each.row, 'novel')}"),
    ]
    if each.times > 1:
        facts.append(("Times found", str(each.times)))
    if each.row.get("decomposition"):
        facts.append(("Against", str(each.row["decomposition"])))
    return facts


def _value(row: pd.Series, name: str) -> float | None:
    value = row.get(name)
    return None if value is None or pd.isna(value) else float(value)


def _yes(row: pd.Series, name: str) -> str:
    value = row.get(name)
    return "not judged" if value is None or pd.isna(value) else ("yes" if value else "no")
