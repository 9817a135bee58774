import numpy as np
import pytest
from pymatgen.core import Composition

from unimat.errors import UserError
from unimat.materials.airss import compositions, random_search
from unimat.materials.airss_settings import AirssSettings
from unimat.materials.lattices import shortest_distance
from unimat.materials.structures import to_structure


def test_compositions_of_two_elements_up_to_eight_atoms():
    """Sum over n = 1..8 of n + 1 ways to share n atoms between two elements."""
    found = compositions(AirssSettings(elements=("C", "Si"), max_atoms=8))
    assert len(found) == sum(n + 1 for n in range(1, 9)) == 44
    assert {"C": 8} in found
    assert {"C": 1, "Si": 1} in found


def test_row_depends_on_seed_and_index_alone():
    short, long = (random_search(AirssSettings(compositions=("Si4C4", "C2"), n=n, seed=3)) for n in (3, 6))
    for crystal, same in zip(short, long, strict=False):
        np.testing.assert_array_equal(crystal.frac_coords, same.frac_coords)
        np.testing.assert_array_equal(crystal.lattice, same.lattice)


def test_structures_have_the_composition_asked_for_and_no_overlap():
    for crystal in random_search(AirssSettings(elements=("C", "Si"), n=20, seed=1)):
        wanted = Composition(crystal.properties["requested_formula"])
        assert to_structure(crystal).composition.reduced_formula == wanted.reduced_formula
        assert len(crystal.atomic_numbers) <= wanted.num_atoms
        assert shortest_distance(crystal.lattice, crystal.frac_coords) > 0.5


@pytest.mark.parametrize("formula", ["Qq2", "Si0.5C0.5"])
def test_bad_formula_is_named(formula):
    with pytest.raises(UserError, match=formula):
        random_search(AirssSettings(compositions=(formula,), n=1))
