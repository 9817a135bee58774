"""Crystals of new compositions by `unimat substitute`; bad input by name."""

import json

import pytest

from tests.materials.search.test_substitution import KNOWN
from unimat import cli, crystal_table
from unimat.crystal_table import from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.search import libraries


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv(libraries.FOLDER, str(tmp_path / "cache"))


@pytest.fixture
def known(tmp_path):
    path = tmp_path / "known.parquet"
    rows = [from_structure(structure, name) for name, structure in KNOWN.items()]
    crystal_table.write(from_crystals(rows, licence="CC0"), path)
    return str(path)


def unimat(*words):
    return cli.main([str(word) for word in words])


def discovered(out, *words):
    assert unimat("substitute", "--out", out, *words) == 0
    return crystal_table.read(out / "crystals.parquet"), crystal_table.read_rejected(out / "rejected.parquet")


def test_without_compositions_new_ones_come(known, tmp_path):
    table, rejected = discovered(tmp_path / "out", "--templates", known, "--count", 6)
    assert (len(table), rejected) == (6, [])
    assert set(table.column("template")) <= set(KNOWN)
    assert not set(table.column("formula")) & set(KNOWN)
    assert (table.column("distance") <= 2).all()
    about = table.metadata
    assert (about["made_by"], about["n_requested"], about["licence"]) == ("substitute", 6, "CC0")
    assert about["settings"]["n"] == 6


def test_a_repeated_call_writes_the_same_bytes(known, tmp_path):
    words = ("--templates", known, "--count", 4, "--settings", '{"seed": 3, "partial": 0.5, "max_distance": null}')
    for name in ("a", "b"):
        discovered(tmp_path / name, *words)
    for file in ("crystals.parquet", "rejected.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_system_and_what_is_known_are_kept_to(known, tmp_path):
    words = ("--templates", known, "--chemical-system", "Ba-Zr-O", "--settings", '{"max_distance": null}')
    table, _ = discovered(tmp_path / "first", *words, "--count", 1)
    assert table.column("formula").tolist() == ["BaZrO3"]
    table, rejected = discovered(
        tmp_path / "second", *words, "--count", 1, "--known", tmp_path / "first/crystals.parquet"
    )
    assert (len(table), [row.reason for row in rejected]) == (0, ["no_new_composition"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no composition is named; give formulas such as Sr1Ti1O3, a file of them, or a number of crystals of new"),
        (("--count", "0"), "substitution: n is a number of crystals from 1, found 0"),
        (("--count", "3", "--chemical-system", "Li,O"), "substitution: chemical_system: 'Li,O' is no element"),
        (
            ("--count", "3", "--chemical-system", "Li-Fe-P-O"),
            "no template of at most 20 atoms for Li-Fe-P-O; allow more",
        ),
        (
            ("--count", "3", "--known", "nowhere.parquet"),
            "known crystals 'nowhere.parquet': the file does not exist; give one that",
        ),
        (("--settings", '{"n": 3, "compositions": ["NaCl"]}'), "substitution: n asks for new compositions and"),
        (("--settings", '{"n": 3, "partial": 2}'), "substitution: partial is a share from 0 to 1, found 2"),
    ],
)
def test_bad_input_is_told_in_one_line(known, tmp_path, capsys, words, message):
    assert unimat("substitute", "--templates", known, *words, "--out", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_settings_of_the_section_name_all_that_flags_do(known, tmp_path):
    settings = {"templates": [known], "n": 2, "elements": ["Na", "K", "Rb", "Cl", "Br", "F"], "max_distance": None}
    table, _ = discovered(tmp_path / "out", "--settings", json.dumps(settings))
    assert len(table) == 2
    assert {*table.flat_atomic_numbers.tolist()} <= {11, 19, 37, 17, 35, 9}
