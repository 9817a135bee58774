"""Decomposition energies against pymatgen's PhaseDiagram, made up and real, and the index of compounds behind them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element

from unimat.materials.crystals.formulas import of_composition
from unimat.materials.stability import hull_programs
from unimat.materials.stability.decomposition import Hulls, elements_of
from unimat.materials.stability.references.build import build
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import ColumnSettings, ReferenceSettings

TYPE = {"calculator": "none: made up", "functional": "none", "corrections": "none", "quantity": "total energy"}
SYMBOLS = [Element.from_Z(number).symbol for number in (1, 3, 8, 26, 63, 64, 65, 92)]  # both sides of bit 64


def made_up(n: int, rng: np.random.Generator, symbols: list[str] = SYMBOLS) -> list[PDEntry]:
    entries = []
    for index in range(n):
        members = rng.choice(len(symbols), size=rng.integers(2, len(symbols) + 1), replace=False)
        composition = Composition({symbols[member]: int(rng.integers(1, 9)) for member in members})
        mixing = -2.0 * (1 - sum(share**2 for share in composition.fractional_composition.values()))
        entries.append(PDEntry(composition, (mixing - 4 + rng.uniform(0, 0.8)) * composition.num_atoms, f"p-{index}"))
    return entries


def elemental(symbols: list[str] = SYMBOLS) -> list[PDEntry]:
    return [PDEntry(Composition(symbol), -4.0 - 0.1 * place, symbol) for place, symbol in enumerate(symbols)]


def by_pymatgen(reference: Reference, candidate: PDEntry) -> tuple[dict[str, float], float]:
    """Products by id and decomposition energy of one PhaseDiagram that does not hold the candidate."""
    rows = reference.entries.within(elements_of(candidate.composition))
    diagram = PhaseDiagram([reference.entries[row] for row in rows.tolist()])
    products, energy = diagram.get_decomp_and_e_above_hull(candidate, allow_negative=True)
    assert products is not None
    return {entry.name: amount for entry, amount in products.items()}, float(energy)


def judged(reference: Reference, candidates: list[PDEntry]) -> list[dict]:
    atoms = [of_composition(candidate.composition) for candidate in candidates]
    return Hulls(reference).verdicts(atoms, [candidate.energy_per_atom for candidate in candidates])


def test_agrees_with_pymatgen_up_to_eight_elements():
    rng = np.random.default_rng(0)
    reference = Reference("made up", [*elemental(), *made_up(60, rng)], TYPE)
    candidates = [*made_up(20, rng), PDEntry(Composition("Li2O1"), -13.0)]
    for candidate, verdict in zip(candidates, judged(reference, candidates), strict=True):
        products, energy = by_pymatgen(reference, candidate)
        assert verdict["decomposition_energy"] == pytest.approx(energy, abs=1e-6)
        assert {each["entry_id"]: each["amount"] for each in verdict["products"]} == pytest.approx(products, abs=1e-6)


def test_one_at_a_time_and_all_together_are_the_same(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(1)
    reference = Reference("made up", [*elemental(), *made_up(300, rng)], TYPE)
    candidates = made_up(40, rng)
    hulls = Hulls(reference)
    alone = [hulls.judge(candidate.composition, candidate.energy_per_atom) for candidate in candidates]
    together = judged(reference, candidates[::-1])[::-1]
    assert [each["decomposition"] for each in alone] == [each["decomposition"] for each in together]
    monkeypatch.setattr("unimat.materials.stability.references.compounds._MOST_SUBSETS", 1)  # a look at every phase
    energies = [each["decomposition_energy"] for each in judged(reference, candidates)]
    assert energies == pytest.approx([each["decomposition_energy"] for each in alone], abs=1e-12)


def test_highs_takes_over_where_steps_run_out(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(2)
    reference = Reference("made up", [*elemental(), *made_up(100, rng)], TYPE)
    candidates = made_up(20, rng)
    expected = [each["decomposition_energy"] for each in judged(reference, candidates)]
    monkeypatch.setattr(hull_programs, "_MOST_STEPS", 1)
    assert [each["decomposition_energy"] for each in judged(reference, candidates)] == pytest.approx(expected, abs=1e-9)


def test_many_equal_phases_do_not_lead_in_circles():
    """Phases of one composition and energy, and candidates on their tie lines: as degenerate as it gets."""
    same = [PDEntry(Composition("Li2O"), -15.0, f"twin-{index}") for index in range(30)]
    reference = Reference("twins", [*elemental(["Li", "O", "Fe"]), *same], TYPE)
    candidates = [PDEntry(Composition(formula), -10.0) for formula in ("Li2O", "Li4O2", "Li3O", "LiO", "Li2OFe")]
    for candidate, verdict in zip(candidates, judged(reference, candidates), strict=True):
        assert verdict["decomposition_energy"] == pytest.approx(by_pymatgen(reference, candidate)[1], abs=1e-9)
        assert sum(each["amount"] for each in verdict["products"]) == pytest.approx(1.0)


def test_products_are_named_with_their_share_of_the_atoms():
    reference = Reference("made up", [*elemental(["Li", "O"]), PDEntry(Composition("Li2O"), -15.0, "oxide")], TYPE)
    verdict = Hulls(reference).judge(Composition("Li3O"), -4.0)
    e_form = -5.0 - (2 * -4.0 - 4.1) / 3
    assert verdict["products"] == [
        {"entry_id": "Li", "formula": "Li", "amount": pytest.approx(1 / 4), "e_form_per_atom": 0.0},
        {"entry_id": "oxide", "formula": "Li2O", "amount": pytest.approx(3 / 4),
         "e_form_per_atom": pytest.approx(e_form)},
    ]  # fmt: skip
    assert verdict["decomposition"] == "0.25 Li (Li) + 0.75 Li2O (oxide)"


def test_a_phase_of_an_element_without_elemental_phase_takes_no_part():
    """XeF2 without solid xenon: fluorides are judged as if it were not there."""
    entries = [*elemental(["Li"]), PDEntry(Composition("F"), -1.9, "F"), PDEntry(Composition("XeF2"), -30.0, "xenon")]
    hulls = Hulls(Reference("no xenon", entries, TYPE))
    assert hulls.missing([3, 9, 54]) == ["Xe"]
    assert hulls.judge(Composition("LiF"), -5.0)["products"][0]["entry_id"] == "F"


def test_lowest_phase_of_a_composition():
    entries = [
        *elemental(["Li", "O"]),
        PDEntry(Composition("Li4O2"), -26.0, "high"),
        PDEntry(Composition("Li2O"), -15.0),
    ]
    hulls = Hulls(Reference("made up", entries, TYPE))
    assert hulls.phase_at("Li2O") == ("Li2O", pytest.approx(-5.0 + (8.0 + 4.1) / 3))
    assert hulls.phase_at("LiO") is None
    assert hulls.phase_at("LiF") is None


@pytest.mark.published
def test_two_thousand_real_phases_left_out_agree_with_pymatgen(published_data: Path):
    """Phases of the Materials Project judged without themselves: ground states have E_d < 0; up to six elements."""
    path = str(published_data / "hull/mp_materials_summary.csv")
    columns = ColumnSettings("MaterialId", "Composition", "Corrected Energy", "eV")
    said = {"functional": "PBE", "calculator": "VASP", "corrections": "none"}
    whole = build(ReferenceSettings(kind="table", path=path, columns=columns, **said), {})
    rng = np.random.default_rng(0)
    sizes = np.array([len(each) for each in whole.entries.table["elements"].to_pylist()])
    chosen = np.zeros(len(sizes), bool)
    chosen[rng.permutation(np.flatnonzero(sizes > 1))[:2000]] = True
    chosen |= sizes > 5
    rest = whole.replaced(whole.entries.table.filter(pa.array(~chosen)))
    hulls = Hulls(rest)
    candidates = [whole.entries[row] for row in np.flatnonzero(chosen).tolist()]
    candidates = [each for each in candidates if not hulls.missing(e.Z for e in each.composition.elements)]
    verdicts = judged(rest, candidates)
    assert len(candidates) >= 2000
    assert sum(len(each.composition) > 5 for each in candidates) > 50
    assert sum(each["decomposition_energy"] < 0 for each in verdicts) > 1000
    for candidate, verdict in zip(candidates, verdicts, strict=True):
        assert verdict["decomposition_energy"] == pytest.approx(by_pymatgen(rest, candidate)[1], abs=1e-6)
