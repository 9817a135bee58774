"""MP2020 corrections by crystal, by what an entry states, and by formula; right values by pymatgen or by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedEntry, ComputedStructureEntry

from unimat.errors import UserError
from unimat.materials.crystals.corrections import anion_types, uncorrected_entry
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.stability.references.build import build
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import ReferenceSettings
from unimat.settings import load_settings

pytestmark = pytest.mark.filterwarnings("ignore:No structure or oxide_type", "ignore:Failed to guess oxidation")
PLAIN = {"run_type": "GGA", "hubbards": {}, "is_hubbard": False}


def made(path: Path, entries: list[Any], **settings: Any) -> Reference:
    dicts = [each if isinstance(each, dict) else each.as_dict() for each in entries]
    path.write_text(json.dumps(dicts))
    given = {"kind": "entries", "path": str(path), **settings}
    return build(load_settings(ReferenceSettings, given, "hull.reference"), {}, 1)


def correction(path: Path, entry: Any, **settings: Any) -> float:
    """eV/atom of the one entry that the reference gives a correction."""
    built = made(path, [entry], **{"apply_mp2020": True, **settings})
    [row] = built.entries.table.to_pylist()
    return float(row["correction_per_atom"])


def pair(symbol: str, anion: str, bond: float, a: float = 5.0) -> Structure:
    """One atom and a dumbbell of two others along c, `bond` Å long."""
    z = bond / 2 / a
    return Structure(Lattice.cubic(a), [symbol, anion, anion], [[0, 0, 0], [0.5, 0.5, 0.5 - z], [0.5, 0.5, 0.5 + z]])


def tetrahedron() -> Structure:
    """Two sodium atoms and a sulfate ion with S-O of 1.49 Å."""
    d = 0.86 / 6.0
    corners = [[d, d, d], [d, -d, -d], [-d, d, -d], [-d, -d, d]]
    species = ["Na", "Na", "S", "O", "O", "O", "O"]
    return Structure(Lattice.cubic(6.0), species, [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 0], *corners])


# Crystal, and the correction in eV/atom from the scheme's table (Wang et al. 2021): O -0.687 in oxides, -0.465 in
# peroxides, -0.161 in superoxides; S -0.503 in sulfides and polysulfides, none in sulfates.
BY_CRYSTAL = {
    "peroxide": (pair("Zn", "O", 1.48), -0.465 * 2 / 3),
    "superoxide": (pair("Tl", "O", 1.30), -0.161 * 2 / 3),
    "oxide": (pair("Tl", "O", 2.40), -0.687 * 2 / 3),
    "polysulfide": (pair("Zn", "S", 2.10), -0.503 * 2 / 3),
    "sulfate": (tetrahedron(), -0.687 * 4 / 7),
}


@pytest.mark.parametrize("kind", BY_CRYSTAL)
@pytest.mark.parametrize("charged", [False, True])
def test_the_crystal_tells_the_anion(tmp_path, kind, charged):
    structure, by_hand = BY_CRYSTAL[kind][0].copy(), BY_CRYSTAL[kind][1]
    if charged:
        structure.add_oxidation_state_by_guess()
    entry = ComputedStructureEntry(structure, -5.0 * len(structure), parameters=PLAIN, entry_id="a")
    theirs = MaterialsProject2020Compatibility(check_potcar=False).process_entry(entry, inplace=False)
    assert theirs.correction_per_atom == pytest.approx(by_hand)
    assert correction(tmp_path / "one.json", entry) == pytest.approx(by_hand)


def test_without_a_crystal_the_formula_is_all_there_is_and_that_is_told(tmp_path):
    bare = [ComputedEntry(each, -5.0, parameters=PLAIN, entry_id=each) for each in ("ZnO2", "K1O2", "ZnS", "Zn", "O2")]
    built = made(tmp_path / "bare.json", bare, apply_mp2020=True)
    found = {row["entry_id"]: row["correction_per_atom"] for row in built.entries.table.to_pylist()}
    assert found["ZnO2"] == pytest.approx(-0.687 * 2 / 3)  # a peroxide that pymatgen's list of formulas lacks
    assert found["K1O2"] == pytest.approx(-0.161 * 2 / 3)
    assert built.details["guessed_from_formula"] == {"oxide_type": 2, "sulfide_type": 1}


@pytest.mark.parametrize("where", ["data", "parameters"])
def test_a_stated_type_counts_more_than_the_crystal(tmp_path, where):
    structure = BY_CRYSTAL["oxide"][0]
    more = {"parameters": PLAIN | {"oxide_type": "peroxide"}} if where == "parameters" else {"parameters": PLAIN}
    data = {"oxide_type": "peroxide"} if where == "data" else {}
    entry = ComputedStructureEntry(structure, -15.0, entry_id="a", data=data, **more)
    assert correction(tmp_path / "one.json", entry) == pytest.approx(-0.465 * 2 / 3)


def test_stated_oxidation_states_and_sulfates_count(tmp_path):
    silicide = ComputedEntry(
        "SiC", -10.0, parameters=PLAIN, entry_id="a", data={"oxidation_states": {"Si": -4, "C": 4}}
    )
    assert correction(tmp_path / "one.json", silicide) == pytest.approx(0.071 / 2)
    plain = ComputedEntry("SiC", -10.0, parameters=PLAIN, entry_id="a")
    assert correction(tmp_path / "one.json", plain) == 0
    sulfate = ComputedEntry("Na2SO4", -35.0, parameters=PLAIN, entry_id="a", data={"sulfide_type": "sulfate"})
    assert correction(tmp_path / "one.json", sulfate) == pytest.approx(-0.687 * 4 / 7)


def test_corrections_made_with_more_knowledge_stay(tmp_path):
    structure = BY_CRYSTAL["peroxide"][0]
    entry = ComputedStructureEntry(structure, -15.0, parameters=PLAIN, entry_id="a")
    known = MaterialsProject2020Compatibility(check_potcar=False).process_entry(entry).as_dict()
    known = {key: value for key, value in known.items() if key not in ("structure", "data")}
    built = made(tmp_path / "known.json", [known | {"@class": "ComputedEntry"}], apply_mp2020=True)
    assert built.entries.energies == pytest.approx([-5.0 - 0.465 * 2 / 3])
    assert built.details["guessed_from_formula"] == {"oxide_type": 0, "sulfide_type": 0}


def test_corrections_of_another_scheme_give_way(tmp_path):
    bare = ComputedEntry("NaCl", -6.0, parameters=PLAIN, entry_id="a").as_dict() | {"correction": -2.0}
    assert correction(tmp_path / "one.json", bare) == pytest.approx(-0.614 / 2)
    assert made(tmp_path / "one.json", [bare], apply_mp2020=True).entries.energies == pytest.approx([-3.307])


def test_what_the_scheme_refuses_is_a_lost_phase_with_its_reason(tmp_path):
    hematite = ComputedEntry("Fe2O3", -35.0, parameters=PLAIN, entry_id="b")  # the scheme wants U = 5.3 eV
    strange = ComputedEntry("ZnO", -9.0, parameters=PLAIN, entry_id="c", data={"oxide_type": "ox"})
    built = made(tmp_path / "two.json", [ComputedEntry("Zn", -1.3, parameters=PLAIN, entry_id="a"), hematite, strange],
                 apply_mp2020=True)  # fmt: skip
    assert [entry.name for entry in built.entries] == ["a"]
    first, second = built.details["lost"]
    assert (first["entry_id"], first["chemical_system"]) == ("b", "Fe-O")
    assert first["reason"] == "the MP2020 corrections refuse b: Invalid U value of 0.0 on Fe, expected 5.3"
    assert "oxide_type 'ox' is none of oxide, peroxide" in second["reason"]
    assert built.details["lost_systems"] == {"Fe-O": 1, "O-Zn": 1}


def test_compositions_with_oxidation_states_are_phases_like_others(tmp_path):
    magnetite = ComputedEntry(Composition({"Fe2+": 1, "Fe3+": 2, "O2-": 4}), -50.0, parameters=PLAIN, entry_id="a")
    built = made(tmp_path / "one.json", [magnetite], corrections="MP2020")
    assert built.entries[0].composition == Composition("Fe3O4")
    assert built.entries.energies == pytest.approx([-50 / 7])


def test_energies_and_adjustments_in_any_form_are_added_up(tmp_path):
    text = ComputedEntry("NaCl", -6.0, parameters=PLAIN, entry_id="a").as_dict() | {
        "energy": "-6.0",
        "correction": -0.6,
    }
    hot = ComputedEntry("NaCl", -6.0, parameters=PLAIN, entry_id="b").as_dict()
    hot["energy_adjustments"] = [{"adj_per_deg": -1e-4, "temp": 500.0, "n_atoms": 2.0, "name": "at 500 K"}]
    for entry, energy in ((text, -3.3), (hot, -3.05)):
        built = made(tmp_path / "one.json", [entry], corrections="mine" if entry is text else "at 500 K")
        assert built.entries.energies == pytest.approx([energy])


# Corrections that are bare numbers, as pymatgen wrote them before 2020


def old_form(*rows: tuple[str, str, float]) -> list[dict[str, Any]]:
    given = [(entry_id, Composition(formula), change) for entry_id, formula, change in rows]
    return [
        {"entry_id": entry_id, "composition": each.as_dict(), "energy": -5.0 * each.num_atoms, "correction": change}
        | {"parameters": PLAIN, "data": {}}
        for entry_id, each, change in given
    ]


def test_bare_corrections_beside_none_are_one_scheme_that_has_to_be_named(tmp_path):
    rows = old_form(("a", "Li", 0.0), ("b", "Li2O", -0.7), ("c", "LiOH", 0.0), ("d", "O2", 0.0), ("e", "H2", 0.0))
    with pytest.raises(UserError, match=r"corrections is missing: 1 of 5 entries .* b \(Li2 O1\).*set it to MP2020 or"):
        made(tmp_path / "old.json", rows)
    for name in ("MP2020", "MP legacy"):
        built = made(tmp_path / "old.json", rows, corrections=name)
        assert {row["correction_scheme"] for row in built.entries.table.to_pylist()} == {name}
        assert built.energy_type["corrections"] == name
        assert built.entries.energies[1] == pytest.approx(-5.0 - 0.7 / 3)


def test_elements_and_alloys_without_adjustments_are_no_mixture(tmp_path):
    compatibility = MaterialsProject2020Compatibility(check_potcar=False)
    entries = [ComputedEntry(formula, -5.0 * Composition(formula).num_atoms, parameters=PLAIN, entry_id=formula)
               for formula in ("Zn", "O2", "Cu", "CuZn", "ZnO")]  # fmt: skip
    built = made(tmp_path / "new.json", compatibility.process_entries(entries))
    assert built.energy_type["corrections"] == "MP2020"
    assert [row["correction_scheme"] for row in built.entries.table.to_pylist()] == [None] * 4 + ["MP2020"]


def test_both_messages_lead_to_the_same_setting(tmp_path):
    """Bare corrections beside MP2020's: whatever is set or left out, the remedy told is one that works."""
    named = MaterialsProject2020Compatibility(check_potcar=False).process_entry(
        ComputedEntry("NaCl", -6.0, parameters=PLAIN, entry_id="a")
    )
    entries = [named.as_dict(), *old_form(("b", "Li2O", -0.7))]
    for settings in ({}, {"corrections": "mine"}, {"corrections": "none"}):
        with pytest.raises(UserError, match="set it to MP2020"):
            made(tmp_path / "both.json", entries, **settings)
    built = made(tmp_path / "both.json", entries, corrections="MP2020")
    assert built.entries.energies == pytest.approx([-3.307, -5.0 - 0.7 / 3])


def test_an_entry_that_is_broken_inside_is_lost_with_its_reason(tmp_path):
    good = ComputedEntry("NaCl", -6.0, parameters=PLAIN, entry_id="a").as_dict()
    strange = good | {"entry_id": "b", "correction": "much", "data": [1], "parameters": None}
    built = made(tmp_path / "two.json", [good, strange], corrections="mine")
    assert [each["entry_id"] for each in built.details["lost"]] == ["b"]
    assert "with a correction that is no number' is no number" in built.details["lost"][0]["reason"]


def test_another_name_than_the_entries_own_is_refused(tmp_path):
    entry = MaterialsProject2020Compatibility(check_potcar=False).process_entry(
        ComputedEntry("NaCl", -6.0, parameters=PLAIN, entry_id="a")
    )
    with pytest.raises(UserError, match=r"is 'none', but entries of one\.json carry MP2020"):
        made(tmp_path / "one.json", [entry], corrections="none")


def test_entries_without_energy_or_composition_are_lost_not_overlooked(tmp_path):
    whole = ComputedEntry("Zn", -1.3, parameters=PLAIN, entry_id="a").as_dict()
    without = [{key: value for key, value in whole.items() if key != gone} | {"entry_id": gone}
               for gone in ("energy", "composition")]  # fmt: skip
    built = made(tmp_path / "three.json", [whole, *without])
    assert [(each["entry_id"], each["reason"]) for each in built.details["lost"]] == [
        ("energy", "no energy"),
        ("composition", "no formula"),
    ]
    assert built.details["lost_systems"] == {"Zn": 1, "unknown": 1}


def test_a_crystal_with_a_site_that_is_no_element_tells_nothing(tmp_path):
    entry = ComputedStructureEntry(BY_CRYSTAL["peroxide"][0], -15.0, parameters=PLAIN, entry_id="a").as_dict()
    entry["structure"]["sites"][0]["species"] = [{"element": "Xx", "occu": 1}]
    built = made(tmp_path / "one.json", [entry], apply_mp2020=True)
    assert built.details["guessed_from_formula"] == {"oxide_type": 1, "sulfide_type": 0}
    assert built.entries.energies == pytest.approx([-5.0 - 0.687 * 2 / 3])


def test_types_of_an_element_are_not_asked_for():
    assert anion_types(Structure(Lattice.cubic(4.0), ["O", "O"], [[0, 0, 0], [0, 0, 0.3]])) == {}


@pytest.mark.published
def test_published_oxides_and_sulfides_agree_with_pymatgen(published_data, tmp_path):
    """Crystals of MP-20's validation split with oxygen atoms closer than 1.6 Å or with both sulfur and oxygen, and some
    others with either: all that a JSON of them says, against pymatgen's own class on the same entries."""
    compatibility = MaterialsProject2020Compatibility(check_potcar=False)
    table, _ = read_crystals(published_data / "mp_20/val.feather")
    entries, theirs, n_special = [], {}, 0
    for index, crystal in enumerate(table):
        numbers = set(crystal.atomic_numbers.tolist())
        if not numbers & {8, 16} or len(numbers) == 1:
            continue
        structure = to_structure(crystal)
        special = {8, 16} <= numbers or _closest(structure, "O") < 1.6
        n_special += special
        if not special and index % 60:
            continue
        parameters = uncorrected_entry(structure.composition, 0.0, "a").parameters
        entry = ComputedStructureEntry(structure, -5.0 * len(structure), parameters=parameters,
                                       entry_id=crystal.material_id)  # fmt: skip
        entries.append(entry)
        corrected = compatibility.process_entry(entry, inplace=False)
        theirs[crystal.material_id] = corrected.energy_per_atom
    built = made(tmp_path / "mp_20.json", entries, apply_mp2020=True)
    ours = dict(zip(built.entries.table["entry_id"].to_pylist(), built.entries.energies, strict=True))
    assert n_special > 20
    assert ours == pytest.approx(theirs, abs=1e-9)


def _closest(structure: Structure, symbol: str) -> float:
    rows = [row for row, site in enumerate(structure) if site.specie.symbol == symbol]
    if len(rows) < 2:
        return 9.0
    return float((structure.distance_matrix + 9 * np.eye(len(structure)))[np.ix_(rows, rows)].min())
