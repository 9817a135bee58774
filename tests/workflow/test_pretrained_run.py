"""A run that takes a trained model instead of training one, and a training that starts from one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.conftest import Run, arguments_of
from tests.workflow.test_configuration import complaint, demo, read_configuration
from tests.workflow.test_plan import planned_commands
from unimat.model.settings import ModelSettings
from unimat.model.shipped.pretrained import CARD_FORMAT, VARIABLE
from unimat.settings import as_dict

ENCODE = {
    "rows": [1, 2],
    "columns": [13],
    "slots": 8,
    "max_atoms": 8,
    "coordinates": "fractional",
    "lattice_lengths": "log",
    "properties": [],
}


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a published model `tiny` on the demo's grid, found by name."""
    card = {
        "format": CARD_FORMAT,
        "name": "tiny",
        "settings": {"encode": ENCODE, "model": as_dict(ModelSettings(channels=8))},
        "training": {"steps": 8, "n_parameters": 5},
    }
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "tiny.json").write_text(json.dumps(card), encoding="utf-8")
    (folder / "tiny.npz").write_bytes(b"parameters")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


def planned(run: Run, *arguments: str, **changes: Any) -> dict[str, dict[str, Any]]:
    """Arguments of the commands of a dry run, the last of each name."""
    run.write_config(**changes)
    done = run.snakemake("--dry-run", "--printshellcmds", *arguments)
    assert done.returncode == 0, done.stdout
    return {words[0]: arguments_of(words) for words in planned_commands(done.stdout)}


def test_a_trained_model_is_copied_and_all_else_follows(run: Run, shared: Path):
    commands = planned(run, pretrained="tiny", encode=None, model=None, train=None)
    assert not {"train", "encode"} & commands.keys()
    assert (commands["pretrained"]["name"], commands["pretrained"]["out"]) == ("tiny", "results/demo/model")
    assert commands["sample"]["model"] == "results/demo/model/model.npz"
    assert {"metrics", "relax", "hull", "report"} <= commands.keys()


def test_a_run_with_a_trained_model_ends_and_another_file_of_it_runs_again(run: Run, shared: Path):
    run.write_config(pretrained="tiny", encode=None, model=None)
    done = run.snakemake("--cores", "2", "sample")
    assert done.returncode == 0, done.stdout
    assert [call.split()[0] for call in run.calls()] == ["pretrained", "sample"]
    assert run.plan("sample") == {}
    (shared / "tiny.npz").write_bytes(b"other parameters")
    assert {"train", "sample_set"} <= run.plan("sample").keys()


def test_sections_that_say_the_same_are_welcome(shared: Path):
    values = demo(pretrained="tiny", model={"channels": 8, "dropout": 0.3})
    assert read_configuration(values)["model"].channels == 8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pretrained": "tinny"}, "pretrained: no trained model 'tinny'; there are: "),
        (
            {"pretrained": "tiny", "model": {"channels": 64}},
            "pretrained 'tiny' is another model: model.channels: 64 here, 8 there; leave model out",
        ),
        (
            {"pretrained": "tiny", "model": {}, "encode": {"elements": ["C"]}},
            "pretrained 'tiny' is another model: encode.rows: [1] here, [1, 2] there; leave encode out",
        ),
        ({"pretrained": "tiny", "model": {}, "train__initial": "tiny"}, "take one of them out"),
        ({"train__initial": "tinny"}, "train.initial: no trained model 'tinny'"),
        ({"train__initial": "old/model.npz"}, "train.initial: old/model.npz does not exist"),
        ({"train__initial": "tiny"}, "train.initial 'tiny' is another model: model.attention: 'joint' here"),
    ],
)
def test_a_contradiction_is_one_line_before_any_job(shared: Path, changes: dict[str, Any], said: str):
    words = complaint(demo(**changes))
    assert said in words
    assert "\n" not in words


def test_a_training_starts_from_a_file_which_is_its_input(run: Run, shared: Path):
    run.write_config()
    (run.folder / "old.npz").write_bytes(b"parameters")
    commands = planned(run, train={"initial": "old.npz"})
    assert json.loads(commands["train"]["settings"])["initial"] == "old.npz"
    done = run.snakemake("--dry-run", "train")
    assert "old.npz" in done.stdout
    commands = planned(run, train={"initial": "tiny"}, model=None)
    assert json.loads(commands["train"]["settings"])["initial"] == "tiny"


@pytest.mark.parametrize(
    "taken", [{"pretrained": "tiny", "encode": None, "train": None}, {"train": {"initial": "tiny"}}]
)
def test_what_the_model_learned_elsewhere_is_not_novel(run: Run, shared: Path, taken: dict[str, Any]):
    """A model of Perov-5, which itself began with one of the run's own dataset."""
    card = json.loads((shared / "tiny.json").read_text(encoding="utf-8"))
    card["data"] = {"name": "perov_5"}
    card["initial"] = {"source": "x.npz", "dataset": {"name": "silicon_carbon"}, "initial": None}
    (shared / "tiny.json").write_text(json.dumps(card), encoding="utf-8")
    changes = {"model": None, **taken}
    own = ["results/demo/dataset/train.parquet", "results/demo/dataset/val.parquet"]
    learned = [f"results/demo/known/perov_5/{split}.parquet" for split in ("train", "val")]
    commands = planned(run, **changes)
    assert (commands["fetch"]["dataset"], str(commands["fetch"]["out"])) == ("perov_5", "resources/perov_5")
    for stage in ("metrics", "hull"):
        assert [str(path) for path in commands[stage]["known"]] == own + learned
    commands = planned(run, **changes, hull={"known_of_model": False})
    assert "fetch" not in commands
    for stage in ("metrics", "hull"):
        assert [str(path) for path in commands[stage]["known"]] == own[:1]


def test_crystals_of_the_run_that_an_initial_model_lies_in_are_not_novel(run: Run):
    for name in ("model/model.npz", "dataset/train.parquet"):
        (run.folder / "old" / name).parent.mkdir(parents=True, exist_ok=True)
        (run.folder / "old" / name).write_bytes(b"made by an earlier run")
    commands = planned(run, train={"initial": "old/model/model.npz"})
    for stage in ("metrics", "hull"):
        known = [str(path) for path in commands[stage]["known"]]
        assert known == ["results/demo/dataset/train.parquet", str(run.folder / "old/dataset/train.parquet")]
