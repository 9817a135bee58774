"""The ablation: every variant plans its own run of one common base, and `faithful` fills in the paper's form."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import ROOT, Run, arguments_of
from tests.workflow.test_configuration import complaint, demo, read_configuration
from tests.workflow.test_plan import planned_commands
from unimat.model.faithful import FAITHFUL

FOLDER = ROOT / "config/ablation"
BASE = FOLDER / "base.yaml"
VARIANTS = sorted(path for path in FOLDER.glob("*.yaml") if path != BASE)


def merged(base: dict[str, Any], variant: dict[str, Any]) -> dict[str, Any]:
    """As Snakemake merges two files: mappings key by key."""
    nested = {key: merged(base[key], each) for key, each in variant.items() if isinstance(base.get(key), dict)}
    return {**base, **variant, **nested}


def configuration(path: Path) -> dict[str, Any]:
    return merged(*(yaml.safe_load(each.read_text(encoding="utf-8")) for each in (BASE, path)))


@pytest.mark.parametrize("path", VARIANTS, ids=lambda path: path.stem)
def test_a_variant_is_a_run_of_its_own_that_says_what_it_changes(path: Path):
    values = configuration(path)
    settings = read_configuration(values)
    assert values["run"] == f"ablation_{path.stem}"
    assert settings["reproduction"].ablation
    assert (settings["sample"].n, settings["train"].steps, settings["dataset"].name) == (1000, 1500, "carbon_24")


def test_the_variants_are_those_of_the_page():
    ours = ["circle", "compact", "compact_nearest", "displacements", "edm", "faithful", "fourier"]
    assert [path.stem for path in VARIANTS] == ours


def test_the_faithful_variant_hands_the_papers_form_to_every_command(run: Run):
    done = run.snakemake(
        "reproduction", "--dry-run", "--printshellcmds", "--configfile", str(BASE), str(FOLDER / "faithful.yaml")
    )
    assert done.returncode == 0, done.stdout
    planned = [arguments_of(command) for command in planned_commands(done.stdout)]
    encode = next(each for each in planned if "shard_rows" in each)
    train = next(each for each in planned if "model_settings" in each)
    assert json.loads(encode["settings"])["lattice_lengths"] == "raw"
    assert FAITHFUL["model"].items() <= json.loads(train["model_settings"]).items()
    assert FAITHFUL["train"].items() <= json.loads(train["settings"]).items()
    assert json.loads(train["model_settings"])["channels"] == 64
    rules = set(re.findall(r"^rule (\w+):", done.stdout, re.MULTILINE))
    assert {"ingest", "encode", "train", "sample_set", "metrics_set", "reproduction"} <= rules
    judging = next(each for each in planned if "verdicts_csv" in each)
    assert judging["cache"] == "results/ablation/metrics"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encode__lattice_lengths": "log"}, "encode.lattice_lengths is 'log', and faithful fixes it at 'raw'"),
        ({"sets__generated": {"from": "sample", "sampler": "ddim"}}, "sets.generated.sampler is 'ddim', and faithful"),
    ],
)
def test_a_key_that_contradicts_faithful_stops_in_one_line(changes: dict[str, Any], said: str):
    demo_form = {f"model__{key}": FAITHFUL["model"][key] for key in ("attention", "slot_kernel", "grid_kernel")}
    train_form = {f"train__{key}": FAITHFUL["train"][key] for key in ("learning_rate_decay", "gradient_clip")}
    ours = demo(faithful=True, model__prediction="epsilon", **demo_form, **train_form)
    for path, value in changes.items():
        section, key = path.split("__")
        ours[section][key] = value
    words = complaint(ours)
    assert said in words
    assert "\n" not in words


def test_the_papers_configuration_is_faithful():
    values = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
    assert values["faithful"] is True
    settings = read_configuration(values)
    for section, fixed in FAITHFUL.items():
        for key, value in fixed.items():
            assert getattr(settings[section], key) == value, f"{section}.{key}"
