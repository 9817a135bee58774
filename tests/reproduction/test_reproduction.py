"""The numbers written down of a run, its pictures, and the page made from them."""

import importlib.util
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from tests.reproduction.reproduction_run import N_GENERATED, N_TRUTHS, configuration, write_reproduced
from unimat.cli import main
from unimat.errors import UserError
from unimat.files import read_json, write_json
from unimat.report.published_figures import PEERS, PREDICTIONS, SIZES
from unimat.report.run_files import read_run
from unimat.report.sections.prediction import prediction
from unimat.report.stages import Job
from unimat.reproduction.differences import incomplete
from unimat.reproduction.pictures import crystals_picture, placed_like
from unimat.reproduction.result import learning_curve, result
from unimat.reproduction.settings import ReproductionSettings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_reproduced(tmp_path_factory.mktemp("results") / "small")


@pytest.fixture(scope="module")
def run(run_dir):
    return read_run(run_dir)


@pytest.fixture(scope="module")
def found(run):
    jobs = [Job("train", "", 61.25, 1.0, 1.0), Job("sample", "generated", 7.06, 1.0, 1.0)]
    return result(run, ReproductionSettings(notes=("Trained twice.",)), configuration(), jobs)


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reproduction_page", DOCS / "reproduction_page.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["reproduction_page"] = module
    spec.loader.exec_module(module)
    return module


def rows_of(text: str, first: str) -> list[list[str]]:
    """Cells of the table rows whose first cell begins so."""
    cells = [
        [cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in text.splitlines() if line[:1] == "|"
    ]
    return [row for row in cells if row[0].startswith(first)]


def test_numbers_are_those_of_the_stages_with_their_denominators(found, run):
    assert (found["run"], found["dataset"], found["network"]) == ("small", "perov_5", "unet")
    assert found["generation"]["n_requested"] == N_GENERATED
    assert found["generation"]["n_rejected"] == 1
    assert found["generation"]["seconds"] == 7.1
    assert found["generation"]["metrics"] == run.sets["generated"].metrics
    assert found["seconds"] == {"train": 61.2, "sample generated": 7.1}
    assert (found["training"]["n_train"], found["training"]["n_parameters"]) == (120, 412345)
    assert len(json.dumps(found)) < 200_000


def test_training_takes_the_time_of_its_rows_and_that_of_the_one_that_compiled_alike(found):
    # 1,500 steps at 10 and 1,490 at 5 steps/s are 448 s for 2,990 steps; the first ten have no rate.
    assert found["training"]["seconds"] == pytest.approx(448 * 3000 / 2990, abs=0.05)


def test_prediction_is_told_for_one_and_for_all_samples(found):
    one, two = found["prediction"]["1"], found["prediction"]["2"]
    assert (one["all"]["match_rate"]["count"], one["all"]["match_rate"]["of"]) == (N_TRUTHS, N_TRUTHS)
    assert one["truths"] == {"split": "test", "take": N_TRUTHS, "of": 40}
    assert one["valid"]["match_rate"]["of"] == N_TRUTHS  # pairs of valid crystals, not the rate of valid ones
    assert one["metre"] is None
    assert two["metre"]["match_rate"]["of"] == N_TRUTHS


def test_what_is_less_than_the_protocol_is_named(found):
    assert found["incomplete"] == [
        "train has 120 of 150 published crystals",
        "12 crystals generated: fewer than 1,000, too few for coverage and distributions",
        "prediction with 1 sample for the compositions of 6 of 40 test crystals",
        "prediction with 2 samples for the compositions of 6 of 40 test crystals",
    ]
    assert found["notes"][0] == "Partial: train has 120 of 150 published crystals."
    assert found["notes"][4].startswith("2 of 40 test crystals look like one of the training split")
    assert found["notes"][-1] == "Trained twice."


@pytest.mark.parametrize(("n", "said"), [(999, ["fewer than 1,000"]), (1000, ["not 10,000"]), (10_000, [])])
def test_few_crystals_are_warned_of(found, n, said):
    some = {**found, "data": {}, "prediction": None, "generation": {**found["generation"], "n_requested": n}}
    words = incomplete(some)
    assert len(words) == len(said)
    assert all(part in whole for part, whole in zip(said, words, strict=True))


def test_other_splits_are_no_test_split(run, found):
    values = configuration() | {"metrics": {"reference_split": "val"}}
    values["sets"]["test"] = {"from": "file", "path": "mine.cif"}
    told = result(run, ReproductionSettings(), values)["incomplete"]
    assert "judged against the val split, not the test split" in told
    assert "prediction with 1 sample for the compositions of 6 other crystals" in told
    assert result(run, ReproductionSettings())["prediction"]["1"]["truths"]["of"] == 40  # no configuration: the test


def test_a_long_history_becomes_a_short_curve_of_means():
    history = pd.DataFrame({"step": np.arange(1, 1001), "loss": np.arange(1, 1001.0)})
    history["val_loss"] = np.where(history["step"] == 10, 0.5, np.nan)
    curve = learning_curve(history, points=100)
    assert len(curve) == 100
    assert curve[0] == {"step": 10, "loss": 5.5, "val_loss": 0.5}
    assert curve[-1] == {"step": 1000, "loss": 995.5, "val_loss": None}
    assert learning_curve(history[:0]) == []


def test_a_run_without_metrics_or_training_is_told(run_dir, tmp_path):
    with pytest.raises(UserError, match=r"sets/predicted/metrics\.json; `unimat metrics` makes it"):
        result(read_run(run_dir), ReproductionSettings(set="predicted"))
    write_json(tmp_path / "bare/dataset/card.json", {"name": "x"})
    with pytest.raises(UserError, match=r"no model/training\.json; `unimat train` makes it"):
        result(read_run(tmp_path / "bare"), ReproductionSettings())


def test_samples_are_drawn_below_the_crystals_that_they_should_be(run):
    text = crystals_picture(run, run.sets["generated"], n=5, seed=0)
    root = ElementTree.fromstring(text)
    pictures = [each for each in root if each.get("role") == "img"]
    assert len(pictures) == 2 * 5
    words = "".join(root.itertext())
    assert words.count("matched, RMSE 0.000") + words.count("no match") == 5
    assert crystals_picture(run, run.sets["generated"], n=5, seed=0) == text
    assert len(text) < 400_000


def test_without_a_prediction_samples_stand_below_test_crystals_of_their_composition(run_dir):
    run = read_run(run_dir)
    run.sets.pop("predicted")
    text = crystals_picture(run, run.sets["generated"], n=3, seed=1)
    assert text.count("below one of its composition") == 3
    assert "There is no sample to draw" in crystals_picture(run, run.sets["generated"], n=0, seed=1)


def test_the_command_writes_the_numbers_and_both_pictures(run_dir, tmp_path, caplog):
    write_json(tmp_path / "config.json", configuration())
    flags = ["--settings", '{"pictures": 2}', "--config", str(tmp_path / "config.json"), "--out", str(tmp_path / "out")]
    assert main(["reproduction", "--run-dir", str(run_dir), *flags]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "small.json", "small_crystals.svg", "small_loss.svg",
    ]  # fmt: skip
    assert read_json(tmp_path / "out/small.json")["prediction"]["1"]["truths"]["take"] == N_TRUTHS
    ElementTree.parse(tmp_path / "out/small_loss.svg")
    assert "small is a partial reproduction: 12 crystals generated" in caplog.text


def test_published_values_are_those_printed():
    # Copied from Table 1 and 4 of arXiv:2309.04475 and Figure 4 of arXiv:2311.09235.
    assert (PEERS["mp_20"]["DiffCSP"].composition_valid, PEERS["mp_20"]["DiffCSP"].density) == (0.8325, 0.3502)
    assert SIZES["mp_20"]["UniMat, 64 channels"].structure_valid == 0.957
    found = {(each.model, each.samples): (each.match_rate, each.rmse) for each in PREDICTIONS["perov_5"]}
    assert found["DiffCSP", 1] == (0.5202, 0.0760)
    assert found["CDVAE", 20] == (0.8851, 0.0464)


def test_a_page_without_runs_has_the_published_values(page, tmp_path):
    text = page.reproduction(tmp_path)
    assert "No run has been written down yet" in text
    assert rows_of(text, "DiffCSP")[0][1:5] == ["100 %", "83.25 %", "99.71 %", "99.76 %"]
    assert rows_of(text, "Crystalite")[0][1:5] == ["1", "published", "66.05 %", "0.0329"]
    assert text.count("### Table 1") == 3


def test_a_page_has_each_run_beside_them_in_both_modes(page, tmp_path, found, run):
    write_json(tmp_path / "small.json", found)
    write_json(tmp_path / "other.json", {**found, "run": "other", "dataset": "mine", "prediction": None})
    text = page.reproduction(tmp_path)
    modes = {mode: rows_of(text, f"*[small](reproduction/small.json)*, `{mode}`") for mode in ("cdvae", "strict")}
    metrics = run.sets["generated"].metrics
    for mode, rows in modes.items():
        valid = metrics[mode]["rates"]["structure_valid"]
        assert rows[0][1].startswith(f"{valid['count']} of {N_GENERATED} (")
        recall = metrics[mode]["coverage"]["cov_recall"]
        assert rows[0][3].startswith(f"{recall['count']} of 40 (")
    matched = [row for row in rows_of(text, "*[small](") if row[1:3] == ["1", "all"]]
    assert matched[0][3] == "6 of 6 (100 %)"
    assert "- Partial: train has 120 of 150 published crystals." in text
    assert "- Trained twice." in text
    assert "wall clock: train 1 min 01 s, sample generated 7.1 s." in text
    assert "(reproduction/small_loss.svg)" in text
    assert "\n## mine\n" in text
    assert "Ablation" not in text


def test_runs_of_an_ablation_are_told_apart_by_the_settings_that_differ(page, tmp_path, found):
    for name, form in (("a", "raw"), ("b", "circle")):
        settings = {"model": {"channels": 8, "coordinate_form": form}}
        training = {**found["training"], "settings": settings}
        write_json(tmp_path / f"{name}.json", {**found, "run": name, "ablation": f"{form} form", "training": training})
    text = page.reproduction(tmp_path)
    rows = rows_of(text[text.index("## Ablation") :], "*[")
    assert [row[1:3] for row in rows] == [
        ["raw form", '`model.coordinate_form: "raw"`'],
        ["circle form", '`model.coordinate_form: "circle"`'],
    ]
    assert rows[0][-2] == "6 of 6 (100 %)"
    assert "### a\n" not in text


def test_the_report_of_a_run_tells_what_was_found(run):
    (section,) = prediction(run)
    (table,) = section.blocks
    rows = {(row[1], row[2]): row[3] for row in table.rows}
    assert rows["1", "every pair"].startswith("6 of 6 (100 %)")
    assert ("2", "METRe: any of the composition") in rows
    assert "stol 0.5" in table.caption
    run.sets.pop("predicted")
    assert prediction(run) == []


def test_a_sample_is_drawn_as_its_crystal_lies():
    truth = Structure(np.eye(3) * 4, ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    moved = Structure(np.eye(3) * 4.1, ["Cl", "Cs"], [[0.1, 0.2, 0.3], [0.6, 0.7, 0.8]])
    found = placed_like(truth, moved)
    offsets = [site.frac_coords for site in sorted(found, key=lambda site: site.species_string)]
    difference = np.subtract(offsets, [[0.5, 0.5, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(difference - np.round(difference), 0, atol=1e-6)
    assert found.volume == pytest.approx(moved.volume)
    other = Structure(np.eye(3) * 9, ["Cl", "Cs", "Cs"], [[0.1, 0.2, 0.3], [0.1, 0.2, 0.5], [0.7, 0.7, 0.7]])
    caesium = placed_like(truth, other).frac_coords[1]
    np.testing.assert_allclose(caesium - np.round(caesium), 0, atol=1e-6)
    assert placed_like(truth, other).get_distance(0, 1) == pytest.approx(other.get_distance(0, 1))
