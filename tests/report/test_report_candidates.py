"""What the report says of sets from substitution: their templates, and what there was none of."""

import dataclasses

from tests.materials.search.test_substitution import KNOWN
from tests.report.report_run import write_run
from unimat.crystal_table import from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.search import templates as library
from unimat.materials.search.candidates import predict
from unimat.materials.search.compositions import of_text
from unimat.materials.search.libraries import joined
from unimat.materials.search.settings import SubstitutionSettings
from unimat.materials.search.substitution import Substitution
from unimat.materials.search.templates import Templates
from unimat.report.run_files import read_run
from unimat.report.sections.run import what_was_run


def test_templates_licences_and_reasons_are_told(tmp_path):
    run = read_run(write_run(tmp_path / "demo"))
    known, _ = library.index(from_crystals([from_structure(each, name) for name, each in KNOWN.items()]))
    about = {"name": "known ones", "licence": "CC0", "n_templates": len(known)}
    templates = Templates(joined([known.with_metadata(templates=[about])]))
    asked = [of_text("BaZrO3"), of_text("SrTiO3"), of_text("Na0.5Cl")]
    table, rejected = predict(Substitution(templates), asked, SubstitutionSettings(count=2))
    made = dataclasses.replace(
        run.sets["generated"],
        name="candidates",
        crystals=table.with_metadata(made_by="substitute"),
        rejected=rejected,
        metrics=None,
        stability_summary=None,
    )
    section = what_was_run(dataclasses.replace(run, sets={"candidates": made}), run.folder / "report.html")
    assert dict(section.blocks[0].rows)["Substitution of candidates"] == (
        "4 of 6 candidates, 1 of them known crystals, by exchange of elements in known ones: "
        "7 of known ones, licence: CC0"
    )
    captions = {block.caption: block.rows for block in section.blocks if hasattr(block, "caption")}
    (rows,) = [rows for caption, rows in captions.items() if caption.startswith("Candidates of the set candidates")]
    meaning = "the composition asked for has an amount that is no whole number of atoms"
    assert rows == [["fractional_amounts", meaning, "2 of 6 (33.3 %)"]]
