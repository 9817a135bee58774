"""The model of compositions: its likelihood, what it draws, and that it learns."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

import tests.model.model_helpers  # noqa: F401  (XLA's flags)
from unimat.model.compact.occupancy import (
    Occupancy,
    counts_of,
    elements_of,
    negative_log_likelihood,
    sampled_counts,
    with_sizes,
)

SHAPE, MOST = (2, 2), 4
OCCUPANCY = Occupancy(16, SHAPE, MOST, dropout=0.0)


def fresh(seed=0):
    nothing = jnp.full((1, 1), -1)
    key = jax.random.key(seed)
    return OCCUPANCY.init(key, nothing, nothing + 1, jnp.ones(1, int), jnp.zeros(1, int))["params"]


def atoms(*compositions):
    """(n, MOST) cells of atoms of compositions {cell: count}."""
    rows = [[cell for cell, count in each.items() for _ in range(count)] for each in compositions]
    return jnp.array([row + [-1] * (MOST - len(row)) for row in rows])


def test_elements_and_counts_of_atoms():
    elements, counts = elements_of(jnp.array([[3, 1, 3, -1], [0, 0, 0, 0]]))
    assert elements.tolist() == [[3, 1, -1, -1], [0, -1, -1, -1]]
    assert counts.tolist() == [[2, 1, 0, 0], [4, 0, 0, 0]]
    assert counts_of(jnp.array([[3, 1, 3, -1]]), 4).tolist() == [[0, 1, 0, 2]]


def test_likelihood_is_the_product_of_the_draws():
    """Mean over places of a crystal of two elements, against the formula for both orders by hand."""
    params, composition = fresh(), {0: 1, 2: 3}
    cells = atoms(composition)

    def log_p(order):
        total = jax.nn.log_softmax(OCCUPANCY.apply({"params": params}, method=Occupancy.of_sizes))[4]
        known, counts = jnp.full((1, MOST), -1), jnp.zeros((1, MOST), int)
        for place, cell in enumerate(order):
            args = known, counts, jnp.array([4]), jnp.array([cell])
            _, of_cell, of_count = OCCUPANCY.apply({"params": params}, *args)
            total += jax.nn.log_softmax(of_cell)[0, cell] + jax.nn.log_softmax(of_count)[0, composition[cell]]
            known, counts = known.at[0, place].set(cell), counts.at[0, place].set(composition[cell])
        return float(total)

    wanted = -np.mean([log_p(order) for order in itertools.permutations(composition)]) - math.log(2)
    keys = jax.random.split(jax.random.key(1), 4000)
    draws = jax.vmap(lambda key: negative_log_likelihood(OCCUPANCY, params, cells, False, key)[0])(keys)
    np.testing.assert_allclose(draws.mean(), wanted, atol=4 * float(draws.std()) / 4000**0.5)


def test_draws_keep_to_what_is_allowed():
    allowed, sizes = jnp.array([True, False, True, True]), jnp.array([False, False, False, True, True])
    keys = jax.random.split(jax.random.key(2), 300)
    counts = np.asarray(sampled_counts(OCCUPANCY, fresh(), allowed, sizes, keys))
    assert set(counts.sum(1)) == {3, 4}
    assert not counts[:, 1].any()
    assert len({tuple(row) for row in counts.tolist()}) > 5
    again = np.asarray(sampled_counts(OCCUPANCY, fresh(), allowed, sizes, keys[:7]))
    np.testing.assert_array_equal(again, counts[:7])
    alone = np.asarray(sampled_counts(OCCUPANCY, fresh(), jnp.arange(4) == 2, sizes, keys[:20]))
    assert set(alone[:, 2]) == {3, 4}  # one element takes all


def test_a_distribution_of_compositions_is_learned():
    seen = [{0: 1, 1: 2}, {0: 1, 1: 2}, {0: 1, 1: 2}, {3: 4}]  # three quarters and one quarter
    cells, params, optimizer = atoms(*seen), fresh(), optax.adam(1e-2)

    @jax.jit
    def step(params, state, key):
        loss = lambda p: negative_log_likelihood(OCCUPANCY, p, cells, True, key).mean()  # noqa: E731
        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, value

    params = with_sizes(params, np.array([3, 3, 3, 4]))
    state, values = optimizer.init(params), []
    for i in range(400):
        params, state, value = step(params, state, jax.random.key(i))
        values.append(float(value))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert entropy - 0.05 < np.mean(values[-200:]) < entropy + 0.2  # each is one draw of an upper bound
    everything = jnp.ones(4, bool), jnp.arange(MOST + 1) > 0
    counts = np.asarray(sampled_counts(OCCUPANCY, params, *everything, jax.random.split(jax.random.key(5), 400)))
    share = (counts == [1, 2, 0, 0]).all(1).mean()
    assert abs(share - 0.75) < 0.07
    assert ((counts == [1, 2, 0, 0]).all(1) | (counts == [0, 0, 0, 4]).all(1)).mean() > 0.97
