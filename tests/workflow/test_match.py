"""Samples made for the compositions of other crystals, what finds them again, and the target reproduction."""

import json
import re

import pytest
from pymatgen.core import Composition

from tests.workflow.conftest import ROOT, Run
from tests.workflow.test_by_set import commands
from tests.workflow.test_configuration import complaint, demo
from tests.workflow.test_end_to_end import MINIATURE
from unimat import crystal_table
from unimat.materials.crystals.structures import to_structure

SETS = {
    "generated": {"from": "sample"},
    "test": {"from": "split", "split": "test", "take": 9},
    "predicted": {"from": "sample", "compositions_of": "test", "n": 20},
    "reference": {"from": "split", "split": "train", "lowest_per_composition": 3, "rank_by": "energy_per_atom"},
}
TOLD = {"conditions": ["composition"]}
REPRODUCTIONS = sorted(path.name for path in (ROOT / "config/reproduction").glob("*.yaml"))


@pytest.fixture
def matching(run: Run) -> Run:
    """The demo with a set that is made for the crystals of its set `test`."""
    match = {"sets": ["predicted"], "samples": [1, 20]}
    run.write_config(sets=SETS, model=TOLD, match=match, reproduction={"pictures": 3})
    return run


def test_formulas_of_one_set_are_sampled_for_another_and_matched_by_number(matching: Run):
    calls = commands(matching)
    formulas = "results/demo/compositions/predicted.csv"
    assert str(calls["compositions"][formulas]["crystals"]) == "results/demo/sets/test/crystals.parquet"
    settings = json.loads(calls["sample"]["results/demo/sets/predicted"]["settings"])
    assert (settings["compositions"], settings["n"]) == (formulas, 20)
    assert "compositions" not in json.loads(calls["sample"]["results/demo/sets/generated"]["settings"])
    match = calls["match"]["results/demo/sets/predicted/prediction.json"]
    assert match["truths"] == "results/demo/sets/test/crystals.parquet"
    assert (match["by"], match["samples"], match["name"]) == ("number", 20, "predicted")
    assert json.loads(match["settings"]) == {"samples": [1, 20], "seed": 0}


def test_the_samples_of_each_composition_are_those_of_the_section_where_the_set_names_none(matching: Run):
    matching.write_config(
        sets=SETS | {"predicted": {"from": "sample", "compositions_of": "test"}},
        model=TOLD,
        sample={"n": 7},
        match={"sets": ["predicted"]},
    )
    assert commands(matching)["match"]["results/demo/sets/predicted/prediction.json"]["samples"] == 7


def test_match_and_reproduction_are_targets(matching: Run):
    assert matching.plan("match").keys() == {
        "ingest", "encode", "train", "select_set", "compositions", "sample_set", "match_set", "match",
    }  # fmt: skip
    plan = matching.plan("reproduction")
    assert plan["sample_set"] == 2
    assert plan.keys() >= {"metrics_set", "match_set", "configuration", "reproduction"}
    assert not plan.keys() & {"relax_shard", "hull_set", "report"}
    reproduction = commands(matching, "reproduction")["reproduction"]["docs/reproduction"]
    command = "snakemake reproduction --cores all"
    assert json.loads(reproduction["settings"]) == {"command": command, "pictures": 3, "seed": 0}
    assert str(reproduction["config"]) == "results/demo/config.json"


def test_the_result_and_its_pictures_are_made_and_not_made_again(matching: Run):
    done = matching.snakemake("--cores", "2", "reproduction")
    assert done.returncode == 0, done.stdout
    names = {path.name for path in (matching.folder / "docs/reproduction").iterdir()}
    assert names == {"demo.json", "demo_crystals.svg", "demo_loss.svg"}
    assert matching.plan("reproduction") == {}


def test_a_model_that_was_put_there_is_not_trained_again(matching: Run):
    assert matching.snakemake("--cores", "2", "encode").returncode == 0
    for name in ("model.npz", "history.csv", "training.json"):
        path = matching.folder / "results/demo/model" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("trained elsewhere", encoding="utf-8")
    plan = matching.plan("reproduction")
    assert "train" not in plan
    assert plan["sample_set"] == 2


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_a_configuration_of_the_reproduction_follows_the_protocol(run: Run, name: str):
    config = run.write_config(f"reproduction/{name}")
    calls = commands(run, "reproduction", "--configfile", str(config))
    assert {"fetch", "ingest", "encode", "train", "sample", "metrics", "compositions", "match"} <= calls.keys()
    (dataset,) = re.findall(r"^(\w+)\.yaml$", name)
    (out,) = [out for out in calls["sample"] if out.endswith("/generated")]
    assert json.loads(calls["sample"][out]["settings"])["n"] == 10_000
    assert json.loads(next(iter(calls["metrics"].values()))["settings"])["cutoffs"] == dataset
    assert max(each["samples"] for each in calls["match"].values()) == 20
    split = json.loads(next(iter(calls["ingest"].values()))["settings"]).get("split")
    assert split == ({"keep_val": 500} if dataset == "mp_20" else None)


@pytest.mark.slow  # JAX, metrics and matching in earnest: a minute of a free core
def test_a_miniature_model_is_written_down_with_what_it_predicted(run: Run):
    miniature = {key: value for key, value in MINIATURE.items() if key not in ("relax", "compare", "sets")}
    sets = SETS | {"test": {"from": "split", "split": "test", "take": 3}}
    sets["predicted"] = sets["predicted"] | {"n": 2}
    run.write_config(
        **miniature | {"model": miniature["model"] | {"conditions": ["composition"]}},
        sets=sets,
        match={"sets": ["predicted"]},
    )
    done = run.snakemake("--cores", "2", "--show-failed-logs", "reproduction", stand_in=False)
    assert done.returncode == 0, done.stdout
    found = json.loads((run.folder / "docs/reproduction/miniature.json").read_text(encoding="utf-8"))
    assert found["generation"]["n_requested"] == found["generation"]["metrics"]["n_generated"] == 6
    assert found["generation"]["seconds"] > 0
    assert {n: each["all"]["match_rate"]["of"] for n, each in found["prediction"].items()} == {"1": 3, "2": 3}
    assert found["prediction"]["2"]["truths"]["take"] == 3
    assert [point["step"] for point in found["learning_curve"]] == [10, 15, 20, 30]  # validated at 15
    formulas = (run.folder / "results/miniature/compositions/predicted.csv").read_text(encoding="utf-8").splitlines()
    truths = crystal_table.read(run.folder / "results/miniature/sets/test/crystals.parquet")
    assert [line.split(",")[1] for line in formulas] == ["truth_id", *truths.material_ids]
    asked = crystal_table.read(run.folder / "results/miniature/sets/predicted/crystals.parquet")
    for name, formula in zip(asked.material_ids, asked.column("requested_composition"), strict=True):
        truth = truths[int(name.removeprefix("gen-")) // 2]
        assert Composition(formula) == to_structure(truth).composition


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"sets__more": {"from": "sample", "compositions_of": "tset"}},
            "sets.more.compositions_of names 'tset', which is not among sets from split, file or airss without "
            "compositions_of; did you mean 'test'?",
        ),
        (
            {"sets__more": {"from": "sample", "compositions_of": "generated"}},
            "sets.more.compositions_of names 'generated', which is not among sets from split, file or airss",
        ),
        (
            {"sets__more": {"from": "sample", "compositions_of": "test", "composition": "SiC"}},
            "sets.more has compositions_of and composition, which contradict each other; take one out",
        ),
        (
            {"match": {"sets": ["generated"]}},
            "match.sets names 'generated', which is not among sets with compositions_of",
        ),
        ({"match": {"samples": [0]}}, "match.samples.0 is 0; it must be at least 1"),
        (
            {"reproduction": {"set": "test"}},
            "reproduction.set names 'test', which is not among sampled sets of metrics",
        ),
        ({"reproduction": {"pictures": 13}}, "reproduction.pictures is 13 crystals; it must be at most 12"),
        ({"dataset__split": {"keep_val": 0}}, "dataset.split.keep_val is 0 crystals; it must be at least 1"),
    ],
)
def test_a_mistake_is_named_in_one_line(changes: dict[str, object], said: str):
    assert said in complaint(demo(**changes))
