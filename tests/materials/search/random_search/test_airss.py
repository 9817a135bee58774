import dataclasses

import numpy as np
import pytest
from pymatgen.core import Composition

from unimat import crystal_table
from unimat.errors import UserError
from unimat.materials.crystals.lattices import shortest_distance
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.search.random_search import draws as airss_draws
from unimat.materials.search.random_search.airss import closest_contact, random_search
from unimat.materials.search.random_search.compositions import compositions, requests
from unimat.materials.search.random_search.draws import covalent_radii, draw, estimated_volume, wanted_distances
from unimat.materials.search.random_search.settings import AirssSettings
from unimat.settings import load_settings


def test_compositions_of_two_elements_up_to_eight_atoms():
    """Sum over n = 1..8 of n + 1 ways to share n atoms between two elements."""
    found = compositions(AirssSettings(elements=("C", "Si"), max_atoms=8))
    assert len(found) == sum(n + 1 for n in range(1, 9)) == 44
    assert {"C": 8} in found
    assert {"C": 1, "Si": 1} in found


def test_so_many_of_each_composition_or_so_many_in_all():
    each = AirssSettings(compositions=("Si4C4", "C2"), per_composition=2)
    assert requests(each) == [{"Si": 4, "C": 4}] * 2 + [{"C": 2}] * 2
    assert requests(dataclasses.replace(each, n=3)) == [{"Si": 4, "C": 4}, {"C": 2}, {"Si": 4, "C": 4}]
    assert len(requests(AirssSettings(compositions=("C2",)))) == 100  # the paper's


def test_compositions_of_the_csv_that_sampling_takes(tmp_path):
    path = tmp_path / "compositions.csv"
    path.write_text("formula,count\nSi4C4,3\nC2,\n", encoding="utf-8")
    settings = load_settings(AirssSettings, {"compositions": str(path), "per_composition": 2}, "airss")
    assert requests(settings) == [{"Si": 4, "C": 4}] * 3 + [{"C": 2}] * 2
    with pytest.raises(UserError, match="leave out n, or the column count"):
        requests(dataclasses.replace(settings, n=5))
    path.write_text("formula,count\nSi4C4,many\n", encoding="utf-8")
    with pytest.raises(UserError, match="count 'many' of Si4C4 is no whole number"):
        requests(settings)
    path.write_text("composition\nSi4C4\n", encoding="utf-8")
    with pytest.raises(UserError, match="needs a header with the column formula"):
        requests(settings)


def test_row_depends_on_seed_and_index_alone():
    settings = AirssSettings(compositions=("Si4C4", "C2"), n=6, seed=3)
    (short, _), (long, _) = (random_search(dataclasses.replace(settings, n=n)) for n in (3, 6))
    for crystal, same in zip(short, long, strict=False):
        np.testing.assert_allclose(crystal.frac_coords, same.frac_coords, rtol=0, atol=1e-12)
        np.testing.assert_allclose(crystal.lattice, same.lattice, rtol=0, atol=1e-12)
    other, _ = random_search(dataclasses.replace(settings, n=1, seed=4))
    assert not np.allclose(other[0].lattice, short[0].lattice)


def test_structures_have_composition_volume_and_distances_asked_for():
    settings = AirssSettings(compositions=("Si4C4", "Na2Cl2", "LiF"), per_composition=8, seed=1)
    table, rejected = random_search(settings)
    assert len(table) == table.metadata["n_requested"] == 24
    assert rejected == []
    for crystal in table:
        wanted = Composition(crystal.properties["requested_formula"])
        structure = to_structure(crystal)
        assert structure.composition.reduced_formula == wanted.reduced_formula
        assert len(structure) <= wanted.num_atoms
        factor = structure.volume / estimated_volume(crystal.atomic_numbers)
        assert factor == pytest.approx(crystal.properties["estimated_volume_factor"])
        assert 0.4 <= factor <= 1.2
        # pymatgen's pairs within a radius know nothing of our shortest distances.
        first, second, _, distance = structure.get_neighbor_list(6.0)
        radii = covalent_radii()[crystal.atomic_numbers]
        closest = (distance / (radii[first] + radii[second])).min(initial=np.inf)
        assert closest >= 0.7 - 1e-9
        assert closest == pytest.approx(crystal.properties["closest_contact"])


def test_without_soft_spheres_structures_are_pyxtals_own():
    settings = AirssSettings(elements=("C", "Si"), n=10, seed=1, soft_spheres=False, volume_factor=(0.6, 1.4))
    table, rejected = random_search(settings)
    assert len(table) == 10
    assert rejected == []
    assert table.property_names == ["requested_formula", "requested_spacegroup"]
    for crystal in table:
        assert shortest_distance(crystal.lattice, crystal.frac_coords) > 0.5


def test_share_without_symmetry():
    settings = AirssSettings(compositions=("C4",), without_symmetry=0.5)
    groups = [draw({"C": 4}, settings, index, 0).spacegroup for index in range(40)]
    assert 10 <= groups.count(1) <= 30
    assert draw({"C": 4}, dataclasses.replace(settings, without_symmetry=1.0), 3, 0).spacegroup == 1


def test_what_cannot_be_made_is_a_row_with_its_reason(monkeypatch):
    dense = AirssSettings(compositions=("Na4",), n=2, volume_factor=(0.1, 0.12), max_steps=100, attempts=2)
    table, rejected = random_search(dense)
    assert len(table) == 0
    assert table.metadata["n_requested"] == 2
    assert [row.reason for row in rejected] == ["overlapping_spheres"] * 2
    assert "Na4: atoms closer than 0.7 times their covalent radii in each of 2 draws" in rejected[0].detail
    table, rejected = random_search(AirssSettings(compositions=("Cf2", "C2"), n=2))
    assert [(row.material_id, row.reason) for row in rejected] == [("airss-000000", "no_radius")]
    assert table.material_ids == ["airss-000001"]
    monkeypatch.setattr(airss_draws, "_from_pyxtal", lambda *_, **__: None)
    table, rejected = random_search(AirssSettings(compositions=("C2",), n=1))
    assert (len(table), rejected[0].reason) == (0, "no_placement")


def test_closest_contact_sees_a_lone_atoms_images():
    from pymatgen.core import Lattice, Structure

    carbon = Structure(Lattice.cubic(1.56), ["C"], [[0, 0, 0]])
    assert closest_contact(carbon, 1.0) == pytest.approx(1.0)  # PyXtal's radius is 0.78 Å
    np.testing.assert_allclose(wanted_distances(np.array([6, 1]), 0.7), [[1.092, 0.763], [0.763, 0.5]], atol=1e-9)


@pytest.mark.published
def test_estimated_volume_and_distances_fit_real_crystals(published_data):
    """What the docstrings of `estimated_volume` and of `min_distance` say of MP-20."""
    table, _ = read_crystals(published_data / "mp_20/test.feather")
    ratios, contacts = [], []
    for crystal in table.take(np.arange(0, len(table), 20)):
        if np.isnan(covalent_radii()[crystal.atomic_numbers]).any():
            continue
        structure = to_structure(crystal)
        ratios.append(structure.volume / estimated_volume(crystal.atomic_numbers))
        contacts.append(closest_contact(structure, 1.0))
    assert np.median(ratios) == pytest.approx(0.96, abs=0.03)
    np.testing.assert_allclose(np.percentile(ratios, [5, 95]), [0.66, 1.65], atol=0.12)
    assert np.mean(np.array(contacts) > 0.745) > 0.98


@pytest.mark.parametrize("formula", ["Qq2", "Si0.5C0.5"])
def test_bad_formula_is_named(formula):
    with pytest.raises(UserError, match=formula):
        random_search(AirssSettings(compositions=(formula,), n=1))


def test_the_command_writes_both_tables(tmp_path):
    from unimat.cli import main

    settings = '{"compositions": ["C2", "Cf2"], "per_composition": 2}'
    assert main(["airss", "--settings", settings, "--out", str(tmp_path)]) == 0
    assert len(crystal_table.read(tmp_path / "crystals.parquet")) == 2
    assert [row.reason for row in crystal_table.read_rejected(tmp_path / "rejected.parquet")] == ["no_radius"] * 2
