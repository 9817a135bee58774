"""Small crystals, encoded datasets and networks for the tests of the accelerator half."""

import os
import tempfile

import jax
import numpy as np

from unimat import crystal_table
from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.model.representation.encode_stream import Tally, encode_dataset
from unimat.model.representation.encoded import EncodedCrystals, Encoding
from unimat.model.representation.encoding import chosen_grid, encode_table
from unimat.model.representation.shards import SHARD_ROWS
from unimat.model.settings import EncodeSettings, ModelSettings, TrainSettings

# Networks of a few channels run in no time however they are compiled, so compile them quickly, and each only
# once. XLA reads the flag when it first computes something, after all test modules are imported.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
_cache = tempfile.TemporaryDirectory(prefix="unimat-xla-")
jax.config.update("jax_compilation_cache_dir", _cache.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

TINY_MODEL = ModelSettings(channels=8, multipliers=(1,), blocks=1, head_dim=8, attention="joint", dropout=0.1)
TINY_TRAIN = TrainSettings(
    seed=3,
    batch_size=8,
    steps=8,
    warmup_steps=2,
    learning_rate=1e-3,
    log_every=2,
    validate_every=4,
    checkpoint_every=3,
    validation_crystals=6,
)


def random_lattice(rng: np.random.Generator, low: float = 2.0, high: float = 12.0) -> np.ndarray:
    """(3, 3) lattice matrix in any orientation and handedness, not flatter than a fifth of a box."""
    while True:
        directions = rng.normal(size=(3, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        if abs(np.linalg.det(directions)) > 0.2:
            return directions * rng.uniform(low, high, (3, 1))


def random_crystal(rng: np.random.Generator, material_id: str, numbers: list[int]) -> Crystal:
    return Crystal(material_id, random_lattice(rng), np.array(numbers), rng.uniform(-1, 2, (len(numbers), 3)))


def random_table(n: int, choices: tuple[int, ...] = (6, 14), most: int = 6, seed: int = 0) -> CrystalTable:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, most + 1, n)
    return crystal_table.from_crystals(
        random_crystal(rng, f"r{seed}-{i}", [int(z) for z in rng.choice(choices, size)]) for i, size in enumerate(sizes)
    )


def encoded_in_memory(
    table: CrystalTable, settings: EncodeSettings
) -> tuple[EncodedCrystals, Encoding, list[Rejected]]:
    """Compact arrays of a training split, their encoding and the rejected rows, without files."""
    grid, tally = chosen_grid(settings), Tally()
    crystals, rejected = encode_table(table, grid, settings.slots, settings.max_atoms, "train")
    tally.add("train", crystals, rejected)
    tally.finish("train")
    return crystals, tally.encoding(grid, settings), rejected


def write_tiny_dataset(
    folder, choices: tuple[int, ...] = (6,), elements: tuple[str, ...] = ("C",), shard_rows: int = SHARD_ROWS
) -> None:
    """Encoded dataset of random crystals, 20 to train on."""
    tables = {
        name: [random_table(n, choices, 3, seed)]
        for seed, (name, n) in enumerate(zip(("train", "val", "test"), (20, 7, 5), strict=True))
    }
    encode_dataset(tables, EncodeSettings(elements=elements), folder, shard_rows)


def largest_displacement(ours: Crystal, theirs: Crystal) -> float:
    """Å by which atoms of one crystal lie off those of the other, given in the same order, after the best rotation.

    NaN if the lattices are not the same up to a rotation (a mirror image is not) and an exchange of all three
    basis vectors for their opposites.
    """
    distances = []
    for sign in (1.0, -1.0):
        rotation = np.linalg.inv(ours.lattice) @ (sign * theirs.lattice)
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-5 or np.linalg.det(rotation) < 0:
            continue
        difference = sign * theirs.frac_coords - ours.frac_coords
        moved = (difference - np.round(difference)) @ (sign * theirs.lattice)
        lattice_error = np.abs(ours.lattice @ _nearest_rotation(rotation) - sign * theirs.lattice).max()
        distances.append(max(np.linalg.norm(moved, axis=1).max(), lattice_error))
    return min(distances, default=np.nan)


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    u, _, v = np.linalg.svd(matrix)
    return u @ v
