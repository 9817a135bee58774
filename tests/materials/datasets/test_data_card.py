"""The data card's numbers against pymatgen and values written by hand, and its page."""

import html.parser
import json
import re

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from unimat import crystal_table
from unimat.crystal_table import Rejected, from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.datasets.data_card import data_card, distributions, lattice_values
from unimat.materials.datasets.data_card_page import card_page, element_cells, percent
from unimat.materials.datasets.duplicates import fingerprints
from unimat.materials.datasets.ingest import Ingested
from unimat.materials.datasets.settings import IngestSettings
from unimat.materials.datasets.sources import Plan, Source
from unimat.periodic_table import CELL_OF_SYMBOL

ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
QUARTZ = Structure.from_spacegroup(
    "P3_221", Lattice.hexagonal(4.913, 5.405), ["Si", "O"], [[0.4697, 0, 2 / 3], [0.4133, 0.2672, 0.7858]]
)
TRICLINIC = Structure(Lattice.from_parameters(3, 4, 5, 70, 80, 100), ["C", "Si"], [[0, 0, 0], [0.4, 0.5, 0.5]])


def table_of(**structures):
    return from_crystals(
        [from_structure(each, name, band_gap=1.5) for name, each in structures.items()], {"band_gap": "eV"}
    )


def written(folder, tables):
    for split, table in tables.items():
        crystal_table.write(table, folder / f"{split}.parquet")
    return {split: folder / f"{split}.parquet" for split in tables}


def ingested(folder, tables, rejected, n_read, method):
    return Ingested(
        written(folder, tables), {split: len(table) for split, table in tables.items()}, rejected, n_read, method
    )


def values_of(result):
    return {split: distributions(path) for split, path in result.tables.items()}


def card_of(plan, result, settings):
    return data_card(plan, result, settings, values_of(result))


@pytest.fixture
def parts(tmp_path):
    tables = {
        "train": table_of(a=ROCK_SALT, b=QUARTZ, c=ROCK_SALT.get_primitive_structure()),
        "val": table_of(d=TRICLINIC),
        "test": table_of(e=QUARTZ, f=ROCK_SALT.copy().perturb(0.05) or TRICLINIC.copy().scale_lattice(80)),
    }
    rejected = [Rejected("g", "x:1", "unreadable", "?"), Rejected("h", "x:2", "duplicate_id", "")]
    result = ingested(tmp_path, tables, rejected, {"train": 4, "val": 1, "test": 3}, "given by the source")
    metadata = {"licence": "CC0", "citation": "nobody <2026>", "source": "nowhere", "complete": False}
    file = {
        "name": "a.csv",
        "splits": ["train"],
        "verified": False,
        "note": "mirror",
        "git_blob_id": "",
        "sha256": "ab" * 32,
    }
    plan = Plan("toy", "A toy", (Source(tmp_path),), None, {}, metadata, [file], {"train": 10, "val": 1, "test": 3})
    return plan, result, IngestSettings()


def test_numbers_are_counted_with_denominators(parts):
    card = card_of(*parts)
    assert card["crystals"] == {"train": 3, "val": 1, "test": 2}
    assert card["rows_read"] == 8
    assert (card["rejected"]["count"], card["rejected"]["of"]) == (2, 8)
    assert {reason: entry["count"] for reason, entry in card["rejected"]["reasons"].items()} == {
        "duplicate_id": 1,
        "unreadable": 1,
    }
    assert card["completeness"]["train"] == {"count": 4, "of": 10}
    assert card["atoms_per_cell"]["train"] == {"2": 1, "8": 1, "9": 1}
    assert card["elements"]["Na"] == card["elements"]["Cl"]
    assert card["elements"]["O"] == 2
    assert card["properties"]["band_gap"]["with_value"] == {"count": 6, "of": 6}
    json.dumps(card, allow_nan=False)


def test_cells_and_densities_are_pymatgens():
    table = table_of(a=ROCK_SALT, b=QUARTZ, c=TRICLINIC)
    values = lattice_values(table)
    for row, structure in enumerate((ROCK_SALT, QUARTZ, TRICLINIC)):
        lattice = structure.lattice
        found = [values[name][row] for name in ("a", "b", "c", "alpha", "beta", "gamma")]
        np.testing.assert_allclose(found, lattice.parameters, atol=1e-9)
        assert values["density"][row] == pytest.approx(float(structure.density), rel=1e-6)
        assert values["volume_per_atom"][row] == pytest.approx(structure.volume / len(structure))


def test_duplicates_are_found_in_other_cells_and_counted_across_splits(parts):
    duplicates = card_of(*parts)["duplicates"]
    assert duplicates["within"]["train"] == {"count": 1, "of": 3}  # rock salt and its primitive cell
    assert duplicates["across"]["test in train"] == {"count": 1, "of": 2}  # quartz
    assert duplicates["across"]["val in train"] == {"count": 0, "of": 1}
    assert "space group" in duplicates["method"]


def test_fingerprints_tell_apart_what_differs_in_any_of_four(tmp_path):
    wider = ROCK_SALT.copy()
    wider.scale_lattice(5.65**3)
    moved = ROCK_SALT.copy()
    moved.translate_sites([0], [0.1, 0, 0])  # same formula and volume
    caesium_like = Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(5.64 / 4 ** (1 / 3)), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3]
    )
    table = table_of(a=ROCK_SALT, b=ROCK_SALT.get_primitive_structure(), c=wider, d=moved, e=caesium_like)
    keys = fingerprints(written(tmp_path, {"train": table}))["train"]
    assert keys[0] == keys[1]
    assert len(set(keys.tolist())) == 4


def test_polymorphs_and_shared_elements_are_leakage(parts):
    leakage = card_of(*parts)["duplicates"]["leakage"]
    # Test holds quartz and a distorted rock salt; train holds quartz and rock salt.
    assert leakage["reduced_formula"]["test in train"] == {"count": 2, "of": 2}
    assert leakage["chemical_system"]["val in train"] == {"count": 0, "of": 1}


def test_element_cells_stand_where_the_table_has_them():
    cells = element_cells({"C": 100, "U": 1}, 100)
    for symbol, (row, column) in CELL_OF_SYMBOL.items():
        assert cells[row][column]["symbol"] == symbol
    assert cells[1][13] == {"symbol": "C", "count": 100, "of": 100, "shade": "1.00"}
    assert float(cells[8][5]["shade"]) == pytest.approx(1 / (1 + np.log(100)), abs=0.01)
    assert cells[0][0]["shade"] == "0.00"
    assert cells[0][1] is None


def test_percentages():
    assert percent({"count": 1, "of": 8}) == "12.5 %"
    assert percent({"count": 0, "of": 0}) == "–"


class Tags(html.parser.HTMLParser):
    """Every element opened is closed, in order."""

    void = frozenset({"meta", "link", "br"})

    def __init__(self, page):
        super().__init__()
        self.open, self.text = [], ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_is_whole_self_contained_and_tells_the_numbers(parts):
    card = card_of(*parts)
    page = card_page(card, values_of(parts[1]))
    text = " ".join(Tags(page).text.split())
    assert "A toy" in text
    assert "Not complete. train: 4 of 10 published rows." in text
    assert "2rejected, of 8" in text.replace(" rejected", "rejected")
    assert "nobody <2026>" in text  # escaped in the source
    assert "SHA-256" in text
    assert page.count("<svg") == 2
    # Nothing is loaded: no address outside of namespaces and of text.
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "@import" not in page


def test_page_is_the_same_in_every_run(parts):
    card = card_of(*parts)
    assert card_page(card, values_of(parts[1])) == card_page(card_of(*parts), values_of(parts[1]))


def test_page_of_one_split_only(parts, tmp_path):
    plan, result, settings = parts
    train = crystal_table.read(result.tables["train"])
    empty = {"train": train, "val": train.take([]), "test": train.take([])}
    result = ingested(tmp_path, empty, [], {"": 3}, "drawn")
    card = card_of(plan, result, settings)
    Tags(card_page(card, values_of(result)))
    assert card["lattice"]["val"] == {}
