"""Conditions: what a network is told beside the noisy crystal (section 2.2).

`elements` (c in R^(H x W), repeated along L) and `composition` (c in R^(L x H x W), one in the first n slots of an
element of n atoms) have a value for each slot and are concatenated to the input; a property has a vector, which is
embedded. The last channel of every condition is one where it is given and zero, as all others are, where it is left
out: a crystal without carbon differs from one of which nothing is said.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from unimat.errors import UserError
from unimat.model.representation.augmentation import Batch
from unimat.model.representation.encoded import Encoding
from unimat.model.settings import CRYSTAL_CONDITIONS, ModelSettings, TrainSettings

Conditions = dict[str, jax.Array]


def condition_shapes(settings: ModelSettings, encoding: Encoding) -> dict[str, tuple[int, ...]]:
    """Shape of each condition of one crystal: (L, H, W, 2) of `elements` and `composition`, (k + 1,) of a property.

    Raises:
        UserError: if a condition is no property of the encoded dataset.
    """
    for name in settings.conditions:
        if name not in (*CRYSTAL_CONDITIONS, *encoding.properties):
            known = ", ".join((*CRYSTAL_CONDITIONS, *encoding.properties))
            raise UserError(
                f"model.conditions names {name!r}, which the encoded dataset does not have (it has {known}); name the "
                "column in encode.properties"
            )
    return {
        name: (*encoding.tensor_shape, 2) if name in CRYSTAL_CONDITIONS else (encoding.properties[name]["size"] + 1,)
        for name in settings.conditions
    }


def training_conditions(
    batch: Batch,
    present: jax.Array,
    encoding: Encoding,
    model_settings: ModelSettings,
    train_settings: TrainSettings,
    *,
    key: jax.Array,
    train: bool,
) -> Conditions:
    """What the network is told of each crystal of a batch; nothing of a model without conditions.

    Args:
        present: (B, L, H, W) bool, slots that hold an atom.
        train: leave conditions out at random, `condition_dropout` of the crystals without any and each condition as
            often by itself; otherwise nothing is left out.
    """
    names = model_settings.conditions
    kept = _kept(len(present), len(names), train_settings.condition_dropout if train else 0.0, key=key)
    counts = present.sum(axis=1, dtype=jnp.int32)
    conditions = {}
    for name, shown in zip(names, kept, strict=True):
        if name == "elements":
            conditions[name] = elements_condition(counts > 0, shown, present.shape[1])
        elif name == "composition":
            conditions[name] = composition_condition(counts, shown, present.shape[1])
        else:
            values = batch["properties"][:, encoding.property_columns[name]]
            conditions[name] = property_condition(values, shown, encoding.properties[name])
    return conditions


def _kept(n_crystals: int, n_conditions: int, dropout: float, *, key: jax.Array) -> Sequence[jax.Array]:
    """For each condition, (B,) bool: which crystals are shown it."""
    if not n_conditions:
        return ()
    any_key, each_key = jax.random.split(key)
    any_shown = jax.random.uniform(any_key, (n_crystals,)) >= dropout
    return list(any_shown & (jax.random.uniform(each_key, (n_conditions, n_crystals)) >= dropout))


def elements_condition(occurs: jax.Array, given: jax.Array, n_slots: int) -> jax.Array:
    """(B, L, H, W, 2) of which elements occur, (B, H, W) bool, where `given` (B,) bool."""
    occurs = jnp.broadcast_to(occurs[:, None], (len(occurs), n_slots, *occurs.shape[1:]))
    return _of_slots(occurs, given)


def composition_condition(counts: jax.Array, given: jax.Array, n_slots: int) -> jax.Array:
    """(B, L, H, W, 2) of how many atoms of each element there are, (B, H, W) int, where `given` (B,) bool."""
    return _of_slots(first_slots(counts, n_slots), given)


def first_slots(counts: jax.Array, n_slots: int) -> jax.Array:
    """(B, L, H, W) bool: the first n slots of each element, for counts n (B, H, W)."""
    return jnp.arange(n_slots)[None, :, None, None] < counts[:, None]


def _of_slots(values: jax.Array, given: jax.Array) -> jax.Array:
    given = jnp.broadcast_to(given[:, None, None, None], values.shape)
    return jnp.stack([values & given, given], axis=-1).astype(jnp.float32)


def property_condition(values: jax.Array, given: jax.Array, of: Mapping[str, float]) -> jax.Array:
    """(B, k + 1) of values (B, k) in their unit, standardised; a crystal without a value (NaN) is told nothing.

    Args:
        given: (B,) bool.
        of: the property's entry of `Encoding.properties`.
    """
    given = (given & jnp.isfinite(values).all(axis=1))[:, None]
    standardised = (values - jnp.float32(of["mean"])) / jnp.float32(of["std"])
    return jnp.concatenate([jnp.where(given, standardised, 0.0), given.astype(jnp.float32)], axis=1)


def left_out(conditions: Mapping[str, jax.Array], names: Sequence[str]) -> Conditions:
    """The conditions without those of `names`."""
    return {name: jnp.zeros_like(values) if name in names else values for name, values in conditions.items()}


def counts_on_grid(counts: Mapping[int, int], encoding: Encoding) -> np.ndarray:
    """(H, W) int32 of atoms by atomic number, which must have cells in the grid."""
    grid = encoding.grid
    cells = np.zeros(grid.shape[0] * grid.shape[1], np.int32)
    for number, count in counts.items():
        cells[grid.cell_of[number]] = count
    return cells.reshape(grid.shape)
