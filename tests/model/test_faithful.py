"""`faithful`: the paper's form in every section, and one line for a key that contradicts it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.model.model_helpers import random_table, write_tiny_dataset
from unimat import crystal_table
from unimat.cli import main
from unimat.errors import UserError
from unimat.model.faithful import FAITHFUL, faithful_section, faithful_sections
from unimat.model.settings import EncodeSettings, ModelSettings, SampleSettings, TrainSettings
from unimat.settings import as_dict, load_settings

KINDS = {"encode": EncodeSettings, "model": ModelSettings, "train": TrainSettings, "sample": SampleSettings}


def test_what_it_fixes_are_settings_and_the_paper():
    loaded = {name: load_settings(KINDS[name], values) for name, values in FAITHFUL.items()}
    assert (loaded["encode"].lattice_lengths, loaded["model"].coordinate_form) == ("raw", "raw")  # section 2.1
    assert (loaded["model"].prediction, loaded["model"].log_snr_min, loaded["model"].log_snr_max) == (
        "epsilon",
        -20,
        20,
    )
    assert (loaded["sample"].sampler, loaded["sample"].gamma) == ("ancestral", 0.1)  # Table 4


def test_sizes_stay_free_and_their_defaults_are_table_4():
    values = faithful_section("model", {"channels": 64, "multipliers": [1], "blocks": 2, "attention": "factored"})
    assert load_settings(ModelSettings, values).channels == 64
    assert load_settings(ModelSettings, faithful_section("model", None)).channels == 256


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("model", {"coordinate_form": "circle"}, "model.coordinate_form is 'circle', and faithful fixes it at 'raw'"),
        ("model", {"displacement_features": 4}, "model.displacement_features is 4, and faithful fixes it at 0"),
        ("model", '{"prediction": "v"}', "model.prediction is 'v', and faithful fixes it at 'epsilon'"),
        ("train", {"gradient_clip": 1.0}, "train.gradient_clip is 1.0, and faithful fixes it at None"),
        ("encode", {"lattice_lengths": "log"}, "encode.lattice_lengths is 'log', and faithful fixes it at 'raw'"),
    ],
)
def test_a_contradiction_is_one_line(name, values, said):
    with pytest.raises(UserError) as caught:
        faithful_section(name, values)
    assert str(caught.value) == f"{said}, the paper's; take one of the two out"


def test_a_whole_configuration_and_the_sets_that_its_model_makes():
    values = {"run": "a", "model": {"channels": 8}, "sets": {"generated": {"from": "sample", "n": 3}}}
    filled = faithful_sections(values)
    assert filled["model"] == {"channels": 8} | FAITHFUL["model"]
    assert filled["train"] == FAITHFUL["train"]
    assert faithful_sections(filled) == filled
    assert values["model"] == {"channels": 8}
    values["sets"]["generated"]["sampler"] = "ddim"
    with pytest.raises(UserError, match=r"sets\.generated\.sampler is 'ddim'"):
        faithful_sections(values)


def test_the_command_line_knows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = tmp_path / "all.parquet"
    crystal_table.write(random_table(4, (6,), 3), table)
    splits = [word for split in ("train", "val", "test") for word in (f"--{split}", str(table))]
    encode = ["encode", *splits, "--faithful", "--out", str(tmp_path / "encoded"), "--settings"]
    assert main([*encode, '{"elements": ["C"]}']) == 0
    written = json.loads((tmp_path / "encoded/encoding.json").read_text(encoding="utf-8"))
    assert "raw" in written.values()
    capsys.readouterr()
    assert main([*encode, '{"lattice_lengths": "log"}']) == 2
    assert "encode.lattice_lengths is 'log', and faithful fixes it" in capsys.readouterr().err
    train = ["train", "--encoded", str(tmp_path / "encoded"), "--faithful", "--work", "w", "--out", "o"]
    assert main([*train, "--model-settings", '{"cell_embedding": true}']) == 2
    assert "model.cell_embedding is True, and faithful fixes it at False" in capsys.readouterr().err
    assert main([*train, "--settings", '{"null_weight": 0.5}']) == 2
    assert "train.null_weight is 0.5" in capsys.readouterr().err


def test_it_trains(tmp_path: Path):
    write_tiny_dataset(tmp_path / "encoded")
    settings = {"steps": 2, "batch_size": 4, "warmup_steps": 0, "log_every": 1, "validate_every": 2}
    model = {"channels": 8, "multipliers": [1], "blocks": 1, "head_dim": 8}
    words = ["train", "--faithful", "--encoded", tmp_path / "encoded", "--settings", json.dumps(settings)]
    words += ["--model-settings", json.dumps(model), "--work", tmp_path / "work", "--out", tmp_path / "model"]
    assert main([str(word) for word in words]) == 0
    trained = json.loads((tmp_path / "model/training.json").read_text(encoding="utf-8"))["settings"]["model"]
    assert trained == as_dict(load_settings(ModelSettings, {**model, **FAITHFUL["model"]}))


def test_it_loads_without_jax():
    code = "import sys, unimat.model.faithful; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
