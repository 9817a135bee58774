"""The same crystal written down otherwise: order of atoms, origin, names of the axes, orientation.

All functions work on one batch of compact arrays, inside the jitted training step: `cell`, `slot` (B, A)
integers, `coords` (B, A, 3), `lattice` (B, 6) as in `unimat.model.representation.encoded`. A template, if there is one,
takes part.
"""

import jax
import jax.numpy as jnp

from unimat.model.representation.encoded import TEMPLATE_COORDS, TEMPLATE_LATTICE
from unimat.model.settings import TrainSettings

Batch = dict[str, jax.Array]

# The six orders of three axes, and the sign that keeps the basis right-handed: lengths and angles cannot
# tell handedness, so an odd exchange also turns the basis into (-a, -b, -c), which spans the same lattice.
AXIS_ORDERS = ((0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2), (0, 2, 1), (2, 1, 0))
ORDER_SIGNS = (1.0, 1.0, 1.0, -1.0, -1.0, -1.0)


def augmented(batch: Batch, settings: TrainSettings, n_cells: int, slots: int, *, key: jax.Array) -> Batch:
    """The batch with every augmentation that the settings ask for, except rotation (see `rotations`)."""
    order_key, shift_key, axis_key = jax.random.split(key, 3)
    if settings.shuffle_slots != "none":
        only_occupied = settings.shuffle_slots == "occupied"
        batch = shuffled_slots(batch, n_cells, slots, only_occupied=only_occupied, key=order_key)
    if settings.translate:
        batch = translated(batch, key=shift_key)
    if settings.permute_axes:
        batch = permuted_axes(batch, key=axis_key)
    return batch


def shuffled_slots(batch: Batch, n_cells: int, slots: int, *, only_occupied: bool, key: jax.Array) -> Batch:
    """Atoms of each element on random slots: on any of the L, or on the first ones only."""
    cell, slot = batch["cell"], batch["slot"]
    b = jnp.arange(len(cell))[:, None]
    place = jax.random.uniform(key, (len(cell), n_cells, slots))
    if only_occupied:
        counts = jnp.zeros((len(cell), n_cells), jnp.int32).at[b, _dropped(cell, n_cells)].add(1, mode="drop")
        place = place + (jnp.arange(slots) >= counts[..., None]).astype(place.dtype)
    order = jnp.argsort(place, axis=-1)
    return {**batch, "slot": order[b, jnp.maximum(cell, 0), slot]}


def translated(batch: Batch, *, key: jax.Array) -> Batch:
    """Each crystal moved by a random fraction of its cell, atoms wrapped back into [0, 1)."""
    shift = jax.random.uniform(key, (len(batch["coords"]), 1, 3))
    names = ("coords", TEMPLATE_COORDS) if TEMPLATE_COORDS in batch else ("coords",)
    return {**batch, **{name: _wrapped(batch[name] + shift) for name in names}}


def permuted_axes(batch: Batch, *, key: jax.Array) -> Batch:
    """Axes a, b, c in a random order, with the angles that belong to them."""
    which = jax.random.randint(key, (len(batch["coords"]),), 0, len(AXIS_ORDERS))
    order = jnp.array(AXIS_ORDERS)[which]
    sign = jnp.array(ORDER_SIGNS, jnp.float32)[which]
    of_lattice = jnp.concatenate([order, order + 3], axis=1)
    changed = dict(batch)
    for name in ("coords", TEMPLATE_COORDS) if TEMPLATE_COORDS in batch else ("coords",):
        coords = jnp.take_along_axis(batch[name], order[:, None, :], axis=2)
        changed[name] = _wrapped(coords * sign[:, None, None])
    for name in ("lattice", TEMPLATE_LATTICE) if TEMPLATE_LATTICE in batch else ("lattice",):
        changed[name] = jnp.take_along_axis(batch[name], of_lattice, axis=1)
    return changed


def rotations(n: int, *, key: jax.Array) -> jax.Array:
    """(n, 3, 3) rotation matrices, uniform over all orientations (normalised Gaussian quaternions)."""
    q = jax.random.normal(key, (n, 4))
    w, x, y, z = jnp.moveaxis(q / jnp.linalg.norm(q, axis=1, keepdims=True), 1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _wrapped(coords: jax.Array) -> jax.Array:
    wrapped = coords - jnp.floor(coords)
    return jnp.where(wrapped >= 1.0, 0.0, wrapped)


def _dropped(cell: jax.Array, n_cells: int) -> jax.Array:
    """Cells with the padding moved out of bounds, where scattering drops it."""
    return jnp.where(cell < 0, n_cells, cell)
