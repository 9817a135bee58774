"""Prediction by formula: order, moves, copies, known crystals, what stands in where templates lack, and bad input."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.materials.search.test_substitution import KNOWN, PEROVSKITE, caesium_chloride
from unimat import cli, crystal_table, sampled
from unimat.crystal_table import Rejected, from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure, reduced_formula, to_structure
from unimat.materials.relax.force_fields.settings import energy_type
from unimat.materials.search import predict as prediction
from unimat.materials.search import templates as library
from unimat.materials.search.asked import asked
from unimat.materials.search.pool import quotas
from unimat.materials.search.predict import PredictSettings, predict
from unimat.materials.search.prediction_text import text
from unimat.materials.search.systems import compositions_of
from unimat.materials.search.templates import Templates
from unimat.materials.stability.hull_tolerance import below
from unimat.materials.stability.references.reference import Reference
from unimat.periodic_table import ATOMIC_NUMBER as Z
from unimat.report.crystal_rows import crystal_rows
from unimat.report.moves import in_words, moves_of, moves_picture
from unimat.report.origins import origins
from unimat.report.payload import payload
from unimat.report.predictions import in_cell_of
from unimat.report.run_files import SetFiles

BARE = PredictSettings(engine="none", sources=("substitution",))


@pytest.fixture(scope="module")
def known():
    table = from_crystals([from_structure(structure, name) for name, structure in KNOWN.items()])
    return Templates(library.index(table)[0], "known.parquet")


@pytest.fixture(scope="module")
def known_file(known, tmp_path_factory):
    path = tmp_path_factory.mktemp("known") / "known.parquet"
    crystal_table.write(known.table, path)
    return path


@pytest.fixture
def model(monkeypatch):
    """A model that draws caesium chloride's form but for its first crystal, and what it was asked for."""
    requests = []

    def sample(name, wanted, seed=0, settings=None):
        requests.append((name, list(wanted), seed))
        crystals = []
        for formula, n in wanted:
            one, other = re.findall("[A-Z][a-z]?", formula)[:2]
            for _ in range(n):
                made = from_structure(caesium_chloride(one, other, 3.4), f"gen-{len(crystals) + 1:06d}")
                crystals.append(dataclasses.replace(made, properties={"requested_composition": formula}))
        return from_crystals(crystals), [Rejected("gen-000000", "gen", "overlapping_atoms", "0.1 Å")]

    monkeypatch.setattr(sampled, "sample", sample)
    monkeypatch.setattr(sampled, "max_atoms", lambda name: 20)
    return requests


def rows(found, *names):
    return [tuple(each.properties[name] for name in names) for each in found.crystals]


def test_the_nearest_template_comes_first_and_elements_go_where_they_belong(known):
    found = predict(["BaZrO3"], known, BARE)
    first = found.crystals[0]
    assert first.material_id == "BaZrO3-01"
    assert reduced_formula(first.atomic_numbers) == "BaZrO3"
    about = first.properties
    assert (about["template"], about["moves"]) == ("SrTiO3", "Ti->Zr Sr->Ba O->O")
    assert (about["rank"], about["source"], about["spacegroup_number"]) == (1, "substitution", PEROVSKITE)
    assert found.templates.material_ids == ["SrTiO3"]
    assert found.initial is None


def test_copies_are_left_out_and_listed(known):
    """Sr and K templates of the cubic perovskite give one crystal for BaZrO3, at a volume set by its elements."""
    found = predict(["BaZrO3"], known, BARE)
    assert len(found.crystals) == 2  # Ba and Zr either way round
    assert rows(found, "moves")[1] != rows(found, "moves")[0]
    assert len(found.rejected) == 2
    for row in found.rejected:
        assert row.reason == "duplicate"
        assert re.fullmatch(r"the same crystal as BaZrO3-substitution-000\d", row.detail)


def test_a_known_composition_is_told_with_its_id(known):
    found = predict(["NaCl", "NaF"], known, BARE)
    assert rows(found, "requested_formula", "known")[0] == ("NaCl", "NaCl")
    assert {name for formula, name in rows(found, "requested_formula", "known") if formula == "NaF"} == {None}
    assert found.crystals[0].properties["distance"] == 0


def test_a_formula_of_several_units_asks_for_such_a_cell(known):
    (one,) = asked(["Li4Fe4P4O16"])
    assert (one.name, one.units, one.n_atoms, one.of_units(2)) == ("LiFePO4", 4, 7, "Li2Fe2P2O8")
    assert [each.name for each in asked(["NaCl", "ClNa", "Na2Cl2"])] == ["NaCl", "NaCl"]  # another cell


def test_without_a_template_the_model_stands_in_and_it_is_said(known, model):
    small = Templates(known.table.take([4, 5]), "perovskites")
    found = predict(["RbI"], small, PredictSettings(engine="none", count=3, seed=5))
    assert found.notes == ["RbI: perovskites has no template AB; its candidates come from the model"]
    assert rows(found, "source", "template", "spacegroup_number") == [("model", None, 221)]
    assert model == [("mp_20", [("RbI", 3), ("Rb2I2", 2)], 5)]  # 3 and 2 to spare
    assert sorted(row.reason for row in found.rejected) == [*["duplicate"] * 4, "overlapping_atoms"]


def test_without_energies_those_of_templates_come_before_those_of_the_model(known, model):
    """Though one of them fills the place that the model left."""
    found = predict(["BaZrO3"], known, PredictSettings(engine="none", count=3, sources=("model", "substitution")))
    assert [template is None for (template,) in rows(found, "template")] == [False, False, True]


def test_sources_share_by_their_weights(known, model):
    assert quotas(("substitution", "model"), 10) == {"substitution": 7, "model": 3}
    assert quotas(("model",), 10) == {"model": 10}
    assert quotas(("substitution", "model", "random"), 10) == {"substitution": 6, "model": 2, "random": 2}
    found = predict(["NaF"], known, PredictSettings(engine="none", count=3))
    # The model's one form is the second of substitution.
    assert [source for (source,) in rows(found, "source")] == ["substitution", "substitution"]
    assert {row.reason for row in found.rejected} == {"duplicate", "overlapping_atoms"}


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("lifepo4", r"did you mean LiFePO4 or LiFePo4\?"),
        ("nacl", r"did you mean NaCl\?"),
        ("Fe3+", "it carries a charge"),
        ("CuSO4.5H2O", "write CuSO4·5H2O for two parts"),
        ("Na0.7CoO2", "no whole number of atoms"),
        ("XyO2", "'Xy' is no element"),
        ("", "no formula"),
        ("OgF2", r"OgF2: no template \(known.parquet\) holds Og"),
        ("Na1Cl7", "no candidate .known.parquet has no template AB7.*--templates.*--from random"),
        ("HLiBeBCNOFNeNaMg", "has 11 elements"),
    ],
)
def test_what_cannot_be_predicted_is_one_line(known, formula, said):
    with pytest.raises(UserError, match=said):
        predict([formula], known, BARE)


def test_two_hundred_atoms_are_not_asked_of_a_small_model(known, model):
    settings = PredictSettings(engine="none", sources=("model",))
    with pytest.raises(UserError, match="its 200 atoms are more than the 20 of the largest crystal that the model"):
        predict(["C99H101"], known, settings)
    assert model == []


def relaxed_by(energies, monkeypatch, converged=None):
    """Stand-in of relaxation: energies by row; structures stay."""

    def relax(table, settings, work, shard):
        n = len(table)
        table = table.with_column("converged", converged or [True] * n).with_column("energy_per_atom", energies[:n])
        return table.with_metadata(energy_type=energy_type(settings.engine, settings.force_field))

    monkeypatch.setattr(prediction, "relax_shard", relax)
    monkeypatch.setattr(prediction, "demand_installed", lambda name: None)


def test_relaxed_ones_go_by_energy_and_votes_and_unconverged_ones_last(known, monkeypatch):
    relaxed_by([-3.0, -3.8], monkeypatch)
    settings = dataclasses.replace(BARE, engine="chgnet")
    found = predict(["NaF"], known, settings)
    assert rows(found, "spacegroup_number", "energy_above_lowest") == [(221, 0.0), (225, pytest.approx(0.8))]
    assert found.initial.material_ids == found.crystals.material_ids == ["NaF-01", "NaF-02"]
    relaxed_by([-3.0, -3.8], monkeypatch, [True, False])
    found = predict(["NaF"], known, settings)
    assert rows(found, "spacegroup_number", "energy_above_lowest") == [(225, 0), (221, None)]


def test_a_little_energy_does_not_overturn_the_votes(known, monkeypatch):
    """Of rock salt's kind is most of the votes; CHGNet errs by more than 10 meV/atom."""
    relaxed_by([-3.0, -3.01], monkeypatch)
    found = predict(["NaF"], known, dataclasses.replace(BARE, engine="chgnet"))
    assert rows(found, "spacegroup_number", "energy_above_lowest") == [(225, pytest.approx(0.01)), (221, 0.0)]


def test_energies_against_a_hull(known, monkeypatch):
    """Na and F at 0 eV/atom: NaF at -3.8 eV/atom lies that far below the hull without it."""
    from pymatgen.analysis.phase_diagram import PDEntry

    relaxed_by([-3.0, -3.8], monkeypatch)
    settings = dataclasses.replace(BARE, engine="chgnet")
    kind = energy_type("chgnet", prediction.RelaxSettings().force_field)
    elements = Reference("elements", [PDEntry("Na", 0.0), PDEntry("F", 0.0)], kind)
    found = predict(["NaF"], known, settings, elements)
    assert rows(found, "decomposition_energy", "e_form_per_atom") == [(-3.8, -3.8), (-3.0, -3.0)]
    assert below(found.crystals.column("decomposition_energy")).all()
    other = Reference("other", [PDEntry("Na", 0.0)], {**kind, "functional": "r2SCAN"})
    with pytest.raises(UserError, match="cannot share a hull"):
        predict(["NaF"], known, settings, other)
    with pytest.raises(UserError, match="name an engine"):
        predict(["NaF"], known, BARE, elements)


def test_an_engine_that_is_not_installed_is_told(known, monkeypatch):
    def missing(name):
        raise UserError("pip install 'unimat[chgnet]'")

    monkeypatch.setattr(prediction, "demand_installed", missing)
    found = predict(["NaF"], known, dataclasses.replace(BARE, engine="auto"))
    assert found.notes == [
        "nothing is relaxed, and candidates are ranked without energies: pip install 'unimat[chgnet]'"
    ]
    with pytest.raises(UserError, match="pip install"):
        predict(["NaF"], known, dataclasses.replace(BARE, engine="chgnet"))
    with pytest.raises(UserError, match="'vasq' is no force field; there are: none, chgnet"):
        predict(["NaF"], known, dataclasses.replace(BARE, engine="vasq"))


def test_compositions_of_a_system_are_drawn_and_ranked_by_their_best(known, monkeypatch):
    from pymatgen.analysis.phase_diagram import PDEntry

    formulas = compositions_of("Ba-Zr-O", known, 3)
    assert formulas == ["BaZrO3"]  # by perovskites, SrTiO3 and KTaO3; all else of the library has two elements
    with pytest.raises(UserError, match=r"'ba' is no element; did you mean Ba-Zr-O\?"):
        compositions_of("ba-zr-o", known, 3)
    with pytest.raises(UserError, match=r"known.parquet: no template of at most 20 atoms for Li-Fe-P-O"):
        compositions_of("Li-Fe-P-O", known, 3)
    relaxed_by([-3.0, -3.8, -4.0, -3.9], monkeypatch)
    kind = energy_type("chgnet", prediction.RelaxSettings().force_field)
    elements = Reference("elements", [PDEntry(each, 0.0) for each in ("Na", "F", "Br")], kind)
    found = predict(["NaF", "NaBr"], known, dataclasses.replace(BARE, engine="chgnet"), elements)
    assert [each.material_id for each in found.compositions()] == ["NaBr-01", "NaF-01"]
    assert "compositions by E_d of their best, meV/atom\n   -4000  NaBr-01\n   -3800  NaF-01" in text(found)


def test_the_report_of_a_set_tells_moves_and_template(known):
    """As `unimat substitute` leaves them; of another set nothing is told."""
    found = predict(["BaZrO3"], known, BARE)
    table = found.crystals
    told = origins(table)
    assert told["BaZrO3-01"].moves == {Z["Ti"]: Z["Zr"], Z["Sr"]: Z["Ba"], Z["O"]: Z["O"]}
    one = SetFiles("s", table, [], *[None] * 7)
    carried, _ = payload(one, crystal_rows(one), {}, told)
    assert len(carried["moves"]) == 2
    first = carried["origins"][carried["columns"]["material_id"].index("BaZrO3-01")]
    assert first["facts"][:2] == [("Template", "SrTiO3"), ("Moves", "Ti → Zr, Sr → Ba; O stays")]
    assert "Sr" in carried["moves"][first["moves"]]
    assert origins(known.table) == {}
    bare = SetFiles("s", known.table, [], *[None] * 7)
    assert "origins" not in payload(bare, crystal_rows(bare), {}, {})[0]


def test_template_and_prediction_stand_in_one_cell(known):
    """Rock salt's primitive cell of two atoms as the cube of eight, each anion where the template has one."""
    row = known.material_ids.index("NaCl")
    template = to_structure(known.table[row])
    prediction = template.copy()
    prediction.replace_species({"Na": "K", "Cl": "Br"})
    one, other = in_cell_of(template, prediction)
    assert len(one) == len(other) == 8
    assert np.allclose(one.lattice.angles, 90)
    assert np.allclose(one.frac_coords, other.frac_coords)
    assert [site.species_string for site in other] == [{"Na": "K", "Cl": "Br"}[site.species_string] for site in one]


def unimat(*words):
    return cli.main([str(word) for word in words])


def test_the_command_writes_a_set_cifs_and_a_page(known_file, tmp_path, capsys):
    out = tmp_path / "predicted"
    words = ["predict", "BaZrO3", "NaF", "--templates", known_file, "--from", "substitution", "--engine", "none"]
    assert unimat(*words, "--out", out) == 0
    said = capsys.readouterr().out
    assert re.search(r"BaZrO3: 2 candidates\n#  space group +from +distance", said)
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"look at {out / 'predicted.html'}; CIF files: {out / 'cifs'}; table: ")
    assert sorted(path.name for path in (out / "cifs").iterdir()) == [
        "BaZrO3-01.cif", "BaZrO3-02.cif", "NaF-01.cif", "NaF-02.cif",
    ]  # fmt: skip
    table = crystal_table.read(out / "crystals.parquet")
    assert table.metadata["made_by"] == "predict"
    assert np.isclose(np.linalg.det(table.lattices[0]), 4.19**3, rtol=0.15)  # Å^3, by experiment
    page = (out / "predicted.html").read_text()
    assert page.count('class="moves"') == 4
    assert "Ti → Zr, Sr → Ba; O stays" in page
    assert unimat(*words[:2], *words[3:], "--out", out) == 0  # its own files are replaced, stale ones go
    assert sorted(path.name for path in (out / "cifs").iterdir()) == ["BaZrO3-01.cif", "BaZrO3-02.cif"]
    (out / "notes.txt").write_text("mine")
    assert unimat(*words, "--out", out) == 2
    assert "holds what no unimat command wrote there (notes.txt)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["NaF", "--templates", "mp-20"], "templates 'mp-20': no such file, and no library of that name"),
        (["NaF", "--compositions", "3"], "--compositions is how many to draw of a --chemical-system"),
        (["--chemical-system", "Na-F", "--compositions", "0"], "--compositions is a number from 1, found 0"),
        ([], "give formulas, such as LiFePO4, or --chemical-system"),
        (["--chemical-system", "li-o"], "'li' is no element; did you mean Li-O?"),
        (["NaF", "--count", "0"], "count must be at least 1, found 0"),
        (["NaF", "--pretrained", "mp_21", "--from", "model", "--engine", "none"], "no trained model 'mp_21'; there"),
        (["NaF", "--reference", "none.parquet"], "none.parquet"),
    ],
)
def test_bad_words_are_one_line(words, said, tmp_path, capsys):
    assert unimat("predict", *words, "--out", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_the_halves_stay_apart(tmp_path):
    code = "import sys, unimat.materials.search.prediction_files, unimat.report.predictions, unimat.sampled\n"
    code += "print(*sorted({'jax', 'torch', 'chgnet', 'atomate2', 'jobflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_shipped_model_samples_in_a_process_of_its_own():
    table, rejected = sampled.sample("perov_5", [("SrTiO3", 2)], settings={"steps": 2})
    assert len(table) + len(rejected) == 2
    assert sampled.max_atoms("perov_5") == 5
    with pytest.raises(UserError, match=r"the model 'perov_5' made nothing: .*'XyO3'"):
        sampled.sample("perov_5", [("XyO3", 1)])


def test_moves_are_drawn_from_the_old_element_to_the_new():
    moves = moves_of("Na->Li Cl->F O->O")
    assert moves == {Z["Na"]: Z["Li"], Z["Cl"]: Z["F"], Z["O"]: Z["O"]}
    assert in_words(moves) == "Na → Li, Cl → F; O stays"
    picture = moves_picture(moves)
    assert picture.count('class="arrow"') == 2
    # Lithium's cell is right above sodium's: an arrow that begins and ends in the first column
    start, end = re.findall(r'class="arrow" d="M([\d.]+) [\d.]+Q[-\d. ]+ ([-\d.]+) [\d.]+"', picture)[0]
    assert max(float(start), float(end)) < 22
    assert json.dumps(picture)  # carried by the page as text
