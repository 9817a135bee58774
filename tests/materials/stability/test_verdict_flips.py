"""Several references at once: what flips, why, and that the causes add up; one bad crystal costs one row."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition, Element

from unimat import crystal_table
from unimat.cli import main
from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.errors import UserError
from unimat.materials.stability import hull
from unimat.materials.stability import summary as stability_summary
from unimat.materials.stability.references import reference
from unimat.materials.stability.settings import HullSettings
from unimat.materials.stability.verdict_flips import flip_counts, verdict_flips

CHGNET = {"calculator": "CHGNet", "functional": "PBE", "corrections": "MP2020, learned", "quantity": "total energy"}
ELEMENTS = [("C", -9.0), ("Si", -5.0)]


def phases(name: str, *rows: tuple[str, float], energy_type: dict[str, str] | None = None) -> reference.Reference:
    entries = [
        PDEntry(Composition(formula), energy * Composition(formula).num_atoms, name=f"{name}-{formula}")
        for formula, energy in rows
    ]
    return reference.Reference(name, entries, energy_type or CHGNET)


def relaxed(*rows: tuple[str, float | None], ids: list[str] | None = None) -> CrystalTable:
    crystals = []
    for index, (formula, energy) in enumerate(rows):
        numbers = [Element(symbol).Z for symbol, n in Composition(formula).items() for _ in range(int(n))]
        coords = np.random.default_rng(index).random((len(numbers), 3))
        properties = {"energy_per_atom": energy, "converged": energy is not None}
        material_id = ids[index] if ids else f"c-{index}"
        crystals.append(Crystal(material_id, np.eye(3) * 9, np.array(numbers), coords, properties))
    return from_crystals(crystals, energy_type=CHGNET, unique=False)


def judged(table: CrystalTable, *references: reference.Reference) -> tuple[dict, pd.DataFrame]:
    hulls = hull.hulls_of(references)
    frames = hull.stability_tables(table, hulls, HullSettings())
    return frames, verdict_flips(frames, hulls)


def test_a_phase_that_one_reference_lacks_is_named():
    """SiC at -7.5 lies 0.5 eV/atom below the elements; a crystal at -7.1 is stable only where nobody knows SiC."""
    table = relaxed(("SiC", -7.1), ("SiC", -7.6), ("SiC", -6.0), ("SiC", None))
    frames, flips = judged(table, phases("large", *ELEMENTS, ("SiC", -7.5)), phases("small", *ELEMENTS))
    assert flips["material_id"].tolist() == ["c-0"]
    (flip,) = flips.to_dict("records")
    assert (flip["verdict_a"], flip["verdict_b"]) == ("unstable", "stable")
    assert flip["decomposition_energy_a"] == pytest.approx(0.4)
    assert flip["decomposition_energy_b"] == pytest.approx(-0.1)
    assert flip["by_elements"] == pytest.approx(0.0)
    assert flip["by_competing_phases"] == pytest.approx(-0.5)
    assert flip["why"] == "SiC (large-SiC) is in 'large' alone"
    (counts,) = flip_counts(flips, frames, generated=4)
    assert counts["stable_in_both"] == {"count": 1, "of": 4}
    assert counts["kinds"] == [{"verdict_a": "unstable", "verdict_b": "stable", "count": 1}]


def test_a_phase_that_is_higher_in_one_reference_is_named_with_the_difference():
    table = relaxed(("SiC", -7.45))
    _, flips = judged(table, phases("a", *ELEMENTS, ("SiC", -7.4)), phases("b", *ELEMENTS, ("SiC", -7.5)))
    assert flips["why"].tolist() == ["SiC (b-SiC) is 0.100 eV/atom lower in 'b' than a-SiC in 'a'"]


def test_other_elements_shift_the_formation_energy():
    """Carbon lies 0.1 eV/atom lower in b, so that half-carbon crystals form there with 0.05 eV/atom less to gain."""
    a = phases("a", *ELEMENTS)
    b = phases("b", ("C", -9.1), ("Si", -5.0))
    _, flips = judged(relaxed(("SiC", -7.03)), a, b)
    (flip,) = flips.to_dict("records")
    assert (flip["verdict_a"], flip["verdict_b"]) == ("stable", "metastable")
    assert flip["by_elements"] == pytest.approx(0.05)
    assert flip["by_competing_phases"] == pytest.approx(0.0)
    assert "0.050 eV/atom higher against 'b'" in flip["why"]


def test_a_crystal_that_one_reference_cannot_judge_is_a_flip_where_it_matters():
    table = relaxed(("GeC", -7.5), ("GeC", -1.0))
    _, flips = judged(table, phases("a", *ELEMENTS), phases("b", *ELEMENTS, ("Ge", -4.5)))
    assert flips["material_id"].tolist() == ["c-0"]
    assert flips["why"][0] == "not judged against 'a': the reference has no elemental phase of Ge"


def test_causes_add_up_for_three_made_up_references():
    rng = np.random.default_rng(0)
    references = [
        phases(
            name, ("C", -9 + shift), ("Si", -5.0), *[(f, -7.4 + rng.normal(0, 0.1)) for f in ("SiC", "Si2C", "SiC3")]
        )
        for name, shift in (("x", 0.0), ("y", 0.05), ("z", -0.1))
    ]
    table = relaxed(*[("Si3C2", -7.3 + 0.02 * step) for step in range(-10, 10)])
    _, flips = judged(table, *references)
    assert len(flips)
    assert set(zip(flips["reference_a"], flips["reference_b"], strict=True)) <= {("x", "y"), ("x", "z"), ("y", "z")}
    sums = flips["by_elements"] + flips["by_competing_phases"]
    differences = flips["decomposition_energy_b"] - flips["decomposition_energy_a"]
    assert np.abs(sums - differences).max() < 1e-12
    assert flips["why"].str.len().min() > 0


def test_bad_rows_are_named_and_counted_and_the_rest_is_judged(caplog: pytest.LogCaptureFixture):
    rows = [("SiC", -7.6), ("SiC", float("nan")), ("SiC", -7.6), ("GeC", -5.0), ("SiC", None), ("SiC", -7.4)]
    table = relaxed(*rows, ids=["one", "two", "one", "four", "five", "six"])
    known = phases("a", *ELEMENTS, ("SiC", -7.5))
    frame = hull.stability_table(table, known, HullSettings())
    assert frame["decomposition_energy"].notna().tolist() == [True, False, False, False, False, True]
    counts = stability_summary.summary(frame.assign(unique=True, novel=True), "s", table, known, HullSettings())
    assert (counts["n_judged"], counts["stable"]["of"]) == (2, 6)
    assert counts["not_judged"] == {
        "its energy is not a number": 1,
        "its id occurred before": 1,
        "the reference has no elemental phase of Ge": 1,
        "its relaxation did not converge": 1,
    }
    assert "its energy is not a number: two" in caplog.text
    assert "its id occurred before: one" in caplog.text


def test_a_reference_without_any_element_judges_nothing():
    frame = hull.stability_table(relaxed(("SiC", -7.6)), phases("none", ("SiC", -7.5)), HullSettings())
    assert frame["not_judged"].tolist() == ["the reference has no elemental phase of C, Si"]


def test_references_of_one_name_are_refused():
    with pytest.raises(UserError, match=r"two hull references are called 'a'"):
        hull.hulls_of([phases("a", *ELEMENTS), phases("a", *ELEMENTS)])


def test_any_reference_of_another_scale_is_refused_by_name():
    stranger = phases("r2scan", *ELEMENTS, energy_type={**CHGNET, "functional": "r2SCAN"})
    with pytest.raises(UserError, match=r"'r2scan' 'r2SCAN': they cannot share a hull"):
        judged(relaxed(("SiC", -7.6)), phases("a", *ELEMENTS), stranger)


@pytest.mark.parametrize("rows", [[], [("SiC", -7.1), ("SiC", -7.0), ("Si", -4.9)]])
def test_the_command_writes_all_of_it(tmp_path: Path, rows: list[tuple[str, float]]):
    references = [phases("large", *ELEMENTS, ("SiC", -7.5)), phases("small", *ELEMENTS)]
    for each in references:
        reference.write(each, tmp_path / f"{each.name}.parquet")
    crystal_table.write(relaxed(*rows).with_metadata(n_requested=5), tmp_path / "relaxed.parquet")
    flags = [f"--reference={tmp_path}/{name}.parquet" for name in ("large", "small")]
    assert main(["hull", f"--relaxed={tmp_path}/relaxed.parquet", *flags, "--set=s", f"--out={tmp_path}"]) == 0
    summary = json.loads((tmp_path / "stability.json").read_text(encoding="utf-8"))
    assert [each["reference"] for each in summary["references"]] == ["large", "small"]
    assert [each["stable"] for each in summary["references"]] == [
        {"count": n, "of": 5, "rate": n / 5} for n in (0, min(len(rows), 1))
    ]
    assert summary["novelty"]["matched"]["of"] == len(rows)
    frame = pd.read_parquet(tmp_path / "stability.parquet")
    assert len(frame) == len(rows)
    assert {"products", "not_judged", "unique", "novel", "known_id"} <= set(frame)
    assert len(pd.read_parquet(tmp_path / "stability_by_reference.parquet")) == 2 * len(rows)
    flips = pd.read_parquet(tmp_path / "verdict_flips.parquet")
    assert len(flips) == summary["verdict_flips"]["pairs"][0]["flips"]["count"] == (2 if rows else 0)
