"""Order parameters against pymatgen's, one at a time, and against motifs drawn by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Site

from unimat.materials.metrics.fingerprints import order_parameters
from unimat.materials.metrics.fingerprints.motifs import MOTIFS, first_columns, labels
from unimat.materials.metrics.fingerprints.order_parameters import values
from unimat.materials.metrics.fingerprints.site_fingerprints import featurizer
from unimat.materials.metrics.fingerprints.spherical_angles import globes

TOP, BOTTOM = [0, 0, 1], [0, 0, -1]


def ring(n, height=0.0):
    turns = 2 * np.pi * np.arange(n) / n
    return [[np.cos(turn), np.sin(turn), height] for turn in turns]


def bent(degrees):
    return [[1, 0, 0], [np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0]]


CUBE = [[x, y, z] for x in (1, -1) for y in (1, -1) for z in (1, -1)]
TETRAHEDRON = [corner for corner in CUBE if np.prod(corner) > 0]
CUBOCTAHEDRON = [np.roll([0, x, y], turn) for turn in range(3) for x in (1, -1) for y in (1, -1)]
IDEAL = {
    "sgl_bd CN_1": [TOP],
    "L-shaped CN_2": bent(90),
    "water-like CN_2": bent(104.45),
    "bent 120 degrees CN_2": bent(120),
    "bent 150 degrees CN_2": bent(150),
    "linear CN_2": bent(180),
    "trigonal planar CN_3": ring(3),
    "trigonal non-coplanar CN_3": TETRAHEDRON[:3],
    "T-shaped CN_3": ring(4)[:3],
    "square co-planar CN_4": ring(4),
    "tetrahedral CN_4": TETRAHEDRON,
    "rectangular see-saw-like CN_4": [TOP, BOTTOM, *ring(4)[:2]],
    "see-saw-like CN_4": [TOP, BOTTOM, *ring(3)[:2]],
    "trigonal pyramidal CN_4": [TOP, *ring(3)],
    "pentagonal planar CN_5": ring(5),
    "square pyramidal CN_5": [TOP, *ring(4)],
    "trigonal bipyramidal CN_5": [TOP, BOTTOM, *ring(3)],
    "hexagonal planar CN_6": ring(6),
    "octahedral CN_6": [TOP, BOTTOM, *ring(4)],
    "pentagonal pyramidal CN_6": [TOP, *ring(5)],
    "hexagonal pyramidal CN_7": [TOP, *ring(6)],
    "pentagonal bipyramidal CN_7": [TOP, BOTTOM, *ring(5)],
    "body-centered cubic CN_8": CUBE,
    "hexagonal bipyramidal CN_8": [TOP, BOTTOM, *ring(6)],
    "q2 CN_9": [*ring(3, 1), *ring(3, -1), *ring(3)],
    "q4 CN_10": [TOP, BOTTOM, *ring(4, 0.5), *ring(4, -0.5)],
    "q6 CN_11": [TOP, *ring(5, 0.4), *ring(5, -0.4)],
    "cuboctahedral CN_12": CUBOCTAHEDRON,
}


def directions_of(vectors):
    return np.array(vectors, float) / np.linalg.norm(vectors, axis=1, keepdims=True)


def ours(directions):
    n = len(directions)
    weights = np.linspace(1, 0.5, n)
    columns, uncertain = values(tuple(MOTIFS[n].values()), globes(directions[None], weights[None]))
    return columns[0], bool(uncertain[0])


def pymatgens(directions):
    """By matminer's own order parameter objects, each called by itself."""
    sites = [Site("C", [0, 0, 0]), *(Site("C", direction) for direction in directions)]
    neighbours = list(range(1, len(sites)))
    found = [
        order_parameter.get_order_parameters(sites, 0, indices_neighs=neighbours)[0]
        for order_parameter in featurizer().ops[len(directions)]
        if order_parameter != "wt"
    ]
    return np.array([value or 0.0 for value in found])


def test_columns_and_parameters_are_matminers():
    assert list(labels()) == featurizer().feature_labels()
    assert first_columns()[12] == labels().index("wt CN_12")
    for number, motifs in MOTIFS.items():
        theirs = [each._params[0] or {} for each in featurizer().ops[number] if each != "wt"]
        for (name, motif), parameters in zip(motifs.items(), theirs, strict=True):
            given_numbers = {float(value) for value in parameters.values()} - {2.0}  # exp_cos_AA, always 2
            assert given_numbers <= {*motif.settings.values(), 1.0, 2.0}, name


@pytest.mark.parametrize("label", IDEAL)
def test_ideal_motif_is_1_and_pymatgens_values_are_ours(label):
    directions = directions_of(IDEAL[label])
    found, uncertain = ours(directions)
    assert not uncertain
    np.testing.assert_allclose(found, pymatgens(directions), atol=1e-7)
    name = label.rsplit(" CN_", 1)[0]
    if not name.startswith("q"):
        assert found[list(MOTIFS[len(directions)]).index(name)] == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("label", IDEAL)
@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_distorted_motif_has_pymatgens_values(label, noise):
    rng = np.random.default_rng(0)
    directions = directions_of(directions_of(IDEAL[label]) + rng.normal(scale=noise, size=(len(IDEAL[label]), 3)))
    found, uncertain = ours(directions)
    assert not uncertain
    np.testing.assert_allclose(found, pymatgens(directions), atol=1e-9)


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_random_neighbours_have_pymatgens_values(n, seed):
    directions = directions_of(np.random.default_rng(seed).normal(size=(n, 3)))
    found, uncertain = ours(directions)
    assert uncertain or np.abs(found - pymatgens(directions)).max() < 1e-8


def test_many_atoms_at_once_have_the_values_of_each():
    directions = np.stack([directions_of(np.random.default_rng(seed).normal(size=(6, 3))) for seed in range(5)])
    together, _ = values(tuple(MOTIFS[6].values()), globes(directions, np.ones((5, 6))))
    np.testing.assert_allclose(together, [ours(each)[0] for each in directions], atol=1e-14)


def test_steinhardts_numbers_of_a_cuboctahedron():
    """Those of a face-centred cubic crystal: q4 = 0.19094, q6 = 0.57452 (Steinhardt et al., Table I)."""
    found, _ = ours(directions_of(CUBOCTAHEDRON))
    np.testing.assert_allclose(found[1:], [0, 0.19094, 0.57452], atol=1e-5)


def test_angle_on_a_threshold_is_uncertain():
    on_limit = np.radians(135)
    square_antiprism_like = [[0, 0, 1], [np.sin(on_limit), 0, np.cos(on_limit)], *ring(4)[1:]]
    assert ours(directions_of(square_antiprism_like))[1]
    moved = [[0, 0, 1], [np.sin(on_limit + 1e-6), 0, np.cos(on_limit + 1e-6)], *ring(4)[1:]]
    assert not ours(directions_of(moved))[1]


def test_neighbour_almost_on_the_axis_is_uncertain():
    assert ours(directions_of([TOP, [1e-11, 0, -1], *ring(4)]))[1]
    assert not ours(directions_of([TOP, BOTTOM, *ring(4)]))[1]


def test_order_of_tied_neighbours_matters_to_one_motif_only():
    distorted = directions_of(np.array(CUBE) + np.random.default_rng(1).normal(scale=0.2, size=(8, 3)))
    motifs = tuple(MOTIFS[8].values())
    assert values(motifs, globes(distorted[None], np.ones((1, 8))))[1].all()
    assert not values(motifs, globes(distorted[None], np.linspace(1, 0.5, 8)[None]))[1].any()
    assert not values(motifs[1:], globes(distorted[None], np.ones((1, 8))))[1].any()
    cube = directions_of(CUBE)  # any order gives the same
    assert not values(motifs, globes(cube[None], np.ones((1, 8))))[1].any()
    assert order_parameters.body_centred(globes(cube[None], np.ones((1, 8))), **motifs[0].settings) == pytest.approx(1)
