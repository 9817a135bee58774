"""Coverage against closed forms and against the definition written out with full distance matrices."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from unimat.materials.metrics.coverage import coverage, minima, nearest
from unimat.materials.metrics.fingerprints import Fingerprints
from unimat.materials.metrics_settings import Cutoffs


def made(structure, composition, failed=()):
    """Fingerprints of given points; those of the rows in `failed` are missing."""
    structure, composition = np.array(structure, float), np.array(composition, float)
    structure[list(failed)] = np.nan
    composition[list(failed)] = np.nan
    return Fingerprints(structure, composition, ["failed" if row in failed else None for row in range(len(structure))])


def random_fingerprints(n, seed, failed=()):
    rng = np.random.default_rng(seed)
    return made(rng.normal(0, 0.05, (n, 61)), rng.normal(0, 0.7, (n, 132)), failed)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_minima_are_those_of_the_full_matrix(chunk):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(23, 5)), rng.normal(size=(31, 5))
    of_a, of_b = minima(a, b, chunk)
    np.testing.assert_array_equal(of_a, cdist(a, b).min(axis=1))
    np.testing.assert_array_equal(of_b, cdist(a, b).min(axis=0))


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
    assert found["cov_recall"] == {"count": recall.sum(), "of": 30, "rate": recall.mean()}
    # Crystals without fingerprints stay in the denominator of precision.
    assert found["cov_precision"] == {"count": precision.sum(), "of": 40, "rate": precision.sum() / 40}
    assert found["amsd_recall"] == pytest.approx(structure.min(axis=0).mean())
    assert found["amcd_recall"] == pytest.approx(composition.min(axis=0).mean())
    assert found["amsd_precision"] == pytest.approx(structure.min(axis=1).mean())
    assert found["amcd_precision"] == pytest.approx(composition.min(axis=1).mean())


def test_rejected_crystals_enlarge_the_denominator_of_precision():
    same = random_fingerprints(5, 0)
    found = coverage(same, same, Cutoffs(0.1, 0.1), n_generated=20)
    assert found["cov_recall"]["rate"] == 1
    assert found["cov_precision"] == {"count": 5, "of": 20, "rate": 0.25}
    assert found["amsd_recall"] == found["amcd_precision"] == 0


def test_structure_and_composition_may_come_from_different_partners():
    """One generated crystal shares the reference's structure, another its composition: recall counts that as found."""
    reference = made([[0.0] * 61], [[0.0] * 132])
    generated = made([[0.0] * 61, [9.0] * 61], [[9.0] * 132, [0.0] * 132])
    found = coverage(generated, reference, Cutoffs(0.2, 4))
    assert found["cov_recall"]["count"] == 1
    assert found["cov_precision"]["count"] == 0


def test_distance_at_the_cutoff_is_covered():
    step = np.eye(61)[:1] * 0.5
    found = coverage(made(step, np.zeros((1, 132))), made(np.zeros((1, 61)), np.zeros((1, 132))), Cutoffs(0.5, 1.0))
    assert found["cov_recall"]["count"] == found["cov_precision"]["count"] == 1
    assert found["amsd_recall"] == 0.5


def test_nothing_generated_covers_nothing():
    found = coverage(random_fingerprints(2, 0, failed=(0, 1)), random_fingerprints(4, 1), Cutoffs(0.4, 10))
    assert found["cov_recall"] == {"count": 0, "of": 4, "rate": 0}
    assert found["cov_precision"] == {"count": 0, "of": 2, "rate": 0}
    assert found["amsd_recall"] is None
    assert found["amsd_precision"] is None


def test_reference_without_fingerprints_is_left_out_of_recall():
    recall, precision = nearest(random_fingerprints(3, 0), random_fingerprints(6, 1, failed=(0, 5)))
    assert len(recall.structure) == 4
    assert len(precision.structure) == 3
