"""The metrics stage as a whole, on a set judged by hand."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from unimat import crystal_table
from unimat.crystal_table import Crystal, Rejected
from unimat.errors import UserError
from unimat.materials.crystals.intervals import wilson
from unimat.materials.metrics.evaluate import evaluate
from unimat.materials.metrics.settings import MetricsSettings
from unimat.materials.metrics.table_text import table_text

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
    return evaluate("made", SET, REFERENCE, KNOWN, rejected_rows(2))


def rejected_rows(n):
    return [Rejected(f"lost-{i}", "file", "degenerate_lattice", "a length is not finite") for i in range(n)]


def counts(rates):
    return {name: each and (each["count"], each["of"]) for name, each in rates.items()}


def test_rates_are_shares_of_everything_generated(metrics):
    assert counts(metrics.summary["rates"]) == {"unique": (5, 8), "novel": (5, 8), "unique_and_novel": (4, 8)}
    assert counts(metrics.summary["cdvae"]["rates"]) == {
        "structure_valid": (5, 8),
        "composition_valid": (5, 8),
        "valid": (4, 8),
        "valid_and_unique": (3, 8),
        "valid_unique_and_novel": (2, 8),
    }
    assert counts(metrics.summary["strict"]["rates"]) == {
        "structure_valid": (4, 8),
        "smact_valid": (5, 8),
        "charge_balanced": (5, 8),
        "composition_valid": (5, 8),
        "valid": (3, 8),
        "valid_and_unique": (2, 8),
        "valid_unique_and_novel": (1, 8),
    }
    valid = metrics.summary["cdvae"]["rates"]["valid"]
    assert (valid["rate"], valid["low"], valid["high"]) == (0.5, *wilson(4, 8))
    assert counts(metrics.summary["cdvae"]["rates_of_reference"])["valid"] == (2, 2)
    assert (metrics.summary["n_generated"], metrics.summary["n_crystals"], metrics.summary["n_rejected"]) == (8, 6, 2)
    assert "the 2 rejected crystals count in every denominator and in no numerator" in metrics.summary["notes"]


def test_verdict_of_each_crystal(metrics):
    rows = metrics.verdicts.to_pandas().set_index("material_id")
    assert rows["formula"].dropna().to_dict() == {
        "diamond": "C",
        "larger-diamond": "C",
        "rock-salt": "NaCl",
        "NaCl2": "NaCl2",
        "overlapping": "C",
        "chain": "C",
    }
    assert rows["cluster"].tolist()[:6] == [0, 0, 1, 2, 3, 4]
    assert rows["unique"].tolist() == [True, False, True, True, True, True, False, False]
    assert rows.loc["rock-salt", "matched_id"] == "train-7"
    assert not rows.loc["rock-salt", "novel"]
    assert rows["spacegroup_number"][["diamond", "rock-salt", "NaCl2"]].tolist() == [227, 225, 225]
    assert rows.loc["NaCl2", "reason"] == "composition: no oxidation states make it charge neutral"
    assert rows.loc["overlapping", "reason"] == "structure: two atoms 0.400 Å apart, the limit is 0.5 Å"
    assert rows["reason"][["diamond", "rock-salt", "chain"]].isna().all()
    assert rows.loc["chain", ["structure_valid", "structure_valid_strict"]].tolist() == [True, False]
    assert rows.loc["chain", "reason_strict"].startswith("structure: an atom 0.450 Å from its own image")
    assert rows.loc["rock-salt", ["nearest_structure", "nearest_composition"]].tolist() == [0, 0]
    assert rows.loc["rock-salt", ["covered", "covered_strict"]].tolist() == [True, True]
    assert rows.loc["lost-1", "reason"] == "rejected: degenerate_lattice (a length is not finite)"
    assert not rows.loc["lost-1", ["valid", "valid_strict", "unique", "novel", "covered"]].any()
    assert rows.loc["chain", "shortest_distance"] == pytest.approx(0.45)


def test_coverage_of_the_made_set(metrics):
    for mode in ("cdvae", "strict"):
        coverage = metrics.summary[mode]["coverage"]
        assert counts({"recall": coverage["cov_recall"]}) == {"recall": (2, 2)}  # both are in the set
        assert coverage["cov_precision"]["of"] == 8
        assert coverage["amsd_recall"]["value"] == coverage["amcd_recall"]["value"] == 0
    prints = metrics.summary["fingerprints"]
    assert (prints["n_reference"], prints["n_generated"]) == (2, 8)
    assert prints["composition_scaler"].startswith("cdvae")


def test_distributions_are_of_the_valid_against_the_whole_reference(metrics):
    found = metrics.summary["cdvae"]["distributions"]["n_elements"]
    assert (found["n_generated"], found["n_reference"]) == (4, 2)  # C, C, NaCl, C against C, NaCl
    assert found["wasserstein"] == pytest.approx(wasserstein_distance([1, 1, 2, 1], [1, 2]))
    strict = metrics.summary["strict"]["distributions"]["n_elements"]
    assert strict["wasserstein"] == pytest.approx(wasserstein_distance([1, 1, 2], [1, 2]))  # without the chain


def test_summary_says_why_the_modes_differ(metrics):
    whys = {each["number"]: each for each in metrics.summary["differences"]}
    assert "own periodic images" in whys["rates.structure_valid"]["why"]
    assert (whys["rates.valid"]["cdvae"], whys["rates.valid"]["strict"]) == (0.5, 3 / 8)
    assert "rates.composition_valid" not in whys  # the same number in both


def test_failures_are_counted_by_their_kind(metrics):
    assert metrics.summary["failures"] == {
        "rejected": {"degenerate_lattice": 2},
        "requested_but_missing": 0,
        "invalid": {"composition": 1, "structure": 1},
        "invalid_strict": {"charge": 1, "composition": 1, "structure": 2},
        "fingerprint": {},
        "energy": {},
    }


def test_results_by_size(metrics):
    rows = metrics.summary["by"]["n_elements"]
    assert [(row["first"], row["last"], row["n_generated"], row["n_reference"]) for row in rows] == [
        (1, 1, 4, 1),
        (2, 2, 2, 1),
    ]
    assert counts(rows[0]["cdvae"])["valid"] == (3, 4)  # two diamonds and the chain
    assert counts(rows[0]["strict"])["valid"] == (2, 4)
    assert counts(rows[1]["cdvae"])["cov_recall"] == (1, 1)
    assert sum(row["n_generated"] for row in metrics.summary["by"]["n_atoms"]) == 6


def test_table_for_the_terminal_has_both_modes(metrics):
    text = table_text(metrics.summary)
    assert "made: 8 generated, 2 of them not usable, against 2 reference crystals" in text
    (line,) = [line for line in text.splitlines() if line.startswith("valid (both)")]
    assert line.split() == ["valid", "(both)", "0.5000", "[0.2152,", "0.7848]", "0.3750", "[0.1368,", "0.6943]"]
    assert "Note: the 2 rejected crystals count in every denominator and in no numerator." in text


def test_summary_names_versions_and_settings(metrics):
    assert metrics.summary["settings"]["oxidation_states"] == "smact14"
    assert metrics.summary["settings"]["matcher"].items() >= {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0}.items()
    assert {"smact", "pymatgen", "matminer"} <= metrics.summary["versions"].keys()


def test_draw_for_coverage_counts_rejected_crystals():
    settings = MetricsSettings(coverage_take=4, cutoffs="carbon_24")
    found = evaluate("made", table(DIAMOND), REFERENCE, rejected=rejected_rows(9), settings=settings).summary
    prints, coverage = found["fingerprints"], found["strict"]["coverage"]
    assert (prints["n_generated"], prints["n_generated_available"]) == (4, 10)
    assert (prints["n_reference"], prints["n_reference_available"]) == (2, 2)
    assert coverage["cov_precision"]["of"] == 4
    assert coverage["cov_precision"]["count"] <= 1
    assert prints["cutoffs"] == {"structure": 0.2, "composition": 4.0}
    assert any("4 of 10 generated, 2 of 2 reference" in note for note in found["notes"])


def test_draw_for_matching_is_the_denominator_of_what_it_judges():
    crystals = [dataclasses.replace(DIAMOND, material_id=f"made-{index}") for index in range(6)]
    settings = MetricsSettings(matching_take=4)
    found = evaluate("made", table(*crystals), REFERENCE, table(LARGER_DIAMOND), rejected_rows(4), settings)
    judged = found.verdicts.column("unique").to_pylist()[:6]
    n_drawn = 6 - judged.count(None)
    assert 0 < n_drawn < 6
    assert judged.count(True) == 1
    for column in ("novel", "cluster"):
        assert [value is None for value in found.verdicts.column(column).to_pylist()[:6]] == [v is None for v in judged]
    rates, strict = counts(found.summary["rates"]), counts(found.summary["strict"]["rates"])
    assert (rates["unique"], rates["novel"], rates["unique_and_novel"]) == ((1, 4), (0, 4), (0, 4))
    assert (strict["valid"][1], strict["valid_and_unique"], strict["valid_unique_and_novel"]) == (10, (1, 4), (0, 4))
    assert found.summary["matching"]["n_generated"] == 4
    (small,) = (each for each in found.summary["by"]["n_atoms"] if each["n_generated"])
    assert (small["unique"]["count"], small["unique"]["of"]) == (1, n_drawn)
    assert any("4 of 10 generated" in note for note in found.summary["notes"])


def test_elements_only_and_missing_knowledge_are_said():
    found = evaluate("carbon", table(DIAMOND), table(LARGER_DIAMOND)).summary
    assert found["rates"]["novel"] is found["rates"]["unique_and_novel"] is None
    assert found["strict"]["rates"]["valid_unique_and_novel"] is None
    assert any("one element" in note for note in found["notes"])
    assert any("novelty was not judged" in note for note in found["notes"])


def test_denominator_is_what_was_requested():
    found = evaluate("made", table(DIAMOND, n_requested=10), table(DIAMOND), rejected=rejected_rows(4)).summary
    assert counts(found["cdvae"]["rates"])["valid"] == (1, 10)
    assert found["failures"]["requested_but_missing"] == 5
    assert "10 crystals were requested, 1 are here and 4 were rejected" in found["notes"]


def test_everything_rejected_gives_zeros_not_an_error():
    found = evaluate("made", table(), REFERENCE, KNOWN, rejected_rows(3)).summary
    assert counts(found["rates"])["novel"] == (0, 3)
    for mode in ("cdvae", "strict"):
        recall = found[mode]["coverage"]["cov_recall"]
        assert (recall["count"], recall["of"]) == (0, 2)
        assert found[mode]["distributions"]["density"]["wasserstein"] is None
    assert "no crystal is valid: there are no distributions to compare" in found["notes"]
    assert "-" in table_text(found)


@pytest.mark.parametrize(("crystals", "reference"), [(table(), REFERENCE), (SET, table())])
def test_nothing_to_judge_is_an_error(crystals, reference):
    with pytest.raises(UserError, match=r"nothing was generated|no rows"):
        evaluate("made", crystals, reference)
