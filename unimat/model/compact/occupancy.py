"""Which cells of the table a crystal occupies, and how often: a learned distribution of compositions.

The number of atoms first, then element by element: which is next, and how many atoms of it, until none remain. Crystals
do not order their elements, so training draws a random order each time and sampling any will do.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from unimat.model.network.blocks import fan_in

NEVER = -1e9


class Occupancy(nn.Module):
    """Logits of the number of atoms, of the next element and of its count.

    Attributes:
        shape: (H, W) of the grid. max_atoms: most atoms of a crystal.
    """

    features: int
    shape: tuple[int, int]
    max_atoms: int
    dropout: float = 0.1

    def setup(self) -> None:
        (height, width), init = self.shape, nn.initializers.normal(0.5)
        self.size = self.param("size", nn.initializers.zeros, (self.max_atoms + 1,))
        self.period = self.param("period", init, (height, self.features))
        self.group = self.param("group", init, (width, self.features))
        self.element = self.param("element", init, (height * width, self.features))
        self.count = self.param("count", init, (self.max_atoms + 1, self.features))
        self.total = self.param("total", init, (self.max_atoms + 1, self.features))
        self.left = self.param("left", init, (self.max_atoms + 1, self.features))
        self.each = nn.Dense(self.features, kernel_init=fan_in)
        self.dense_0 = nn.Dense(2 * self.features, kernel_init=fan_in)
        self.dense_1 = nn.Dense(self.features, kernel_init=fan_in)
        self.next_element = nn.Dense(self.features, kernel_init=fan_in)
        self.next_bias = self.param("next_bias", nn.initializers.zeros, (height * width,))
        self.count_0 = nn.Dense(self.features, kernel_init=fan_in)
        self.count_1 = nn.Dense(self.max_atoms + 1, kernel_init=fan_in)
        self.drop = nn.Dropout(self.dropout)

    def __call__(
        self, elements: jax.Array, counts: jax.Array, total: jax.Array, cell: jax.Array, train: bool = False
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Logits of the number of atoms (max_atoms + 1,), of the next cell, and of the count of `cell` (B,)."""
        of_cell, context = self.next_cell(elements, counts, total, train)
        return self.of_sizes(), of_cell, self.next_count(context, cell, total - counts.sum(1))

    def of_sizes(self) -> jax.Array:
        """(max_atoms + 1,) logits of the number of atoms; no crystal has none."""
        return self.size.at[0].set(NEVER)

    def cells(self) -> jax.Array:
        """(H * W, features) of every cell."""
        height, width = self.shape
        return (self.period[:, None] + self.group[None]).reshape(height * width, -1) + self.element

    def next_cell(
        self, elements: jax.Array, counts: jax.Array, total: jax.Array, train: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """(B, H * W) logits of the next cell, and (B, features) of all that is known.

        Args:
            elements: (B, E) cells that are occupied already, in any order and place, -1 for none. counts: (B, E) atoms
                of each, 0 for none.
            total: (B,) atoms of the crystal in the end.
        """
        cells, left = self.cells(), jnp.clip(total - counts.sum(1), 0, self.max_atoms)
        told = nn.gelu(self.each(cells[jnp.maximum(elements, 0)] + self.count[jnp.clip(counts, 0, self.max_atoms)]))
        context = (told * (elements >= 0)[..., None]).sum(1) + self.total[total] + self.left[left]
        context = self.drop(context, deterministic=not train)
        context = self.dense_1(self.drop(nn.gelu(self.dense_0(context)), deterministic=not train))
        logits = self.next_element(nn.gelu(context)) @ cells.T * self.features**-0.5 + self.next_bias
        return jnp.where(counts_of(elements, len(cells)) > 0, NEVER, logits), context

    def next_count(self, context: jax.Array, cell: jax.Array, left: jax.Array) -> jax.Array:
        """(B, max_atoms + 1) logits of how many atoms there are of `cell` (B,), of `left` (B,) that remain."""
        logits = self.count_1(nn.gelu(self.count_0(context + self.cells()[cell])))
        number = jnp.arange(self.max_atoms + 1)
        return jnp.where((number >= 1) & (number <= left[:, None]), logits, NEVER)


def negative_log_likelihood(
    occupancy: Occupancy, params: Any, cells: jax.Array, train: bool, key: jax.Array
) -> jax.Array:
    """(B,) estimates, in nats, of an upper bound of the composition's negative log-likelihood: its mean over orders.

    One place in the order is drawn for each crystal, and counts for all of them.

    Args:
        cells: (B, A) int, the cell of each atom, -1 where there is none.
    """
    order_key, place_key, dropout_key = jax.random.split(key, 3)
    elements, counts = elements_of(cells)
    total, n_elements = counts.sum(1), (elements >= 0).sum(1)
    order = jnp.where(elements >= 0, jax.random.uniform(order_key, elements.shape), 2.0)
    rank = jnp.argsort(jnp.argsort(order, axis=1), axis=1)
    place = jnp.floor(jax.random.uniform(place_key, total.shape) * n_elements).astype(jnp.int32)[:, None]
    before, next_one = rank < place, jnp.argmax(rank == place, axis=1)[:, None]
    target, count = (jnp.take_along_axis(each, next_one, axis=1) for each in (elements, counts))
    rngs = {"dropout": dropout_key} if train else None
    known = jnp.where(before, elements, -1), jnp.where(before, counts, 0)
    logits: Any = occupancy.apply({"params": params}, *known, total, target[:, 0], train, rngs=rngs)
    sizes, of_cell, of_count = (jax.nn.log_softmax(each) for each in logits)
    per_element = (jnp.take_along_axis(of_cell, target, axis=1) + jnp.take_along_axis(of_count, count, axis=1))[:, 0]
    # Every order gives the same composition, so that their number counts in its favour.
    return -sizes[total] - n_elements * per_element - jax.lax.lgamma(n_elements + 1.0)


def elements_of(cells: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(B, A) the distinct cells among those of atoms (B, A), -1 elsewhere, and (B, A) how many atoms are on each."""
    same = (cells[:, :, None] == cells[:, None]) & (cells >= 0)[:, None]
    first = (cells >= 0) & (jnp.argmax(same, axis=2) == jnp.arange(cells.shape[1]))
    return jnp.where(first, cells, -1), jnp.where(first, same.sum(2), 0)


def with_sizes(params: Any, n_atoms: np.ndarray) -> Any:
    """Parameters of the model of compositions whose numbers of atoms are as frequent as in a dataset, n_atoms (m,).

    That is where gradient steps lead, but 0 of 10,000 would take them longer than all the rest.
    """
    frequencies = np.bincount(n_atoms, minlength=len(params["size"])) / len(n_atoms)
    return {**params, "size": np.log(np.maximum(frequencies, 1e-9)).astype(np.float32)}


def counts_of(cells: jax.Array, n_cells: int) -> jax.Array:
    """(B, n_cells) atoms of each cell, for the cells of atoms (B, A), -1 where there is none."""
    b = jnp.arange(len(cells))[:, None]
    flat = jnp.where(cells < 0, n_cells, cells)
    return jnp.zeros((len(cells), n_cells), jnp.int32).at[b, flat].add(1, mode="drop")


def sampled_counts(
    occupancy: Occupancy, params: Any, allowed: jax.Array, sizes: jax.Array, keys: jax.Array
) -> jax.Array:
    """(B, H * W) counts of new compositions, one for each key (B,).

    Args:
        allowed: (H * W,) bool, cells of the elements that may occur.
        sizes: (max_atoms + 1,) bool, the numbers of atoms that may occur.
    """

    def one_more(place: jax.Array, drawn: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        elements, counts = drawn
        left = total - counts.sum(1)
        told: Any = occupancy.apply({"params": params}, elements, counts, total, method=Occupancy.next_cell)
        free = allowed & (counts_of(elements, len(allowed)) == 0)
        cell = draw(2 * place + 1, jnp.where(free, told[0], 2 * NEVER))
        of_count: Any = occupancy.apply({"params": params}, told[1], cell, left, method=Occupancy.next_count)
        # Where no other element can take what remains, this one does.
        count = jnp.where(free.sum(1) == 1, left, draw(2 * place + 2, of_count))
        more = left > 0
        return (
            elements.at[:, place].set(jnp.where(more, cell, -1)),
            counts.at[:, place].set(jnp.where(more, count, 0)),
        )

    def draw(stream: jax.Array | int, logits: jax.Array) -> jax.Array:
        each = lambda key, row: jax.random.categorical(jax.random.fold_in(key, stream), row)  # noqa: E731
        return jax.vmap(each)(keys, jnp.broadcast_to(logits, (len(keys), logits.shape[-1])))

    of_sizes: Any = occupancy.apply({"params": params}, method=Occupancy.of_sizes)
    total = draw(0, jnp.where(sizes, of_sizes, NEVER))
    nothing = jnp.full((len(keys), len(sizes) - 1), -1), jnp.zeros((len(keys), len(sizes) - 1), jnp.int32)
    elements, counts = jax.lax.fori_loop(0, len(sizes) - 1, one_more, nothing)
    rows, flat = jnp.arange(len(keys))[:, None], jnp.where(elements < 0, len(allowed), elements)
    return jnp.zeros((len(keys), len(allowed)), jnp.int32).at[rows, flat].add(counts, mode="drop")
