"""Distances and volumes of elements, learned from libraries in which they are known."""

import numpy as np
import pytest
from pymatgen.core import Composition, Lattice, Structure

from unimat.crystal_table import from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.search import learning
from unimat.materials.search import templates as library
from unimat.materials.search.exchange import Exchange
from unimat.materials.search.templates import Templates
from unimat.periodic_table import ATOMIC_NUMBER as Z

ALKALI, HALOGENS, EARTHS = ["Li", "Na", "K", "Rb", "Cs"], ["F", "Cl", "Br", "I"], ["Mg", "Ca", "Sr", "Ba"]
VOLUMES = {symbol: 8.0 + 3 * at for at, symbol in enumerate([*ALKALI, *HALOGENS, *EARTHS, "O", "S", "Se", "Te"])}


def structure(cation, anion, group):
    volume = 4 * (VOLUMES[cation] + VOLUMES[anion])
    sites = [[0, 0, 0], [0.5, 0.5, 0.5]]
    if group == "Pm-3m":
        return Structure.from_spacegroup(group, Lattice.cubic((volume / 4) ** (1 / 3)), [cation, anion], sites)
    return Structure.from_spacegroup(group, Lattice.cubic(volume ** (1 / 3)), [cation, anion], sites)


@pytest.fixture(scope="module")
def salts():
    """Halides of alkali metals in one kind of structure, chalcogenides of alkaline earths in another."""
    crystals = [structure(a, b, "Fm-3m") for a in ALKALI for b in HALOGENS]
    crystals += [structure(a, b, "Pm-3m") for a in EARTHS for b in ("O", "S", "Se", "Te")]
    table = from_crystals([from_structure(each, str(at)) for at, each in enumerate(crystals)])
    return Templates(library.index(table)[0])


@pytest.fixture(scope="module")
def learned(salts):
    return learning.learn(salts, steps=300)


def test_the_right_kind_is_less_surprising_than_by_properties_alone(salts, learned):
    start = learning.properties_of_elements()
    left = learning.left_out(salts, Exchange(start, np.ones(119), share=0.0, units=100.0, known=0.0))
    batch = left.take(np.arange(len(left.row)))

    def surprise(vectors):
        return float(learning.surprise({"vectors": vectors, "share": 0.0, "units": 0.0, "known": 0.0}, batch))

    assert surprise(learned.vectors) < 0.5 * surprise(start)


def test_surprise_by_hand():
    """One template left out, two voters at 1 and at 2 nats, of which the nearer is right."""
    vectors = np.zeros((119, 1), np.float32)
    vectors[2:4, 0] = 1, 2
    batch = (
        np.array([[1]]), np.array([[0.0]]), np.array([[[2], [3]]]),
        np.array([[False, False]]), np.array([[True, False]]), np.array([[True, True]]),
    )  # fmt: skip
    found = learning.surprise({"vectors": vectors, "share": 0.0, "units": 0.0, "known": 0.0}, batch)
    assert float(found) == pytest.approx(np.log(1 + np.exp(-1)), abs=1e-3)


def test_volumes_of_compounds_are_recovered(learned):
    """Not those of ions: what all cations gain and all anions lose changes no volume."""
    for a, b in (("LiF", "CsI"), ("NaCl", "KBr"), ("MgO", "BaTe")):
        found, expected = (
            sum(volume(symbol) for symbol in elements(b)) / sum(volume(symbol) for symbol in elements(a))
            for volume in (lambda symbol: learned.volumes[Z[symbol]], VOLUMES.__getitem__)
        )
        assert found == pytest.approx(expected, rel=0.01)


def elements(formula):
    return Composition(formula).get_el_amt_dict()


def test_written_and_read_again(learned):
    again = Exchange.from_json(learned.to_json())
    assert np.allclose(again.distances[1:, 1:], learned.distances[1:, 1:], atol=1e-3)
    assert np.allclose(again.volumes[1:], learned.volumes[1:], atol=1e-3)
