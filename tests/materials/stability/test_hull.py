"""Stabilities against pymatgen's own phase diagram and against numbers worked out by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.errors import UserError
from unimat.materials.stability import hull
from unimat.materials.stability import summary as stability_summary
from unimat.materials.stability.references import reference
from unimat.materials.stability.references.lost import lost
from unimat.materials.stability.settings import HullSettings

CHGNET = {"calculator": "CHGNet", "functional": "PBE", "corrections": "MP2020, learned", "quantity": "total energy"}


def phases(*rows: tuple[str, float]) -> reference.Reference:
    entries = [
        PDEntry(Composition(formula), energy * Composition(formula).num_atoms, name=f"ref-{index}")
        for index, (formula, energy) in enumerate(rows)
    ]
    return reference.Reference("phases", entries, CHGNET, "made up")


def relaxed(*rows: tuple[str, float | None]) -> CrystalTable:
    crystals = []
    for index, (formula, energy) in enumerate(rows):
        numbers = [Element(symbol).Z for symbol, n in Composition(formula).items() for _ in range(int(n))]
        coords = np.random.default_rng(index).random((len(numbers), 3))
        properties = {"energy_per_atom": energy, "converged": energy is not None}
        crystals.append(Crystal(f"c-{index}", np.eye(3) * 9, np.array(numbers), coords, properties))
    return from_crystals(crystals, energy_type=CHGNET, n_requested=len(rows) + 2)


SI_C = phases(("C", -9.0), ("Si", -5.0), ("SiC", -7.5), ("C", -8.5))


def test_silicon_carbide_by_hand():
    """SiC at -7.5 lies 0.5 eV/atom below the elements' mean of -7; Si3C's hull point is half Si, half SiC."""
    hulls = hull.Hulls(SI_C)
    judged = hulls.judge(Composition("SiC"), -7.3)
    assert judged["e_form_per_atom"] == pytest.approx(-0.3)
    assert judged["decomposition_energy"] == pytest.approx(0.2)
    assert judged["decomposition"] == "1 SiC (ref-2)"
    judged = hulls.judge(Composition("Si3C"), -6.5)
    assert judged["decomposition_energy"] == pytest.approx(-6.5 + (5.0 + 7.5) / 2)
    assert judged["e_above_hull"] == 0.0
    assert judged["decomposition"] == "0.5 Si (ref-1) + 0.5 SiC (ref-2)"


def test_elements_are_judged_against_the_lowest_elemental_phase():
    assert hull.Hulls(SI_C).judge(Composition("C4"), -8.5)["decomposition_energy"] == pytest.approx(0.5)


def test_agrees_with_pymatgen_on_random_ternaries():
    """With the candidate added to its phase diagram, pymatgen's energy above hull is max(E_d, 0) to 1e-6 eV/atom."""
    rng = np.random.default_rng(0)
    rows = [("Li", -1.9), ("Fe", -8.0), ("O", -5.0)]
    for _ in range(30):
        amounts = rng.integers(0, 5, 3)
        if amounts.sum():
            formula = "".join(f"{symbol}{n}" for symbol, n in zip(("Li", "Fe", "O"), amounts, strict=True) if n)
            rows.append((formula, float(rng.uniform(-9, -5))))
    known = phases(*rows)
    hulls = hull.Hulls(known)
    for _ in range(60):
        amounts = rng.integers(1, 5, 3)
        composition = Composition(dict(zip(("Li", "Fe", "O"), map(int, amounts), strict=True)))
        energy = float(rng.uniform(-10, -6))
        candidate = PDEntry(composition, energy * composition.num_atoms)
        diagram = PhaseDiagram([*known.entries, candidate])
        judged = hulls.judge(composition, energy)
        assert judged["e_above_hull"] == pytest.approx(diagram.get_e_above_hull(candidate), abs=1e-6)
        assert judged["e_form_per_atom"] == pytest.approx(diagram.get_form_energy_per_atom(candidate), abs=1e-6)


def test_table_counts_everything_asked_for():
    table = relaxed(("SiC", -7.6), ("SiC", -7.49), ("SiC", -7.0), ("SiC", None))
    frame = hull.stability_table(table, SI_C, HullSettings())
    assert frame["stable"].tolist() == [True, False, False, False]
    assert frame["metastable"].tolist() == [False, True, False, False]
    assert np.isnan(frame["decomposition_energy"][3])
    counts = stability_summary.summary(
        frame.assign(unique=True, novel=[False, True, True, None]), "s", table, SI_C, HullSettings()
    )
    assert counts["stable"] == {"count": 1, "of": 6, "rate": pytest.approx(1 / 6)}
    assert counts["stable_unique_novel"]["count"] == 0
    assert counts["metastable_unique_novel"]["count"] == 1
    assert counts["n_relaxed"] == 3


@pytest.mark.parametrize("key", ["functional", "quantity", "corrections"])
def test_strangers_are_refused_by_name(key):
    stranger = reference.Reference("dft", SI_C.entries, {**CHGNET, key: "r2SCAN"})
    with pytest.raises(UserError, match=f"{key}.*r2SCAN"):
        hull.refuse_strangers(CHGNET, stranger)


def test_another_calculator_of_the_same_scale_is_let_in_with_a_warning(caplog):
    hull.refuse_strangers(CHGNET, reference.Reference("mp", SI_C.entries, {**CHGNET, "calculator": "VASP"}))
    assert "VASP" in caplog.text


def test_another_version_of_the_corrections_is_let_in_with_a_warning(caplog):
    theirs = {**CHGNET, "corrections": "MP2020", "correction_version": "pymatgen 2026.10.24"}
    hull.refuse_strangers(CHGNET, reference.Reference("mp", SI_C.entries, theirs))
    assert "learned" in caplog.text
    assert "pymatgen 2026.10.24" in caplog.text


def test_a_scheme_is_compared_by_its_whole_name():
    stranger = reference.Reference("dft", SI_C.entries, {**CHGNET, "corrections": "MP2020x"})
    with pytest.raises(UserError, match="MP2020x"):
        hull.refuse_strangers(CHGNET, stranger)


def test_candidates_are_moved_to_the_pseudopotentials_of_the_reference():
    """Two thirds of magnesium at 0.0924 eV per atom, one third of germanium at 0.1042, by hand."""
    by_mp = [("Mg", -1.6), ("Ge", -4.6), ("Mg2Ge", -2.8)]
    shift = (2 * 0.0924014 + 0.10417085) / 3
    by_gnome = phases(("Mg", -1.6 + 0.0924014), ("Ge", -4.6 + 0.10417085), ("Mg2Ge", -2.8 + shift))
    theirs = reference.Reference("gnome", by_gnome.entries, {**CHGNET, "pseudopotentials": "GNoME"})
    table = relaxed(("Mg2Ge", -2.75))
    frame = hull.stability_table(table, theirs, HullSettings())
    assert frame["decomposition_energy"][0] == pytest.approx(0.05)
    assert frame["energy_per_atom"][0] == -2.75
    assert frame["e_form_per_atom"][0] == pytest.approx(-2.75 + (2 * 1.6 + 4.6) / 3)
    plain = hull.stability_table(table, phases(*by_mp), HullSettings())
    assert plain["decomposition_energy"][0] == pytest.approx(0.05)


def test_a_phase_of_the_reference_itself_lies_on_the_hull_and_not_below_it():
    """Sums round: 0.1 + 0.2 is not 0.3. Below the hull is what is lower by more than a millionth of an eV/atom."""
    table = relaxed(("SiC", -7.5 - 4.4e-16), ("SiC", -7.5 + 9e-7), ("SiC", -7.5 - 9e-7), ("SiC", -7.5 - 2e-6),
                    ("SiC", -7.475), ("SiC", -7.475 - 2e-6))  # fmt: skip
    frame = hull.stability_table(table, SI_C, HullSettings())
    assert frame["stable"].tolist() == [False, False, False, True, False, False]
    assert frame["on_hull"].tolist() == [True, True, True, False, False, False]
    assert frame["metastable"].tolist() == [True, True, True, False, False, True]
    frame = frame.assign(unique=True, novel=True)
    found = stability_summary.summary(frame, "mine", table, SI_C, HullSettings())
    assert found["on_hull"] == {"count": 3, "of": 8}
    assert found["thresholds"]["tolerance"] == 1e-6


def test_every_phase_of_a_reference_lies_on_or_above_its_own_hull():
    rng = np.random.default_rng(3)
    rows = [("C", -9.1), ("Si", -5.4), ("Ge", -4.6)]
    for _ in range(40):
        formula = "".join(f"{symbol}{n}" for symbol, n in zip(("C", "Si", "Ge"), rng.integers(1, 6, 3), strict=True))
        rows.append((formula, -6.5 - rng.random() / 3))
    frame = hull.stability_table(relaxed(*rows), phases(*rows), HullSettings())
    assert not frame["stable"].any()
    assert frame["on_hull"].sum() >= 3


def test_columns_of_other_types_are_read_as_what_they_say(caplog):
    """Whole numbers and words for yes and no, energies as text; what is no number is not judged."""
    base = relaxed(*[("SiC", -7.5)] * 6)
    told = [(1, "-7.6"), ("True", "-7.6"), (0, "-7.6"), ("no", "-7.6"), (True, "low"), (True, None)]
    crystals = [
        dataclasses.replace(crystal, properties={"converged": str(flag), "energy_per_atom": energy})
        for crystal, (flag, energy) in zip(base, told, strict=True)
    ]
    frame = hull.stability_table(from_crystals(crystals, energy_type=CHGNET), SI_C, HullSettings())
    assert frame["decomposition_energy"].fillna(9).tolist() == pytest.approx([-0.1, -0.1, 9, 9, 9, 9])
    reasons = frame["not_judged"].tolist()
    assert reasons[2:4] == [hull.NOT_CONVERGED] * 2
    assert reasons[4:] == ["its energy is not a number"] * 2
    bare = [dataclasses.replace(crystal, properties={"energy_per_atom": -7.6}) for crystal in base]
    frame = hull.stability_table(from_crystals(bare, energy_type=CHGNET), SI_C, HullSettings())
    assert not frame["stable"].any()
    assert "no column `converged`" in caplog.text


def test_an_energy_per_cell_is_not_judged(caplog):
    frame = hull.stability_table(relaxed(("SiC", -7.4), ("Si4C4", -59.2)), SI_C, HullSettings())
    assert frame["not_judged"].isna().tolist() == [True, False]
    assert "more than 10 eV/atom below the elements" in frame["not_judged"][1]
    assert "1 crystals are not judged" in caplog.text
    assert not frame["stable"][1]


def test_verdicts_near_lost_phases_are_named(caplog):
    gone = [lost("x", "Li2CO", "no energy"), lost("y", "Si2C", "no energy")]
    reference_ = dataclasses.replace(SI_C, details={"lost": gone})
    table = relaxed(("C", -9.0), ("SiC", -7.5), ("Si", -5.0))
    frame = hull.stability_table(table, reference_, HullSettings())
    assert frame["lost_phases"].tolist() == [None, "C-Si (1)", None]
    assert "1 verdicts of chemical systems that contain phases which the reference 'phases' lost: c-1" in caplog.text
    found = stability_summary.summary(frame.assign(unique=True, novel=True), "mine", table, reference_, HullSettings())
    assert found["lost_phases"] == {
        "systems": {"C-Li-O": 1, "C-Si": 1},
        "verdicts": {"count": 1, "of": 3, "first": ["c-1"]},
    }
    everywhere = dataclasses.replace(SI_C, details={"lost_systems": {"unknown": 2}})
    assert hull.stability_table(table, everywhere, HullSettings())["lost_phases"].tolist() == ["unknown (2)"] * 3


def test_element_without_reference_is_named():
    with pytest.raises(UserError, match="no elemental phase of Ge"):
        hull.Hulls(SI_C).judge(Composition("GeC"), -1.0)


def test_crystal_of_an_element_without_reference_is_left_out_and_the_others_are_judged(caplog):
    frame = hull.stability_table(relaxed(("GeC", -5.0), ("SiC", -7.4)), SI_C, HullSettings())
    assert np.isnan(frame["decomposition_energy"][0])
    assert frame["decomposition_energy"][1] == pytest.approx(0.1)
    assert frame["stable"].tolist() == [False, False]
    assert "phase of Ge: c-0" in caplog.text


def test_binary_hull_vertices():
    vertices = hull.binary_hull(SI_C, [Element("Si"), Element("C")])
    assert vertices["x"].tolist() == [0.0, 0.5, 1.0]
    assert vertices["e_form_per_atom"].tolist() == pytest.approx([0.0, -0.5, 0.0])


def test_reference_round_trip_and_refusals(tmp_path):
    reference.write(SI_C, tmp_path / "reference.parquet")
    back = reference.read(tmp_path / "reference.parquet")
    assert back.energy_type == CHGNET
    assert [entry.energy for entry in back.entries] == [entry.energy for entry in SI_C.entries]
    (tmp_path / "broken.parquet").write_bytes((tmp_path / "reference.parquet").read_bytes()[:100])
    with pytest.raises(UserError, match="not readable as Parquet"):
        reference.read(tmp_path / "broken.parquet")
    with pytest.raises(UserError, match="no elemental phase of C"):
        reference.refuse_missing_elements(phases(("Si", -5.0), ("SiC", -7.5)))


def test_reference_of_a_relaxed_set_takes_converged_rows_alone():
    built = reference.from_relaxed(relaxed(("Si", -5.0), ("C", -9.0), ("SiC", None)), "train")
    assert [entry.name for entry in built.entries] == ["c-0", "c-1"]
    with pytest.raises(UserError, match="no phase"):
        reference.from_relaxed(relaxed(("SiC", None)), "train")


def test_nothing_is_called_known_where_nobody_judged_novelty():
    table = relaxed(("SiC", -7.6), ("SiC", -7.49), ("SiC", -7.0), ("SiC", None))
    frame = hull.stability_table(table, SI_C, HullSettings())
    unjudged = pd.Series(pd.NA, frame.index, dtype="boolean")
    counts = stability_summary.counts(frame.assign(unique=[True, True, pd.NA, pd.NA], novel=unjudged), 6)
    assert counts["metastable_unique_novel"] is None
    assert counts["metastable"]["count"] == 1
    none_near = stability_summary.counts(frame.assign(unique=unjudged, novel=unjudged), 6)
    assert none_near["metastable_unique_novel"]["count"] == 0
