"""The command `unimat metrics`: files of any form, settings, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from unimat import crystal_table
from unimat.cli import main
from unimat.crystal_table import Crystal, Rejected
from unimat.errors import UserError
from unimat.materials.crystals.structures import to_structure
from unimat.materials.metrics.settings import CUTOFFS_OF_DATASET, Cutoffs, MatcherSettings, MetricsSettings
from unimat.settings import load_settings

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
DIAMOND = Crystal("diamond", 3.57 * FCC, np.array([6, 6]), np.array([[0, 0, 0], [0.25] * 3]))
ROCK_SALT = Crystal("rock-salt", 5.64 * FCC, np.array([11, 17]), np.array([[0, 0, 0], [0.5] * 3]))
KNOWN = Crystal("train-7", 5.5 * FCC, np.array([17, 11]), np.array([[0, 0, 0], [0.5] * 3]))


@pytest.fixture
def files(tmp_path):
    crystal_table.write(crystal_table.from_crystals([DIAMOND, ROCK_SALT]), tmp_path / "crystals.parquet")
    crystal_table.write(crystal_table.from_crystals([DIAMOND, ROCK_SALT]), tmp_path / "test.parquet")
    crystal_table.write(crystal_table.from_crystals([KNOWN]), tmp_path / "train.parquet")
    crystal_table.write_rejected([Rejected("x", "sample", "no_atoms", "nothing")], tmp_path / "rejected.parquet")
    return tmp_path


def command(files, **changes):
    flags = {
        "crystals": files / "crystals.parquet",
        "rejected": files / "rejected.parquet",
        "reference": files / "test.parquet",
        "known": files / "train.parquet",
        "set": "mine",
        "out": files / "out" / "metrics.json",
        "verdicts": files / "out" / "verdicts.parquet",
        "verdicts-csv": files / "out" / "verdicts.csv",
        "cache": files / "cache",
    } | changes
    return main(["metrics", *(word for name, value in flags.items() if value for word in (f"--{name}", str(value)))])


def test_command_writes_the_same_bytes_again(files):
    assert command(files) == 0
    first = {path.name: path.read_bytes() for path in (files / "out").iterdir()}
    assert command(files) == 0
    assert {path.name: path.read_bytes() for path in (files / "out").iterdir()} == first
    summary = json.loads(first["metrics.json"])
    assert summary["set"] == "mine"
    valid = summary["cdvae"]["rates"]["valid"]
    assert (valid["count"], valid["of"]) == (2, 3)
    parquet, csv = pd.read_parquet(files / "out" / "verdicts.parquet"), pd.read_csv(files / "out" / "verdicts.csv")
    assert parquet["novel"].tolist() == csv["novel"].tolist() == [True, False, False]
    assert list(parquet) == list(csv)
    assert parquet["reason"].tolist()[2] == csv["reason"].tolist()[2] == "rejected: no_atoms (nothing)"


def test_command_needs_no_more_than_two_files_of_any_form(files, capsys):
    (files / "made").mkdir()
    for crystal in (DIAMOND, ROCK_SALT):
        to_structure(crystal).to(str(files / "made" / f"{crystal.material_id}.cif"))
    (files / "made" / "broken.cif").write_text("data_broken\n_cell_length_a nonsense\n")
    assert main(["metrics", "--crystals", str(files / "made"), "--reference", str(files / "test.parquet")]) == 0
    said = capsys.readouterr().out
    assert "made: 3 generated, 1 of them not usable, against 2 reference crystals" in said
    assert "COV-R (recall)             1.0000" in said


def test_command_takes_settings(files):
    assert command(files, settings="{oxidation_states: icsd24, cutoffs: {structure: 0.1, composition: 2}}") == 0
    summary = json.loads((files / "out" / "metrics.json").read_text())
    assert summary["settings"]["oxidation_states"] == "icsd24"
    assert summary["fingerprints"]["cutoffs"] == {"structure": 0.1, "composition": 2.0}


def test_command_takes_a_limit_per_crystal(files, capsys):
    assert command(files, **{"max-seconds": 5}) == 0
    assert json.loads((files / "out" / "metrics.json").read_text())["settings"]["max_seconds"] == 5
    assert command(files, **{"max-seconds": -1}) == 2
    assert "--max-seconds: max_seconds must be positive, found -1.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "nowhere.parquet"}, "nowhere.parquet does not exist"),
        ({"settings": "{cutoff: mp_20}"}, "unknown key 'cutoff'"),
        ({"settings": "{coverage_take: 0}"}, "coverage_take must be at least 1"),
        ({"settings": "{oxidation_states: smact3}"}, "'smact3' is not one of"),
        ({"settings": "{energy_predictor: chgnett}"}, "'chgnett' is not none, chgnet or module:function"),
        ({"settings": "{energy_predictor: 'nowhere:f'}"}, "'nowhere:f' cannot be loaded (No module named 'nowhere')"),
    ],
)
def test_command_refuses_in_one_line(files, capsys, changes, message):
    assert command(files, **changes) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (files / "out").exists()


def test_settings_load_without_the_materials_packages():
    code = "import sys, unimat.materials.metrics.settings; print('pymatgen' in sys.modules or 'scipy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_cutoffs_by_name_or_number():
    assert load_settings(MetricsSettings, {"cutoffs": "perov_5"}).coverage_cutoffs == Cutoffs(0.2, 4.0)
    assert load_settings(MetricsSettings, None).coverage_cutoffs == CUTOFFS_OF_DATASET["mp_20"] == Cutoffs(0.4, 10.0)
    given = load_settings(MetricsSettings, {"cutoffs": {"structure": 0.3, "composition": 5}, "matcher": {"stol": 0.5}})
    assert given.coverage_cutoffs == Cutoffs(0.3, 5.0)
    assert given.matcher == MatcherSettings(stol=0.5)
    with pytest.raises(UserError, match="composition cut-off must be positive"):
        load_settings(MetricsSettings, {"cutoffs": {"structure": 0.3, "composition": 0}})
