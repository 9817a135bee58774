"""What each configuration plans, and that the commands it plans are ones that `unimat` takes."""

import json
import re
import shlex

import pytest

from tests.workflow.conftest import ROOT, Run, arguments_of

CONFIGS = sorted(path.name for path in (ROOT / "config").glob("*.yaml"))
CHAIN = {"ingest", "encode", "train", "sample_set", "metrics_set", "relax_shard", "gather", "hull_set", "report"}

# A model that ships is not trained; three sources of one formula have no distributions to compare.
SHORTER = {"search.yaml": {"encode", "train"}, "predict.yaml": {"encode", "train", "metrics_set"}}


def planned_commands(output: str) -> list[list[str]]:
    """Words of every `unimat` call that a dry run prints, without the redirection into the log."""
    blocks = re.findall(r"^\s+unimat ((?:.*\\\n)*.*)$", output, re.MULTILINE)
    return [shlex.split(block.replace("\\\n", " ").split(" >logs/")[0]) for block in blocks]


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "silicon_carbon.yaml"])
def test_a_configuration_plans_the_whole_chain_with_commands_that_exist(run: Run, name: str):
    config = run.write_config(name)
    done = run.snakemake("--dry-run", "--printshellcmds", "--configfile", str(config))
    assert done.returncode == 0, done.stdout
    commands = planned_commands(done.stdout)
    assert set(re.findall(r"^rule (\w+):", done.stdout, re.MULTILINE)) >= CHAIN - SHORTER.get(name, set())
    assert len(commands) == sum(map(int, re.findall(r"^\w+ +(\d+)$", done.stdout.split("total")[0], re.MULTILINE))) - 2
    for command in commands:
        arguments = arguments_of(command)  # exits on a flag that the command does not know
        for flag in ("settings", "model_settings"):
            assert isinstance(json.loads(arguments.get(flag) or "{}"), dict)


def test_further_references_are_built_by_name_and_judged_against_after_the_first(run: Run):
    (run.folder / "phases.json").write_text("[]", encoding="utf-8")
    references = {"again": {"kind": "set", "set": "test"}, "mine": {"kind": "entries", "path": "phases.json"}}
    run.write_config(hull={"references": references, "known": ["old.parquet"]})
    (run.folder / "old.parquet").write_text("PAR1", encoding="utf-8")
    done = run.snakemake("--dry-run", "--printshellcmds")
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"^rule further_reference:", done.stdout, re.MULTILINE)) == 2
    commands = [arguments_of(command) for command in planned_commands(done.stdout)]
    built = {
        str(each["out"]): each for each in commands if "relaxed" in each and "processes" in each and "set" not in each
    }
    again = built["results/demo/hull/references/again"]
    assert again["relaxed"] == ["test=results/demo/sets/test/relaxed.parquet"]
    assert json.loads(again["settings"]) == {"reference": {"name": "again", **references["again"]}}
    judged = next(each for each in commands if "known" in each and "reference" in each and "relaxed" in each)
    assert [str(path) for path in judged["reference"]] == [
        "results/demo/hull/reference.parquet",
        "results/demo/hull/references/again/reference.parquet",
        "results/demo/hull/references/mine/reference.parquet",
    ]
    assert [str(path) for path in judged["known"]] == ["results/demo/dataset/train.parquet", "old.parquet"]


def test_a_configfile_replaces_the_demo_instead_of_mixing_with_it(run: Run):
    run.write_config()
    other = run.folder / "other.yaml"
    other.write_text("run: other\ndataset: {name: silicon_carbon}\nencode: {slots: 4}\n", encoding="utf-8")
    done = run.snakemake("encode", "--dry-run", "--printshellcmds", "--configfile", str(other))
    assert """--settings '{"slots": 4}'""" in done.stdout
    assert "results/demo" not in done.stdout


def test_config_on_the_command_line_changes_the_demo(run: Run):
    run.write_config()
    done = run.snakemake("--dry-run", "--printshellcmds", "encode", "--config", "run=mine")
    assert "--out results/mine/encoded" in done.stdout
    assert '"elements": ["C", "Si"]' in done.stdout


@pytest.mark.parametrize(
    ("target", "last", "absent"),
    [
        ("dataset", "ingest", "encode"),
        ("sample", "sample_set", "select_set"),
        ("relax", "gather", "reference"),
        ("compare", "compare_pair", "report"),
    ],
)
def test_a_stage_is_a_target_and_plans_up_to_there(run: Run, target: str, last: str, absent: str):
    run.write_config()
    plan = run.plan(target)
    assert last in plan
    assert absent not in plan
    assert "report" not in plan


def test_a_sheet_of_sets_stands_for_the_mapping(run: Run):
    run.write_config(sets="config/sets.tsv")
    (run.folder / "config/sets.tsv").write_text(
        "set\tfrom\tsplit\ttake\tlowest_per_composition\trank_by\n"
        "generated\tsample\t\t\t\t\n"
        "test\tsplit\ttest\t100\t\t\n"
        "reference\tsplit\ttrain\t\t3\tenergy_per_atom\n",
        encoding="utf-8",
    )
    sheet = run.snakemake("--dry-run", "--printshellcmds")
    run.write_config()
    mapping = run.snakemake("--dry-run", "--printshellcmds")
    assert sorted(planned_commands(sheet.stdout)) == sorted(planned_commands(mapping.stdout)) != []


def test_sets_of_every_origin_and_a_custom_dataset(run: Run):
    (run.folder / "mine").mkdir()
    for index in range(200):
        (run.folder / f"mine/{index}.cif").write_text("data_x\n", encoding="utf-8")
    (run.folder / "all my.csv").write_text("name,cif\n", encoding="utf-8")
    run.write_config(
        dataset={"name": "custom", "source": "mine"},
        sets={
            "generated": {"from": "sample"},
            "brought": {"from": "file", "path": "all my.csv", "id_column": "name"},
            "candidates": {"from": "substitution", "templates": ["train", "all my.csv", "aflow"], "count": 5},
            "search": {"from": "airss", "n": 5},
            "test": {"from": "split", "split": "test"},
            "reference": {"from": "split", "split": "train"},
        },
        substitution={"compositions": ["SiC", "Si2C2"], "any_units": True, "count": 9},
        airss={"elements": ["C", "Si"], "n": 9, "max_atoms": 4},
        relax={"sets": ["generated", "brought", "search", "test", "reference"], "shards": 1},
    )
    done = run.snakemake("--dry-run", "--printshellcmds")
    commands = {words[0]: words for words in planned_commands(done.stdout)}
    assert commands["convert"][1:3] == ["all my.csv", "results/demo/sets/brought/crystals.parquet"]
    assert json.loads(commands["convert"][4]) == {"id_column": "name"}
    substituted = arguments_of(commands["substitute"])
    assert list(map(str, substituted["templates"])) == ["results/demo/dataset/train.parquet", "all my.csv", "aflow"]
    assert json.loads(substituted["settings"]) == {"any_units": True, "compositions": ["SiC", "Si2C2"], "count": 5}
    assert json.loads(commands["airss"][2]) == {"elements": ["C", "Si"], "max_atoms": 4, "n": 5, "seed": 0}
    assert "fetch" not in commands


def test_a_set_of_new_compositions(run: Run):
    new = {"from": "substitution", "templates": ["train", "aflow"], "known": ["val"], "n": 7, "partial": 0.5}
    run.write_config(sets={"new": new}, metrics=None, relax=None, hull=None, compare=None)
    done = run.snakemake("sets", "--dry-run", "--printshellcmds")
    (words,) = (words for words in planned_commands(done.stdout) if words[0] == "substitute")
    found = arguments_of(words)
    assert list(map(str, found["templates"])) == ["results/demo/dataset/train.parquet", "aflow"]
    assert found["known"] == ["results/demo/dataset/val.parquet"]
    assert json.loads(found["settings"]) == {"n": 7, "partial": 0.5, "seed": 0}


def test_a_model_is_shown_the_crystals_of_a_set(run: Run):
    run.write_config(
        encode={"elements": ["C", "Si"], "lattice_lengths": "volume", "templates": True},
        model={"network": "compact", "templates": True},
        train={"pairing": "nearest", "steps": 200},
        sets={
            "exchanged": {"from": "substitution", "templates": "aflow", "compositions": ["SiC"]},
            "refined": {"from": "sample", "templates": "exchanged", "start": "template"},
        },
        metrics=None,
        relax=None,
        hull=None,
        compare=None,
    )
    done = run.snakemake("results/demo/sets/refined/crystals.parquet", "--dry-run", "--printshellcmds")
    commands = {words[0]: words for words in planned_commands(done.stdout)}
    assert "substitute" in commands, done.stdout
    settings = json.loads(arguments_of(commands["sample"])["settings"])
    assert (settings["templates"], settings["start"]) == ("results/demo/sets/exchanged/crystals.parquet", "template")
