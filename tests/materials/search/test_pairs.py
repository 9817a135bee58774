"""Crystals with templates: what a library without the crystal itself gives, in one setting."""

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from unimat import crystal_table
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.search.pairs import with_templates
from unimat.materials.search.substitution import Substitution
from unimat.materials.search.templates import Templates, index


def rock_salt(a, elements, name):
    return from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), elements, [[0, 0, 0], [0.5, 0.5, 0.5]])
        .get_primitive_structure()
        .get_reduced_structure(),
        name,
    )


@pytest.fixture(scope="module")
def crystals():
    silicon = from_structure(Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]]), "silicon")
    return [rock_salt(5.64, ["Na", "Cl"], "NaCl"), rock_salt(6.29, ["K", "Cl"], "KCl"), silicon]


@pytest.fixture(scope="module")
def pairs(crystals):
    library, _ = index(crystal_table.from_crystals(crystals))
    return with_templates(crystals, Substitution(Templates(library)), per_crystal=2)


def test_no_crystal_is_its_own_template(crystals, pairs):
    assert pairs.material_ids == [f"{name}-{n}" for name in ("NaCl", "KCl", "silicon") for n in (0, 1)]
    assert pairs.column("template_id").tolist() == ["KCl", "KCl", "NaCl", "NaCl", None, None]
    assert np.isnan(pairs.column("template_distance")[4:].astype(float)).all()


def test_a_template_lies_on_its_crystal(crystals, pairs):
    row = pairs[0]
    coords = np.array(row.properties["template_coords"]).reshape(-1, 3)
    np.testing.assert_allclose(row.frac_coords, coords, atol=1e-6)  # both rock salt
    lattice = np.array(row.properties["template_lattice"]).reshape(3, 3)
    assert abs(np.linalg.det(row.lattice)) == pytest.approx(5.64**3 / 4, rel=1e-6)  # the crystal's own volume
    ratio = np.linalg.norm(row.lattice, axis=1) / np.linalg.norm(lattice, axis=1)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    matcher = StructureMatcher(scale=False)
    for each, crystal in zip((pairs[0], pairs[2], pairs[4]), crystals, strict=True):
        assert matcher.fit(to_structure(each), to_structure(crystal))
