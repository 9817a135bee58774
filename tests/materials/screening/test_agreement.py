"""How often a verdict held: counts in both directions against counts made by hand, ranks against scipy's own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.materials.stability.judged_set import CHGNET, VASP, crystal, judged_set
from unimat import cli, crystal_table
from unimat.errors import UserError
from unimat.materials.screening.agreement import agreement, matched, read_side

FIRST = [  # material_id, formula, lattice constant, decomposition energy
    ("a", "SiC", 4.36, -0.05),
    ("b", "SiC", 4.36, -0.01),
    ("c", "SiC", 4.36, 0.01),
    ("d", "Si", 5.43, -0.02),
    ("e", "Si", 5.43, 0.02),
    ("f", "C", 3.57, 0.20),
    ("g", "C", 3.57, -0.03),
    ("z", "C", 3.57, 0.50),  # not handed on
]
AGAIN = [
    ("g", "C", 3.57, None),  # does not converge
    ("a", "SiC", 4.40, -0.04),
    ("b", "SiC", 4.36, 0.02),  # stable -> metastable
    ("c", "SiC", 4.36, -0.02),  # metastable -> stable
    ("d", "Si", 5.43, 0.06),  # stable -> above
    ("e", "Si", 5.43, 0.01),
    ("f", "C", 3.57, 0.10),
]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return judged_set(tmp_path / "generated", FIRST, CHGNET), judged_set(tmp_path / "best", AGAIN, VASP)


@pytest.fixture
def numbers(folders: tuple[Path, Path]) -> dict[str, Any]:
    a, b = map(read_side, folders)
    return agreement(matched(a, b), a, b)


def test_verdicts_that_held_by_hand(numbers):
    held = numbers["held"]
    assert held["stable"] == {"count": 1, "of": 3, "rate": 1 / 3, "not_judged": 1}  # a of a, b, d; g is not judged
    assert held["metastable"] == {"count": 1, "of": 2, "rate": 1 / 2, "not_judged": 0}  # e of c, e
    assert held["near"] == {"count": 4, "of": 5, "rate": 4 / 5, "not_judged": 1}  # a, b, c, e of a, b, c, d, e


def test_the_other_direction_by_hand(numbers):
    back = numbers["held_back"]
    assert back["stable"] == {"count": 1, "of": 2, "rate": 1 / 2, "not_judged": 0}  # a of a, c
    assert back["metastable"] == {"count": 1, "of": 2, "rate": 1 / 2, "not_judged": 0}  # e of b, e


def test_denominators_say_what_is_in_both_and_judged_by_both(numbers):
    assert numbers["n_both"] == {"count": 7, "of": 7}
    assert numbers["n_judged_by_both"] == {"count": 6, "of": 7}
    assert numbers["converged"] == {"a": {"count": 7, "of": 7}, "b": {"count": 6, "of": 7}}
    assert (numbers["a"]["by"], numbers["b"]["by"]) == ("CHGNet", "VASP")


def test_differences_of_decomposition_energies_are_b_minus_a(numbers):
    differences = [0.01, 0.03, -0.03, 0.08, -0.01, -0.10]
    assert numbers["energy"]["n"] == 6
    assert numbers["energy"]["mean"] == pytest.approx(np.mean(differences))
    assert numbers["energy"]["mean_absolute"] == pytest.approx(np.mean(np.abs(differences)))
    assert numbers["energy"]["largest_absolute"] == pytest.approx(0.10)


def test_ranks_are_scipys_within_compositions_and_over_all(numbers):
    a, b = [-0.05, -0.01, 0.01], [-0.04, 0.02, -0.02]  # SiC; Si turns round; C has one crystal that both judged
    within = numbers["ranks"]["within_compositions"]
    assert within["spearman"] == pytest.approx((3 * stats.spearmanr(a, b).statistic + 2 * -1) / 5)
    assert within["kendall"] == pytest.approx((3 * stats.kendalltau(a, b).statistic + 2 * -1) / 5)
    assert (within["compositions"], within["crystals"]) == (2, 5)
    everything = [-0.05, -0.01, 0.01, -0.02, 0.02, 0.20], [-0.04, 0.02, -0.02, 0.06, 0.01, 0.10]
    assert numbers["ranks"]["all"]["spearman"] == pytest.approx(stats.spearmanr(*everything).statistic)
    assert numbers["ranks"]["lowest_is_lowest"] == {"count": 1, "of": 2}


def test_flips_are_listed_the_largest_first(numbers):
    assert (numbers["flips"]["count"], numbers["flips"]["of"]) == (3, 6)
    assert [each["material_id"] for each in numbers["flips"]["first"]] == ["d", "b", "c"]
    assert numbers["flips"]["first"][0]["verdict_a"] == "stable"
    assert numbers["flips"]["first"][0]["verdict_b"] == "above"


def test_structures_are_the_same_or_not_and_volumes_compared(folders, tmp_path):
    table = crystal_table.read(folders[1] / "relaxed.parquet")
    rows = [crystal("b", "MgO", 4.2) if each.material_id == "b" else each for each in table]
    crystal_table.write(crystal_table.from_crystals(rows, **table.metadata), folders[1] / "relaxed.parquet")
    a, b = map(read_side, folders)
    frame = matched(a, b)
    by_id = frame.set_index("material_id")
    assert by_id["same_structure"].to_dict() == {
        "g": None, "a": True, "b": False, "c": True, "d": True, "e": True, "f": True,
    }  # fmt: skip
    assert by_id.loc["a", "volume_ratio"] == pytest.approx((4.40 / 4.36) ** 3)
    assert np.isnan(by_id.loc["g", "volume_ratio"])
    assert agreement(frame, a, b)["structures"]["same"] == {"count": 5, "of": 6, "rate": 5 / 6}


def test_nothing_to_compare_gives_nulls(tmp_path):
    a = read_side(judged_set(tmp_path / "a", FIRST))
    for rows in ([], [("g", "C", 3.57, None)]):
        b = read_side(judged_set(tmp_path / "b", rows))
        numbers = agreement(matched(a, b), a, b)
        assert numbers["held"]["stable"]["rate"] is None
        assert numbers["energy"]["mean"] is None
        assert numbers["ranks"]["within_compositions"]["spearman"] is None
        json.dumps(numbers, allow_nan=False)


def test_sets_without_a_common_crystal_are_refused_by_name(folders, tmp_path):
    other = judged_set(tmp_path / "other", [("q", "Si", 5.4, 0.0)])
    with pytest.raises(UserError, match="no crystal of 'other' is in 'generated'; give two judged sets"):
        matched(read_side(folders[0]), read_side(other))


def test_a_set_that_is_not_judged_is_refused_by_name(folders):
    (folders[1] / "stability.json").unlink()
    with pytest.raises(UserError, match=r"best is not judged, stability.json is missing"):
        read_side(folders[1])


def test_the_command_writes_numbers_and_a_row_for_each_crystal(folders, caplog):
    a, b = map(str, folders)
    assert cli.main(["agreement", "--a", a, "--b", b, "--out", b]) == 0
    numbers = json.loads((folders[1] / "agreement.json").read_text(encoding="utf-8"))
    assert numbers["held"]["stable"]["of"] == 3
    frame = pd.read_parquet(folders[1] / "agreement.parquet")
    assert frame["material_id"].tolist() == [each for each, *_ in AGAIN]
    assert frame["verdict_b"].tolist() == [
        "not judged",
        "stable",
        "metastable",
        "stable",
        "above",
        "metastable",
        "above",
    ]


def test_what_agreement_compares_the_comparison_of_energies_refuses_by_name(folders, tmp_path, capsys):
    """Formation energies of two engines are never subtracted; verdicts, each against its own hull, may be compared."""
    a, b = map(str, folders)
    words = ["compare", "--a", a, "--b", b, "--out-file", str(tmp_path / "x.json")]
    assert cli.main([*words, "--pairs", str(tmp_path / "x.parquet")]) == 2
    said = capsys.readouterr().err
    assert "sets 'generated' and 'best' differ in energy_type ({'calculator': 'CHGNet'" in said
    assert not (tmp_path / "x.json").exists()
