"""Models that ship: published as float16 with a card, found by name, sampled from, and used in place of training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN, write_tiny_dataset
from unimat import crystal_table
from unimat.cli import main
from unimat.errors import UserError
from unimat.files import read_json, sha256, write_json
from unimat.model.checkpoints import DESCRIPTION, halved, read_description, read_model, write_model
from unimat.model.sampling.sampled_sets import sample
from unimat.model.settings import SampleSettings
from unimat.model.shipped import model_card, pretrained
from unimat.model.shipped.lineage import how, lineage, sampling_of, told
from unimat.model.shipped.publishing import learning_curve, publish
from unimat.model.shipped.rounding import agreement
from unimat.model.training.train import train

DATA = {
    "name": "tiny",
    "title": "Random carbon",
    "licence": "CC BY 4.0",
    "citation": "nobody (2026)",
    "crystals": {"train": 20, "val": 7, "test": 5},
    "completeness": {"train": {"count": 20, "of": 80}, "val": {"count": 7, "of": 7}},
    "files": ["left out"],
}
RATE = {"count": 9, "of": 10, "rate": 0.9, "low": 0.6, "high": 0.98}
METRICS = {
    "n_generated": 10,
    "n_rejected": 1,
    "cdvae": {
        "rates": {"structure_valid": RATE},
        "distributions": {"density": {"wasserstein": 0.0512, "low": 0.04, "high": 0.06, "unit": "g/cm^3"}},
    },
    "strict": {"rates": {"structure_valid": {**RATE, "count": 8}, "charge_balanced": RATE}},
    "notes": ["ten crystals say little"],
}
RESULT = {
    "run": "tiny",
    "dataset": "tiny",
    "training": {"steps": 8, "n_train": 20, "seconds": 5400, "hardware": "2 CPU cores"},
    "generation": {"n_requested": 10, "n_rejected": 1, "seconds": 30, "metrics": METRICS},
    "prediction": {
        "1": {"samples": {"1": {"all": {"match_rate": {"count": 560, "of": 1024}, "rmse": {"value": 0.0671}}}}},
        "20": None,
    },
    "incomplete": ["10 crystals generated, not 10,000"],
    "notes": ["Partial: 10 crystals generated, not 10,000.", "large cells overlap"],
    "learning_curve": [{"step": 4, "loss": 1.5}, {"step": 8, "loss": 1.25, "val_loss": 1.5}],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a model trained for a few steps."""
    folder = tmp_path_factory.mktemp("trained")
    write_tiny_dataset(folder / "encoded")
    train(folder / "encoded", TINY_MODEL, TINY_TRAIN, folder / "work", folder)
    return folder


@pytest.fixture(scope="module")
def published(trained, tmp_path_factory):
    """Folder that holds the model published as `tiny`."""
    folder = tmp_path_factory.mktemp("published")
    training = read_json(trained / "training.json")
    check = SampleSettings(n=4, steps=2, batch_size=4)
    publish(trained / "model.npz", folder, "tiny", "CC0-1.0", DATA, training, RESULT, ["graphite is rare"], check)
    return folder


@pytest.fixture
def found(published, monkeypatch):
    """The published folder, found by name."""
    monkeypatch.setenv(pretrained.VARIABLE, str(published))
    return published


def failure(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    return line


def test_parameters_are_stored_as_halves_and_read_as_singles(trained, published):
    whole, half = read_model(trained / "model.npz"), read_model(published / "tiny.npz")
    assert (published / "tiny.npz").stat().st_size < 0.6 * (trained / "model.npz").stat().st_size
    with np.load(published / "tiny.npz") as archive:
        stored = {archive[name].dtype for name in archive.files if name != DESCRIPTION}
    assert stored == {np.dtype(np.float16)}
    for ours, theirs in zip(jax.tree.leaves(half.params), jax.tree.leaves(whole.params), strict=True):
        assert ours.dtype == np.float32
        # Half precision: 11 bits, and below 6e-5 steps of 6e-8.
        np.testing.assert_allclose(ours, theirs, rtol=2**-11, atol=2**-24)
    assert half.settings == whole.settings
    assert half.encoding == whole.encoding
    assert half.description["format"] == 1


def test_halving_keeps_what_half_precision_would_break():
    np.testing.assert_array_equal(halved(np.float32([1e5, 0.1])), np.float32([1e5, 0.1]))  # would overflow
    np.testing.assert_array_equal(halved(np.float32([2049, 7])), np.float32([2049, 7]))  # counts, 2049 would be 2048
    assert halved(np.float32([2048, 7])).dtype == np.float16
    assert halved(np.float32([0.1, 70.03])).dtype == np.float16


def test_samples_are_the_same_within_what_matters(trained, tmp_path):
    """Same seed, same crystals: atoms within a thousandth of the cell, lattices within 0.1 %.

    Parameters are drawn, so that the network's output counts; after a few steps of training it is hardly above zero.
    """
    model = read_model(trained / "model.npz")
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: rng.normal(0, 0.15, p.shape).astype(np.float32), model.params)
    write_model(tmp_path / "whole.npz", params, model.description)
    write_model(tmp_path / "half.npz", params, model.description, half=True)
    settings = SampleSettings(n=16, steps=32, batch_size=16, seed=1)
    (none, _, _), (ours, rejected, _), (theirs, other, _) = (
        sample(each, settings) for each in (model, *(read_model(tmp_path / name) for name in ("whole.npz", "half.npz")))
    )
    assert [row.material_id for row in rejected] == [row.material_id for row in other]
    assert ours.material_ids == theirs.material_ids
    assert len(ours) > 4
    assert not np.array_equal(ours.flat_atomic_numbers, none.flat_atomic_numbers)  # the network says something
    assert not np.array_equal(ours.lattices, theirs.lattices)
    np.testing.assert_array_equal(ours.n_atoms, theirs.n_atoms)
    np.testing.assert_allclose(ours.lattices, theirs.lattices, rtol=1e-3, atol=5e-3)
    apart = ours.flat_frac_coords - theirs.flat_frac_coords
    assert np.abs(apart - np.round(apart)).max() < 1e-3


def test_agreement_counts_crystals_of_other_atoms(trained, tmp_path):
    """Against a model of other parameters: not a crystal of more than a few atoms can be the same."""
    model = read_model(trained / "model.npz")
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: rng.normal(0, 0.3, p.shape).astype(np.float32), model.params)
    write_model(tmp_path / "other.npz", params, model.description)
    settings = SampleSettings(n=12, steps=8, batch_size=12)
    one, other = (sample(read_model(path), settings)[0] for path in (trained / "model.npz", tmp_path / "other.npz"))
    made = [dict(zip(table.material_ids, table.n_atoms, strict=True)) for table in (one, other)]  # of carbon alone
    names = [f"gen-{index:06d}" for index in range(12)]
    same = sum(made[0].get(name) == made[1].get(name) for name in names)
    found = agreement(trained / "model.npz", tmp_path / "other.npz", settings)
    assert found["same_atoms"] == {"count": same, "of": 12}
    assert same < 12
    itself = agreement(trained / "model.npz", trained / "model.npz", settings)
    assert itself["same_atoms"] == {"count": 12, "of": 12}
    assert itself["displacement"] == itself["lattice"] == {"median": 0.0, "max": 0.0, "unit": "Å"}


def test_a_card_holds_what_the_files_say(trained, published):
    card = read_json(published / "tiny.json")
    assert card["file"]["sha256"] == sha256(published / "tiny.npz")
    assert card["file"]["bytes"] == (published / "tiny.npz").stat().st_size
    assert card["training"]["n_parameters"] == read_json(trained / "training.json")["n_parameters"]
    assert card["cost"] == {"seconds": 5400, "hardware": "2 CPU cores"}
    assert card["notes"] == ["Partial: 10 crystals generated, not 10,000.", "large cells overlap"]
    assert card["failures"] == ["graphite is rare"]
    assert "files" not in card["data"]
    assert "/tmp" not in json.dumps(card)


def test_a_page_has_every_number_with_its_denominator(published):
    text = model_card.page(read_json(published / "tiny.json"))
    (rounding,) = [line for line in text.splitlines() if "float32 parameters" in line]
    assert "4 of 4 crystals have the same atoms" in rounding
    for line in (
        "| structure valid | 9 of 10 (90.0 % [60.0, 98.0]) | 8 of 10 (80.0 % [60.0, 98.0]) |",
        "| charge balanced | – | 9 of 10 (90.0 % [60.0, 98.0]) |",
        "| Wasserstein, density | 0.051 [0.040, 0.060] g/cm^3 | – |",
        "| 1 | 560 of 1,024 (54.7 %) | 0.067 |",
        "| Part of the published train split | 20 of 80 (25.0 %) |",
        "| Training time | 90 min |",
        "- no crystal at all: 1 of 10 (10.0 %) samples",
        "- not structure valid by CDVAE's rule: 1 of 10 (10.0 %) samples",
        "- ten crystals say little",
        "- Partial: 10 crystals generated, not 10,000.",
        "- large cells overlap",
        "- graphite is rare",
        "Parameters: CC0-1.0. Data: CC BY 4.0.",
    ):
        assert line in text.splitlines(), line
    assert "published val split" not in text
    assert "\n  channels: 8\n" in text


def test_a_card_without_a_result_says_that_nobody_judged(trained, tmp_path):
    card = publish(trained / "model.npz", tmp_path, "bare", "CC0-1.0", {"name": "mine"})
    text = model_card.page(card)
    assert "Nobody has judged" in text
    assert "None is recorded." in text
    assert card["cost"]["seconds"] is None


def test_what_does_not_belong_to_the_model_is_refused(trained, tmp_path):
    with pytest.raises(UserError, match="the result is of another model: steps 9 there, 8 in the model"):
        publish(trained / "model.npz", tmp_path, "x", "CC0-1.0", {}, result={"training": {"steps": 9}})
    with pytest.raises(UserError, match="the training is of another model: n_train 3 there, 20 in"):
        publish(trained / "model.npz", tmp_path, "x", "CC0-1.0", {}, {"n_train": 3})
    with pytest.raises(UserError, match="--name 'Tiny 2': give small letters"):
        publish(trained / "model.npz", tmp_path, "Tiny 2", "CC0-1.0", {})
    assert list(tmp_path.iterdir()) == []


def test_sample_by_name_is_sample_by_file(found, tmp_path):
    settings = json.dumps({"n": 3, "steps": 2, "batch_size": 3})
    flags = ["--settings", settings, "--count", "3"]
    assert main(["sample", "--pretrained", "tiny", *flags, "--out", str(tmp_path / "a")]) == 0
    assert main(["sample", "--model", str(found / "tiny.npz"), *flags, "--out", str(tmp_path / "b")]) == 0
    one, other = (crystal_table.read(tmp_path / name / "crystals.parquet") for name in "ab")
    assert one.arrow.equals(other.arrow)
    assert one.metadata["n_requested"] == 3


def test_an_unknown_name_is_told_with_those_that_exist(found, tmp_path, capsys):
    line = failure(capsys, "sample", "--pretrained", "tinny", "--out", tmp_path / "x")
    assert "no trained model 'tinny'; there are: " in line
    assert "tiny" in line.split("there are: ")[1]
    assert "no trained model 'tinny'" in failure(capsys, "pretrained", "tinny")
    with pytest.raises(SystemExit):
        main(["sample", "--pretrained", "tiny", "--model", "model.npz"])


def test_no_model_at_all_says_where_to_put_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path)
    monkeypatch.delenv(pretrained.VARIABLE, raising=False)
    assert "set UNIMAT_PRETRAINED to a folder" in failure(capsys, "sample", "--pretrained", "tiny")
    assert main(["pretrained"]) == 0
    assert "no trained model is there" in capsys.readouterr().out


def test_models_are_listed_and_a_card_is_printed(found, capsys):
    assert main(["pretrained"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("tiny ")]
    assert "unet" in line
    assert "Random carbon" in line
    assert main(["pretrained", "tiny"]) == 0
    assert capsys.readouterr().out == model_card.page(read_json(found / "tiny.json"))
    assert main(["pretrained", str(found / "tiny.npz")]) == 0
    assert capsys.readouterr().out.startswith("# tiny\n")


def test_a_broken_card_is_one_line(found, tmp_path, monkeypatch, capsys):
    shutil.copy(found / "tiny.npz", tmp_path)
    monkeypatch.setenv(pretrained.VARIABLE, str(tmp_path))
    write_json(tmp_path / "tiny.json", {"format": 0})
    assert "tiny.json is no model card of format 1" in failure(capsys, "pretrained", "tiny")


def test_sections_make_a_configuration_that_does_not_contradict(found, capsys):
    import yaml

    assert main(["pretrained", "tiny", "--sections"]) == 0
    values = yaml.safe_load(capsys.readouterr().out)
    assert values["model"]["channels"] == 8
    assert values["encode"]["rows"] == [1]
    card = pretrained.card_of("tiny")
    for section, options in values.items():
        assert pretrained.contradictions(card, section, options) == []


def test_contradictions_name_key_and_both_values(found):
    card = pretrained.card_of("tiny")
    said = pretrained.contradictions(card, "model", {"channels": 16, "dropout": 0.3, "blocks": 1})
    assert said == ["model.channels: 16 here, 8 there"]
    said = pretrained.contradictions(card, "encode", {"elements": ["C", "Si"], "slots": 24})
    assert said == ["encode.rows: [1, 2] here, [1] there", "encode.slots: 24 here, 3 there"]
    assert pretrained.contradictions(card, "encode", {"elements": ["C"], "max_atoms": 24}) == []
    assert pretrained.contradictions(card, "encode", {"slots": None, "max_atoms": None}) == []
    assert pretrained.contradictions(card, "encode", {"rows": [1], "columns": [13]}) == []
    assert pretrained.contradictions(card, "encode", {"columns": [13]})[0].startswith("encode.rows: [0, 1, ")
    assert pretrained.contradictions(card, "encode", {"max_atoms": 2}) == ["encode.max_atoms: 2 here, 3 there"]
    with pytest.raises(UserError, match="unknown key 'chanels'"):
        pretrained.contradictions(card, "model", {"chanels": 16})


def test_out_holds_what_a_training_leaves(found, trained, tmp_path):
    assert main(["pretrained", "tiny", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "model.npz").read_bytes() == (found / "tiny.npz").read_bytes()
    report, own = (read_json(folder / "training.json") for folder in (tmp_path, trained))
    assert report.pop("dataset") == read_json(found / "tiny.json")["data"]
    assert report.pop("licence") == "CC0-1.0"
    assert report.pop("files") == {"history.csv": sha256(tmp_path / "history.csv")}
    del own["files"]
    assert {**own, "pretrained": "tiny"} == report
    assert (tmp_path / "history.csv").read_text() == "step,loss,val_loss\n4,1.5,\n8,1.25,1.5\n"


def test_a_model_that_is_not_its_card_s_is_not_copied(published, tmp_path, monkeypatch, capsys):
    for path in published.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = (tmp_path / "tiny.npz").read_bytes()
    (tmp_path / "tiny.npz").write_bytes(content[:-200] + b"\0" + content[-199:])
    monkeypatch.setenv(pretrained.VARIABLE, str(tmp_path))
    assert "tiny.npz is not the file that its card speaks of" in failure(
        capsys, "pretrained", "tiny", "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


def test_the_command_publishes_what_the_files_say(trained, tmp_path, capsys):
    write_json(tmp_path / "card.json", DATA)
    write_json(tmp_path / "metrics.json", METRICS)
    flags = ["publish", "--model", trained / "model.npz", "--name", "own", "--licence", "CC0-1.0", "--out", tmp_path]
    flags += ["--check", "0"]
    flags += ["--training", trained / "training.json"]
    given = ["--data-card", tmp_path / "card.json", "--metrics", tmp_path / "metrics.json", "--failure", "slow"]
    assert main([str(word) for word in [*flags, *given]]) == 0
    card = read_json(tmp_path / "own.json")
    assert card["generation"]["metrics"] == METRICS
    assert card["failures"] == ["slow"]
    rows = (trained / "history.csv").read_text().splitlines()[1:]
    assert [row["step"] for row in card["learning_curve"]] == [int(row.split(",")[0]) for row in rows] == [2, 4, 6, 8]
    assert [row["val_loss"] is None for row in card["learning_curve"]] == [True, False, True, False]
    assert card["learning_curve"][0]["loss"] == float(rows[0].split(",")[1])
    assert read_description(tmp_path / "own.npz")["pretrained"] == "own"
    write_json(tmp_path / "result.json", RESULT | {"dataset": "carbon_24"})
    assert main([str(word) for word in [*flags, "--result", tmp_path / "result.json"]]) == 0
    assert read_json(tmp_path / "own.json")["data"]["title"].startswith("Carbon-24: ")
    assert "--data-card is missing" in failure(capsys, *flags)


def test_a_long_history_is_thinned_and_keeps_its_end(tmp_path):
    rows = [f"{step},{1 / step:.4f}," for step in range(1, 1000)]
    (tmp_path / "history.csv").write_text("\n".join(["step,loss,val_loss", *rows]))
    curve = learning_curve(tmp_path / "history.csv")
    assert len(curve) <= 201
    assert [curve[0]["step"], curve[1]["step"], curve[-1]["step"]] == [1, 6, 999]
    assert learning_curve(tmp_path / "none.csv") == []


def test_names_and_cards_cost_no_import_of_jax(found):
    code = "import sys; from unimat.cli import main; main(['pretrained']); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.splitlines()[-1] == "False"


SAMPLING = {"steps": 3, "anti_annealing": 2.0}


def publish_with_sampling(trained, folder, **more):
    publish(trained / "model.npz", folder, "own", "CC0-1.0", DATA, sampling={"sample": SAMPLING, **more})
    return folder / "own.npz"


def asked_for(path: Path, *flags: str, caplog=None) -> dict:
    """Settings that `unimat sample` with some flags drew its crystals by."""
    out = path.with_name("drawn")
    shutil.rmtree(out, ignore_errors=True)
    assert main(["sample", "--model", str(path), "--count", "2", "--out", str(out), *flags]) == 0
    return read_json(out / "sampling.json")["settings"]


def test_the_models_own_sampling_is_the_default_and_what_is_given_goes_first(trained, tmp_path, caplog):
    """In a published file, without its card, and after it was copied into a run."""
    path = publish_with_sampling(trained, tmp_path)
    path.with_suffix(".json").rename(tmp_path / "elsewhere.json")
    caplog.set_level("INFO")
    found = asked_for(path)
    assert (found["steps"], found["anti_annealing"], found["n"]) == (3, 2.0, 2)
    assert "sampling settings of the model own: steps 3, anti_annealing 2.0" in caplog.text
    found = asked_for(path, "--settings", '{"steps": 2}')
    assert (found["steps"], found["anti_annealing"]) == (2, 2.0)
    assert "sampling settings as given: steps 2" in caplog.text
    found = asked_for(path, "--settings", '{"steps": 2, "sampler": "ddim"}')  # of another sampler, they say nothing
    assert (found["steps"], found["anti_annealing"]) == (2, 5.0)


def test_a_card_tells_how_given_compositions_are_sampled(trained, tmp_path):
    path = publish_with_sampling(trained, tmp_path, sample_of_composition={"steps": 2})
    card = read_json(tmp_path / "own.json")
    assert card["settings"]["sample"] == SAMPLING
    about = lineage(path, read_description(path))
    assert sampling_of(about, {}) == SAMPLING
    assert sampling_of(about, {"composition": "C2"}) == {"steps": 2, "anti_annealing": 2.0}
    page = model_card.page(card)
    assert "sample:\n  steps: 3\n  anti_annealing: 2.0\n" in page
    assert "given compositions" in page


def test_publish_takes_the_settings_of_the_crystals_that_were_judged(trained, tmp_path):
    write_json(tmp_path / "card.json", DATA)
    write_json(tmp_path / "metrics.json", METRICS)
    write_json(tmp_path / "sampling.json", {"settings": {"n": 100, "seed": 3, "steps": 7}})
    flags = ["publish", "--model", trained / "model.npz", "--name", "own", "--licence", "CC0-1.0", "--out", tmp_path]
    flags += ["--check", "0", "--data-card", tmp_path / "card.json", "--metrics", tmp_path / "metrics.json"]
    assert main([str(word) for word in flags]) == 0
    assert read_json(tmp_path / "own.json")["settings"]["sample"] == {"steps": 7}
    assert main([str(word) for word in [*flags, "--sample", '{"steps": 9}']]) == 0
    assert read_description(tmp_path / "own.npz")["sample"]["steps"] == 9


SHIPPED = sorted(pretrained.SHIPPED.glob("*.npz"))


def test_everything_that_ships_is_under_20_megabytes():
    assert sum(path.stat().st_size for path in pretrained.SHIPPED.iterdir()) < 20e6


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_is_whole_and_draws_crystals(path: Path):
    card = read_json(path.with_suffix(".json"))
    assert card["file"] == {"stored": "float16", "bytes": path.stat().st_size, "sha256": sha256(path)}
    for key in ("licence", "data", "training", "generation"):
        assert card[key], key
    assert card["data"]["licence"]
    table, rejected, _ = sample(read_model(path), SampleSettings(n=2, steps=2, batch_size=2))
    assert len(table) + len(rejected) == 2


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_is_sampled_as_its_card_says(path: Path, tmp_path):
    """The tables of the card were made with these settings; they go along when a run takes the model."""
    card = read_json(path.with_suffix(".json"))
    assert sampling_of(lineage(path, read_description(path)), {}) == how(card["generation"]["settings"])
    predicted = how(card["prediction"]["1"]["sampling"])
    (tmp_path / "model.npz").write_bytes(told(path.read_bytes(), card))
    copied = read_description(tmp_path / "model.npz")
    assert sampling_of(lineage(tmp_path / "model.npz", copied), {"composition": "C2"}) == predicted
    assert copied["dataset"]["licence"] == card["data"]["licence"]
    ours, theirs = (read_model(each) for each in (path, tmp_path / "model.npz"))
    for one, other in zip(jax.tree.leaves(ours.params), jax.tree.leaves(theirs.params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pretrained_draws_by_the_settings_of_the_card(tmp_path):
    out = tmp_path / "drawn"
    assert main(["sample", "--pretrained", "mp_20", "--count", "1", "--out", str(out)]) == 0
    settings = read_json(out / "sampling.json")["settings"]
    assert (settings["steps"], settings["anti_annealing"]) == (50, 1.0)
