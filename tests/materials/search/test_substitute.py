"""Commands `templates` and `substitute`: libraries, what is asked for, sets of candidates; bad input by name."""

import dataclasses
import logging

import numpy as np
import pytest

from tests.materials.search.test_substitution import KNOWN, caesium_chloride, rock_salt
from unimat import cli, crystal_table
from unimat.crystal_table import Crystal, from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure
from unimat.materials.prediction.pairing import samples_of_truths
from unimat.materials.search import libraries
from unimat.materials.search.compositions import asked_for
from unimat.materials.search.exchange import shipped
from unimat.materials.search.named_libraries import crystals_named


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Known crystals as a table, with one that is no template."""
    folder = tmp_path_factory.mktemp("known")
    overlapping = Crystal("bad", np.eye(3) * 4, np.array([11, 17]), np.array([[0.0, 0, 0], [0.001, 0, 0]]))
    rows = [*(from_structure(structure, name) for name, structure in KNOWN.items()), overlapping]
    crystal_table.write(from_crystals(rows, name="known ones", licence="CC0"), folder / "known.parquet")
    return folder


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv(libraries.FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


def unimat(*words):
    return cli.main([str(word) for word in words])


def substituted(out, *words):
    """Table of candidates and rejected rows of a call."""
    assert unimat("substitute", "--out", out, *words) == 0
    return crystal_table.read(out / "crystals.parquet"), crystal_table.read_rejected(out / "rejected.parquet")


def refusal(capsys, *words):
    assert unimat(*words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_a_library_is_made_and_the_last_line_says_what_of_and_what_next(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, "unimat")
    out, bad = tmp_path / "lib.parquet", tmp_path / "bad.parquet"
    assert unimat("templates", folder / "known.parquet", "--out-file", out, "--rejected", bad) == 0
    assert crystal_table.read(out).material_ids == list(KNOWN)
    assert [(row.material_id, row.reason) for row in crystal_table.read_rejected(bad)] == [("bad", "overlapping_atoms")]
    assert caplog.messages[-1] == (
        f"7 kinds of 8 crystals -> {out}; 1 of 8 crystals are no templates (overlapping_atoms 1); "
        f"next: unimat substitute --templates {out} --compositions Sr1Ti1O3 --out candidates"
    )


def test_a_library_and_its_crystals_give_the_same_candidates(folder, tmp_path):
    assert unimat("templates", folder / "known.parquet", "--out-file", tmp_path / "lib.parquet") == 0
    made = [
        substituted(tmp_path / name, "--templates", path, "--compositions", "Ba1Zr1O3", "Na1F1", "--count", 3)
        for name, path in (("a", tmp_path / "lib.parquet"), ("b", folder / "known.parquet"))
    ]
    (a, rejected), (b, rejected_too) = made
    assert a.arrow.equals(b.arrow)
    assert rejected == rejected_too
    assert a.metadata["templates"][0] | {"name": ""} == b.metadata["templates"][0] | {"name": ""}


def test_columns_say_where_a_candidate_comes_from(folder, tmp_path):
    table, rejected = substituted(
        tmp_path / "out", "--templates", folder / "known.parquet", "--compositions", "Ba1Zr1O3", "SrTiO3", "--count", 2
    )
    assert rejected == []
    first, _, *others = (crystal.properties for crystal in table)
    (second,) = (each for each in others if each["known"])
    assert (first["requested_formula"], first["rank"], first["space_group"]) == ("Ba1Zr1O3", 1, 221)
    assert (first["template"], first["known"]) == ("SrTiO3", None)
    assert set(first["moves"].split()) == {"Sr->Ba", "Ti->Zr", "O->O"}
    assert first["distance"] > 0
    assert second["chance"] is None  # it is no guess
    assert (second["template"], second["known"], second["distance"]) == ("SrTiO3", "SrTiO3", 0)
    about = table.metadata
    assert (about["made_by"], about["name"], about["licence"]) == ("substitute", "substitution", "CC0")
    assert (about["n_requested"], about["settings"]["count"]) == (4, 2)
    assert about["templates"][0]["n_templates"] == 7


def test_every_composition_takes_its_numbers_and_what_is_missing_is_a_row(folder, tmp_path):
    """So that the candidates of a truth are found by number, whatever is missing before it."""
    truths = from_crystals([from_structure(KNOWN[name], name) for name in ("CaF2", "NaCl", "SrTiO3")])
    crystal_table.write(truths, tmp_path / "truths.parquet")
    assert unimat("compositions", "--crystals", tmp_path / "truths.parquet", "--out-file", tmp_path / "f.csv") == 0
    known = ("--templates", folder / "known.parquet")
    table, rejected = substituted(
        tmp_path / "out", *known, "--compositions", tmp_path / "f.csv", "--count", 4, "--without-own"
    )
    # Of AB2 there is no other crystal; of AB the rest of rock salt and CsCl, each in two ways; of ABC3 KTaO3, in two.
    assert [row.reason for row in rejected] == ["no_template"] * 4 + ["no_further_template"] * 2
    assert [row.material_id for row in rejected[:5]] == [*(f"sub-00000{i}" for i in range(4)), "sub-000010"]
    assert rejected[0].source == f"{tmp_path / 'f.csv'}, line 2"
    assert table.material_ids == [f"sub-{i:06d}" for i in (4, 5, 6, 7, 8, 9)]
    assert not {"CaF2", "NaCl", "SrTiO3"} & {
        name for name, truth in zip(table.column("template"), table.column("truth_id"), strict=True) if name == truth
    }
    samples, n_without = samples_of_truths(table, truths, "number", k=4)
    assert [[each.number for each in of_truth] for of_truth in samples] == [[], [0, 1, 2, 3], [0, 1]]
    assert n_without == 0


def test_candidates_in_other_cells_come_where_asked_for(folder, tmp_path):
    words = ("--templates", folder / "known.parquet", "--compositions", "Ba2Zr2O6")
    table, _ = substituted(tmp_path / "out", *words, "--any-units", "--count", 1)
    assert table.n_atoms.tolist() == [5]
    assert table.column("requested_formula").tolist() == ["Ba2Zr2O6"]


def test_a_sheet_with_bad_lines_goes_on_with_the_rest(folder, tmp_path):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("formula,count\nNaF,2\nXx2O,\nNa0.5Cl,\nNaBr,1000000\n,1\nKCl,\nLiNa7,1\n", encoding="utf-8")
    table, rejected = substituted(
        tmp_path / "out", "--templates", folder / "known.parquet", "--compositions", sheet, "--count", 1
    )
    assert table.column("requested_formula").tolist() == ["Na1F1", "Na1F1", "K1Cl1"]
    assert [(row.reason, row.source.rpartition(" ")[2]) for row in rejected] == [
        ("unreadable_formula", "3"),
        ("fractional_amounts", "4"),
        ("unreadable_count", "5"),
        ("unreadable_formula", "6"),
        ("no_template", "8"),
    ]
    assert "Na0.5, which is no whole number of atoms" in rejected[1].detail
    assert table.material_ids + [row.material_id for row in rejected] == [
        *("sub-000000", "sub-000001", "sub-000006"),
        *("sub-000002", "sub-000003", "sub-000004", "sub-000005", "sub-000007"),
    ]


def test_compositions_of_a_list_and_of_crystals(folder, tmp_path):
    (tmp_path / "list.txt").write_text("# mine\nNa1F1\n\nSr2Ti2O6 # two units\n", encoding="utf-8")
    of_list = asked_for([tmp_path / "list.txt"])
    assert [(each.formula, each.place.rpartition(" ")[2]) for each in of_list] == [("Na1F1", "2"), ("Sr2Ti2O6", "4")]
    of_crystals = asked_for([folder / "known.parquet"])
    assert [each.truth_id for each in of_crystals] == [*KNOWN, "bad"]
    assert of_crystals[4].counts == {8: 3, 22: 1, 38: 1}


def test_two_hundred_atoms_take_a_template_of_as_many_units(folder, tmp_path):
    words = ("--templates", folder / "known.parquet", "--compositions", "Na100Br100", "--count", 1)
    table, _ = substituted(tmp_path / "out", *words)
    assert table.column("requested_formula").tolist() == ["Na100Br100"]
    assert table.n_atoms.tolist() == [2]


def test_several_tables_are_joined_to_one_of_each_kind(folder, tmp_path):
    more = [rock_salt("Na", "Cl", 5.6), caesium_chloride("Cs", "I", 4.56)]
    rows = [from_structure(structure, f"other-{index}") for index, structure in enumerate(more)]
    crystal_table.write(from_crystals(rows), tmp_path / "more.parquet")
    found = libraries.read([folder / "known.parquet", tmp_path / "more.parquet"])
    assert found.material_ids == [*KNOWN, "other-1"]
    assert [each["n_templates"] for each in found.table.metadata["templates"]] == [7, 1]


def test_prototypes_of_aflow_are_templates_by_name(folder, tmp_path):
    words = ("--templates", folder / "known.parquet", "aflow", "--compositions", "Zn1S1", "--count", 100)
    table, _ = substituted(tmp_path / "out", *words)
    found = dict(zip(table.column("known"), table.column("space_group"), strict=True))
    assert {"AB_cF8_216_c_a:S-Zn": 216, "AB_hP4_186_b_b:S-Zn": 186}.items() <= found.items()  # blende and wurtzite
    about = table.metadata["templates"]
    assert [each["name"] for each in about] == ["known ones", "AFLOW prototypes"]
    assert "Comput. Mater. Sci. 136" in table.metadata["citation"]


def test_an_index_is_made_once_and_anew_where_it_is_broken(folder, cache, monkeypatch, caplog):
    first = libraries.library(folder / "known.parquet")
    (path,) = cache.iterdir()
    monkeypatch.setattr(libraries, "index", None)  # it is not called again
    assert libraries.library(folder / "known.parquet").arrow.equals(first.arrow)
    assert "1 of 8 crystals are no templates (overlapping_atoms 1)" in caplog.text
    monkeypatch.undo()
    monkeypatch.setenv(libraries.FOLDER, str(cache))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"mine"):
        path.write_bytes(content)
        assert libraries.library(folder / "known.parquet").arrow.equals(first.arrow)
        assert len(path.read_bytes()) == len(whole)


def test_without_a_place_for_the_cache_the_work_is_done_all_the_same(folder, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    monkeypatch.setenv(libraries.FOLDER, str(tmp_path / "file"))
    assert len(libraries.library(folder / "known.parquet")) == 7
    assert "the index of the templates is not kept" in caplog.text


def test_the_key_of_an_index_knows_every_number_of_its_crystals(folder):
    table = crystal_table.read(folder / "known.parquet")
    moved = list(table)
    moved[2] = Crystal(moved[2].material_id, moved[2].lattice * 1.0001, moved[2].atomic_numbers, moved[2].frac_coords)
    renamed = [Crystal(f"{each.material_id}x", each.lattice, each.atomic_numbers, each.frac_coords) for each in table]
    keys = {libraries.content_key(from_crystals(rows)) for rows in (list(table), moved, renamed)}
    assert len(keys) == 3


def test_a_published_dataset_is_fetched_as_templates_and_as_known(tmp_path, monkeypatch):
    places = []

    def fetched(dataset, folder):
        folder.mkdir(parents=True, exist_ok=True)
        crystal_table.write(from_crystals([from_structure(KNOWN["SrTiO3"], "perovskite")]), folder / "train.parquet")
        places.append((dataset.name, folder))
        return {"files": [{"name": "train.parquet"}]}

    monkeypatch.setattr("unimat.materials.datasets.fetching.fetch.fetch_dataset", fetched)
    table, _ = substituted(tmp_path / "out", "--templates", "mp_20", "--compositions", "Ba1Zr1O3", "--count", 1)
    assert table.column("template").tolist() == ["perovskite"]
    ((name, place),) = places
    assert name == "mp_20"
    assert place.is_relative_to(libraries.cache_folder())
    (table,) = crystals_named(["mp_20"])
    assert table.material_ids == ["perovskite"]


def test_bad_input_is_one_line(folder, tmp_path, capsys):
    known, out = ("--templates", folder / "known.parquet"), ("--out", tmp_path / "out")
    crystal_table.write(crystal_table.read(folder / "known.parquet").take([7]), tmp_path / "unusable.parquet")
    crystal_table.write(from_crystals([]), tmp_path / "empty.parquet")
    (tmp_path / "bad.csv").write_text("formula\nXx\n", encoding="utf-8")
    (tmp_path / "other.csv").write_text("formula;count\nNaCl;1\n", encoding="utf-8")
    (tmp_path / "rows.csv").write_text("formula\n", encoding="utf-8")
    for name in ("empty.csv", "empty.txt"):
        (tmp_path / name).touch()
    for words, said in (
        (
            (*known, "--compositions", "Xx2O"),
            "no composition can be read; the first: the formula 'Xx2O'",
        ),
        ((*known, "--compositions", tmp_path / "bad.csv"), f"the first: {tmp_path / 'bad.csv'}, line 2: the formula"),
        ((*known, "--compositions", tmp_path / "other.csv"), "and rows; its header is 'formula;count'"),
        ((*known, "--compositions", tmp_path / "rows.csv"), "and rows; it has no rows"),
        ((*known, "--compositions", tmp_path / "empty.csv"), "and rows; it is empty"),
        ((*known, "--compositions", tmp_path / "empty.txt"), "empty.txt holds no formula; write one in each line"),
        ((*known, "--compositions", tmp_path / "none.csv"), "none.csv does not exist"),
        (known, "no composition is named"),
        (("--compositions", "NaCl"), "no templates are named"),
        ((*known, "--compositions", "NaCl", "--count", 0), "count is a number of candidates from 1 to 100000, found 0"),
        (("--templates", tmp_path / "none", "--compositions", "NaCl"), "none': the file does not exist"),
        (("--templates", "mp-20", "--compositions", "NaCl"), "'mp-20': no such file, and no library of that name"),
        (("--templates", tmp_path / "unusable.parquet", "--compositions", "NaCl"), "holds no usable crystal"),
        (("--templates", tmp_path / "empty.parquet", "--compositions", "NaCl"), "holds no usable crystal"),
    ):
        line = refusal(capsys, "substitute", *words, *out).replace("WARNING", "")
        assert said in line
    assert not (tmp_path / "out").exists()
    line = refusal(capsys, "templates", tmp_path / "unusable.parquet", "--out-file", tmp_path / "lib.parquet")
    assert "1 of 1 crystals are no templates (overlapping_atoms 1)" in line


def test_elements_of_no_template_are_substituted_and_those_without_a_vector_named(folder, tmp_path, monkeypatch):
    known = ("--templates", folder / "known.parquet", "--count", 1)
    table, _ = substituted(tmp_path / "out", *known, "--compositions", "Fr1At1")
    assert len(table) == 1
    fewer = shipped().vectors.copy()
    fewer[87] = 0
    exchange = dataclasses.replace(shipped(), vectors=fewer)
    monkeypatch.setattr("unimat.materials.search.substitution.shipped", lambda: exchange)
    table, rejected = substituted(tmp_path / "again", *known, "--compositions", "Fr1At1", "NaCl")
    assert [(row.reason, row.detail) for row in rejected] == [
        ("unknown_element", "Fr1At1: no distance of Fr from other elements is known")
    ]


def test_a_candidate_whose_atoms_overlap_is_a_row(tmp_path, monkeypatch):
    squeezed = caesium_chloride("Cs", "I", 0.7)
    crystal_table.write(from_crystals([from_structure(squeezed, "a")]), tmp_path / "t.parquet")
    monkeypatch.setattr("unimat.materials.search.candidates.MIN_DISTANCE", 0.9)
    monkeypatch.setattr("unimat.materials.search.templates.check_crystal", lambda crystal: None)
    words = ("--templates", tmp_path / "t.parquet", "--compositions", "CsI", "--count", 1)
    table, (row,) = substituted(tmp_path / "out", *words)
    assert (len(table), row.reason) == (0, "overlapping_atoms")


def test_a_library_that_does_not_fit_its_crystals_is_refused(folder, tmp_path):
    table = libraries.library(folder / "known.parquet")
    sites = [["1:1"]] * len(table)
    with pytest.raises(UserError, match="'sites' are not one text for each element"):
        libraries.Templates(table.with_column("sites", sites), "mine")
