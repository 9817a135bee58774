import functools

import jax
import jax.numpy as jnp
import numpy as np

from tests.model.model_helpers import encoded_in_memory, largest_displacement, random_table
from unimat.crystal_table import Crystal
from unimat.model.representation import augmentation
from unimat.model.representation.channels import RawChannels
from unimat.model.representation.encoded import padded
from unimat.model.representation.encoding import checked_crystal
from unimat.model.representation.tensors import Decoded, to_state
from unimat.model.settings import EncodeSettings, TrainSettings

KEY = jax.random.key(0)
SLOTS, CELLS = 7, 2


def batch(n: int = 64, coordinates: str = "fractional"):
    settings = EncodeSettings(elements=("C", "Si"), slots=SLOTS, coordinates=coordinates)
    arrays, encoding, _ = encoded_in_memory(random_table(n), settings)
    return {name: jnp.asarray(array) for name, array in padded(arrays, encoding.max_atoms).items()}, encoding


def crystals(arrays) -> list[Crystal]:
    """Crystals of compact arrays, atoms in the order of the arrays."""
    found = []
    for cell, coords, lattice in zip(*(np.asarray(arrays[k]) for k in ("cell", "coords", "lattice")), strict=True):
        atoms = cell >= 0
        found.append(checked_crystal("x", lattice, np.where(cell[atoms], 14, 6), coords[atoms].astype(float)))
    return found


def test_axis_permutation_keeps_the_crystal_and_its_handedness():
    before, _ = batch()
    after = jax.jit(augmentation.permuted_axes)(before, key=KEY)
    orders = set()
    for i, (old, new) in enumerate(zip(crystals(before), crystals(after), strict=True)):
        lengths = np.asarray(before["lattice"][i, :3])
        order = tuple(int(np.argmin(abs(lengths - a))) for a in np.asarray(after["lattice"][i, :3]))
        orders.add(order)
        even = np.linalg.det(np.eye(3)[list(order)]) > 0
        sign = 1 if even else -1  # the basis that the permuted crystal stands in
        restored = Crystal("x", sign * old.lattice[list(order)], old.atomic_numbers, sign * old.frac_coords[:, order])
        assert largest_displacement(new, restored) < 1e-4
    assert len(orders) == 6


def test_translation_moves_all_atoms_of_a_crystal_alike():
    before, _ = batch()
    after = augmentation.translated(before, key=KEY)
    moved = np.asarray(after["coords"] - before["coords"])
    atoms = np.asarray(before["cell"]) >= 0
    for shifts in (moved[i][atoms[i]] for i in range(len(moved))):
        off = shifts - shifts[0]
        np.testing.assert_allclose(off, np.round(off), atol=1e-5)
    assert float(after["coords"].min()) >= 0
    assert float(after["coords"].max()) < 1
    assert len({round(float(m[0, 0] % 1), 5) for m in moved}) > 60  # each crystal by its own


def test_shuffling_keeps_slots_apart_and_fills_all_of_them_evenly():
    before, _ = batch(400)
    after = augmentation.shuffled_slots(before, CELLS, SLOTS, only_occupied=False, key=KEY)
    cell, slot = np.asarray(after["cell"]), np.asarray(after["slot"])
    atoms = cell >= 0
    for i in range(len(cell)):
        pairs = list(zip(cell[i][atoms[i]], slot[i][atoms[i]], strict=True))
        assert len(set(pairs)) == len(pairs)
    counts = np.bincount(slot[atoms], minlength=SLOTS)
    expected = atoms.sum() / SLOTS
    assert np.abs(counts - expected).max() < 4 * np.sqrt(expected)  # four standard deviations
    np.testing.assert_array_equal(after["cell"], before["cell"])


def test_shuffling_occupied_slots_keeps_the_first_ones():
    before, _ = batch()
    after = augmentation.shuffled_slots(before, CELLS, SLOTS, only_occupied=True, key=KEY)
    cell, slot = np.asarray(after["cell"]), np.asarray(after["slot"])
    for i in range(len(cell)):
        for element in range(CELLS):
            assert sorted(slot[i][cell[i] == element]) == list(range((cell[i] == element).sum()))
    assert (slot != np.asarray(before["slot"])).any()


def test_rotations_are_proper_and_have_no_preferred_direction():
    rotations = np.asarray(augmentation.rotations(4000, key=KEY), float)
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (4000, 3, 3)), atol=1e-5
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-5)
    assert np.abs(rotations.mean(0)).max() < 4 / np.sqrt(3 * 4000)  # each entry has variance 1/3
    np.testing.assert_allclose((rotations**2).mean(0), np.full((3, 3), 1 / 3), atol=0.02)


def test_rotated_cartesian_tensors_hold_the_same_crystal():
    arrays, encoding = batch(20, "cartesian")
    turn = augmentation.rotations(20, key=KEY)
    channels = RawChannels()
    turned, _ = to_state(arrays, encoding, channels, turn)
    straight, _ = to_state(arrays, encoding, channels)
    assert float(jnp.abs(turned["coords"] - straight["coords"]).max()) > 0.1
    states = [Decoded(state, encoding, channels) for state in (turned, straight)]
    for i in range(20):
        one, other = (checked_crystal("x", *state.crystal(i)) for state in states)
        assert largest_displacement(one, other) < 1e-4


def test_augmentation_is_a_function_of_its_key():
    before, _ = batch()
    augment = jax.jit(functools.partial(augmentation.augmented, settings=TrainSettings(), n_cells=CELLS, slots=SLOTS))
    one, again, other = (augment(before, key=jax.random.key(k)) for k in (1, 1, 2))
    assert all(bool((one[name] == again[name]).all()) for name in one)
    assert bool((one["coords"] != other["coords"]).any())
