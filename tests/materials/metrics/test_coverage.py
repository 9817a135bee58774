"""Coverage against closed forms and against the definition written out with full distance matrices."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from unimat.materials.crystals.intervals import Bootstrap
from unimat.materials.metrics.coverage import cdvae_coverage, nearest, strict_coverage
from unimat.materials.metrics.fingerprints.fingerprints import Fingerprints
from unimat.materials.metrics.settings import Cutoffs


def made(structure, composition, failed=()):
    """Fingerprints of given points; those of the rows in `failed` are missing."""
    structure, composition = np.array(structure, float), np.array(composition, float)
    structure[list(failed)] = np.nan
    composition[list(failed)] = np.nan
    return Fingerprints(structure, composition, ["failed" if row in failed else None for row in range(len(structure))])


def random_fingerprints(n, seed, failed=()):
    rng = np.random.default_rng(seed)
    return made(rng.normal(0, 0.05, (n, 61)), rng.normal(0, 0.7, (n, 132)), failed)


def coverage(generated, reference, cutoffs, n_generated=None, judge=cdvae_coverage):
    found = nearest(generated, reference, cutoffs)
    return judge(*found, cutoffs, len(generated) if n_generated is None else n_generated)


def share(entry):
    return entry["count"], entry["of"]


def mean(entry):
    return entry["value"]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_nearest_distances_are_those_of_the_full_matrix(chunk):
    cutoffs = Cutoffs(structure=0.4, composition=10)
    a, b = random_fingerprints(23, 0), random_fingerprints(31, 1)
    structure, composition = cdist(a.structure, b.structure), cdist(a.composition, b.composition)
    worse = np.maximum(structure / 0.4, composition / 10)
    recall, precision = nearest(a, b, cutoffs, chunk)
    for found, axis, partner in ((precision, 1, worse.argmin(1)), (recall, 0, worse.argmin(0))):
        np.testing.assert_array_equal(found.structure, structure.min(axis))
        np.testing.assert_array_equal(found.composition, composition.min(axis))
        rows = np.arange(len(partner))
        at = (rows, partner) if axis else (partner, rows)
        np.testing.assert_array_equal(found.joint_structure, structure[at])
        np.testing.assert_array_equal(found.joint_composition, composition[at])


def test_coverage_is_cdvaes_definition():
    generated, reference = random_fingerprints(40, 1, failed=(3, 17)), random_fingerprints(30, 2)
    cutoffs = Cutoffs(structure=0.49, composition=10.7)
    structure = cdist(generated.structure[generated.found], reference.structure)
    composition = cdist(generated.composition[generated.found], reference.composition)
    recall = (structure.min(axis=0) <= 0.49) & (composition.min(axis=0) <= 10.7)
    precision = (structure.min(axis=1) <= 0.49) & (composition.min(axis=1) <= 10.7)
    assert 0 < recall.sum() < 30  # the cut-offs lie within the distances, so that the comparison says something
    assert 0 < precision.sum() < 38

    found = coverage(generated, reference, cutoffs)
    assert share(found["cov_recall"]) == (recall.sum(), 30)
    assert found["cov_recall"]["rate"] == recall.mean()
    # Crystals without fingerprints stay in the denominator of precision.
    assert share(found["cov_precision"]) == (precision.sum(), 40)
    assert mean(found["amsd_recall"]) == pytest.approx(structure.min(axis=0).mean())
    assert mean(found["amcd_recall"]) == pytest.approx(composition.min(axis=0).mean())
    assert mean(found["amsd_precision"]) == pytest.approx(structure.min(axis=1).mean())
    assert mean(found["amcd_precision"]) == pytest.approx(composition.min(axis=1).mean())
    assert found["amsd_precision"]["n"] == 38


def test_strict_coverage_wants_one_partner_and_counts_every_crystal():
    generated, reference = random_fingerprints(40, 1, failed=(3, 17)), random_fingerprints(30, 2, failed=(5,))
    cutoffs = Cutoffs(structure=0.51, composition=10.9)
    ours, theirs = generated.found, reference.found
    structure = cdist(generated.structure[ours], reference.structure[theirs])
    composition = cdist(generated.composition[ours], reference.composition[theirs])
    near = (structure <= 0.51) & (composition <= 10.9)
    assert 0 < near.any(0).sum() < 29
    found = coverage(generated, reference, cutoffs, judge=strict_coverage)
    assert share(found["cov_recall"]) == (near.any(0).sum(), 30)
    assert share(found["cov_precision"]) == (near.any(1).sum(), 40)
    assert share(coverage(generated, reference, cutoffs)["cov_recall"])[1] == 29


def test_rejected_crystals_enlarge_the_denominator_of_precision():
    same = random_fingerprints(5, 0)
    found = coverage(same, same, Cutoffs(0.1, 0.1), n_generated=20)
    assert found["cov_recall"]["rate"] == 1
    assert share(found["cov_precision"]) == (5, 20)
    assert mean(found["amsd_recall"]) == mean(found["amcd_precision"]) == 0


def test_structure_and_composition_may_come_from_different_partners():
    """One generated crystal shares the reference's structure, another its composition: recall counts that as found."""
    reference = made([[0.0] * 61], [[0.0] * 132])
    generated = made([[0.0] * 61, [9.0] * 61], [[9.0] * 132, [0.0] * 132])
    found = coverage(generated, reference, Cutoffs(0.2, 4))
    assert found["cov_recall"]["count"] == 1
    assert found["cov_precision"]["count"] == 0
    joint = coverage(generated, reference, Cutoffs(0.2, 4), judge=strict_coverage)
    assert joint["cov_recall"]["count"] == 0


def test_distance_at_the_cutoff_is_covered():
    step = np.eye(61)[:1] * 0.5
    found = coverage(made(step, np.zeros((1, 132))), made(np.zeros((1, 61)), np.zeros((1, 132))), Cutoffs(0.5, 1.0))
    assert found["cov_recall"]["count"] == found["cov_precision"]["count"] == 1
    assert mean(found["amsd_recall"]) == 0.5


def test_nothing_generated_covers_nothing():
    found = coverage(random_fingerprints(2, 0, failed=(0, 1)), random_fingerprints(4, 1), Cutoffs(0.4, 10))
    assert share(found["cov_recall"]) == (0, 4)
    assert share(found["cov_precision"]) == (0, 2)
    assert mean(found["amsd_recall"]) is None
    assert mean(found["amsd_precision"]) is None


def test_reference_without_fingerprints_is_left_out_of_cdvaes_recall():
    recall, precision = nearest(random_fingerprints(3, 0), random_fingerprints(6, 1, failed=(0, 5)), Cutoffs(1, 1))
    assert recall.found.tolist() == [False, True, True, True, True, False]
    assert precision.found.all()


def test_mean_distances_have_intervals_around_them():
    generated, reference = random_fingerprints(60, 1), random_fingerprints(60, 2)
    cutoffs = Cutoffs(0.4, 10)
    found = cdvae_coverage(*nearest(generated, reference, cutoffs), cutoffs, 60, Bootstrap(200))["amsd_recall"]
    assert found["low"] < found["value"] < found["high"]
    spread = nearest(generated, reference, cutoffs)[0].structure.std() / np.sqrt(60)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * spread, rel=0.25)
