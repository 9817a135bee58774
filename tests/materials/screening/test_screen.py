"""Choice of the best of a judged set: limits, denominators, and a budget, each against a choice made by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.materials.stability.judged_set import judged_set
from unimat import cli, crystal_table
from unimat.errors import UserError
from unimat.materials.screening.screen import Choice, affordable, read_judged, screened
from unimat.materials.screening.settings import ScreenSettings
from unimat.settings import load_settings

ROWS = [
    ("a", "SiC", 4.4, 0.30),
    ("b", "SiC", 4.36, -0.02),
    ("c", "Si", 5.43, 0.00),
    ("d", "SiC", 4.361, 0.01),  # the same as b
    ("e", "C", 3.57, None),
    ("f", "C", 3.6, 0.08),
    ("g", "SiC", 5.0, 0.05),
]


def ten_hours_each(table: crystal_table.CrystalTable) -> tuple[pd.DataFrame, dict[str, Any]]:
    frame = pd.DataFrame({"material_id": pd.Series(table.material_ids, dtype=object), "core_hours": 10.0})
    return frame.assign(formula="X", n_atoms=2, problem=None), {"total": 10.0 * len(table)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return judged_set(tmp_path / "generated", ROWS, generated=9)


def chosen(folder: Path, **options: Any) -> Choice:
    settings = load_settings(ScreenSettings, options)
    return screened(read_judged(folder, settings), settings, ten_hours_each)


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, "bcdgfa"),
        ({"within": 0.05}, "bcdg"),
        ({"per_composition": 1}, "bcf"),
        ({"per_composition": 2, "within": 0.05}, "bcd"),
        ({"take": 2}, "bc"),
        ({"take": 100}, "bcdgfa"),
        ({"unique": True}, "bcf"),  # all SiC here are zinc-blende, which StructureMatcher scales to one volume
        ({"budget": 30.0}, "bcd"),
        ({"budget": 39.9}, "bcd"),
        ({"within": 0.0}, "bc"),
    ],
)
def test_the_lowest_that_pass_every_limit_come_best_first(folder: Path, options: dict[str, Any], ids: str):
    choice = chosen(folder, **options)
    assert "".join(choice.crystals.material_ids) == ids
    assert choice.crystals.metadata["n_requested"] == len(ids)
    energies = {material_id: energy for material_id, _, _, energy in ROWS}
    assert choice.crystals.column("screened_decomposition_energy").tolist() == [energies[each] for each in ids]


def test_every_crystal_that_was_asked_for_is_chosen_or_left_out_for_one_reason(folder: Path):
    summary = chosen(folder, within=0.1, unique=True, budget=25.0).summary
    assert summary["chosen"] == {"count": 2, "of": 9}
    assert summary["candidates"] == {"count": 3, "of": 9}
    left_out = {each["reason"]: each["count"] for each in summary["left_out"]}
    assert left_out == {
        "a lower one is the same crystal": 2,
        "its relaxation did not converge": 1,
        "more than 0.1 eV/atom above the hull": 1,
        "beyond the budget": 1,
        "it never became a crystal": 2,
    }
    assert sum(left_out.values()) + 2 == 9
    assert summary["stable"] == {"count": 1, "of": 1}
    assert summary["metastable"] == {"count": 1, "of": 2}
    assert summary["budget"] == {"core_hours": 25.0, "cut": {"count": 1, "of": 3}, "core_hours_of_cut": 10.0}
    assert summary["core_hours"]["total"] == 20.0


def test_ties_go_by_id_whatever_the_order_of_rows(tmp_path: Path):
    rows = [(name, "Si", 5.4, 0.0) for name in "cab"]
    assert chosen(judged_set(tmp_path / "x", rows), take=2).crystals.material_ids == ["a", "b"]


def test_structures_are_the_relaxed_ones_or_the_initial_ones(folder: Path):
    initial = crystal_table.read(folder / "crystals.parquet")
    relaxed = crystal_table.read(folder / "relaxed.parquet")
    moved = crystal_table.from_crystals(
        [crystal.__class__(crystal.material_id, crystal.lattice * 1.1, crystal.atomic_numbers, crystal.frac_coords, {})
         for crystal in relaxed], **relaxed.metadata,
    )  # fmt: skip
    crystal_table.write(moved, folder / "relaxed.parquet")
    for start, expected in (("relaxed", moved), ("initial", initial)):
        choice = chosen(folder, take=1, start=start)
        np.testing.assert_allclose(choice.crystals.lattices[0], expected.lattices[1])


def test_nothing_to_choose_is_an_empty_set(tmp_path: Path):
    choice = chosen(judged_set(tmp_path / "x", [("a", "Si", 5.4, 0.5), ("b", "Si", 5.4, None)]), within=0.1, budget=1)
    assert len(choice.crystals) == 0
    assert choice.summary["chosen"] == {"count": 0, "of": 2}
    assert choice.crystals.metadata["n_requested"] == 0


def test_crystals_without_an_estimate_are_left_out_only_where_there_is_a_budget(folder: Path):
    def of_the_first_unknown(table):
        frame, total = ten_hours_each(table)
        return frame.assign(core_hours=np.where(np.arange(len(frame)) == 0, np.nan, 10.0)), total

    settings = ScreenSettings(budget=20.0)
    choice = screened(read_judged(folder, settings), settings, of_the_first_unknown)
    assert choice.crystals.material_ids == ["c", "d"]
    assert {"reason": "no estimate to hold against the budget", "count": 1, "of": 9} in choice.summary["left_out"]
    assert len(screened(read_judged(folder, settings), ScreenSettings(), of_the_first_unknown).crystals) == 6


def test_a_budget_that_pays_for_no_crystal_is_refused_by_name():
    frame = pd.DataFrame({"material_id": ["g7"], "formula": ["SiC"], "n_atoms": [8], "core_hours": [12.0]})
    with pytest.raises(
        UserError, match=r"budget of 5 core-hours does not pay for one crystal: the best, g7 \(SiC, 8 at"
    ):
        affordable(frame, 5.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"take": 0}, "take must be at least 1, found 0"),
        ({"per_composition": -1}, "per_composition must be at least 1, found -1"),
        ({"within": -0.1}, "within must be at least 0, found -0.1; stable crystals lie below 0 anyway"),
        ({"budget": 0}, "budget must be above 0, found 0"),
        ({"estimate": {"rate": -1}}, "rate must be above 0, found -1"),
        ({"start": "final"}, "'final' is not one of 'relaxed', 'initial'"),
    ],
)
def test_settings_without_sense_are_refused(options: dict[str, Any], said: str):
    with pytest.raises(UserError, match=said):
        load_settings(ScreenSettings, options, "screen")


def test_a_set_that_is_not_judged_is_refused_by_name(folder: Path):
    (folder / "stability.parquet").unlink()
    with pytest.raises(
        UserError, match=r"generated is not judged, stability.parquet is missing; put the set among hull"
    ):
        chosen(folder)
    with pytest.raises(UserError, match="elsewhere does not exist"):
        chosen(folder.with_name("elsewhere"))


def test_tables_of_different_crystals_are_refused(folder: Path, tmp_path: Path):
    other = judged_set(tmp_path / "other", ROWS[:3])
    (other / "stability.parquet").replace(folder / "stability.parquet")
    with pytest.raises(UserError, match="its tables are not of the same crystals"):
        chosen(folder)


def test_the_command_writes_a_set_with_its_estimate(folder: Path, tmp_path: Path):
    out = tmp_path / "best"
    options = json.dumps({"per_composition": 1, "estimate": {"rate": 2.0}})
    words = [
        "screen",
        "--judged",
        str(folder),
        "--settings",
        options,
        "--relax",
        '{"engine": "vasp"}',
        "--out",
        str(out),
    ]
    assert cli.main(words) == 0
    table = crystal_table.read(out / "crystals.parquet")
    assert table.material_ids == ["b", "c", "f"]
    assert crystal_table.read_rejected(out / "rejected.parquet") == []
    summary = json.loads((out / "screen.json").read_text(encoding="utf-8"))
    assert (summary["set"], summary["of"]) == ("best", "generated")
    assert summary["core_hours"]["engine"] == "vasp"
    estimate = pd.read_csv(out / "core_hours.csv")
    assert estimate["n_electrons"].tolist() == [8, 8, 8]
    assert estimate["chosen"].all()
    assert estimate["core_hours"].sum() == pytest.approx(summary["core_hours"]["total"])
    assert summary["core_hours"]["rate"] == 2.0


def test_the_command_refuses_a_small_budget_in_one_line(folder: Path, tmp_path: Path, capsys):
    words = ["screen", "--judged", str(folder), "--settings", '{"budget": 1e-6}', "--relax", '{"engine": "vasp"}']
    assert cli.main([*words, "--out", str(tmp_path / "best")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(
        "unimat screen: error: the budget of 1e-06 core-hours does not pay for one crystal: the best, b"
    )
    assert not (tmp_path / "best").exists()
