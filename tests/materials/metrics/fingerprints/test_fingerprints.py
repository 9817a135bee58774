"""Fingerprints against matminer called by hand, closed forms, and the cache."""

import dataclasses
import itertools
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Composition, Element, Lattice, Structure

from unimat import crystal_table
from unimat.crystal_table import Crystal
from unimat.materials.crystals import processes
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.datasets.readers import records_of
from unimat.materials.metrics.fingerprints import fingerprints as module
from unimat.materials.metrics.fingerprints import site_fingerprints
from unimat.materials.metrics.fingerprints.fingerprints import content_key, fingerprints, structure_fingerprint
from unimat.materials.metrics.fingerprints.magpie import composition_fingerprint, magpie_scaler, standardised
from unimat.materials.metrics.fingerprints.motifs import labels
from unimat.materials.metrics.fingerprints.site_fingerprints import featurizer, mean_fingerprint

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
DIAMOND = Crystal("diamond", 3.57 * FCC, np.array([6, 6]), np.array([[0, 0, 0], [0.25, 0.25, 0.25]]))
ROCK_SALT = Crystal("rock-salt", 5.64 * FCC, np.array([11, 17]), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
TOO_DENSE = Crystal("too-dense", np.eye(3), np.array([6, 6, 6]), np.zeros((3, 3)))


@pytest.fixture(scope="module")
def found():
    return fingerprints([DIAMOND, ROCK_SALT, TOO_DENSE])


def weight_of_coordination(row, number):
    """CrystalNN's weight of a coordination number, by matminer's own labels."""
    return row[labels().index(f"wt CN_{number}")]


def test_structure_fingerprint_knows_four_and_six_neighbours(found):
    assert weight_of_coordination(found.structure[0], 4) == pytest.approx(1, abs=1e-3)
    assert weight_of_coordination(found.structure[1], 6) == pytest.approx(1, abs=1e-3)
    tetrahedral = labels().index("tetrahedral CN_4")
    assert found.structure[0][tetrahedral] == pytest.approx(1, abs=1e-2)


def by_matminer(structure):
    return np.mean([featurizer().featurize(structure, site) for site in range(len(structure))], axis=0)


PROTOTYPES = {
    "hexagonal close-packed": ("P6_3/mmc", Lattice.hexagonal(3.2, 5.2), ["Mg"], [[1 / 3, 2 / 3, 0.25]]),
    "fluorite": ("Fm-3m", Lattice.cubic(5.46), ["Ca", "F"], [[0, 0, 0], [0.25] * 3]),
    "perovskite": ("Pm-3m", Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]),
    "rutile": ("P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
    "graphite": ("P6_3/mmc", Lattice.hexagonal(2.46, 6.7), ["C", "C"], [[0, 0, 0.25], [1 / 3, 2 / 3, 0.25]]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PROTOTYPES)
def test_structure_fingerprint_of_a_prototype_is_matminers(name):
    structure = Structure.from_spacegroup(*PROTOTYPES[name])
    np.testing.assert_allclose(structure_fingerprint(structure), by_matminer(structure), atol=1e-6)


@pytest.mark.published
@pytest.mark.filterwarnings("ignore")
def test_structure_fingerprints_of_real_and_generated_crystals_are_matminers(published_data: Path, tmp_path: Path):
    frame = pd.read_feather(published_data / "mp_20/test.feather").sample(6, random_state=0).reset_index()
    frame.to_feather(tmp_path / "real.feather")
    real, _ = read_crystals(tmp_path / "real.feather")
    records = records_of(published_data / "generated/diffcsp_mp_20/DiffCSP_mp_20.pt")
    generated = [record.content for record in itertools.islice(records, 6)]
    for structure in map(to_structure, [*real, *generated]):
        np.testing.assert_allclose(structure_fingerprint(structure), by_matminer(structure), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_what_rounding_would_decide_is_left_to_matminer_and_counted(found):
    sheets = Structure(Lattice.tetragonal(3, 30), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.05]])  # open cells
    mean, n_by_matminer = mean_fingerprint(sheets)
    assert n_by_matminer == 2
    np.testing.assert_array_equal(mean, by_matminer(sheets))
    assert found.n_by_matminer == 0
    crystal = Crystal("sheets", sheets.lattice.matrix, np.array([11, 17]), sheets.frac_coords)
    assert fingerprints([DIAMOND, crystal]).n_by_matminer == 2


@pytest.mark.filterwarnings("ignore")
def test_charges_are_heard_as_by_matminer():
    charged = to_structure(ROCK_SALT).add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    mean, n_by_matminer = mean_fingerprint(charged)
    assert n_by_matminer == 2  # ionic radii: not for us
    np.testing.assert_array_equal(mean, by_matminer(charged))


@pytest.mark.filterwarnings("ignore")
def test_element_without_radius_raises_what_matminer_raises():
    lawrencium = to_structure(dataclasses.replace(DIAMOND, atomic_numbers=np.array([103, 103])))
    with pytest.raises(TypeError) as ours:
        structure_fingerprint(lawrencium)
    with pytest.raises(TypeError) as theirs:
        by_matminer(lawrencium)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.filterwarnings("ignore")
def test_structure_fingerprint_is_the_mean_over_sites_of_matminers(found):
    from matminer.featurizers.site.fingerprint import CrystalNNFingerprint
    from matminer.featurizers.structure.sites import SiteStatsFingerprint

    by_matminer = SiteStatsFingerprint(CrystalNNFingerprint.from_preset("ops"), stats=("mean",))
    np.testing.assert_allclose(found.structure[1], by_matminer.featurize(to_structure(ROCK_SALT)), atol=1e-12)


def test_composition_fingerprint_of_rock_salt_by_hand():
    """The first six of the 132 are of the atomic number: minimum, maximum, range, mean, average deviation, mode."""
    np.testing.assert_allclose(composition_fingerprint(Composition("NaCl"))[:6], [11, 17, 6, 14, 3, 11])


def test_composition_is_standardised_by_cdvaes_constants(found):
    scaler = magpie_scaler()
    assert scaler["licence"].startswith("MIT")
    assert found.composition[1][0] == pytest.approx((11 - 21.194441759304013) / 16.35781741152948)
    assert found.composition[1][1] == pytest.approx((17 - 58.20212663122281) / 20.189540126474725)


def test_scalers_means_keep_the_identity_of_the_range():
    """Range is maximum minus minimum, so the same holds of the means over any set of compositions."""
    means = np.array(magpie_scaler()["means"]).reshape(22, 6)
    np.testing.assert_allclose(means[:, 2], means[:, 1] - means[:, 0], atol=1e-9)
    assert (np.array(magpie_scaler()["stds"]) > 0).all()
    assert len(magpie_scaler()["stds"]) == 132


def test_value_that_an_element_lacks_becomes_the_mean():
    raw = np.vstack([np.full(132, np.nan), magpie_scaler()["means"]])
    raw[1, 7] = np.nan
    scaled = standardised(raw)
    assert np.isnan(scaled[0]).all()  # no fingerprint at all
    np.testing.assert_array_equal(scaled[1], np.zeros(132))


def test_composition_is_computed_once_for_each_ratio(monkeypatch):
    seen = []
    at_once = module.composition_rows
    monkeypatch.setattr(
        module, "composition_rows", lambda items, max_seconds: seen.extend(items) or at_once(items, max_seconds)
    )
    doubled = Crystal("Na2Cl2", np.diag([4, 4, 8.0]), np.array([11, 17] * 2), np.arange(12).reshape(4, 3) / 7)
    found = fingerprints([ROCK_SALT, doubled])
    assert seen == [((11, 1), (17, 1))]
    np.testing.assert_array_equal(found.composition[0], found.composition[1])


def test_crystal_that_fails_is_named_and_the_others_go_on(found):
    assert found.failures == [None, None, "ValueError: 0.333 Å^3 per atom, the limit is 0.5"]
    assert found.found.tolist() == [True, True, False]
    assert np.isnan(found.structure[2]).all()
    assert np.isnan(found.composition[2]).all()


def test_element_beyond_magpies_table_fails_alone():
    assert Element.from_Z(110).symbol == "Ds"
    failures = fingerprints([dataclasses.replace(DIAMOND, atomic_numbers=np.array([110, 110])), DIAMOND]).failures
    assert failures[0] is not None
    assert failures[1] is None


def test_processes_change_nothing(found, monkeypatch):
    monkeypatch.setattr(processes, "WORTH_A_PROCESS", 10)
    larger = [dataclasses.replace(ROCK_SALT, lattice=ROCK_SALT.lattice * (1 + i / 100)) for i in range(1, 18)]
    again = fingerprints([DIAMOND, ROCK_SALT, TOO_DENSE, *larger], processes=2)
    np.testing.assert_array_equal(again.structure[:3], found.structure)
    np.testing.assert_array_equal(again.composition[:3], found.composition)
    assert again.failures == found.failures + [None] * 17


def test_no_crystals_have_no_fingerprints():
    empty = fingerprints(crystal_table.from_crystals([]))
    assert empty.structure.shape == (0, 61)
    assert empty.composition.shape == (0, 132)


def test_cache_gives_the_same_numbers_without_computing(found, tmp_path, monkeypatch):
    fingerprints([ROCK_SALT, TOO_DENSE], cache=tmp_path)
    fingerprints([DIAMOND], cache=tmp_path)
    for work in ("structure_rows", "composition_rows"):
        monkeypatch.setattr(module, work, lambda items, max_seconds: pytest.fail("computed again"))
    renamed = dataclasses.replace(DIAMOND, material_id="same crystal", properties={"energy_per_atom": -9.1})
    cached = fingerprints([renamed, ROCK_SALT, TOO_DENSE], cache=tmp_path)
    np.testing.assert_array_equal(cached.structure, found.structure)
    np.testing.assert_array_equal(cached.composition, found.composition)
    assert cached.failures == found.failures


def test_broken_file_in_the_cache_is_passed_over(found, tmp_path, caplog):
    fingerprints([DIAMOND], cache=tmp_path)
    (file,) = tmp_path.glob("fingerprints_*/*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(fingerprints([DIAMOND], cache=tmp_path).structure, found.structure[:1])
    assert "is not readable" in caplog.text
    assert pq.read_table(file).num_rows == 1  # made anew


def test_key_is_of_the_content():
    assert content_key(DIAMOND) == content_key(dataclasses.replace(DIAMOND, material_id="other"))
    moved = dataclasses.replace(DIAMOND, frac_coords=DIAMOND.frac_coords + 1e-9)
    other_element = dataclasses.replace(DIAMOND, atomic_numbers=np.array([6, 14]))
    assert len({content_key(each) for each in (DIAMOND, moved, other_element, ROCK_SALT)}) == 4


def test_key_of_the_cache_holds_our_own_version(found, tmp_path, monkeypatch):
    fingerprints([DIAMOND], cache=tmp_path)
    monkeypatch.setattr(site_fingerprints, "VERSION", site_fingerprints.VERSION + 1)
    fingerprints([DIAMOND], cache=tmp_path)
    assert len(list(tmp_path.glob("fingerprints_*"))) == 2
    assert len(list(tmp_path.glob("magpie_*"))) == 1


def test_cache_remembers_what_was_left_to_matminer(tmp_path):
    sheet = Crystal("sheet", np.diag([3.0, 3, 30]), np.array([6]), np.zeros((1, 3)))
    counts = [fingerprints([sheet, DIAMOND], cache=tmp_path).n_by_matminer for _ in range(2)]
    assert counts == [1, 1]


def test_crystal_that_takes_too_long_fails_alone_and_is_tried_again(found, tmp_path, monkeypatch):
    at_once = site_fingerprints.mean_fingerprint

    def slowly(structure):
        time.sleep(60 if structure.composition.reduced_formula == "NaCl" else 0)
        return at_once(structure)

    with monkeypatch.context() as patched:
        patched.setattr(site_fingerprints, "mean_fingerprint", slowly)
        slow = fingerprints([DIAMOND, ROCK_SALT], cache=tmp_path, max_seconds=0.5)
    assert slow.failures == [None, "timeout: more than 0.5 s"]
    assert np.isnan(slow.structure[1]).all()
    np.testing.assert_array_equal(slow.structure[0], found.structure[0])
    assert fingerprints([DIAMOND, ROCK_SALT], cache=tmp_path).failures == [None, None]


def test_atoms_far_outside_the_cell_are_brought_back(found):
    far = dataclasses.replace(ROCK_SALT, frac_coords=ROCK_SALT.frac_coords + np.diag([1e9, -1e6, 0])[:2])
    np.testing.assert_allclose(fingerprints([far]).structure[0], found.structure[1], atol=1e-6)


def test_coordinates_that_are_not_finite_fail():
    lost = dataclasses.replace(ROCK_SALT, frac_coords=np.array([[np.nan, 0, 0], [0.5, 0.5, 0.5]]))
    assert fingerprints([lost]).failures == ["ValueError: coordinates that are not finite"]
