"""Formulas read in whole or refused, by both halves and by every kind of file; right values written by hand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition, Species

from unimat.errors import UserError
from unimat.formulas import atoms, whole_atoms
from unimat.materials.crystals import formulas
from unimat.materials.search.random_search.compositions import atom_counts
from unimat.model.sampling.formula import parsed
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

READ = {
    "NaN": {"Na": 1, "N": 1},
    "NO": {"N": 1, "O": 1},
    "No": {"No": 1},
    "ON": {"O": 1, "N": 1},
    "Y": {"Y": 1},
    "InF": {"In": 1, "F": 1},
    "CuSO4·5H2O": {"Cu": 1, "S": 1, "O": 9, "H": 10},
    "CuSO4*5H2O": {"Cu": 1, "S": 1, "O": 9, "H": 10},
    "CuSO4 • 5 H2O": {"Cu": 1, "S": 1, "O": 9, "H": 10},
    "CaSO4·0.5H2O": {"Ca": 1, "S": 1, "O": 4.5, "H": 1},
    "3CaO·Al2O3": {"Ca": 3, "O": 6, "Al": 2},
    "K2SO4.MgSO4": {"K": 2, "S": 2, "O": 8, "Mg": 1},
    "(NH4)2SO4": {"N": 2, "H": 8, "S": 1, "O": 4},
    "K3[Fe(CN)6]": {"K": 3, "Fe": 1, "C": 6, "N": 6},
    "{Ca(OH)2}2": {"Ca": 2, "O": 4, "H": 4},
    "Fe₂O₃": {"Fe": 2, "O": 3},
    "\ufeffSiC": {"Si": 1, "C": 1},
    "Na0.7CoO2": {"Na": 0.7, "Co": 1, "O": 2},
    "Li1.2Mn0.6O2": {"Li": 1.2, "Mn": 0.6, "O": 2},
    "YBa2Cu3O6.5": {"Y": 1, "Ba": 2, "Cu": 3, "O": 6.5},
    "Fe3+2 O2-3": {"Fe": 2, "O": 3},  # str() of pymatgen's composition with oxidation states
    '{"Fe2+": 1.0, "Fe3+": 2.0, "O2-": 4.0}': {"Fe": 3, "O": 4},
    "{'Cd': 4.0, 'O': 8.0}": {"Cd": 4, "O": 8},
}


@pytest.mark.parametrize("text", READ)
def test_what_can_be_read_in_one_way_is_read(text):
    assert atoms(text) == pytest.approx(READ[text])


REFUSED = {
    "CuSO4.5H2O": "two ways: write CuSO4·5H2O",
    "MgCl2.6H2O": "two ways: write MgCl2·6H2O",
    "Al2O3.2SiO2": "two ways: write Al2O3·2SiO2",
    "CaSO4.0.5H2O": "two points",
    "CuSO4·xH2O": "'xH2O'",
    "CuSO4·": "at its end",
    "CaO 2H2O": "'2H2O'",
    "Fe2 O3 1": "'1'",
    "Fe 2 O 3": "'2 O 3'",
    "N a": "'a'",
    "2SiC": "'2SiC'",
    "Fe2+": "charge",
    "Fe+3 O-2": "charge",
    "[Fe(CN)6]3-": "charge",
    "Si-C": "minus sign",
    "Fe²⁺": "'²⁺'",
    "LixCoO2": "'xCoO2'",
    "Li1-xCoO2": "minus sign",
    "D2O": "write hydrogen as H",
    "T2O": "write hydrogen as H",
    "1E3": "'1E3'",
    "Na1e3": "'e3'",
    "nan": "'nan'",
    "None": "'ne'",
    "Null": "'Nu' is no element",
    "True": "'Tr' is no element",
    "Inf": "'f'",
    "Na0Cl1": "no atoms",
    "(CaO": "not closed",
    "CaO)": r"'\)'",
    "Si\u200bC": r"\\u200bC",
    "": "no formula",
    "  ": "no formula",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_whole_is_refused_by_name(text):
    with pytest.raises(ValueError, match=REFUSED[text]):
        atoms(text)


@pytest.mark.parametrize("value", [None, float("nan"), False, 1e3])
def test_what_a_reader_of_tables_made_of_a_formula_is_no_formula(value):
    with pytest.raises(ValueError, match="no formula"):
        atoms(value)


@given(st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 99), min_size=1, max_size=6))
def test_pymatgens_own_writing_of_a_composition_is_read_back(amounts):
    composition = Composition(amounts)
    for text in (composition.formula, composition.to_pretty_string(), str(composition)):
        assert atoms(text) == composition.get_el_amt_dict()


def test_oxidation_states_and_spins_do_not_count_as_elements():
    magnetite = Composition({Species("Fe", 2): 1, Species("Fe", 3, spin=5): 2, Species("O", -2): 4})
    expected = ((8, 26), (4.0, 3.0))
    assert formulas.of_composition(magnetite) == expected
    assert formulas.parsed(magnetite.as_dict()) == expected
    assert formulas.parsed(json.loads(json.dumps(magnetite.as_dict()))) == expected
    assert formulas.parsed(formulas.text(magnetite.as_dict())) == expected
    assert formulas.parsed({"Fe": 3.0, "O": 4.0, "Cd": None}) == expected  # a row of a struct column of Parquet
    with pytest.raises(ValueError, match="no species"):
        formulas.parsed({"?": 1.0})


@pytest.mark.parametrize("read", [parsed, atom_counts])
def test_both_halves_read_alike(read):
    expected = {"Cu": 1, "S": 1, "O": 9, "H": 10}
    found = {SYMBOLS[key - 1] if isinstance(key, int) else key: count for key, count in read("CuSO4·5H2O").items()}
    assert found == expected
    for text in ("CuSO4.5H2O", "Na0.5Cl", "D2O", "Fe2+", ""):
        with pytest.raises(UserError, match="formula"):
            read(text)


def test_a_cell_has_whole_atoms():
    assert whole_atoms("Ca(OH)2") == {"Ca": 1, "O": 2, "H": 2}
    with pytest.raises(ValueError, match=r"Co0\.5, which is no whole number"):
        whole_atoms("LiCo0.5")
    assert set(ATOMIC_NUMBER) == set(SYMBOLS)
