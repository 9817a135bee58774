"""Sets with an engine, a hull and shards of their own, and sets chosen from judged ones."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import ROOT, Run, arguments_of
from tests.workflow.test_configuration import complaint, demo, read_configuration
from tests.workflow.test_plan import planned_commands

SETS = {
    "generated": {"from": "sample"},
    "reference": {"from": "split", "split": "train", "lowest_per_composition": 3, "rank_by": "energy_per_atom"},
    "best": {"from": "screen", "of": "generated", "take": 3, "within": 0.1},
}
BY_SET: dict[str, Any] = {
    "sets": SETS,
    "relax": {"sets": list(SETS), "by_set": {"best": {"engine": "vasp", "vasp": {"command": "srun vasp_std"}}}},
    "hull": {
        "sets": ["generated", "best"],
        "references": {"again": {"kind": "set", "set": "reference"}},
        "by_set": {"best": {"reference": {"kind": "entries", "path": "phases.json"}}},
    },
    "compare": None,
}


def screening(**changes: Any) -> dict[str, Any]:
    """A configuration with a screened set, for `complaint`."""
    values = demo(sets=SETS, relax__sets=list(SETS), hull__sets=["generated", "best"])
    del values["compare"]
    return demo_with(values, changes)


def demo_with(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = values
        for parent in parents:
            section[parent] = dict(section.get(parent, {}))
            section = section[parent]
        section[last] = value
    return values


def commands(run: Run, *arguments: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Arguments of every planned call, by command and by the file or folder that it writes."""
    done = run.snakemake("--dry-run", "--printshellcmds", *arguments)
    assert done.returncode == 0, done.stdout
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for command in planned_commands(done.stdout):
        arguments_ = arguments_of(command)
        if "out" in arguments_:
            found.setdefault(command[0], {})[str(arguments_["out"])] = arguments_
    return found


@pytest.fixture
def by_set(run: Run) -> Run:
    """A run whose set `best` has an engine and a hull of its own."""
    (run.folder / "phases.json").write_text("[]", encoding="utf-8")
    run.write_config(**BY_SET)
    return run


def test_a_set_is_relaxed_by_its_own_engine_one_crystal_a_shard_and_the_others_by_the_sections(by_set: Run):
    calls = commands(by_set)
    settings = {out: json.loads(each["settings"]) for out, each in calls["relax"].items()}
    best = {out: each for out, each in settings.items() if "/best/" in out}
    assert [Path(out).name for out in sorted(best)] == ["1-of-3.parquet", "2-of-3.parquet", "3-of-3.parquet"]
    assert {each["engine"] for each in best.values()} == {"vasp"}
    assert {each["vasp"]["command"] for each in best.values()} == {"srun vasp_std"}
    assert {each["fmax"] for each in settings.values()} == {0.05}  # of the section, for all
    others = {out: each["engine"] for out, each in settings.items() if "/best/" not in out}
    assert len(others) == 2 * 2
    assert set(others.values()) == {"chgnet"}
    gathered = calls["gather"]["results/demo/sets/best/relaxed.parquet"]["shards"]
    assert [path.name for path in gathered] == ["1-of-3.parquet", "2-of-3.parquet", "3-of-3.parquet"]


def test_a_set_is_judged_against_its_own_reference_and_the_others_against_the_sections(by_set: Run):
    calls = commands(by_set)
    judged = {name: calls["hull"][f"results/demo/sets/{name}"] for name in ("generated", "best")}
    assert [str(path) for path in judged["best"]["reference"]] == ["results/demo/hull/by_set/best/reference.parquet"]
    assert [str(path) for path in judged["generated"]["reference"]] == [
        "results/demo/hull/reference.parquet",
        "results/demo/hull/references/again/reference.parquet",
    ]
    own = calls["reference"]["results/demo/hull/by_set/best"]
    assert json.loads(own["settings"]) == {"reference": {"kind": "entries", "path": "phases.json"}}
    assert json.loads(judged["best"]["settings"])["reference"]["kind"] == "entries"
    assert "reference" not in {Path(out).name for out in calls["reference"]}  # no other folder than these three
    assert sorted(calls["reference"]) == [
        "results/demo/hull", "results/demo/hull/by_set/best", "results/demo/hull/references/again",
    ]  # fmt: skip


def test_further_references_of_a_set_have_a_place_of_their_own(by_set: Run):
    further = {"mine": {"kind": "table", "path": "phases.json", "functional": "PBE"}}
    own = {"reference": {"kind": "entries", "path": "phases.json"}, "references": further, "metastable": 0.1}
    by_set.write_config(**BY_SET | {"hull": BY_SET["hull"] | {"by_set": {"best": own}}})
    calls = commands(by_set)
    place = "results/demo/hull/by_set/best/references/mine"
    assert json.loads(calls["reference"][place]["settings"]) == {"reference": {"name": "mine"} | further["mine"]}
    judged = calls["hull"]["results/demo/sets/best"]
    assert str(judged["reference"][1]) == f"{place}/reference.parquet"
    assert json.loads(judged["settings"])["metastable"] == 0.1
    assert "metastable" not in json.loads(calls["hull"]["results/demo/sets/generated"]["settings"])


def test_another_threshold_alone_keeps_the_shared_references(by_set: Run):
    by_set.write_config(**BY_SET | {"hull": BY_SET["hull"] | {"by_set": {"best": {"metastable": 0.1}}}})
    calls = commands(by_set)
    assert len(calls["reference"]) == 2
    assert [str(path) for path in calls["hull"]["results/demo/sets/best"]["reference"]] == [
        "results/demo/hull/reference.parquet",
        "results/demo/hull/references/again/reference.parquet",
    ]


@pytest.mark.parametrize(("own", "profile", "expected"), [({}, "5", 5), ({"shards": 4}, "5", 4), ({}, None, 2)])
def test_shards_are_the_sets_own_or_the_profiles_or_the_sections(by_set: Run, own, profile, expected):
    by_set.write_config(**BY_SET | {"relax": BY_SET["relax"] | {"by_set": {"best": {"fmax": 0.01} | own}}})
    arguments = ["--set-scatter", f"relax={profile}"] if profile else []
    calls = commands(by_set, *arguments)["relax"]
    assert sum("/best/" in out for out in calls) == expected
    assert sum("/generated/" in out for out in calls) == int(profile or 2)


def test_a_screened_set_waits_for_the_verdicts_of_another_and_is_held_against_them(by_set: Run):
    calls = commands(by_set)
    screen = calls["screen"]["results/demo/sets/best"]
    assert str(screen["judged"]) == "results/demo/sets/generated"
    assert json.loads(screen["settings"]) == {"take": 3, "within": 0.1}
    assert json.loads(screen["relax"])["engine"] == "vasp"
    agreement = calls["agreement"]["results/demo/sets/best"]
    assert (str(agreement["a"]), str(agreement["b"])) == ("results/demo/sets/generated", "results/demo/sets/best")


@pytest.fixture
def finished_by_set(by_set: Run) -> Run:
    done = by_set.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    assert by_set.plan() == {}
    return by_set


def test_settings_of_one_set_are_no_reason_to_run_another_again(finished_by_set: Run):
    own = BY_SET["relax"]["by_set"]["best"]
    finished_by_set.write_config(
        **BY_SET | {"relax": BY_SET["relax"] | {"by_set": {"best": own | {"min_distance": 0.7}}}}
    )
    plan = finished_by_set.plan()
    assert plan == {
        "relax_crystal": 3, "gather": 1, "hull_set": 1, "agreement_set": 1, "configuration": 1, "report": 1, "all": 1,
    }  # fmt: skip
    finished_by_set.write_config(**BY_SET | {"relax": BY_SET["relax"] | {"fmax": 0.02}})
    plan = finished_by_set.plan()
    assert (plan["relax_shard"], plan["relax_crystal"]) == (4, 3)


def test_a_changed_choice_is_no_reason_to_relax_what_it_was_made_from(finished_by_set: Run):
    finished_by_set.write_config(**BY_SET | {"sets": SETS | {"best": SETS["best"] | {"within": 0.2}}})
    plan = finished_by_set.plan()
    assert (plan["screen_set"], plan["relax_crystal"]) == (1, 3)
    assert not {"reference", "relax_shard", "sample_set", "select_set", "train"} & plan.keys()


def test_without_by_set_the_files_are_those_of_ever(run: Run):
    run.write_config()
    done = run.snakemake("--dry-run", "--printshellcmds")
    assert "/by_set/" not in done.stdout
    assert not re.findall(r"^rule (\w*(?:_of_set|screen\w*|agreement\w*)):", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"relax__by_set": {"bets": {}}}, "relax.by_set names 'bets', which is not among relax.sets; did you"),
        ({"relax__by_set": {"best": {"fmx": 1}}}, "unknown key 'relax.by_set.best.fmx'; did you mean 'fmax'?"),
        ({"relax__by_set": {"best": {"fmax": -1}}}, "relax.by_set.best.fmax is -1 eV/Å; it must be greater than 0 "),
        ({"relax__by_set": {"best": {"sets": []}}}, "relax.by_set.best.sets: the whole section has it, not one set"),
        (
            {"relax__by_set": {"best": {"vasp": {"potcars": {"Li": "Li_sv_new"}}}}},
            "relax.by_set.best.vasp: potcars names newer potentials of some",
        ),
        ({"hull__by_set": {"reference": {}}}, "hull.by_set names 'reference', which is not among hull.sets"),
        ({"hull__by_set": {"best": {"by_set": {}}}}, "hull.by_set.best.by_set: the whole section has it"),
        (
            {"hull__by_set": {"best": {"reference": {"set": "references"}}}},
            "hull.by_set.best.reference.set names 'references', which is not among relax.sets; did you mean 'ref",
        ),
        (
            {"hull__by_set": {"best": {"references": {"two": {"set": "refs"}}}}},
            "hull.by_set.best.references.two.set names 'refs', which is not among relax.sets",
        ),
        (
            {"compare": {"pairs": [["generated", "best"]]}, "relax__by_set": {"best": {"engine": "vasp"}}},
            "compare.pairs: 'generated' is relaxed by chgnet and 'best' by vasp, whose energies are never compared",
        ),
        (
            {"compare": {"pairs": [["generated", "best"]]}, "hull__by_set": {"best": {"reference": {"set": "best"}}}},
            "compare.pairs: 'generated' and 'best' are judged against different references (hull.by_set)",
        ),
        ({"sets__best__of": "best"}, "sets.best.of names the set itself; name a judged set to choose from"),
        ({"sets__best__of": "generatd"}, "sets.best.of names 'generatd', which is not among hull.sets"),
        ({"sets__best__of": "reference"}, "sets.best.of names 'reference', which is not among hull.sets, so there is"),
        ({"sets__best": {"from": "screen"}}, "sets.best: 'of' is a required property"),
        ({"sets__best__take": 0}, "sets.best.take is 0 crystals; it must be at least 1 crystals"),
        ({"sets__best__budget": -5}, "sets.best.budget is -5 core-hours; it must be greater than 0 core-hours"),
        ({"sets__best__estimate": {"rat": 2}}, "unknown key 'sets.best.estimate.rat'; did you mean 'rate'?"),
        ({"sets__best__start": "final"}, "sets.best.start is 'final'; "),
        (
            {"hull__by_set": {"generated": {"reference": {"set": "best"}}}},
            "sets.best.of: the choice waits for itself (best waits for best); break the circle",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named_in_one_line(changes: dict[str, Any], said: str):
    words = complaint(screening(**changes))
    assert said in words
    assert "\n" not in words


def test_screening_in_a_circle_is_refused():
    sets = SETS | {"better": {"from": "screen", "of": "best"}, "best": {"from": "screen", "of": "better"}}
    words = complaint(screening(sets=sets, relax__sets=list(sets), hull__sets=["generated", "best", "better"]))
    assert "waits for itself" in words


@pytest.mark.parametrize(
    "example", re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/screening.md").read_text("utf-8"), re.DOTALL)
)
def test_examples_of_the_page_are_configurations(example: str):
    values = demo(**yaml.safe_load(example))
    del values["compare"]
    settings = read_configuration(values)
    assert settings["relax"].engine == "chgnet"
