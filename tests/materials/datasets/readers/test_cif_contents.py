"""The atoms that CIF files list, and what else the files say of them."""

import shlex

import pandas as pd
import pytest

from tests.materials.datasets.readers.cif_helpers import cif, operations, read, why
from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.cif import crystal_of_cif
from unimat.materials.datasets.readers.cif.formula import formula_of
from unimat.materials.datasets.readers.texts import crystal_of

CUBE = "5 5 5 90 90 90"
COORDS = "fract_x fract_y fract_z"
LABELS = f"label {COORDS}"
TYPES = f"type_symbol {COORDS}"
FORMULA = "_chemical_formula_sum"


def labelled(label, formula="", other="Mg1"):
    return cif(CUBE, f"{other} 0 0 0\n{label} .5 .5 .5", formula and f"{FORMULA} '{formula}'", columns=LABELS)


def typed(symbol, formula=""):
    return cif(CUBE, f"Mg 0 0 0\n{symbol} .5 .5 .5", formula and f"{FORMULA} '{formula}'", columns=TYPES)


@pytest.mark.parametrize(
    ("symbol", "found"),
    [
        ("O2-", "Mg1 O1"),
        ("O", "Mg1 O1"),
        ("CL", "Cl1 Mg1"),
        ("Cl1-", "Cl1 Mg1"),
        ("'Cl1-'", "Cl1 Mg1"),
        ("FE1", "Fe1 Mg1"),
    ],
)
def test_type_symbols_of_elements(symbol, found):
    assert read(typed(symbol)) == found


NO_ELEMENTS = """NH4 NH4+ CO3 CO32- H2O OH OH- OH2 OW Ow Wat W(at) NO3 SO4 PO4 CN Fe0.5Ni0.5 Fe,Ni Si/Al Si-Al Si:Al
SiAl 0.5Fe+0.5Ni D T X M R Q Va Vac vacancy Cb Du 12 1+ Cval XX Fe? (Mg,Fe) 'Si Al' 'Fe 3+' '0.5Fe + 0.5Ni'"""


@pytest.mark.parametrize("symbol", shlex.split(NO_ELEMENTS))
def test_type_symbols_of_no_one_element_are_refused(symbol):
    assert read(typed(f"'{symbol}'")) == "not_an_element"


def test_a_type_symbol_of_two_meanings_is_what_the_formula_says():
    assert read(typed("NI1")) == "not_an_element"
    assert read(typed("NI1", "Mg Ni")) == "Mg1 Ni1"
    assert read(typed("CO3", "Mg C O3")) == "not_an_element"


@pytest.mark.parametrize(
    ("label", "formula", "found"),
    [
        ("O1", "", "Mg1 O1"),
        ("O1A", "", "Mg1 O1"),
        ("O(1)", "", "Mg1 O1"),
        ("O1'", "", "Mg1 O1"),
        ("O1*", "", "Mg1 O1"),
        ("Cl", "", "Cl1 Mg1"),
        ("Co3+1", "", "Co1 Mg1"),
        ("Ca1", "", "Ca1 Mg1"),
        ("OA1", "Mg O", "Mg1 O1"),
        ("Ow1", "Mg O", "Mg1 O1"),
        ("OH1", "Mg O", "Mg1 O1"),
        ("SiT1", "Mg Si", "Mg1 Si1"),
        ("CA1", "Mg Ca", "Ca1 Mg1"),
        ("CA1", "Mg C", "C1 Mg1"),
        ("W1", "Mg W", "Mg1 W1"),
        ("CL2", "Mg Cl", "Cl1 Mg1"),
        ("FE1", "Fe Mg", "Fe1 Mg1"),
        ("NO1", "Mg N", "Mg1 N1"),
        # The formula says more or other atoms than the label can stand for.
        ("OH", "Mg O H", "contradicts_source"),
        ("OH2", "Mg O H2", "contradicts_source"),
        ("OW", "Mg O H2", "contradicts_source"),
        ("Wat", "Mg O H2", "not_an_element"),
        ("CO3", "Mg C O3", "contradicts_source"),
        ("NH4", "Mg N H4", "contradicts_source"),
        ("SiAl", "Mg Si0.5 Al0.5", "contradicts_source"),
        ("CO1", "Mg C Co", "not_an_element"),
        # Nothing tells.
        ("OH2", "", "not_an_element"),
        ("OH", "", "not_an_element"),
        ("Oh1", "", "not_an_element"),
        ("OW1", "", "not_an_element"),
        ("Ow", "", "not_an_element"),
        ("Wat", "", "not_an_element"),
        ("WAT1", "", "not_an_element"),
        ("W1", "", "not_an_element"),
        ("NH4", "", "not_an_element"),
        ("CA1", "", "not_an_element"),
        ("CO3", "", "not_an_element"),
        ("M1", "", "not_an_element"),
        ("X", "", "not_an_element"),
        ("Q1", "", "not_an_element"),
        ("D1", "", "not_an_element"),
        ("Va1", "", "not_an_element"),
        ("Fe1Ni1", "", "not_an_element"),
        ("Fe0.5Ni0.5", "", "not_an_element"),
        ("Si,Al", "", "not_an_element"),
        ("Si/Al", "", "not_an_element"),
        ("?", "", "not_an_element"),
        ("1", "", "not_an_element"),
    ],
)
def test_labels_without_type_symbols(label, formula, found):
    assert read(labelled(label, formula)) == found


def test_types_decide_over_labels_and_lists_of_types_over_guesses():
    assert read(cif(CUBE, "C1 N 0 0 0\nCA Ca2+ .5 .5 .5")) == "Ca1 N1"
    assert read(cif(CUBE, "C1 ? 0 0 0\nCA2 . .5 .5 .5")) == "not_an_element"
    types = "loop_\n_atom_type_symbol\nMg2+\nCa2+"
    assert read(cif(CUBE, "Mg1 0 0 0\nCA2 .5 .5 .5", types, columns=LABELS)) == "Ca1 Mg1"


def listed(rows, columns):
    return cif(CUBE, rows, columns=f"label type_symbol {COORDS} {columns}")


@pytest.mark.parametrize(
    ("rows", "columns", "found"),
    [
        ("Na1 Na 0 0 0 d\nCl1 Cl .5 .5 .5 calc\nC9 C .2 .2 .2 dum", "calc_flag", "Cl1 Na1"),
        ("Na1 Na 0 0 0 d\nCl1 Cl .5 .5 .5 d\nX X ? ? ? dum", "calc_flag", "Cl1 Na1"),
        ("Na1 Na 0 0 0 dum", "calc_flag", "no_atoms"),
        (
            "Na1 Na 0 0 0 . .\nCl1 Cl .5 .5 .45 A 1\nBr1 Br .5 .5 .55 A 2",
            "disorder_assembly disorder_group",
            "partial_occupancy",
        ),
        ("Na1 Na 0 0 0 .\nCl1 Cl .5 .5 .45 1\nBr1 Br .5 .5 .55 2", "disorder_group", "partial_occupancy"),
        ("Na1 Na 0 0 0 .\nCl1 Cl .5 .5 .45 -1", "disorder_group", "partial_occupancy"),
        ("Na1 Na 0 0 0 .\nCl1 Cl .5 .5 .5 1", "disorder_group", "Cl1 Na1"),
        ("Na1 Na 0 0 0 A 1\nCl1 Cl .5 .5 .5 B 2", "disorder_assembly disorder_group", "Cl1 Na1"),
        ("Na1 Na 0 0 0 0\nCl1 Cl .5 .5 .5 0", "disorder_group", "Cl1 Na1"),
        ("Na1 Na 0 0 0 0\nO1 O .5 .5 .5 2", "attached_hydrogens", "atoms_missing"),
        ("Na1 Na 0 0 0 0\nO1 O .5 .5 .5 .", "attached_hydrogens", "Na1 O1"),
        ("Na1 Na 0 0 0 1\nO1 O .5 .5 .5 0.5", "occupancy", "partial_occupancy"),
        ("Na1 Na 0 0 0 1\nO1 O .5 .5 .5 0", "occupancy", "partial_occupancy"),
        ("Na1 Na 0 0 0 1\nO1 O .5 .5 .5 2", "occupancy", "partial_occupancy"),
        ("Na1 Na 0 0 0 1\nO1 O .5 .5 .5 1.000(2)", "occupancy", "Na1 O1"),
        ("Na1 Na 0 0 0 1\nO1 O .5 .5 .5 full", "occupancy", "unreadable"),
        ("Na1 Na 0 0 0 ?\nK1 K 0 0 0 ?", "occupancy", "overlapping_atoms"),
        ("Na1 Na 0 0 0 1\nNa2 Na 0 0 0 1", "occupancy", "overlapping_atoms"),
    ],
)
def test_sites_that_are_no_whole_atoms(rows, columns, found):
    assert read(listed(rows, columns)) == found


@pytest.mark.parametrize("coordinate", ["?", "."])
def test_a_site_without_place_is_told(coordinate):
    text = cif(CUBE, f"Na1 Na 0 0 0\nLi1 Li {coordinate} 0 0")
    assert read(text) == "atoms_missing"
    assert "Li1" in why(text)


def test_cartesian_coordinates_alone_are_refused():
    text = cif(CUBE, "Na1 Na 0 0 0", columns="label type_symbol Cartn_x Cartn_y Cartn_z")
    assert "Cartesian" in why(text)


ORDER_2 = operations("x,y,z", "-x,-y,-z")
TWO = "Mg1 Mg 0 0 0 {}\nO1 O .2 .3 .4 {}"


@pytest.mark.parametrize(
    ("said", "multiplicities", "found"),
    [
        ([], (1, 2), "Mg1 O2"),
        ([], (2, 1), "Mg1 O2"),  # orders of the site symmetry, which SHELXL-97 writes there
        ([], (1, 1), "contradicts_source"),
        ([], (4, 8), "contradicts_source"),
        ([f"{FORMULA} 'Mg O2'"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA} 'O2 Mg'"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA} MgO2"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA} 'Mg1.00 O2.00'"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA} 'Mg2 O4'"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA}\n;Mg\nO2\n;"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA} ?"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA} '(Mg,Fe) O2'"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA} 'Mg O2 H2'"], ("?", "?"), "contradicts_source"),
        ([f"{FORMULA} 'Mg O2 D2'"], ("?", "?"), "contradicts_source"),
        ([f"{FORMULA} 'Mg O'"], ("?", "?"), "contradicts_source"),
        (["_chemical_formula_structural 'Mg (O H)2'"], ("?", "?"), "contradicts_source"),
        (["_chemical_formula_structural 'Mg O2'", f"{FORMULA} ?"], ("?", "?"), "Mg1 O2"),
        (["_chemical_formula_moiety 'Mg 2+, 2(O 2-)'"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA} 'Mg0.9 O2'"], ("?", "?"), "contradicts_source"),
        ([f"{FORMULA} 'Mg (O H)2'"], ("?", "?"), "contradicts_source"),
        ([f"{FORMULA} 'Mg O2'", "_cell_formula_units_Z 1"], ("?", "?"), "Mg1 O2"),
        ([f"{FORMULA} 'Mg O2'", "_cell_formula_units_Z 2"], ("?", "?"), "contradicts_source"),
        ([f"{FORMULA} 'Mg O2'", "_cell_formula_units_Z 2"], (1, 2), "Mg1 O2"),
        ([f"{FORMULA} 'Mg O2'", "_cell_formula_units_Z 1"], (4, 8), "Mg1 O2"),
        (["_cell_volume 125.1"], ("?", "?"), "Mg1 O2"),
        (["_cell_volume 125.0(3)"], ("?", "?"), "Mg1 O2"),
        (["_cell_volume 250"], ("?", "?"), "contradicts_source"),
        (["_cell_volume 121"], ("?", "?"), "contradicts_source"),
        (["_exptl_crystal_density_diffrn 0.748"], ("?", "?"), "Mg1 O2"),
        (["_exptl_crystal_density_diffrn 1.50"], ("?", "?"), "contradicts_source"),
        (["_exptl_crystal_density_diffrn 1.50", f"{FORMULA} 'Mg O2'", "_cell_formula_units_Z 1"], ("?", "?"), "Mg1 O2"),
    ],
)
def test_contents_are_held_against_what_the_file_says(said, multiplicities, found):
    columns = f"label type_symbol {COORDS} symmetry_multiplicity"
    assert read(cif(CUBE, TWO.format(*multiplicities), ORDER_2, *said, columns=columns)) == found


def test_a_rejection_names_both_formulas():
    detail = why(cif(CUBE, "Fe1 Fe 0 0 0\nO1 O .5 .5 .5", f"{FORMULA} 'Li Fe O2'"))
    assert "Fe1 O1" in detail
    assert "Li Fe O2" in detail


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("Na4 Cl4", {11: 4, 17: 4}),
        ("Cl4Na4", {11: 4, 17: 4}),
        ("NA4 CL4", {11: 4, 17: 4}),
        ("Si O2", {14: 1, 8: 2}),
        ("SI O2", {14: 1, 8: 2}),
        ("C O2", {6: 1, 8: 2}),
        ("D2 O", {1: 2, 8: 1}),
        ("Ca3 (P O4)2", {20: 3, 15: 2, 8: 8}),
        ("C2 H6 O, H2 O", {6: 2, 1: 8, 8: 2}),
        ("H2 O1(2)", {1: 2, 8: 1}),
    ],
)
def test_formulas_as_they_are_written(text, amounts):
    formula = formula_of(text)
    assert formula is not None
    assert {number: low for number, (low, _) in formula.amounts.items()} == amounts
    assert all(low == high for low, high in formula.amounts.values())


@pytest.mark.parametrize(
    "text", ["SIO2", "CO2", "CuSO4.5H2O", "(Mg,Fe)2 SiO4", "Mg O2 x H2O", "", "none", "Na4 Cl4 +", "Xx2"]
)
def test_formulas_that_cannot_be_read_for_certain_say_nothing(text):
    assert formula_of(text) is None


@pytest.mark.parametrize(
    "line",
    [
        f"{FORMULA} 'Na{'9' * 400} Cl'",
        f"{FORMULA} '{'(' * 400}Na'",
        f"{FORMULA} '{'Na ' * 4000}'",
        f"_cell_formula_units_Z {'9' * 400}",
        f"_symmetry_Int_Tables_number {'9' * 5000}",
        f"_symmetry_space_group_name_H-M 'P 1 ({'9' * 5000})'",
        operations(*(f"x+{n}/7919,y,z" for n in range(2000))),
        operations("x,y,z", "x+y,y,z"),
        operations("x,y,z", f"x+{'9' * 400},y,z"),
    ],
)
def test_hostile_statements_cost_no_more_than_their_crystal(line):
    assert read(cif(CUBE, "Na1 Na 0 0 0", line)) in ("Na1", "symmetry_unclear", "contradicts_source", "unreadable")


def test_rounded_amounts_fit_what_they_may_be_and_no_more():
    formula = formula_of("Na0.33 W O3")
    assert formula is not None
    assert formula.units({11: 1, 74: 3, 8: 9}) is not None
    assert formula.units({11: 2, 74: 5, 8: 15}) is None
    assert formula.units({74: 1, 8: 3}) is None
    exact = formula_of("C100 H201")
    assert exact is not None
    assert exact.units({6: 100, 1: 200}) is None
    assert exact.units({6: 200, 1: 402}) == (2, 2)


def test_angles_left_out_are_right_if_the_volume_says_so():
    text = cif(CUBE, "Na1 Na 0 0 0")
    short = "\n".join(line for line in text.split("\n") if "angle" not in line)
    assert "_cell_angle_alpha" in why(short)
    assert read(short.replace("data_x", "data_x\n_cell_volume 125")) == "Na1"
    assert read(short.replace("data_x", "data_x\n_cell_volume 108.3")) == "contradicts_source"
    assert read(text.replace("_cell_angle_alpha 90", "_cell_angle_alpha ?")) == "unreadable"


def test_both_dictionaries_name_the_same_values():
    text = cif(CUBE, "Na1 Na 0 0 0\nCl1 Cl .5 .5 .5", f"{FORMULA} 'Na Cl'")
    newer = (
        text.replace("_cell_", "_cell.").replace("_atom_site_", "_atom_site.").replace("_formula_sum", "_formula.sum")
    )
    assert read(newer) == read(text.upper().replace("DATA_X", "data_x").replace("LOOP_", "loop_")) == "Cl1 Na1"


def test_one_site_may_stand_without_a_loop():
    pairs = "\n".join(f"_atom_site_{tag} {value}" for tag, value in zip(TYPES.split(), ("Po", 0, 0, 0), strict=True))
    assert read(cif("3.3 3.3 3.3 90 90 90", "").partition("loop_")[0] + pairs) == "Po1"


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda text: text + "_oops_without_value\n", "Cl1 Na1"),
        (lambda text: text.replace("loop_", "_oops 'unclosed\nloop_"), "Cl1 Na1"),
        (lambda text: text.replace("loop_", "stray words\nloop_"), "Cl1 Na1"),
        (lambda text: text.replace("loop_", "_cell_length_a 5\nloop_"), "Cl1 Na1"),
        (lambda text: text.replace("loop_", "_cell_length_a 6\nloop_"), "unreadable"),
        (lambda text: text.replace("loop_", "_cell.length_a 6\nloop_"), "unreadable"),
        (lambda text: text.replace("Cl1 Cl .5", "Cl1 Cl"), "unreadable"),
        (lambda text: text.replace("Cl1 Cl .5", "Cl 1 Cl .5"), "unreadable"),
        (lambda text: text.replace("Na1 Na 0", "Na1 Na what"), "unreadable"),
        (lambda text: text.replace("_atom_site_fract_x", "_atom_site_fract"), "no_atoms"),
    ],
)
def test_broken_syntax_costs_nothing_but_what_it_breaks(edit, found):
    assert read(edit(cif(CUBE, "Na1 Na 0 0 0\nCl1 Cl .5 .5 .5"))) == found


def test_broken_syntax_lends_no_other_meaning_to_the_rest():
    """What the tolerant reader of syntax finds goes through the same rules."""
    for text in (typed("NH4"), typed("Wat"), labelled("OH2"), labelled("OH", "Mg O H")):
        assert read(text + "_oops 'unclosed\n") == read(text)
    unknown = cif(CUBE, "Na1 Na 0 0 0", "_symmetry_space_group_name_H-M 'Q 99 x'")
    assert read(unknown + "_oops 'unclosed\n") == "symmetry_unclear"


ONE = cif(CUBE, "Na1 Na 0 0 0").replace("data_x", "data_one")
OTHER = cif(CUBE, "K1 K 0 0 0").replace("data_x", "data_other")
ABOUT = "data_global\n_journal_name_full 'Acta'\n_publ_section_comment\n;\ndata_ and _atom_site_fract_x are words\n;\n"


@pytest.mark.parametrize("broken", ["", "_oops 'unclosed\n"])
@pytest.mark.parametrize(
    "second", [OTHER, ONE, OTHER.replace("data_other", "data_one"), ONE.upper().replace("LOOP_", "loop_")]
)
def test_a_cell_of_a_table_holds_one_structure(tmp_path, second, broken):
    frame = pd.DataFrame({"id": ["both", "one"], "cif": [ONE + broken + second, ONE]})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_json(tmp_path / "t.json", orient="records")
    for name in ("t.parquet", "t.csv", "t.json"):
        both, one = records_of(tmp_path / name)
        with pytest.raises(CrystalRejected, match="2 structures in one CIF"):
            crystal_of(both)
        assert crystal_of(one).atomic_numbers.tolist() == [11]


@pytest.mark.parametrize("broken", ["", "_oops 'unclosed\n"])
def test_a_file_of_its_own_holds_a_structure_in_each_block(tmp_path, broken):
    (tmp_path / "a.cif").write_text(ABOUT + ONE + broken + OTHER + OTHER)
    found = {
        record.material_id: crystal_of(record).atomic_numbers.tolist() for record in records_of(tmp_path / "a.cif")
    }
    assert found == {"a/one": [11], "a/other": [19], "a/other-2": [19]}
    assert crystal_of_cif(ABOUT + ONE, "x").atomic_numbers.tolist() == [11]
