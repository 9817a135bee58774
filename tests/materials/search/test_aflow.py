"""AFLOW's prototypes as templates: structures whose space group and positions are in every textbook."""

import pytest

from unimat.materials.search.aflow import library
from unimat.materials.search.substitution import Substitution
from unimat.periodic_table import ATOMIC_NUMBER as Z

TEXTBOOK = {
    # id: space group, atoms of the primitive cell, orbits of each element by rising atomic number
    "AB_cF8_225_a_b:Cl-Na": (225, 2, ["1:m-3m", "1:m-3m"]),
    "AB_cP2_221_b_a:Cl-Cs": (221, 2, ["1:m-3m", "1:m-3m"]),
    "AB_cF8_216_c_a:S-Zn": (216, 2, ["1:-43m", "1:-43m"]),
    "AB_hP4_186_b_b:S-Zn": (186, 4, ["2:3m.", "2:3m."]),
    "AB2_cF12_225_a_c:Ca-F": (225, 3, ["2:-43m", "1:m-3m"]),
    "A2B_tP6_136_f_a:O-Ti": (136, 6, ["4:m.2m", "2:m.mm"]),
    "AB3C_cP5_221_a_c_b:Ca-O-Ti": (221, 5, ["3:4/mm.m", "1:m-3m", "1:m-3m"]),
    "A2BC4_cF56_227_d_a_e:Al-Mg-O": (227, 14, ["8:.3m", "2:-43m", "4:.-3m"]),
    "A_cF8_227_a:C": (227, 2, ["2:-43m"]),
}


def test_prototypes_are_those_of_the_textbooks():
    found = {crystal.material_id: crystal for crystal in library().table}
    for name, (group, atoms, sites) in TEXTBOOK.items():
        about = found[name].properties
        assert (about["space_group"], len(found[name].atomic_numbers)) == (group, atoms), name
        assert about["sites"] == sites, name


def test_all_prototypes_but_two_are_there():
    table = library().table
    assert len(table) == 286
    assert not any(name.startswith("sigma") for name in table.material_ids)
    assert "Mehl" in table.metadata["citation"]


def test_space_groups_are_those_of_the_labels():
    """But for eight, whose coordinates come within 0.1 Å of a higher symmetry."""
    stated = [int(name.split("_")[2]) for name in library().table.material_ids]
    differ = [(a, b) for a, b in zip(stated, library().space_groups.tolist(), strict=True) if a != b]
    assert len(differ) == 8


def test_names_and_references():
    perovskite = next(each for each in library().table if each.material_id == "AB3C_cP5_221_a_c_b:Ca-O-Ti").properties
    assert perovskite["mineral"] == "(Cubic) Perovskite"
    assert perovskite["strukturbericht"] == "E2_1"
    assert perovskite["reference"].startswith("@article{reference0")
    assert perovskite["reference"].count("@article") == 1


@pytest.mark.parametrize(
    ("counts", "template"), [({"Na": 1, "Br": 1}, "AB_cF8_225_a_b:Cl-Na"), ({"Sr": 1, "F": 2}, "AB2_cF12_225_a_c:Ca-F")]
)
def test_they_serve_as_templates(counts, template):
    first = Substitution(library()).candidates({Z[symbol]: n for symbol, n in counts.items()}, 1)[0]
    assert library().material_ids[first.row] == template
