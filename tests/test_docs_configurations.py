"""Every configuration that README and the pages show is sound as it stands, beside files such as it names."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pymatgen.io.cif import CifWriter

from tests.report.report_run import crystals
from unimat.cli import main
from unimat.configuration.reading import read
from unimat.materials.crystals.structures import to_structure
from unimat.model.own_data import BATCH, RECIPE

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
N = 90  # crystals of one's own: 54 of them to train on


def blocks() -> list[pytest.ParameterSet]:
    """Each block of YAML that names a run, which is a whole configuration, by its page and its place there."""
    found = []
    for page in PAGES:
        for index, text in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
            if re.search(r"^run:", text, re.MULTILINE):
                found.append(pytest.param(text, id=f"{page.stem}-{index}"))
    return found


@pytest.fixture(scope="module")
def own_files(tmp_path_factory) -> Path:
    """A folder with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("mine")
    texts = {each.material_id: str(CifWriter(to_structure(each))) for each in crystals(N, 3, "own", 0.02, 0.1)}
    for name in ("my_cifs", "new_structures"):
        (folder / name).mkdir()
        for key, text in texts.items():
            (folder / name / f"{key}.cif").write_text(text)
    numbers = np.linspace(-9, -5, N)
    frame = pd.DataFrame({"name": list(texts), "cif": list(texts.values()), "e_total": numbers, "gap": -numbers})
    frame.assign(cif_text=frame["cif"]).to_csv(folder / "my_crystals.csv", index=False)
    frame.to_csv(folder / "my_perovskites.csv", index=False)
    frame.to_csv(folder / "formulas.csv", index=False)
    assert main(["convert", str(folder / "my_cifs"), str(folder / "their_samples.extxyz")]) == 0
    return folder


def test_the_pages_show_configurations():
    assert len(blocks()) >= 5


@pytest.mark.parametrize("text", blocks())
def test_a_configuration_of_the_pages_is_sound(text, own_files, monkeypatch):
    monkeypatch.chdir(own_files)
    assert read(yaml.safe_load(text), ["mine.yaml"]).mistakes == ()


def own(**changes):
    values = {"run": "mine", "dataset": {"name": "custom", "source": "my_cifs/"}}
    return read(values | changes, ["mine.yaml"])


def test_crystals_of_ones_own_get_a_recipe_that_a_laptop_bears(own_files, monkeypatch):
    monkeypatch.chdir(own_files)
    settings = own().configuration.settings
    assert settings["model"].network == "compact"
    assert settings["train"].batch_size == BATCH
    assert settings["train"].steps == RECIPE["train"]["steps"]
    given = own(train={"steps": 7}, model={"network": "compact", "channels": 32}, sample={"steps": 9}).configuration
    assert (given.settings["train"].steps, given.settings["train"].batch_size) == (7, BATCH)
    assert (given.settings["model"].channels, given.settings["sample"].steps) == (32, 9)


def test_a_batch_is_no_larger_than_a_small_training_split(own_files, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_cifs").mkdir()
    for path in sorted((own_files / "my_cifs").iterdir())[:10]:
        (tmp_path / "my_cifs" / path.name).write_text(path.read_text())
    reading = own()
    assert reading.mistakes == ()
    assert reading.configuration.settings["train"].batch_size == 6  # of 10, three fifths


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"channels": 64}},
        {"dataset": {"name": "silicon_carbon"}},
        {"faithful": True},
        {"pretrained": "perov_5"},
        {"train": {"initial": "perov_5"}},
    ],
)
def test_the_recipe_stands_aside_where_somebody_says_more(changes, own_files, monkeypatch):
    monkeypatch.chdir(own_files)
    settings = own(**changes).configuration.settings
    assert settings["model"].network == "unet"
    assert settings["train"].steps == 200_000
