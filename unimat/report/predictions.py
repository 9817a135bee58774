"""The page of predicted crystals: a table and cards for each composition, and a view of each in three dimensions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import spglib
from pymatgen.core import Structure
from pymatgen.util.string import unicodeify

from unimat.crystal_table import Crystal, CrystalTable
from unimat.materials.crystals.structures import reduced_formula, to_structure
from unimat.materials.search.predict import Prediction
from unimat.report.assets import scripts, styles, viewer_library
from unimat.report.best import SYMPREC, cif_uri, conventional, spacegroup
from unimat.report.blocks import Block, Candidate, Candidates, Code, CrystalView, Facts, Pictured, Section, Table, Text
from unimat.report.crystal_rows import crystal_rows
from unimat.report.crystals import crystal_picture, element_colours
from unimat.report.moves import in_words, moves_picture
from unimat.report.origins import Origin, origins
from unimat.report.page import template
from unimat.report.partners import Partner
from unimat.report.payload import as_json, packed, payload
from unimat.report.quantities import MISSING, energy, energy_label
from unimat.report.run_files import SetFiles
from unimat.report.svg import COLOURS

COLUMNS = ("Rank", "Crystal", "Space group", "From", "Distance (nats)", "Right in",
           "Above the lowest (meV/atom)", "E_d (eV/atom)", "Known as")  # fmt: skip
WORDS = (0, 1, 2, 3, 8)
WHOLE = 1e-3  # how far from whole numbers a change of cells may be
MOST_CELLS = 8  # primitive cells in a conventional one


def page(prediction: Prediction, reference: str | None = None, command: str | None = None) -> str:
    """The page as HTML.

    Args:
        reference: name of the hull reference, if there is one. command: that made it, for those who repeat it.
    """
    frame = prediction.crystals.arrow.to_pandas()
    told = origins(prediction.crystals)
    library = {crystal.material_id: crystal for crystal in prediction.templates}
    sections = [
        _composition(name, part, prediction.crystals, told, library, prediction)
        for name, part in frame.groupby("requested_formula", sort=False)
    ]
    if len(prediction.asked) > 1 and prediction.compositions():
        sections.insert(0, _compositions(prediction))
    sections.append(_made(prediction, reference, command, _view(prediction, told, library)))
    names = ", ".join(unicodeify(each.name) for each in prediction.asked)
    return template().render(
        title=f"Predicted crystals of {names}",
        subtitle=_subtitle(prediction, reference),
        headlines=[],
        sections=sections,
        css=styles(),
        scripts=scripts(),
        library=viewer_library(),
        has_browser=False,
        light=COLOURS,
        made="Made by `unimat predict`.".replace("`", ""),
    )


def _compositions(prediction: Prediction) -> Section:
    """Compositions by decomposition energy."""
    rows = [
        [_formula(each), each.material_id, spacegroup(int(each.properties["spacegroup_number"] or 1)),
         energy(each.properties["decomposition_energy"], sign=True)]
        for each in prediction.compositions()
    ]  # fmt: skip
    table = Table(
        "The best crystal of each composition, lowest E_d first",
        ("Formula", "Crystal", "Space group", "E_d (eV/atom)"),
        rows,
        text_columns=(0, 1, 2),
    )
    return Section("compositions", "Compositions", "", [table])


def _subtitle(prediction: Prediction, reference: str | None) -> str:
    energies = prediction.crystals.metadata.get("energy_type")
    parts = [
        f"{len(prediction.crystals)} candidates",
        f"relaxed with {energy_label(energies)}" if energies else "not relaxed",
        *([f"judged against “{reference}”"] if reference else []),
    ]
    return "; ".join(parts)


def _composition(
    name: str,
    part: pd.DataFrame,
    table: CrystalTable,
    told: dict[str, Origin],
    library: dict[str, Crystal],
    prediction: Prediction,
) -> Section:
    cards = [_card(table[index], told[row["material_id"]], library) for index, row in part.iterrows()]
    rows = [_row(row, told[row["material_id"]], card) for (_, row), card in zip(part.iterrows(), cards, strict=True)]
    shown = [index for index in range(len(COLUMNS)) if any(row[index] not in ("", MISSING) for row in rows)]
    caption = f"Candidates of {unicodeify(name)}, best first; space group to 0.1 Å"
    listed = Table(
        caption,
        [COLUMNS[index] for index in shown],
        [[row[index] for index in shown] for row in rows],
        text_columns=tuple(place for place, index in enumerate(shown) if index in WORDS),
    )
    notes = [note for note in prediction.notes if note.startswith(f"{name}:")]
    blocks: list[Block] = [*(Text(f"{note}.") for note in notes), listed, Candidates(cards)]
    return Section(f"formula-{name}", unicodeify(name), _lead(part), blocks)


def _lead(part: pd.DataFrame) -> str:
    known = sorted({str(each) for each in part["known"] if each})
    best = part.iloc[0]
    text = f"{len(part)} different crystals. The first is in {spacegroup(int(best['spacegroup_number'] or 1))}."
    if known:
        text += f" Known among the templates: {', '.join(known)}."
    return text


def _row(row: pd.Series, origin: Origin, card: Candidate) -> list[str]:
    above = row.get("energy_above_lowest")
    return [
        str(card.rank),
        card.material_id,
        card.spacegroup,
        origin.template or str(origin.source),
        MISSING if origin.distance is None else f"{origin.distance:.2f}",
        MISSING if origin.chance is None else f"{100 * origin.chance:.0f} %",
        MISSING if above is None or pd.isna(above) else f"{1000 * above:.0f}",
        energy(_number(row, "decomposition_energy"), sign=True),
        origin.known or MISSING,
    ]


def _number(row: pd.Series, name: str) -> float | None:
    value = row.get(name)
    return None if value is None or pd.isna(value) else float(value)


def _card(crystal: Crystal, origin: Origin, library: dict[str, Crystal]) -> Candidate:
    structure, values = to_structure(crystal), crystal.properties
    number, cell = conventional(structure, crystal.material_id)
    source, drawn_template = library.get(origin.template or ""), None
    if source:
        original = to_structure(source)
        group, conventional_cell = conventional(original, source.material_id)
        if alike := in_cell_of(original, structure):
            conventional_cell, cell = alike
        caption = f"template {source.material_id}, {_formula(source)}, {spacegroup(group)}"
        drawn_template = _pictured(conventional_cell, f"template-of-{crystal.material_id}", caption)
    pictured = _pictured(cell, crystal.material_id, f"prediction, as {_state(values)}")
    return Candidate(
        picture=pictured.picture,
        legend=pictured.legend,
        caption=pictured.caption,
        material_id=crystal.material_id,
        rank=int(values["rank"]),
        spacegroup=spacegroup(number),
        origin=origin.sentence() + (f"; known as {origin.known}" if origin.known else ""),
        facts=_facts(crystal),
        cif_uri=cif_uri(structure),
        template=drawn_template,
        moves=moves_picture(origin.moves),
        moved=in_words(origin.moves),
    )


def in_cell_of(template: Structure, prediction: Structure) -> tuple[Structure, Structure] | None:
    """Both in the conventional cell of the template, so that each atom stands where the one that it replaces does.

    None where the template has no symmetry that would tell it, or the cell is none of whole numbers.
    """
    rows = template.lattice.matrix.tolist(), template.frac_coords.tolist(), list(template.atomic_numbers)
    found = spglib.get_symmetry_dataset(rows, symprec=SYMPREC)
    if found is None:
        return None
    scaling = np.linalg.inv(found.transformation_matrix).T
    whole = np.rint(scaling)
    if np.abs(scaling - whole).max() > WHOLE or not 1 <= round(np.linalg.det(whole)) <= MOST_CELLS:
        return None
    both = []
    for structure in (template, prediction):
        cell = structure.make_supercell(whole.astype(int), in_place=False)
        both.append(cell.translate_sites(list(range(len(cell))), found.origin_shift, to_unit_cell=True))
    return both[0], both[1]


def _pictured(cell: Structure, name: str, caption: str) -> Pictured:
    ids = "".join(letter if letter.isalnum() else "-" for letter in name)
    return Pictured(crystal_picture(cell, ids, f"Unit cell: {caption}"), element_colours(cell), caption)


def _state(values: Mapping[str, Any]) -> str:
    if values.get("converged"):
        return "relaxed"
    return "made; " + (values.get("failure") or "its relaxation did not converge") if "converged" in values else "made"


def _formula(crystal: Crystal) -> str:
    return unicodeify(reduced_formula(crystal.atomic_numbers))


def _facts(crystal: Crystal) -> list[tuple[str, str]]:
    values = pd.Series(dict(crystal.properties), dtype=object)
    above, e_d = _number(values, "energy_above_lowest"), _number(values, "decomposition_energy")
    volume = abs(to_structure(crystal).volume) / len(crystal.atomic_numbers)
    return [
        ("Cell", f"{len(crystal.atomic_numbers)} atoms, {volume:.2f} Å³ per atom"),
        *([("Above the lowest", f"{1000 * above:.0f} meV/atom")] if above is not None else []),
        *([("E_d", f"{energy(e_d, sign=True)} eV/atom")] if e_d is not None else []),
    ]


def _made(prediction: Prediction, reference: str | None, command: str | None, view: CrystalView) -> Section:
    about = prediction.crystals.metadata
    settings = about["predict"]
    rows = [
        ("Templates", f"{about['templates']}"),
        ("Sources", ", ".join(settings["sources"])),
        *([("Model", settings["pretrained"])] if "model" in settings["sources"] else []),
        ("Energies", energy_label(about.get("energy_type"), full=True) if about.get("energy_type") else "none"),
        *([("Hull reference", reference)] if reference else []),
        ("Left out", _counts([row.reason for row in prediction.rejected])),
    ]
    general = [note for note in prediction.notes if not any(note.startswith(f"{a.name}:") for a in prediction.asked)]
    lead = (
        "Elements are exchanged in known crystals, and the volume is set to that expected of the new ones. The "
        "distance tells how readily the elements take each other’s places; it was learned from known crystals. "
        "Crystals that are the same are listed once. Energies of a force field are not DFT’s."
    )
    blocks: list[Block] = [*(Text(f"{note}.") for note in general), Facts(rows)]
    if command:
        blocks.append(Code("Command", command, folded=False))
    return Section("made", "How they were made", lead, [*blocks, view])


def _counts(reasons: Sequence[str]) -> str:
    counts = pd.Series(list(reasons), dtype=object).value_counts()
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in counts.items()) or "nothing"


def _view(prediction: Prediction, told: dict[str, Origin], library: dict[str, Crystal]) -> CrystalView:
    one = _as_set(prediction)
    rows = crystal_rows(one).set_index("material_id", drop=False).loc[prediction.crystals.material_ids]
    groups = dict(zip(prediction.crystals.material_ids, prediction.crystals.column("spacegroup_number"), strict=True))
    state = "spacegroup_number" if prediction.initial is not None else "spacegroup_number_generated"
    rows[state] = [int(groups[each]) for each in rows["material_id"]]
    rows["spacegroup_number"] = rows[state]
    partners = {material_id: _partner(each, library) for material_id, each in told.items() if each.template in library}
    found, geometry = payload(one, rows.reset_index(drop=True), partners, told)
    return CrystalView(packed(as_json(found)), packed(geometry))


def _partner(origin: Origin, library: dict[str, Crystal]) -> Partner:
    crystal = library[str(origin.template)]
    number, _ = conventional(to_structure(crystal), crystal.material_id)
    nothing = float("nan")
    formula = reduced_formula(crystal.atomic_numbers)
    return Partner(crystal, formula, number, nothing, nothing, f"{_formula(crystal)}; {in_words(origin.moves)}")


def _as_set(prediction: Prediction) -> SetFiles:
    table = prediction.crystals
    relaxed = None if prediction.initial is None else table
    frame = table.arrow.drop_columns(["lattice", "atomic_numbers", "frac_coords"]).to_pandas()
    judged = frame["decomposition_energy"].notna().any()
    stability = frame.assign(stable=frame["decomposition_energy"] < 0, metastable=False) if judged else None
    return SetFiles(
        name="predicted", crystals=table if prediction.initial is None else prediction.initial, rejected=[],
        sampling=None, metrics=None, verdicts=None, relaxed=relaxed, relaxation=None, stability=stability,
        stability_summary=None,
    )  # fmt: skip
