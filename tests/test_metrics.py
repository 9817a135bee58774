"""The metrics stage as a whole: a set judged by hand, the command line, and published values."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Lattice
from scipy.stats import wasserstein_distance

from unimat import crystal_table
from unimat.cli import main
from unimat.crystal_table import Crystal, Rejected
from unimat.errors import UserError
from unimat.materials.metrics.evaluate import evaluate
from unimat.materials.metrics.validity import composition_failure, distances, structure_failure
from unimat.materials.metrics_settings import CUTOFFS_OF_DATASET, Cutoffs, MatcherSettings, MetricsSettings
from unimat.settings import load_settings

DATA = Path(os.environ.get("UNIMAT_DATA_DIR", "nowhere"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="set UNIMAT_DATA_DIR to a folder with the published data")

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
CENTRE, QUARTER = [[0, 0, 0], [0.5] * 3], [[0, 0, 0], [0.25] * 3]


def crystal(name, lattice, numbers, coords):
    return Crystal(name, np.array(lattice, float), np.array(numbers), np.array(coords, float))


DIAMOND = crystal("diamond", 3.57 * FCC, [6, 6], QUARTER)
LARGER_DIAMOND = crystal("larger-diamond", 3.7 * FCC, [6, 6], QUARTER)
ROCK_SALT = crystal("rock-salt", 5.64 * FCC, [11, 17], CENTRE)
FLUORITE_LIKE = crystal("NaCl2", 5.6 * FCC, [11, 17, 17], [*QUARTER, [0.75] * 3])
OVERLAPPING = crystal("overlapping", 4 * np.eye(3), [6, 6], [[0, 0, 0], [0.1, 0, 0]])
CHAIN = crystal("chain", np.diag([0.45, 4, 4]), [6], [[0, 0, 0]])


def table(*crystals, **metadata):
    return crystal_table.from_crystals(crystals, **metadata)


SET = table(DIAMOND, LARGER_DIAMOND, ROCK_SALT, FLUORITE_LIKE, OVERLAPPING, CHAIN)
REFERENCE = table(DIAMOND, ROCK_SALT)
KNOWN = table(crystal("train-7", 5.5 * FCC, [17, 11], CENTRE))


@pytest.fixture(scope="module")
def metrics():
    return evaluate("made", SET, REFERENCE, KNOWN, n_rejected=2)


def test_rates_are_shares_of_everything_generated(metrics):
    counts = {name: (each["count"], each["of"]) for name, each in metrics.summary["rates"].items()}
    assert counts == {
        "structure_valid": (5, 8),
        "structure_valid_strict": (4, 8),
        "composition_valid": (5, 8),
        "valid": (4, 8),
        "unique": (5, 8),
        "novel": (5, 8),
        "unique_and_novel": (4, 8),
        "valid_unique_and_novel": (2, 8),
    }
    assert metrics.summary["rates"]["valid"]["rate"] == 0.5
    assert (metrics.summary["n_generated"], metrics.summary["n_crystals"], metrics.summary["n_rejected"]) == (8, 6, 2)
    assert "the 2 rejected crystals count in every denominator and in no numerator" in metrics.summary["notes"]


def test_verdict_of_each_crystal(metrics):
    rows = metrics.verdicts.to_pandas().set_index("material_id")
    assert rows["formula"].to_dict() == {
        "diamond": "C",
        "larger-diamond": "C",
        "rock-salt": "NaCl",
        "NaCl2": "NaCl2",
        "overlapping": "C",
        "chain": "C",
    }
    assert rows["cluster"].tolist() == [0, 0, 1, 2, 3, 4]
    assert rows["unique"].tolist() == [True, False, True, True, True, True]
    assert rows.loc["rock-salt", "matched_id"] == "train-7"
    assert not rows.loc["rock-salt", "novel"]
    assert rows["spacegroup_number"][["diamond", "rock-salt", "NaCl2"]].tolist() == [227, 225, 225]
    assert rows.loc["NaCl2", "reason"] == "composition: no oxidation states make it charge neutral"
    assert rows.loc["overlapping", "reason"] == "structure: two atoms 0.400 Å apart, the limit is 0.5 Å"
    assert rows["reason"][["diamond", "rock-salt", "chain"]].isna().all()
    assert rows.loc["chain", ["structure_valid", "structure_valid_strict"]].tolist() == [True, False]
    assert rows.loc["chain", "shortest_distance"] == pytest.approx(0.45)


def test_coverage_of_the_made_set(metrics):
    coverage = metrics.summary["coverage"]
    assert coverage["cov_recall"] == {"count": 2, "of": 2, "rate": 1}  # both reference crystals are in the set
    assert coverage["cov_precision"]["of"] == 8
    assert coverage["amsd_recall"] == coverage["amcd_recall"] == 0
    assert (coverage["n_test"], coverage["n_generated"]) == (2, 8)
    assert coverage["composition_scaler"].startswith("cdvae")


def test_distributions_are_of_the_valid_against_the_whole_reference(metrics):
    found = metrics.summary["distributions"]["n_elements"]
    assert (found["n_generated"], found["n_reference"]) == (4, 2)  # C, C, NaCl, C against C, NaCl
    assert found["wasserstein"] == pytest.approx(wasserstein_distance([1, 1, 2, 1], [1, 2]))


def test_summary_names_versions_and_settings(metrics):
    assert metrics.summary["settings"]["oxidation_states"] == "smact14"
    assert metrics.summary["settings"]["matcher"] == {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0}
    assert {"smact", "pymatgen", "matminer"} <= metrics.summary["versions"].keys()


def test_draw_for_coverage_counts_rejected_crystals():
    settings = MetricsSettings(coverage_take=4, cutoffs="carbon_24")
    found = evaluate("made", table(DIAMOND), REFERENCE, n_rejected=9, settings=settings).summary
    coverage = found["coverage"]
    assert (coverage["n_generated"], coverage["n_generated_available"]) == (4, 10)
    assert (coverage["n_test"], coverage["n_test_available"]) == (2, 2)
    assert coverage["cov_precision"]["of"] == 4
    assert coverage["cov_precision"]["count"] <= 1
    assert coverage["cutoffs"] == {"structure": 0.2, "composition": 4.0}
    assert any("4 of 10 generated, 2 of 2 reference" in note for note in found["notes"])


def test_elements_only_and_missing_knowledge_are_said():
    found = evaluate("carbon", table(DIAMOND), table(LARGER_DIAMOND)).summary
    assert found["rates"]["novel"] is found["rates"]["unique_and_novel"] is None
    assert any("one element" in note for note in found["notes"])
    assert any("novelty was not judged" in note for note in found["notes"])


def test_denominator_is_what_was_requested():
    found = evaluate("made", table(DIAMOND, n_requested=10), table(DIAMOND), n_rejected=4).summary
    assert found["rates"]["valid"] == {"count": 1, "of": 10, "rate": 0.1}
    assert "10 crystals were requested, 1 are here and 4 were rejected" in found["notes"]


def test_everything_rejected_gives_zeros_not_an_error():
    found = evaluate("made", table(), REFERENCE, KNOWN, n_rejected=3).summary
    assert found["rates"]["novel"] == {"count": 0, "of": 3, "rate": 0}
    assert found["coverage"]["cov_recall"] == {"count": 0, "of": 2, "rate": 0}
    assert found["distributions"]["density"]["wasserstein"] is None


@pytest.mark.parametrize(("crystals", "reference"), [(table(), REFERENCE), (SET, table())])
def test_nothing_to_judge_is_an_error(crystals, reference):
    with pytest.raises(UserError, match=r"nothing was generated|no rows"):
        evaluate("made", crystals, reference)


@pytest.fixture
def files(tmp_path):
    crystal_table.write(table(DIAMOND, ROCK_SALT), tmp_path / "crystals.parquet")
    crystal_table.write(REFERENCE, tmp_path / "test.parquet")
    crystal_table.write(KNOWN, tmp_path / "train.parquet")
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
        "cache": files / "cache",
    } | changes
    return main(["metrics", *(word for name, value in flags.items() for word in (f"--{name}", str(value)))])


def test_command_writes_the_same_bytes_again(files):
    assert command(files) == 0
    first = {path.name: path.read_bytes() for path in (files / "out").iterdir()}
    assert command(files) == 0
    assert {path.name: path.read_bytes() for path in (files / "out").iterdir()} == first
    summary = json.loads(first["metrics.json"])
    assert summary["set"] == "mine"
    assert summary["rates"]["valid"] == {"count": 2, "of": 3, "rate": pytest.approx(2 / 3)}
    assert pd.read_parquet(files / "out" / "verdicts.parquet")["novel"].tolist() == [True, False]


def test_command_takes_settings(files):
    assert command(files, settings="{oxidation_states: icsd24, cutoffs: {structure: 0.1, composition: 2}}") == 0
    summary = json.loads((files / "out" / "metrics.json").read_text())
    assert summary["settings"]["oxidation_states"] == "icsd24"
    assert summary["coverage"]["cutoffs"] == {"structure": 0.1, "composition": 2.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "nowhere.parquet"}, "nowhere.parquet does not exist"),
        ({"settings": "{cutoff: mp_20}"}, "unknown key 'cutoff'"),
        ({"settings": "{coverage_take: 0}"}, "coverage_take must be at least 1"),
        ({"settings": "{oxidation_states: smact3}"}, "'smact3' is not one of"),
    ],
)
def test_command_refuses_in_one_line(files, capsys, changes, message):
    assert command(files, **changes) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (files / "out").exists()


def test_settings_load_without_the_materials_packages():
    code = "import sys, unimat.materials.metrics_settings; print('pymatgen' in sys.modules or 'scipy' in sys.modules)"
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


def diffcsp_crystals(n=None):
    """The 10,000 crystals that DiffCSP generated after training on MP-20, or a seeded draw of them."""
    torch = pytest.importorskip("torch")
    found = torch.load(DATA / "generated" / "diffcsp_mp_20" / "DiffCSP_mp_20.pt", map_location="cpu", weights_only=True)
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    ends = np.cumsum(arrays["num_atoms"])
    rows = np.arange(len(ends)) if n is None else np.random.default_rng(0).choice(len(ends), n, replace=False)
    for row in rows:
        atoms = slice(ends[row] - arrays["num_atoms"][row], ends[row])
        cell = Lattice.from_parameters(*arrays["lengths"][row].tolist(), *arrays["angles"][row].tolist())
        yield crystal(f"d{row}", cell.matrix, arrays["atom_types"][atoms], arrays["frac_coords"][atoms])


@pytest.mark.published
@needs_data
def test_validity_of_diffcsps_crystals_is_the_published_one():
    """Structure 1.000 and composition 0.832 (SMACT's older list) of 10,000; here structure of a draw of 1,000."""
    compositions = []
    for each in diffcsp_crystals():
        numbers, counts = np.unique(each.atomic_numbers, return_counts=True)
        compositions.append(Composition(dict(zip(numbers.tolist(), counts.tolist(), strict=True))))
    valid = [composition_failure(composition) is None for composition in compositions]
    assert np.mean(valid) == pytest.approx(0.832, abs=5e-4)
    drawn = [structure_failure(distances(each), 0.5, 0.1, images=False) for each in diffcsp_crystals(1000)]
    assert drawn.count(None) == 1000

    import pyarrow.feather as feather

    formulas = feather.read_table(DATA / "mp_20" / "test.feather", columns=["pretty_formula"]).column(0).to_pylist()
    ours = [len(composition) for composition, ok in zip(compositions, valid, strict=True) if ok]
    # Published: 0.3466, from an unseeded draw of 1,000 valid crystals; ours is of all of them.
    assert wasserstein_distance(ours, [len(Composition(each)) for each in formulas]) == pytest.approx(0.3466, abs=0.002)
