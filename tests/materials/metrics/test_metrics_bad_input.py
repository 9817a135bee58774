"""What a generator may hand in by mistake: each crystal is counted under its reason, and the numbers go on."""

import dataclasses
import json
import time

import numpy as np
import pandas as pd
import pytest

from unimat import crystal_table
from unimat.cli import main
from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.materials.metrics.evaluate import evaluate
from unimat.materials.metrics.fingerprints import site_fingerprints
from unimat.materials.metrics.settings import MetricsSettings

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
DIAMOND = Crystal("diamond", 3.57 * FCC, np.array([6, 6]), np.array([[0, 0, 0], [0.25] * 3]))
ROCK_SALT = Crystal("rock-salt", 5.64 * FCC, np.array([11, 17]), np.array([[0, 0, 0], [0.5] * 3]))
QUICK = MetricsSettings(resamples=20)


def judged(*crystals, **options):
    table = crystal_table.from_crystals(crystals)
    options = {"settings": QUICK} | options
    return evaluate("made", table, crystal_table.from_crystals([DIAMOND, ROCK_SALT]), **options)


def rows(metrics):
    return metrics.verdicts.to_pandas().set_index("material_id")


@pytest.fixture
def torch_file(tmp_path):
    """Five crystals as DiffCSP writes them: sound, a NaN length, a negative one, no volume, no atom type."""
    import torch

    lengths = torch.full((5, 3), 4.0)
    lengths[1, 0], lengths[2, 1], lengths[3, 2] = float("nan"), -4.0, 0.0
    kinds = torch.tensor([11, 17] * 5)
    kinds[8] = 0
    coords = torch.tensor([[0.0, 0, 0], [0.5, 0.5, 0.5]]).repeat(5, 1)
    content = {"frac_coords": coords, "num_atoms": torch.full((5,), 2), "atom_types": kinds, "lengths": lengths}
    torch.save(content | {"angles": torch.full((5, 3), 90.0)}, tmp_path / "samples.pt")
    return tmp_path / "samples.pt"


@pytest.mark.parametrize("convert_first", [False, True])
def test_crystals_that_cannot_be_built_count_in_every_denominator(torch_file, tmp_path, convert_first):
    crystal_table.write(crystal_table.from_crystals([DIAMOND, ROCK_SALT]), tmp_path / "test.parquet")
    source = ["--crystals", str(torch_file)]
    if convert_first:
        assert main(["convert", str(torch_file), str(tmp_path / "mine/crystals.parquet")]) == 0
        source = [
            "--crystals",
            str(tmp_path / "mine/crystals.parquet"),
            "--rejected",
            str(tmp_path / "mine/rejected.parquet"),
        ]
    out = ["--out-file", str(tmp_path / "metrics.json"), "--verdicts", str(tmp_path / "verdicts.parquet")]
    settings = ["--settings", "{resamples: 20}"]
    assert main(["metrics", *source, "--reference", str(tmp_path / "test.parquet"), *settings, *out]) == 0
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert (summary["n_generated"], summary["n_rejected"]) == (5, 4)
    assert summary["failures"]["rejected"] == {"degenerate_lattice": 3, "not_an_element": 1}
    for mode in ("cdvae", "strict"):
        assert (summary[mode]["rates"]["valid"]["count"], summary[mode]["rates"]["valid"]["of"]) == (1, 5)
        assert summary[mode]["coverage"]["cov_precision"]["of"] == 5
    verdicts = pd.read_parquet(tmp_path / "verdicts.parquet")
    assert len(verdicts) == 5
    assert [bool(each and each.startswith("rejected: ")) for each in verdicts["reason"]] == [False, *[True] * 4]


def test_numbers_that_make_no_crystal_join_the_rejected():
    strange = [
        dataclasses.replace(DIAMOND, material_id="nan-cell", lattice=np.full((3, 3), np.nan)),
        dataclasses.replace(DIAMOND, material_id="nan-atom", frac_coords=np.array([[0, 0, np.nan], [0.25] * 3])),
        dataclasses.replace(DIAMOND, material_id="beyond", atomic_numbers=np.array([6, 119])),
        Crystal("empty", 4 * np.eye(3), np.zeros(0, int), np.zeros((0, 3))),
        dataclasses.replace(DIAMOND, material_id="huge", lattice=1e200 * FCC),
    ]
    metrics = judged(DIAMOND, *strange, ROCK_SALT)
    assert metrics.summary["failures"]["rejected"] == {"degenerate_lattice": 3, "no_atoms": 1, "not_an_element": 1}
    assert (metrics.summary["n_generated"], metrics.summary["n_crystals"]) == (7, 2)
    assert metrics.summary["cdvae"]["rates"]["valid"]["rate"] == 2 / 7
    assert rows(metrics).loc["beyond", "reason"] == "rejected: not_an_element (atomic number 119)"


def test_reference_that_is_no_crystal_is_one_line():
    lost = dataclasses.replace(DIAMOND, material_id="lost", lattice=np.full((3, 3), np.inf))
    with pytest.raises(UserError, match="reference crystal lost is none"):
        evaluate("made", crystal_table.from_crystals([DIAMOND]), crystal_table.from_crystals([DIAMOND, lost]))


def test_left_handed_and_flat_cells_are_judged():
    mirrored = dataclasses.replace(ROCK_SALT, material_id="mirrored", lattice=-ROCK_SALT.lattice)
    flat = dataclasses.replace(ROCK_SALT, material_id="flat", lattice=np.diag([4.0, 4, 0]))
    metrics = judged(mirrored, flat)
    found = rows(metrics)
    assert found["valid"].tolist() == found["valid_strict"].tolist() == [True, False]
    assert found.loc["flat", "reason"].startswith("structure: volume 0 Å^3, the limit is 0.1 Å^3")
    assert metrics.summary["cdvae"]["distributions"]["density"]["n_generated"] == 1  # its density is infinite


def test_elements_that_libraries_do_not_know():
    kinds = {"no-smact": [6, 61], "no-radius": [103, 103], "heavy": [110, 8]}
    made = [dataclasses.replace(ROCK_SALT, material_id=name, atomic_numbers=np.array(z)) for name, z in kinds.items()]
    metrics = judged(*made)
    found = rows(metrics)
    assert found.loc["no-smact", "reason"] == "composition: smact lists no electronegativity of Pm"
    assert found.loc["heavy", "reason"].startswith("composition: smact lists no oxidation state of Ds; fingerprint: ")
    # CDVAE's rule: a missing fingerprint takes validity away, but not that of the structure.
    assert found.loc["no-radius", ["structure_valid", "composition_valid", "valid"]].tolist() == [True, True, False]
    assert found.loc["no-radius", ["valid_strict", "covered_strict"]].tolist() == [True, False]
    assert found.loc["no-radius", "fingerprint_failure"].startswith("TypeError")
    assert metrics.summary["fingerprints"]["n_without"]["generated"] == 2
    assert metrics.summary["cdvae"]["coverage"]["cov_precision"]["of"] == 3


def test_one_atom_and_one_crystal_are_said_to_be_few():
    found = judged(Crystal("iron", 2.87 * np.eye(3), np.array([26]), np.zeros((1, 3)))).summary
    assert found["cdvae"]["rates"]["valid"]["rate"] == 1
    assert found["cdvae"]["rates"]["valid"]["low"] == pytest.approx(0.2065, abs=1e-4)  # Wilson, one of one
    assert "number of crystals: 1, so few that the intervals say more than the rates" in found["notes"]
    assert any("number of valid crystals: 1, fewer than the 1000" in note for note in found["notes"])


def test_crystal_whose_fingerprint_hangs_is_a_timeout(monkeypatch):
    at_once = site_fingerprints.mean_fingerprint

    def slowly(structure):
        time.sleep(60 if structure.composition.reduced_formula == "NaCl" else 0)
        return at_once(structure)

    monkeypatch.setattr(site_fingerprints, "mean_fingerprint", slowly)
    settings = dataclasses.replace(QUICK, max_seconds=0.5)
    metrics = judged(DIAMOND, ROCK_SALT, settings=settings)
    assert metrics.summary["failures"]["fingerprint"] == {"timeout": 1}
    assert rows(metrics)["valid"].tolist() == [True, False]
    assert rows(metrics).loc["rock-salt", "reason"] == "fingerprint: timeout: more than 0.5 s"
    # The reference's rock salt hung, too: CDVAE leaves it out of recall, the strict mode does not.
    assert metrics.summary["cdvae"]["coverage"]["cov_recall"]["of"] == 1
    assert metrics.summary["strict"]["coverage"]["cov_recall"]["of"] == 2
