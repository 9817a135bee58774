"""What a source says of a crystal beside its structure is compared with what was read."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.cif import CifWriter

from tests.materials.datasets.readers.test_readers import CIFS, ROCK_SALT, SILICON
from tests.materials.datasets.readers.test_readers_bad_input import outcome
from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.crystals.structures import from_structure
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.joined import joined_records
from unimat.materials.datasets.readers.records import Columns
from unimat.materials.datasets.readers.stated import check_stated, formula_counts

NACL = from_structure(ROCK_SALT, "nacl")  # Na4 Cl4 in 5.64**3 = 179.406 Å^3


def contradiction(crystal, **stated):
    """The rejection; None if nothing contradicts."""
    try:
        check_stated(crystal, stated)
    except CrystalRejected as rejection:
        return str(rejection)
    return None


@pytest.mark.parametrize(
    "stated",
    [
        {"formula": "NaCl"},
        {"formula": "Na4Cl4"},
        {"pretty_formula": "Cl4 Na4"},
        {"Reduced Formula": "Cl1Na1"},
        {"composition": {"Na": 4.0, "Cl": 4.0}},
        {"composition": {"Na": 0.5, "Cl": 0.5}},
        {"composition": {"Na+": 4, "Cl-": 4}},
        {"composition": "{'Na': 4.0, 'Cl': 4.0}"},
        {"formula": "Na1+ Cl1-"},
        {"formula": "Na₄Cl₄"},
        {"nsites": True},
        {"formula": "rock salt"},  # what is no formula says nothing
        {"formula": "ABC"},
        {"formula": "CuSO4.5H2O"},
        {"formula": "Na1.0Cl1.0"},
        {"formula": ""},
        {"formula": 5.0},
        {"formula": float("nan")},
        {"elements": ["Cl", "Na"]},
        {"elements": "['Cl', 'Na']"},
        {"elements": "halite"},
        {"chemsys": "Cl-Na"},
        {"nelements": 2},
        {"nelements": "2"},
        {"nsites": 8},
        {"NSites": "8.0"},
        {"volume": 179.4},
        {"volume": 179.4 / 4},  # of the primitive cell
        {"volume": 179.4 / 8},  # of an atom
        {"nsites": 2, "volume": 179.4 / 4},  # another cell, as the volume of an atom shows
        {"nsites": 32, "volume": 4 * 179.4},
        {"nsites": 8, "volume": 190.0},  # before a relaxation
    ],
)
def test_what_agrees_or_says_nothing(stated):
    assert contradiction(NACL, **stated) is None


@pytest.mark.parametrize(
    ("stated", "detail"),
    [
        ({"formula": "Na2Cl"}, "formula is 'Na2Cl'; what was read is NaCl"),
        ({"pretty_formula": "NaClO"}, "pretty_formula is 'NaClO'; what was read is NaCl"),
        ({"formula": "Na0.5K0.5Cl"}, "formula is 'Na0.5K0.5Cl'; what was read is NaCl"),
        ({"composition": {"Na+": 4, "Cl-": 3}}, "composition is {'Na+': 4, 'Cl-': 3}; what was read is NaCl"),
        ({"formula": "KCl"}, "formula is 'KCl'; what was read is NaCl"),
        ({"formula": "(NaCl)2O"}, "formula is '(NaCl)2O'; what was read is NaCl"),
        ({"formula": "NaN"}, "formula is 'NaN'; what was read is NaCl"),
        ({"composition": {"Na": 4, "Cl": 5}}, "composition is {'Na': 4, 'Cl': 5}; what was read is NaCl"),
        ({"composition": {"Na": 0.4, "Cl": 0.6}}, "composition is {'Na': 0.4, 'Cl': 0.6}; what was read is NaCl"),
        ({"elements": ["Cl", "K"]}, "elements is ['Cl', 'K']; what was read is Cl, Na"),
        ({"chemsys": "Cl-K-Na"}, "chemsys is 'Cl-K-Na'; what was read is Cl, Na"),
        ({"nelements": 3}, "nelements is 3; what was read is 2 elements"),
        ({"nsites": 16}, "nsites is 16; what was read is 8 atoms in 179.41 Å^3"),
        ({"nsites": 16, "volume": 179.4}, "nsites is 16; what was read is 8 atoms in 179.41 Å^3"),
        ({"volume": 130.0}, "volume is 130; what was read is 179.41 Å^3 of 8 atoms"),
        ({"nsites": 8, "volume": 260.0}, "volume is 260; what was read is 179.41 Å^3 of 8 atoms"),
    ],
)
def test_what_contradicts_names_both(stated, detail):
    assert contradiction(NACL, **stated) == f"contradicts_source: {detail}"


def test_formulas_of_large_cells_are_compared_exactly():
    crystal = Crystal("x", 30 * np.eye(3), np.array([14] * 400 + [6] * 399), np.zeros((799, 3)))
    assert "formula is 'SiC'" in contradiction(crystal, formula="SiC")
    assert contradiction(crystal, formula="Si400C399") is None


@pytest.mark.parametrize(
    ("formula", "counts"),
    [
        ("NaN", {"Na": 1, "N": 1}),
        ("CaOCa", {"Ca": 2, "O": 1}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}),
        ("Fe0", None),
        ("X2", None),
        ("D2O", None),
        ("nan", None),
        ("Na+", None),
        ("()", None),
        ("Ca(OH", None),
    ],
)
def test_formulas_that_are_read_whole_or_not_at_all(formula, counts):
    assert formula_counts(formula) == counts


def outcomes(path, **columns):
    return {record.material_id: str(outcome(record)) for record in records_of(path, Columns(**columns))}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather", ".json"])
def test_columns_of_a_table(tmp_path, suffix):
    frame = pd.DataFrame(
        {
            "material_id": ["good", "formula", "sites", "empty"],
            "cif": [CIFS["nacl"]] * 4,
            "pretty_formula": ["NaCl", "Na3Cl", "NaCl", None],
            "nsites": [8, 8, 12, 8],
        }
    )
    path = tmp_path / f"a{suffix}"
    {".csv": frame.to_csv, ".parquet": frame.to_parquet, ".feather": frame.to_feather}.get(
        suffix, lambda path: frame.to_json(path, orient="records")
    )(path)
    found = outcomes(path)
    assert found["good"] == found["empty"] == "8"
    assert found["formula"] == "contradicts_source: pretty_formula is 'Na3Cl'; what was read is NaCl"
    assert found["sites"].startswith("contradicts_source: nsites is 12; what was read is 8 atoms")


def test_entries_of_pymatgen_and_of_alexandria(tmp_path):
    entry = ComputedStructureEntry(ROCK_SALT, -27.0, data={"mat_id": "good", "nsites": 8, "volume": 179.4}).as_dict()
    wrong = json.loads(json.dumps({**entry, "composition": {"Na": 4.0, "Cl": 3.0}}))
    wrong["data"]["mat_id"] = "composition"
    other = json.loads(json.dumps(entry))
    other["data"] = {"mat_id": "volume", "nsites": 8, "volume": 130.0}
    (tmp_path / "a.json").write_text(json.dumps({"entries": [entry, wrong, other]}))
    found = outcomes(tmp_path / "a.json")
    assert found["good"] == "8"
    assert "composition is {'Na': 4.0, 'Cl': 3.0}; what was read is NaCl" in found["composition"]
    assert "volume is 130" in found["volume"]


def test_lattices_whose_numbers_are_of_two_cells(tmp_path):
    data = SILICON.as_dict()
    assert data["lattice"]["a"] == 5.43
    for name, value in (("a", 6.0), ("gamma", 60.0), ("volume", 100.0)):
        lattice = {**data["lattice"], name: value}
        (tmp_path / "a.json").write_text(json.dumps({"x": {**data, "lattice": lattice}}))
        assert f"contradicts_source: lattice.{name} is {value:g}" in outcomes(tmp_path / "a.json")["x"]


def test_formulas_of_a_joined_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("right", "wrong"):
            archive.writestr(
                f"{name}.CIF", str(CifWriter(Structure(Lattice.cubic(4), ["Cs", "Cl"], [[0] * 3, [0.5] * 3])))
            )
    (tmp_path / "t.csv").write_text("MaterialId,Reduced Formula\nright,CsCl\nwrong,Cs2Cl\n")
    records = joined_records(records_of(tmp_path / "a.zip"), tmp_path / "t.csv", Columns("MaterialId"))
    found = {record.material_id: str(outcome(record)) for record in records}
    assert found["right"] == "2"
    assert found["wrong"] == "contradicts_source: Reduced Formula is 'Cs2Cl'; what was read is CsCl"
