"""Entries as columns: what is looked up and what a hull makes of it, against pymatgen on all entries."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element

from unimat.crystal_table import METADATA_KEY
from unimat.errors import UserError
from unimat.materials.crystals import formulas
from unimat.materials.stability import hull
from unimat.materials.stability.decomposition import elements_of
from unimat.materials.stability.references import reference
from unimat.materials.stability.references.entries import Entries

SYMBOLS = [element.symbol for element in Element]
pytestmark = pytest.mark.filterwarnings("ignore:No Pauling electronegativity")
LABELS = {"functional": "PBE", "corrections": "none", "quantity": "total energy", "calculator": "none"}


@given(st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 99), min_size=1, max_size=9), st.booleans())
def test_formulas_are_parsed_as_pymatgen_does(amounts, spaced):
    text = (" " if spaced else "").join(f"{symbol}{amount}" for symbol, amount in amounts.items())
    assert formulas.parsed(text) == formulas.of_composition(Composition(text))


@pytest.mark.parametrize("text", ["Ac5(Ag2Au3)2", "SiC", "Na0.5Cl0.5", "[Fe(CN)6]3", "C1 C2"])
def test_other_ways_to_write_a_formula(text):
    assert formulas.parsed(text) == formulas.of_composition(Composition(text))


@pytest.mark.parametrize("text", ["", "nan", "Xx2", "Na0Cl1", "D2O1", "Na-1", "12", "NaCl)"])
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(ValueError, match="formula"):
        formulas.parsed(text)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sets(st.sampled_from(SYMBOLS), min_size=1, max_size=4), min_size=1, max_size=20), st.data())
def test_entries_within_a_system(members, data):
    entries = Entries.of(PDEntry(Composition(dict.fromkeys(sorted(each), 1.0)), -1.0) for each in members)
    asked = data.draw(st.sets(st.sampled_from(SYMBOLS), min_size=1, max_size=6))
    expected = [row for row, each in enumerate(members) if each <= asked]
    assert entries.within(map(Element, asked)).tolist() == expected


def test_the_lowest_of_each_composition_is_enough():
    rows = [("SiC", -7.0), ("Si2C2", -7.5), ("Si", -5.0), ("C2", -9.0), ("C", -9.1), ("Si3C3", -7.5)]
    entries = Entries.of(PDEntry(Composition(f), e * Composition(f).num_atoms, name=f) for f, e in rows)
    chosen = entries.lowest(entries.within([Element("Si"), Element("C")]))
    assert [entries[row].name for row in chosen] == ["Si2C2", "Si", "C"]


def test_rows_by_number_and_slice():
    entries = Entries.of([PDEntry(Composition("Si"), -5.0, name="a"), PDEntry(Composition("C"), -9.0, name="b")])
    assert entries[-1].name == "b"
    assert [entry.name for entry in entries[:1]] == ["a"]
    with pytest.raises(IndexError):
        entries[2]


def test_no_entries_at_all(tmp_path):
    reference.write(reference.Reference("empty", [], LABELS), tmp_path / "empty.parquet")
    empty = reference.read(tmp_path / "empty.parquet")
    assert len(empty.entries) == 0
    assert empty.elements == empty.pure_elements == set()
    assert len(empty.entries.within([Element("C")])) == 0


def test_a_file_of_the_first_version_is_still_read(tmp_path):
    table = pa.table({"entry_id": ["a", "b"], "formula": ["Si2 C2", "C1"], "energy_per_atom": [-7.5, -9.0]})
    about = {"name": "old", "energy_type": LABELS, "source": "", "licence": ""}
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: json.dumps(about)}), tmp_path / "old.parquet")
    old = reference.read(tmp_path / "old.parquet")
    assert [entry.composition.formula for entry in old.entries] == ["Si2 C2", "C1"]
    assert old.name == "old"


def test_a_table_without_the_columns_is_refused(tmp_path):
    table = pa.table({"entry_id": ["a"]}).replace_schema_metadata({METADATA_KEY: "{}"})
    pq.write_table(table, tmp_path / "other.parquet")
    with pytest.raises(UserError, match="no hull reference"):
        reference.read(tmp_path / "other.parquet")


@pytest.mark.published
def test_judged_as_by_one_diagram_of_all_entries(published_data):
    """200 compositions of the published file, each against pymatgen's diagram of all entries of its system."""
    frame = pd.read_csv(published_data / "hull/mp_materials_summary.csv")
    compositions = [Composition(formula) for formula in frame["Composition"]]
    everything = [
        PDEntry(composition, energy, name=entry_id)
        for composition, energy, entry_id in zip(
            compositions, frame["Corrected Energy"], frame["MaterialId"], strict=True
        )
    ]
    elements = [elements_of(composition) for composition in compositions]
    known = reference.Reference("mp", everything, LABELS)
    hulls = hull.Hulls(known)
    rng = np.random.default_rng(0)
    judged = 0
    for row in rng.permutation(len(frame))[:260]:
        if hulls.missing_elements(elements[row]) or judged == 200:
            continue
        judged += 1
        energy = everything[row].energy_per_atom + rng.uniform(-0.2, 0.2)
        ours = hulls.judge(compositions[row], energy)
        diagram = PhaseDiagram([entry for entry, own in zip(everything, elements, strict=True) if own <= elements[row]])
        assert ours["decomposition_energy"] == pytest.approx(
            energy - diagram.get_hull_energy_per_atom(compositions[row]), abs=1e-9
        )
        candidate = PDEntry(compositions[row], energy * compositions[row].num_atoms)
        assert ours["e_form_per_atom"] == pytest.approx(diagram.get_form_energy_per_atom(candidate), abs=1e-9)
        products = {entry.name for entry in diagram.get_decomposition(compositions[row])}
        assert all(f"({name})" in ours["decomposition"] for name in products)
    assert judged == 200
