"""Structure prediction metrics against values by hand, against DiffCSP's evaluation, and on bad input."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition

from unimat import crystal_table
from unimat.cli import main
from unimat.crystal_table import Crystal, from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.structures import to_structure
from unimat.materials.metrics import validity
from unimat.materials.metrics.settings import MatcherSettings
from unimat.materials.prediction.evaluate import evaluate, figures
from unimat.materials.prediction.pairing import Sample, samples_of_truths
from unimat.materials.prediction.settings import PredictionSettings

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
ROCK_SALT = Crystal("NaCl", 5.64 * FCC, np.array([11, 17]), np.array([[0, 0, 0], [0.5] * 3]))
DIAMOND = Crystal("C", 3.57 * FCC, np.array([6, 6]), np.array([[0, 0, 0], [0.25] * 3]))
B2 = Crystal("B2", 3.5 * np.eye(3), np.array([11, 17]), np.array([[0, 0, 0], [0.5] * 3]))
UNCHARGED = Crystal("NaCl2", 3.5 * np.eye(3), np.array([11, 17, 17]), np.array([[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]))
SETTINGS = PredictionSettings(bootstrap=200)


def named(crystal, name, **properties):
    return dataclasses.replace(crystal, material_id=name, properties=properties)


def disturbed(crystal, name, size, seed=0):
    moves = np.random.default_rng(seed).normal(0, size, crystal.frac_coords.shape)
    return dataclasses.replace(crystal, material_id=name, frac_coords=crystal.frac_coords + moves)


def judged(crystals, truths, by="prefix", settings=SETTINGS, **options):
    crystals, truths = from_crystals(crystals), from_crystals(truths)
    samples, _ = samples_of_truths(crystals, truths, by, **options)
    return evaluate("set", crystals, truths, samples, settings)


def test_a_match_by_root_mean_square_and_one_by_the_largest_displacement():
    """One of eight atoms is off by 0.6 (V/n)^(1/3). Once the mean is moved back, it is off by 7/8 of that, the others
    by 1/8: the root mean square is 0.6 √7 / 8 = 0.198, the largest 0.525, and the tolerance 0.5."""
    salt = Crystal("salt", 5.64 * np.eye(3), np.array([11] * 4 + [17] * 4), np.concatenate([
        [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
        [[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]]))  # fmt: skip
    moved = salt.frac_coords.copy()
    moved[0] += 0.6 / 2 / np.sqrt(3)  # along [111]; (V/n)^(1/3) is half the edge
    sample = dataclasses.replace(salt, material_id="salt-0", frac_coords=moved)
    matcher = MatcherSettings(ltol=0.3, stol=0.5, angle_tol=10, primitive_cell=False)
    theirs = StructureMatcher(**dataclasses.asdict(matcher))
    assert theirs.get_rms_dist(to_structure(sample), to_structure(salt)) == pytest.approx((0.6 * 7**0.5 / 8, 0.525))
    assert not theirs.fit(to_structure(sample), to_structure(salt))
    for rule, count in (("rms_dist", 1), ("fit", 0)):
        settings = dataclasses.replace(SETTINGS, matcher=matcher, rule=rule)
        found = judged([sample], [salt], settings=settings).summary
        assert found["samples"]["1"]["all"]["match_rate"]["count"] == count
        assert found["settings"]["rule"] == rule


def test_rates_of_one_and_of_all_samples():
    crystals = [
        named(B2, "NaCl-0"), named(ROCK_SALT, "NaCl-1"), named(ROCK_SALT, "C-0"), named(DIAMOND, "C-1"),
        named(B2, "B2-0"), named(B2, "B2-1"),
    ]  # fmt: skip
    found = judged(crystals, [ROCK_SALT, DIAMOND, B2])
    one, two = found.summary["samples"]["1"]["all"], found.summary["samples"]["2"]["all"]
    assert (one["match_rate"]["count"], one["match_rate"]["of"]) == (1, 3)
    assert (two["match_rate"]["count"], two["match_rate"]["of"]) == (3, 3)
    assert two["rmse"]["value"] == pytest.approx(0, abs=1e-6)
    # Unmatched truths enter the corrected error with the matcher's tolerance, 0.5.
    assert one["crmse"]["value"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    rows = {row["material_id"]: row for row in found.table.to_pylist()}
    assert [rows[name]["matched"] for name in ("NaCl-0", "NaCl-1", "C-0", "C-1")] == [False, True, False, True]
    assert rows["C-0"]["same_composition"] is False
    assert rows["NaCl-0"]["same_composition"] is True


def test_a_shifted_atom_has_the_error_of_the_paper():
    """An atom of two moved by d: both end d/2 from their places after the best translation, times (N/V)^(1/3)."""
    moved = dataclasses.replace(B2, material_id="B2-0", frac_coords=np.array([[0, 0, 0], [0.5, 0.5, 0.58]]))
    found = judged([moved], [B2]).summary["samples"]["1"]["all"]
    assert found["rmse"]["value"] == pytest.approx(0.08 * 3.5 / 2 / (3.5**3 / 2) ** (1 / 3), rel=1e-6)


def test_gates_of_validity():
    """Of three matched truths one is itself not valid, and one has a sample that is not."""
    packed = dataclasses.replace(DIAMOND, lattice=DIAMOND.lattice * 0.3)  # atoms 0.46 Å apart; scaled, it matches
    crystals = [named(UNCHARGED, "NaCl2-0"), named(packed, "C-0"), named(B2, "B2-0")]
    found = judged(crystals, [UNCHARGED, DIAMOND, B2]).summary
    assert found["valid"] == {"count": 1, "of": 3, "rate": pytest.approx(1 / 3)}
    assert found["truths_valid"]["count"] == 2
    counts = {gate: each["match_rate"]["count"] for gate, each in found["samples"]["1"].items()}
    assert counts == {"all": 3, "valid": 1, "valid_sample": 1}


def test_everyone_is_matched_with_every_truth_of_the_composition():
    """The samples of two polymorphs are swapped: no sample matches its own truth, each truth is matched by some."""
    found = judged([named(B2, "NaCl-0"), named(ROCK_SALT, "B2-0")], [ROCK_SALT, B2]).summary
    assert found["samples"]["1"]["all"]["match_rate"]["count"] == 0
    assert found["metre"]["match_rate"]["count"] == 2
    assert found["metre"]["crmse"]["value"] == pytest.approx(0, abs=1e-6)


def test_rates_are_given_for_as_many_samples_as_are_asked_for():
    crystals = [named(B2, "NaCl-0"), named(B2, "NaCl-1"), named(ROCK_SALT, "NaCl-2"), named(DIAMOND, "C-0")]
    settings = dataclasses.replace(SETTINGS, samples=(1, 2, 9))
    found = judged(crystals, [ROCK_SALT, DIAMOND], settings=settings).summary["samples"]
    assert {n: each["all"]["match_rate"]["count"] for n, each in found.items()} == {"1": 1, "2": 1, "3": 2}
    with pytest.raises(ValueError, match=r"samples must be numbers of at least 1, found \[0\]"):
        PredictionSettings(samples=(0,))


def test_without_metre_samples_meet_their_own_truths_alone():
    crystals = [named(B2, "NaCl-0"), named(ROCK_SALT, "B2-0"), named(ROCK_SALT, "B2-1"), named(B2, "B2-2")]
    truths = [ROCK_SALT, B2]
    plain = judged(crystals, truths, settings=dataclasses.replace(SETTINGS, metre=False))
    everyone = judged(crystals, truths)
    assert plain.summary["metre"] is None
    assert plain.summary["samples"] == everyone.summary["samples"]
    assert plain.table.equals(everyone.table)


def diffcsp(samples, truths):
    """Match rate and error as DiffCSP's RecEval (one sample) and RecEvalBatch (several) compute them."""

    def valid(crystal):
        numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
        composition = Composition(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        distances = validity.distances(crystal)
        return (
            distances.between_atoms >= 0.5 and distances.volume >= 0.1 and not validity.composition_failure(composition)
        )

    matcher = StructureMatcher(stol=0.5, angle_tol=10, ltol=0.3)
    best = []
    for row, truth in enumerate(truths):
        errors = []
        for batch in samples:
            gate = valid(batch[row]) and (len(samples) > 1 or valid(truth))
            found = matcher.get_rms_dist(to_structure(batch[row]), to_structure(truth)) if gate else None
            errors += [] if found is None else [found[0]]
        best.append(min(errors, default=None))
    matched = [error for error in best if error is not None]
    return len(matched) / len(truths), np.mean(matched)


@pytest.mark.parametrize("k", [1, 3])
def test_numbers_are_those_of_diffcsp(k):
    rng = np.random.default_rng(1)
    truths = []
    for index in range(12):
        lattice = np.diag(rng.uniform(3.5, 5, 3)) + rng.normal(0, 0.3, (3, 3))
        numbers = np.array([11, 17, 11, 17] if index % 3 else [11, 17, 17, 17])  # every third has no balanced charges
        truths.append(Crystal(f"t{index}", lattice, numbers, rng.random((4, 3))))
    samples = [
        [disturbed(truth, f"eval_diff-{batch}-{row}", 0.02 + 0.02 * (row % 5), 100 * batch + row) for row, truth in
         enumerate(truths)] for batch in range(k)
    ]  # fmt: skip
    for batch in samples:
        batch[1] = dataclasses.replace(batch[1], lattice=batch[1].lattice / 10)  # not valid
    found = judged([each for batch in samples for each in batch], truths, "evaluation", k=k).summary
    ours = found["samples"][str(k)]["valid" if k == 1 else "valid_sample"]
    rate, error = diffcsp(samples, truths)
    assert 0 < rate < found["samples"][str(k)]["all"]["match_rate"]["rate"]
    assert ours["match_rate"]["rate"] == rate
    assert ours["rmse"]["value"] == pytest.approx(error, abs=1e-12)


def test_truths_without_samples_stay_in_the_denominator():
    found = judged([named(DIAMOND, "C-0")], [DIAMOND, ROCK_SALT, B2])
    rate = found.summary["samples"]["1"]["all"]["match_rate"]
    assert (rate["count"], rate["of"]) == (1, 3)
    assert found.summary["n_samples"]["truths_without"] == 2
    assert [row["material_id"] for row in found.table.to_pylist()] == ["C-0", None, None]


def test_intervals_cover_and_are_seeded():
    errors = np.where(np.arange(400) % 4 == 0, 0.1, np.inf)
    found = figures(errors, PredictionSettings())
    rate = found["match_rate"]
    assert rate["count"] == 100
    # A binomial share of 1/4 in 400 has a standard error of 0.0217.
    assert rate["high"] - rate["low"] == pytest.approx(2 * 1.96 * 0.0217, rel=0.1)
    assert rate["low"] < 0.25 < rate["high"]
    assert found["rmse"] == {
        "value": pytest.approx(0.1),
        "low": pytest.approx(0.1),
        "high": pytest.approx(0.1),
        "of": 100,
    }
    assert found["crmse"]["value"] == pytest.approx(0.4)
    assert figures(errors, PredictionSettings()) == found
    assert figures(errors, PredictionSettings(seed=1))["match_rate"]["low"] != rate["low"]
    none = figures(np.full(3, np.inf), PredictionSettings(bootstrap=0))
    assert none["rmse"] == {"value": None, "low": None, "high": None, "of": 0}
    assert none["match_rate"] == {"count": 0, "of": 3, "rate": 0.0, "low": None, "high": None}


def ids(*names, **columns):
    values = [{key: column[at] for key, column in columns.items()} for at in range(len(names))]
    return from_crystals(
        [named(B2, name, **each) for name, each in zip(names, values or [{}] * len(names), strict=True)]
    )


def test_samples_by_each_way():
    truths = ids("mp-1", "mp-2")
    of = lambda *arguments, **options: samples_of_truths(*arguments, **options)  # noqa: E731
    first_two = [[Sample(0, 0), Sample(1, 1)], [Sample(2, 0), Sample(3, 1)]]
    assert of(ids("mp-1_1", "mp-1_2", "mp-2_1", "mp-2_2", "mp-3_1"), truths, "prefix") == (first_two, 1)
    assert of(ids("gen-0", "gen-1", "gen-2", "gen-3"), truths, "number", k=2) == (first_two, 0)
    column = {"truth": ["mp-1", "mp-1", "mp-2", "mp-2"]}
    assert of(ids("a", "b", "c", "d", **column), truths, "column", "truth") == (first_two, 0)
    crossed = [[Sample(0, 0), Sample(2, 1)], [Sample(1, 0), Sample(3, 1)]]
    assert of(ids("e-0-0", "e-0-1", "e-1-0", "e-1-1"), truths, "evaluation") == (crossed, 0)
    assert of(ids("e-0-0", "e-0-1", "e-1-0", "e-1-1"), truths, "evaluation", k=1)[0] == [[Sample(0, 0)], [Sample(1, 0)]]
    assert of(ids("a", "b"), truths, "composition") == ([[Sample(0, 0), Sample(1, 1)]] * 2, 0)


def test_a_rejected_sample_counts_as_one_without_a_match():
    truths = ids("mp-1", "mp-2")
    samples, _ = samples_of_truths(ids("gen-1", "gen-2"), truths, "number", k=2)
    assert samples == [[Sample(0, 1)], [Sample(1, 0)]]
    found = evaluate("set", ids("gen-1", "gen-2"), truths, samples, SETTINGS).summary
    assert found["samples"]["1"]["all"]["match_rate"]["count"] == 1
    assert found["samples"]["2"]["all"]["match_rate"]["count"] == 2


@pytest.mark.parametrize(
    ("names", "by", "k", "told"),
    [
        (("a", "b"), "number", 2, "the id 'a' ends in no number"),
        (("gen-9",), "number", 2, "gen-9 would be a sample of truth 4, but there are 2"),
        (("gen-0",), "number", None, "--by number needs --samples"),
        (("x-0",), "prefix", None, "none of 1 crystals is a sample of a truth by prefix"),
        (("mp-1-0", "mp-1_0"), "prefix", None, "are both sample 0 of mp-1"),
        (("a",), "column", None, "--column NAME and --by column go together"),
        (("gen-0",), "number", 0, "give a number of at least 1"),
    ],
)
def test_ids_that_do_not_tell(names, by, k, told):
    with pytest.raises(UserError, match=told):
        samples_of_truths(ids(*names), ids("mp-1", "mp-2"), by, k=k)


def test_the_command_writes_both_and_says_what_is_wrong(tmp_path, capsys):
    paths = {name: str(tmp_path / f"{name}.parquet") for name in ("crystals", "truths", "empty", "pairs")}
    crystal_table.write(from_crystals([named(ROCK_SALT, "NaCl-0"), named(DIAMOND, "C-0")]), paths["crystals"])
    crystal_table.write(from_crystals([ROCK_SALT, DIAMOND]), paths["truths"])
    crystal_table.write(from_crystals([]), paths["empty"])
    command = [
        "match",
        "--truths",
        paths["truths"],
        "--out-file",
        str(tmp_path / "out.json"),
        "--pairs",
        paths["pairs"],
    ]
    assert main([*command, "--crystals", paths["crystals"], "--by", "prefix", "--set", "mine"]) == 0
    summary = json.loads((tmp_path / "out.json").read_text())
    assert summary["samples"]["1"]["all"]["match_rate"]["count"] == 2
    assert summary["settings"]["matcher"]["stol"] == 0.5
    assert pq.read_table(paths["pairs"]).num_rows == 2
    for arguments, told in (
        (["--crystals", paths["empty"]], "holds no crystals"),
        (["--crystals", paths["crystals"], "--by", "column", "--column", "truth"], "no column 'truth'"),
        (["--crystals", paths["crystals"], "--settings", '{"matcher": "loose"}'], "'loose' is not one of"),
        (["--crystals", paths["crystals"], "--settings", '{"level": 2}'], "level must lie between 0 and 1"),
    ):
        capsys.readouterr()
        assert main([*command, *arguments]) == 2
        assert told in capsys.readouterr().err
