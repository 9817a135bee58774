import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice

from tests.model.model_helpers import encoded_in_memory, largest_displacement, random_crystal, random_table
from unimat import crystal_table
from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected, UserError
from unimat.materials.crystals.structures import to_structure
from unimat.model.representation import lattice as lattice_forms
from unimat.model.representation.channels import CircleChannels, RawChannels
from unimat.model.representation.encode_stream import lattice_statistics
from unimat.model.representation.encoded import Encoding, concatenated, padded
from unimat.model.representation.encoding import MAX_SLOTS, checked_crystal, decode, encode_table
from unimat.model.representation.tensors import Decoded, to_state
from unimat.model.settings import EncodeSettings
from unimat.periodic_table import Grid

FULL = Grid()
ROCK_SALT = Crystal(
    "NaCl",
    np.eye(3) * 5.64,
    np.array([11, 17] * 4),
    np.array(
        [[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0], [0.5, 0, 0.5], [0, 0, 0.5], [0, 0.5, 0.5], [0.5, 0.5, 0.5]]
    ),
)


def encoded(crystals, **choices):
    table = crystals if isinstance(crystals, crystal_table.CrystalTable) else crystal_table.from_crystals(crystals)
    return encoded_in_memory(table, EncodeSettings(**choices))


def as_batch(crystals, encoding):
    return {name: jnp.asarray(array) for name, array in padded(crystals, encoding.max_atoms).items()}


def in_grid_order(crystal: Crystal, grid: Grid = FULL) -> Crystal:
    """The crystal with its atoms in the order in which decoding lists them: by cell, first come first."""
    cell_of = grid.cell_of
    order = np.argsort([cell_of[int(z)] for z in crystal.atomic_numbers], kind="stable")
    return dataclasses.replace(
        crystal, atomic_numbers=crystal.atomic_numbers[order], frac_coords=crystal.frac_coords[order]
    )


def through_tensors(split, encoding, channels) -> list[Crystal]:
    decoded = Decoded(to_state(as_batch(split, encoding), encoding, channels)[0], encoding, channels)
    return [checked_crystal(name, *decoded.crystal(i)) for i, name in enumerate(split.material_ids.to_pylist())]


def test_rock_salt_takes_eight_slots_at_coordinates_written_by_hand():
    split, encoding, _ = encoded([ROCK_SALT])
    assert encoding.tensor_shape == (4, 9, 18)
    state, present = to_state(as_batch(split, encoding), encoding, RawChannels())
    dense = np.asarray(state["coords"][0])
    sodium, chlorine = dense[:, 2, 0], dense[:, 2, 16]  # period 3: groups 1 and 17
    np.testing.assert_array_equal(sodium, [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    np.testing.assert_array_equal(chlorine, [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [0.5, 0.5, 0.5]])
    assert int(present.sum()) == 8
    assert (dense == -1).all(-1).sum() == 4 * 9 * 18 - 8  # all others are null
    np.testing.assert_allclose(split.lattice[0], [5.64, 5.64, 5.64, 90, 90, 90])


def test_all_118_elements_encode_into_different_cells_and_come_back():
    rng = np.random.default_rng(0)
    crystal = random_crystal(rng, "all", list(range(1, 119)))
    split, encoding, rejected = encoded([crystal])
    assert not rejected
    assert len(set(split.cell.tolist())) == 118
    assert set(decode(encoding, split, 0).atomic_numbers) == set(range(1, 119))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 24), elements=st.integers(1, 6))
def test_any_crystal_comes_back_the_same(seed, n, elements):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(np.arange(1, 119), elements, replace=False)
    crystal = random_crystal(rng, "x", [int(z) for z in rng.choice(chosen, n)])
    split, encoding, _ = encoded([crystal])
    back, expected = decode(encoding, split, 0), in_grid_order(crystal)
    np.testing.assert_array_equal(back.atomic_numbers, expected.atomic_numbers)
    assert largest_displacement(back, expected) < 1e-5


@pytest.mark.parametrize("coordinates", ["fractional", "cartesian"])
@pytest.mark.parametrize("lengths", ["log", "per_atom", "raw"])
@pytest.mark.parametrize("channels", [RawChannels(), RawChannels(2.0), CircleChannels(), CircleChannels(0.5)])
def test_crystals_come_back_from_dense_tensors(coordinates, lengths, channels):
    if coordinates == "cartesian" and isinstance(channels, CircleChannels):
        pytest.skip("Cartesian coordinates do not wrap")
    table = random_table(40, (6, 14, 26, 92), 9, seed=5)
    split, encoding, _ = encoded(table, coordinates=coordinates, lattice_lengths=lengths)
    for crystal, back in zip(table, through_tensors(split, encoding, channels), strict=True):
        expected = in_grid_order(crystal)
        np.testing.assert_array_equal(back.atomic_numbers, expected.atomic_numbers)
        assert largest_displacement(back, expected) < 1e-5


@pytest.mark.parametrize("channels", [RawChannels(), CircleChannels()])
def test_reduced_crystals_come_back_from_dense_tensors_by_their_volume(channels):
    """Reduced as ingestion leaves them: in slanted cells, lengths from a volume inherit the rounding of the angles."""
    structures = [to_structure(each).get_reduced_structure() for each in random_table(40, (6, 14, 26, 92), 9, seed=5)]
    table = [
        Crystal(f"r-{at}", each.lattice.matrix, np.array(each.atomic_numbers), each.frac_coords % 1.0)
        for at, each in enumerate(structures)
    ]
    split, encoding, _ = encoded(table, lattice_lengths="volume")
    for crystal, back in zip(table, through_tensors(split, encoding, channels), strict=True):
        expected = in_grid_order(crystal)
        np.testing.assert_array_equal(back.atomic_numbers, expected.atomic_numbers)
        assert largest_displacement(back, expected) < 1e-5


def test_distances_agree_with_pymatgen():
    rng = np.random.default_rng(1)
    crystal = in_grid_order(random_crystal(rng, "x", [6, 6, 14, 8, 8, 8]))
    split, encoding, _ = encoded([crystal])
    back = through_tensors(split, encoding, CircleChannels())[0]
    ours = Lattice(back.lattice).get_all_distances(back.frac_coords, back.frac_coords)
    theirs = Lattice(crystal.lattice).get_all_distances(crystal.frac_coords, crystal.frac_coords)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_mirror_image_is_told_apart():
    """The check itself: a chiral crystal and its mirror image share all distances and are not the same."""
    crystal = random_crystal(np.random.default_rng(2), "x", [6, 6, 14, 8])
    mirrored = dataclasses.replace(crystal, lattice=crystal.lattice * [1, 1, -1])
    assert not largest_displacement(crystal, mirrored) < 0.1
    assert largest_displacement(crystal, crystal) < 1e-9


def test_lattice_matrices_are_oriented_as_pymatgens():
    rng = np.random.default_rng(3)
    parameters = lattice_forms.to_parameters(np.stack([np.eye(3), np.diag([2.0, 3, 4])]))
    drawn = np.concatenate([rng.uniform(2, 9, (50, 3)), rng.uniform(65, 115, (50, 3))], axis=1)
    for row in [*parameters, *drawn]:
        expected = Lattice.from_parameters(*row).matrix
        np.testing.assert_allclose(lattice_forms.to_matrices(row), expected, atol=1e-12)
        np.testing.assert_allclose(lattice_forms.to_parameters(expected), row, atol=1e-10)
        assert lattice_forms.closes(row)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ([3, 3, 3, 60, 60, 130], "degenerate_lattice"),  # 60 + 60 < 130
        ([3, 3, 3, 120, 120, 121], "degenerate_lattice"),  # together more than 360 degrees
        ([3, -3, 3, 90, 90, 90], "degenerate_lattice"),
        ([3, np.nan, 3, 90, 90, 90], "degenerate_lattice"),
        ([0.2, 0.5, 0.5, 90, 90, 90], "degenerate_lattice"),  # 0.05 Å^3
    ],
)
def test_impossible_lattices_are_rejected_not_repaired(parameters, reason):
    with pytest.raises(CrystalRejected) as caught:
        checked_crystal("x", np.array(parameters, float), np.array([6]), np.zeros((1, 3)))
    assert caught.value.reason == reason


def test_tensor_without_atoms_or_with_a_bad_coordinate_is_rejected():
    good = np.array([3.0, 3, 3, 90, 90, 90])
    with pytest.raises(CrystalRejected, match="no_atoms"):
        checked_crystal("x", good, np.zeros(0, int), np.zeros((0, 3)))
    with pytest.raises(CrystalRejected, match="not finite"):
        checked_crystal("x", good, np.array([6]), np.full((1, 3), np.inf))


def test_null_rule_and_border_of_both_forms():
    coords, presence = RawChannels().from_channels(np.array([[-1, -1, -1], [-0.51, -0.5, -0.5], [-0.3, -0.5, -0.5]]))
    assert (presence >= 0.5).tolist() == [False, False, True]
    np.testing.assert_allclose(coords[2], [-0.3, -0.5, -0.5])
    circle = np.zeros((2, 6))
    circle[0], circle[1, 3:] = 0.34, 1.0  # radius 0.48; and the angle of a quarter turn
    coords, presence = CircleChannels().from_channels(circle)
    np.testing.assert_allclose(presence, [0.34 * np.sqrt(2), 1])
    np.testing.assert_allclose(coords[1], 0.25)


def test_rows_that_cannot_be_encoded_are_rejected_with_the_reason():
    rng = np.random.default_rng(4)
    flat = dataclasses.replace(random_crystal(rng, "flat", [6]), lattice=np.zeros((3, 3)))
    nan = dataclasses.replace(random_crystal(rng, "nan", [6]), frac_coords=np.full((1, 3), np.nan))
    crystals = [
        random_crystal(rng, "ok", [6, 14]),
        random_crystal(rng, "oxide", [14, 8, 8]),
        random_crystal(rng, "many", [6] * 3),
        random_crystal(rng, "large", [6, 14, 6, 14, 14]),
        flat,
        nan,
        random_crystal(rng, "ok2", [14]),
    ]
    split, encoding, rejected = encoded(crystals, elements=("C", "Si"), slots=2, max_atoms=4)
    assert split.material_ids.to_pylist() == ["ok", "ok2"]
    assert {row.material_id: row.reason for row in rejected} == {
        "oxide": "outside_grid",
        "many": "too_many_of_element",
        "large": "too_many_atoms",
        "flat": "degenerate_lattice",
        "nan": "degenerate_lattice",
    }
    details = {row.material_id: row.detail for row in rejected}
    assert details["oxide"] == "O has no cell in the grid"
    assert details["many"] == "3 atoms of C, the limit is L = 2"
    assert details["large"] == "5 atoms, the limit is 4"
    assert (encoding.slots, encoding.max_atoms, encoding.n_rejected) == (2, 2, 5)
    assert encoding.count_histogram == {"1": 1, "2": 1}


def test_nothing_usable_is_one_line():
    with pytest.raises(UserError, match=r"no usable crystal.*O has no cell"):
        encoded([random_crystal(np.random.default_rng(0), "x", [8])], elements=("C",))


def test_slots_are_the_largest_count_of_one_element():
    rng = np.random.default_rng(5)
    _, encoding, _ = encoded([random_crystal(rng, "a", [6] * 3 + [8] * 5), random_crystal(rng, "b", [26] * 4)])
    assert (encoding.slots, encoding.max_atoms) == (5, 8)


def test_lattice_statistics_do_not_tell_axes_apart():
    table = random_table(50, seed=6)
    _, encoding, _ = encoded(table)
    parameters = np.array([Lattice(crystal.lattice).parameters for crystal in table])
    np.testing.assert_allclose(encoding.lattice_mean[:3], [np.log(parameters[:, :3]).mean()] * 3, rtol=1e-6)
    np.testing.assert_allclose(encoding.lattice_std[3:], [parameters[:, 3:].std()] * 3, rtol=1e-6)


def test_statistics_of_volumes_and_ratios_know_no_order_of_the_axes():
    rng = np.random.default_rng(6)
    parameters = np.concatenate([rng.uniform(3, 9, (40, 3)) * [1, 1.5, 2], rng.uniform(70, 110, (40, 3))], axis=1)
    n_atoms, by_volume = rng.integers(1, 9, 40), EncodeSettings(lattice_lengths="volume")
    orders = [[*order, *(3 + k for k in order)] for order in itertools.permutations(range(3))]
    all_orders = np.concatenate([parameters[:, order] for order in orders])
    vectors = lattice_forms.to_vector(all_orders, "volume", n_atoms=np.tile(n_atoms, 6))
    for order in orders:
        found = lattice_statistics(parameters[:, order], n_atoms, by_volume)
        np.testing.assert_allclose(found["lattice_mean"], vectors.mean(0), atol=1e-7)
        np.testing.assert_allclose(found["lattice_std"], vectors.std(0), rtol=1e-7)
        standardised = (vectors - vectors.mean(0)) / vectors.std(0)
        assert (standardised >= np.array(found["lattice_low"]) - 1e-6).all()
        assert (standardised <= np.array(found["lattice_high"]) + 1e-6).all()


def test_atomic_numbers_of_no_element_are_rejected():
    rng = np.random.default_rng(8)
    crystals = [random_crystal(rng, f"z{z}", [6, z]) for z in (119, 0, -1, 300)]
    split, _, rejected = encoded([*crystals, random_crystal(rng, "ok", [6])])
    assert split.material_ids.to_pylist() == ["ok"]
    assert {row.reason for row in rejected} == {"not_an_element"}
    assert rejected[0].detail == "119 is the atomic number of no element"


def test_rejected_crystals_widen_nothing():
    """L and A are those of crystals that are taken."""
    rng = np.random.default_rng(9)
    flat = dataclasses.replace(random_crystal(rng, "flat", [6] * 7), lattice=np.zeros((3, 3)))
    _, encoding, _ = encoded([random_crystal(rng, "ok", [6, 6, 14]), flat])
    assert (encoding.slots, encoding.max_atoms) == (2, 3)


def test_more_atoms_of_an_element_than_an_index_holds_are_rejected():
    n = MAX_SLOTS + 1
    huge = Crystal("huge", np.eye(3) * 100, np.full(n, 6), np.random.default_rng(0).random((n, 3)))
    _, _, rejected = encoded([ROCK_SALT, huge])
    assert [row.reason for row in rejected] == ["too_many_of_element"]


def test_padding_is_null_and_keeps_the_order_of_atoms():
    rng = np.random.default_rng(10)
    split, _, _ = encoded(
        [random_crystal(rng, "a", [14, 6]), random_crystal(rng, "b", [6, 6, 14])], elements=("C", "Si")
    )
    batch = padded(split, 4)
    assert batch["cell"].tolist() == [[1, 0, -1, -1], [0, 0, 1, -1]]
    assert batch["slot"].tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]
    np.testing.assert_array_equal(batch["coords"][1, :3], split.coords[2:])
    assert not batch["coords"][0, 2:].any()
    assert batch["lattice"].dtype == np.float32


def test_parts_put_together_are_the_whole():
    split, _, _ = encoded(random_table(9))
    whole = concatenated([split.part(0, 4), split.part(4, 4), split.part(4, 9)])
    assert whole.material_ids.equals(split.material_ids)
    for name in ("offsets", "cell", "slot", "coords", "lattice"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(split, name))


def test_table_without_rows_is_encoded_as_none():
    crystals, rejected = encode_table(random_table(3).take(np.zeros(0, int)), FULL)
    assert len(crystals) == len(rejected) == 0


def test_encoding_of_another_format_is_refused():
    _, encoding, _ = encoded([ROCK_SALT])
    with pytest.raises(UserError, match="format 2"):
        Encoding.from_json({**encoding.to_json(), "format": 2})


@pytest.mark.published
def test_two_thousand_real_crystals_come_back_the_same(published_data):
    import gemmi
    import pyarrow.feather as feather

    rows = feather.read_table(published_data / "mp_20" / "val.feather").slice(0, 2000)
    crystals = []
    for i, text in enumerate(rows.column("cif").to_pylist()):
        small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
        sites = small.get_all_unit_cell_sites()
        coords = np.array([site.fract.tolist() for site in sites])
        matrix = np.array(small.cell.orth.mat.tolist()).T
        crystals.append(Crystal(str(i), matrix, np.array([site.element.atomic_number for site in sites]), coords))
    split, encoding, rejected = encoded(crystals)
    assert not rejected
    for index, crystal in enumerate(crystals):
        back, expected = decode(encoding, split, index), in_grid_order(crystal)
        np.testing.assert_array_equal(back.atomic_numbers, expected.atomic_numbers)
        assert largest_displacement(back, expected) < 1e-5, crystal.material_id
    some, encoding, _ = encoded(crystals[:250])
    for back, crystal in zip(through_tensors(some, encoding, CircleChannels()), crystals[:250], strict=True):
        assert largest_displacement(back, in_grid_order(crystal)) < 1e-5, crystal.material_id
