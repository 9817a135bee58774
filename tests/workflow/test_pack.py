"""A run that is packed for another machine, and what that machine gave back."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.workflow.conftest import Run, arguments_of
from tests.workflow.test_plan import planned_commands
from tests.workflow.test_pretrained_run import planned, shared  # noqa: F401


def test_a_run_is_packed_as_it_is_configured_and_held_against_that_when_it_comes_back(run: Run):
    commands = planned(run, "pack", "absorb", "sample", "--set-resources", "pack:flags='--device gpu --limit 64'")
    pack, absorb, train = commands["pack"], commands["absorb"], commands["train"]
    assert (str(pack["encoded"]), str(pack["out"])) == ("results/demo/encoded", "results/demo/packed/demo.tar.gz")
    assert (pack["device"], pack["limit"], pack["model"]) == ("gpu", 64, None)
    assert str(pack["work"]) == train["work"]
    assert (pack["settings"], pack["model_settings"]) == (train["settings"], train["model_settings"])
    assert json.loads(pack["sets"]) == {"generated": json.loads(commands["sample"]["settings"])}
    for name in ("encoded", "work", "settings", "model_settings", "sets"):
        assert pack[name] == absorb[name], name
    assert str(absorb["collected"]) == "results/demo/collected"
    assert (str(absorb["out"]), str(absorb["sets_out"])) == ("results/demo/model", "results/demo/sets")


def test_packing_trains_nothing(run: Run):
    run.write_config()
    assert run.plan("pack").keys() == {"ingest", "encode", "pack"}


def test_a_shipped_model_is_packed_to_sample_with(run: Run, shared: Path):  # noqa: F811
    run.write_config(pretrained="tiny", encode=None, model=None, train=None)
    done = run.snakemake("--dry-run", "--printshellcmds", "pack")
    assert done.returncode == 0, done.stdout
    words = {words[0]: arguments_of(words) for words in planned_commands(done.stdout)}
    assert str(words["pack"]["model"]) == "results/demo/model/model.npz"
    assert words["pack"]["encoded"] is None
    assert "encode" not in words


@pytest.mark.slow
def test_a_run_that_was_trained_and_sampled_elsewhere_has_nothing_left_to_train(run: Run):
    tiny = {"channels": 8, "head_dim": 8}
    recipe = {"steps": 6, "warmup_steps": 2, "validate_every": 6, "log_every": 3, "batch_size": 8}
    run.write_config(model=tiny, train=recipe, sample={"n": 4, "steps": 2})
    packed = run.snakemake("pack", "--cores", "1", stand_in=False)
    assert packed.returncode == 0, packed.stdout
    assert "demo.tar.gz: 0." in packed.stdout
    with tarfile.open(run.folder / "results/demo/packed/demo.tar.gz") as archive:
        archive.extractall(run.folder / "machine", filter="data")
    # No number is looked at, so compile quickly.
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    for verb in ("train", "sample"):
        script = run.folder / "machine/demo/run.py"
        command = [sys.executable, script, verb, "--minutes", "9", "--collect", run.folder / "results/demo/collected"]
        subprocess.run(list(map(str, command)), check=True, timeout=500, env=environment)
    absorbed = run.snakemake("absorb", "--cores", "1", stand_in=False)
    assert absorbed.returncode == 0, absorbed.stdout
    assert "step 6 of 6 is in results/demo/work/train/" in absorbed.stdout
    assert "of 4 sampled tensors are crystals, in results/demo/sets/generated" in absorbed.stdout
    assert run.plan("results/demo/sets/generated/crystals.parquet") == {}
