"""Crystals in the setting of their templates: by hand, against pymatgen's StructureMatcher, and where nothing fits."""

import dataclasses

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.search.alignment import aligned

PEROVSKITE = from_structure(
    Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
    ),
    "perovskite",
)
SKEW = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]])


def rewritten(crystal, seed=0, change=SKEW, mirror=1):
    """The same crystal: other axes, another origin, another order, turned, 30 % larger, mirrored if wanted."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(len(crystal.atomic_numbers))
    coords = mirror * crystal.frac_coords @ np.linalg.inv(change) + rng.uniform(size=3)
    return dataclasses.replace(
        crystal,
        lattice=1.3 ** (1 / 3) * change @ crystal.lattice @ turn,
        atomic_numbers=crystal.atomic_numbers[order],
        frac_coords=np.mod(coords[order], 1),
    )


def general(seed=3):
    """A crystal without any symmetry."""
    rng = np.random.default_rng(seed)
    lattice = np.diag([4.0, 5.0, 6.5]) + rng.normal(0, 0.4, (3, 3))
    numbers = np.array([8, 8, 8, 22, 38])
    return Crystal("general", lattice, numbers, rng.uniform(size=(5, 3)))


@pytest.mark.parametrize("crystal", [PEROVSKITE, general()], ids=["perovskite", "general"])
@pytest.mark.parametrize("mirror", [1, -1])
def test_the_same_crystal_lies_on_its_template(crystal, mirror):
    found = aligned(rewritten(crystal, mirror=mirror), crystal)
    assert found.rms == pytest.approx(0, abs=1e-6)
    assert found.strain == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(found.crystal.atomic_numbers, crystal.atomic_numbers)
    between = found.crystal.frac_coords - crystal.frac_coords
    np.testing.assert_allclose(between, 0, atol=1e-6)
    volumes = [abs(np.linalg.det(each.lattice)) for each in (found.crystal, crystal)]
    assert volumes[0] == pytest.approx(1.3 * volumes[1])  # the crystal's own
    lengths = [np.linalg.norm(each.lattice, axis=1) for each in (found.crystal, crystal)]
    np.testing.assert_allclose(lengths[0], 1.3 ** (1 / 3) * lengths[1], rtol=1e-6)


def test_displacements_by_hand():
    """Titanium 0.2 Å up the z axis of a cube of 4 Å, one oxygen 0.1 Å down: less their mean over five atoms."""
    crystal = dataclasses.replace(PEROVSKITE, lattice=np.eye(3) * 4.0)
    coords = crystal.frac_coords.copy()
    titanium, oxygen = np.flatnonzero(crystal.atomic_numbers == 22)[0], np.flatnonzero(crystal.atomic_numbers == 8)[1]
    coords[titanium, 2] += 0.05
    coords[oxygen, 2] -= 0.025
    moved = dataclasses.replace(crystal, frac_coords=coords)
    found = aligned(rewritten(moved), crystal)
    up = np.zeros(5)
    up[titanium], up[oxygen] = 0.05, -0.025
    up -= up.mean()
    cartesian = (found.crystal.frac_coords - crystal.frac_coords) * 4
    # A cube has 48 settings: which of them the answer is in decides the axis, and the sign.
    axis = np.argmax(np.abs(cartesian).sum(0))
    sign = np.sign(cartesian[titanium, axis])
    oxygens = np.flatnonzero(crystal.atomic_numbers == 8)
    np.testing.assert_allclose(np.sort(sign * cartesian[oxygens, axis]), np.sort(4 * up[oxygens]), atol=1e-6)
    assert sign * cartesian[titanium, axis] == pytest.approx(4 * up[titanium], abs=1e-6)
    assert found.rms == pytest.approx(np.sqrt((up**2).mean()) * 4 / (64 / 5) ** (1 / 3), rel=1e-6)


def test_no_setting_is_nearer_than_pymatgen_s():
    """Crystals of a general kind, each atom displaced: as near as StructureMatcher brings them, or nearer."""
    rng = np.random.default_rng(1)
    matcher = StructureMatcher(stol=0.5, ltol=0.3, angle_tol=10, primitive_cell=False)
    for seed in range(5):
        template = general(seed)
        coords = template.frac_coords + rng.normal(0, 0.02, (5, 3))
        crystal = rewritten(dataclasses.replace(template, frac_coords=coords), seed)
        found = aligned(crystal, template)
        theirs = matcher.get_rms_dist(to_structure(template), to_structure(crystal))
        assert theirs is not None
        assert 0.01 < found.rms < theirs[0] * 1.02
        assert matcher.get_rms_dist(to_structure(found.crystal), to_structure(crystal))[0] == pytest.approx(0, abs=1e-4)


def test_where_nothing_fits_the_crystal_is_still_the_crystal():
    one, other = general(5), general(6)
    found = aligned(one, dataclasses.replace(other, lattice=np.diag([2.0, 2.0, 30.0])))
    assert found.rms > 0.1
    matcher = StructureMatcher(primitive_cell=False, scale=False)
    assert matcher.get_rms_dist(to_structure(one), to_structure(found.crystal))[0] == pytest.approx(0, abs=1e-5)


def test_other_atoms_are_refused():
    with pytest.raises(UserError, match="general and its template perovskite are not of the same atoms"):
        aligned(dataclasses.replace(general(), atomic_numbers=np.array([8, 8, 22, 22, 38])), PEROVSKITE)
