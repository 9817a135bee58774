import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimat.model.network import attention, backend
from unimat.model.network.blocks import factors
from unimat.model.network.unet import UNet
from unimat.model.settings import ModelSettings


def inputs(shape, n_lattice=6, n=2, channels=3, seed=0):
    keys = jax.random.split(jax.random.key(seed), 2)
    noisy = {
        "coords": jax.random.normal(keys[0], (n, *shape, channels)),
        "lattice": jax.random.normal(keys[1], (n, n_lattice)),
    }
    return noisy, jnp.linspace(-3.0, 3.0, n)


def everywhere(shape):
    return tuple(tuple([True] * shape[2]) for _ in range(shape[1]))


def network(shape, mask=None, **choices):
    settings = ModelSettings(
        **{"channels": 8, "multipliers": (1, 2), "blocks": 1, "head_dim": 4, "dropout": 0.0, **choices}
    )
    return UNet(settings, mask or everywhere(shape))


def perturbed(module, noisy, log_snr):
    """Parameters none of which is zero, so that every path shows."""
    params = jax.eval_shape(module.init, jax.random.key(0), noisy, log_snr, {})["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(0, 0.2, p.shape), jnp.float32), params)


@pytest.mark.parametrize("attention", ["joint", "factored"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 1, 1), (3, 2, 1), (2, 9, 2), (2, 9, 18)])
def test_any_grid_gives_a_prediction_of_its_shape_and_starts_at_zero(shape, attention):
    noisy, log_snr = inputs(shape)
    module = network(shape, attention=attention, multipliers=(1, 1, 1))
    out = jax.eval_shape(lambda k: module.init_with_output(k, noisy, log_snr, {}), jax.random.key(0))[0]
    assert {name: x.shape for name, x in out.items()} == {name: x.shape for name, x in noisy.items()}
    if (shape, attention) == ((3, 2, 1), "joint"):
        out, _ = jax.jit(module.init_with_output)(jax.random.key(0), noisy, log_snr, {})
        assert all(not x.any() for x in out.values())


def test_resolutions_of_the_full_table():
    assert [factors(9, 18), factors(3, 6), factors(1, 2), factors(9, 2)] == [(3, 3), (3, 3), (1, 1), (3, 1)]
    shape = (2, 9, 18)
    noisy, log_snr = inputs(shape)
    module = network(shape, multipliers=(1, 2, 4))
    run = functools.partial(module.init_with_output, capture_intermediates=True)
    variables = jax.eval_shape(run, jax.random.key(0), noisy, log_snr, {})[1]
    outputs = {
        name: tree["__call__"][0].shape
        for name, tree in variables["intermediates"].items()
        if "__call__" in tree and hasattr(tree["__call__"][0], "shape")
    }
    assert outputs["down_0_0"] == (2, 2, 9, 18, 8)
    assert outputs["down_1_0"] == (2, 2, 3, 6, 16)
    assert outputs["down_2_0"] == outputs["middle_1"] == (2, 2, 1, 2, 32)
    assert outputs["upsample_1"] == (2, 2, 9, 18, 16)


def test_table_4_can_be_built():
    shape = (20, 9, 18)
    noisy, log_snr = inputs(shape, n=1)
    module = UNet(ModelSettings(), everywhere(shape))
    variables = jax.eval_shape(module.init, jax.random.key(0), noisy, log_snr, {})["params"]
    heads = {p.shape[-1] for path, p in jax.tree_util.tree_leaves_with_path(variables) if "attention" in str(path)}
    assert max(heads) == 3 * 1024  # queries, keys and values of sixteen heads of 64
    n = sum(np.prod(p.shape) for p in jax.tree.leaves(variables))
    assert 1e8 < n < 1e9


@pytest.mark.parametrize("attention", ["joint", "factored"])
def test_kernel_one_along_slots_is_equivariant_to_their_order(attention):
    shape = (5, 2, 1)
    noisy, log_snr = inputs(shape)
    order = np.array([3, 0, 4, 1, 2])
    shuffled = {**noisy, "coords": noisy["coords"][:, order]}

    def outputs(slot_kernel):
        module = network(shape, attention=attention, slot_kernel=slot_kernel, multipliers=(1,))
        run = jax.jit(functools.partial(module.apply, {"params": perturbed(module, noisy, log_snr)}))
        return run(noisy, log_snr, {}), run(shuffled, log_snr, {})

    straight, permuted = outputs(1)
    np.testing.assert_allclose(permuted["coords"], straight["coords"][:, order], atol=1e-3)
    np.testing.assert_allclose(permuted["lattice"], straight["lattice"], atol=1e-3)
    straight, permuted = outputs(3)
    assert np.abs(permuted["coords"] - straight["coords"][:, order]).max() > 0.1


def test_cells_without_an_element_say_nothing_and_every_input_counts():
    shape = (2, 3, 1)
    noisy, log_snr = inputs(shape)
    module = network(shape, mask=((True,), (False,), (True,)), multipliers=(1,))
    run = jax.jit(functools.partial(module.apply, {"params": perturbed(module, noisy, log_snr)}))
    base = run(noisy, log_snr, {})

    def change(**changed):
        out = run(
            {**noisy, **{k: v for k, v in changed.items() if k != "log_snr"}}, changed.get("log_snr", log_snr), {}
        )
        return max(float(jnp.abs(out[name] - base[name]).max()) for name in out)

    assert change(coords=noisy["coords"].at[:, :, 1].add(5.0)) == 0
    assert change(coords=noisy["coords"].at[:, :, 0].add(5.0)) > 1e-3
    assert change(lattice=noisy["lattice"] + 1) > 1e-3
    assert change(log_snr=log_snr + 2) > 1e-3


def test_axes_of_size_one_cost_nothing():
    noisy, log_snr = inputs((4, 1, 1))
    module = network((4, 1, 1), slot_kernel=1, multipliers=(1, 1))
    params = jax.eval_shape(module.init, jax.random.key(0), noisy, log_snr, {})["params"]
    assert max(p.ndim for p in jax.tree.leaves(params)) == 2  # no convolution is left, only dense layers


def test_dropout_acts_in_training_only():
    shape = (2, 1, 1)
    noisy, log_snr = inputs(shape)
    module = network(shape, dropout=0.5, multipliers=(1,))
    params = {"params": perturbed(module, noisy, log_snr)}
    run = jax.jit(functools.partial(module.apply, train=True))
    one, two = (run(params, noisy, log_snr, {}, rngs={"dropout": jax.random.key(k)})["coords"] for k in (0, 1))
    assert float(jnp.abs(one - two).max()) > 1e-3
    still = jax.jit(module.apply)
    np.testing.assert_array_equal(
        still(params, noisy, log_snr, {})["coords"], still(params, noisy, log_snr, {})["coords"]
    )


def loss_and_gradients(module, params, noisy, log_snr, conditions=None, train=False):
    def loss(p):
        predicted = module.apply(
            {"params": p}, noisy, log_snr, conditions or {}, train=train, rngs={"dropout": jax.random.key(0)}
        )
        return sum((jnp.mean(x**2) for x in predicted.values()), jnp.float32(0))

    return jax.jit(jax.value_and_grad(loss))(params)


def assert_same(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()) + 1e-7)


def test_matrix_products_and_xlas_convolutions_give_the_same(monkeypatch):
    shape = (2, 3, 3)
    noisy, log_snr = inputs(shape)
    module = network(shape, multipliers=(1, 1))
    params = perturbed(module, noisy, log_snr)
    assert backend.by_products()
    ours = loss_and_gradients(module, params, noisy, log_snr)
    monkeypatch.setattr(backend, "by_products", lambda: False)
    assert_same(ours, loss_and_gradients(module, params, noisy, log_snr))


def test_rematerialised_blocks_give_the_same_and_drop_the_same():
    shape = (2, 2, 1)
    noisy, log_snr = inputs(shape)
    choices = {"multipliers": (1,), "dropout": 0.3}
    params = perturbed(network(shape, **choices), noisy, log_snr)
    kept, again = (
        loss_and_gradients(network(shape, remat=remat, **choices), params, noisy, log_snr, train=True)
        for remat in (False, True)
    )
    assert_same(again, kept)


def unrolled(params):
    """Parameters of scanned blocks i to j under the names of single ones."""
    single = {}
    for name, tree in params.items():
        if "_to_" not in name:
            single[name] = tree
            continue
        prefix, first, last = name.replace("_to_", "_").rsplit("_", 2)
        for k, i in enumerate(range(int(first), int(last) + 1)):
            each = jax.tree.map(lambda x, k=k: x[k], tree)
            single[f"{prefix}_{i}"] = each["residual"]
            if "attention" in each:
                single[f"{prefix}_{i}_attention"] = each["attention"]
    return single


def test_scanned_blocks_are_the_blocks_one_by_one(monkeypatch):
    shape = (2, 2, 1)
    noisy, log_snr = inputs(shape)
    module = network(shape, multipliers=(1,), blocks=3, attention_resolutions=(1,))
    params = perturbed(module, noisy, log_snr)
    assert {name for name in params if "_to_" in name} == {"down_0_0_to_2", "up_0_0_to_3"}
    scanned = jax.jit(module.apply)({"params": params}, noisy, log_snr, {})
    monkeypatch.setattr("unimat.model.network.levels.LARGEST_UNROLLED", 3)
    assert_same(scanned, jax.jit(module.apply)({"params": unrolled(params)}, noisy, log_snr, {}))


def test_up_to_two_blocks_keep_one_name_each():
    noisy, log_snr = inputs((2, 2, 1))
    module = network((2, 2, 1), blocks=2)
    params = jax.eval_shape(module.init, jax.random.key(0), noisy, log_snr, {})["params"]
    assert {"down_0_0", "down_0_1", "up_1_2", "up_0_0", "up_0_1", "up_0_2"} <= set(params)
    assert not [name for name in params if "_to_" in name]


def test_a_vector_condition_modulates_and_starts_unheard():
    shape = (2, 2, 1)
    noisy, log_snr = inputs(shape)
    module = network(shape, multipliers=(1,))
    conditions = {"band_gap": jnp.array([[0.5, 1.0], [-2.0, 1.0]])}
    bare = jax.eval_shape(module.init, jax.random.key(0), noisy, log_snr, {})["params"]
    params = jax.eval_shape(module.init, jax.random.key(0), noisy, log_snr, conditions)["params"]
    assert set(params) - set(bare) == {"condition_band_gap"}
    same = {name: jax.tree.map(jnp.shape, params[name]) for name in bare}
    assert same == jax.tree.map(jnp.shape, bare)
    rng = np.random.default_rng(0)
    filled = jax.tree.map(lambda p: jnp.asarray(rng.normal(0, 0.2, p.shape), jnp.float32), params)
    run = jax.jit(module.apply)
    other = {"band_gap": conditions["band_gap"].at[0, 0].add(1.0)}
    heard = [run({"params": filled}, noisy, log_snr, c)["coords"] for c in (conditions, other)]
    assert float(jnp.abs(heard[0] - heard[1])[0].max()) > 1e-3
    assert float(jnp.abs(heard[0] - heard[1])[1].max()) == 0
    last = filled["condition_band_gap"]["Dense_1"]
    unheard = {
        **filled,
        "condition_band_gap": {**filled["condition_band_gap"], "Dense_1": jax.tree.map(jnp.zeros_like, last)},
    }
    silent = [run({"params": unheard}, noisy, log_snr, c)["coords"] for c in (conditions, other)]
    np.testing.assert_array_equal(*silent)


def test_a_condition_of_the_grid_is_read_at_the_input():
    shape = (2, 2, 1)
    noisy, log_snr = inputs(shape)
    module = network(shape, multipliers=(1,))
    grid = {"composition": jnp.zeros((2, *shape, 2))}
    bare, params = (jax.eval_shape(module.init, jax.random.key(0), noisy, log_snr, c)["params"] for c in ({}, grid))
    changed = [name for name in params if jax.tree.map(jnp.shape, params[name]) != jax.tree.map(jnp.shape, bare[name])]
    assert changed == ["first"]


def test_attention_in_chunks_is_the_attention_of_all(monkeypatch):
    shape = (4, 3, 3)
    noisy, log_snr = inputs(shape)
    module = network(shape)
    params = perturbed(module, noisy, log_snr)
    whole = loss_and_gradients(module, params, noisy, log_snr)
    monkeypatch.setattr(attention, "UNCHUNKED_BYTES", 0)
    monkeypatch.setattr(attention, "CHUNK_BYTES", 3 * 4 * 9**2)  # three rows of nine tokens
    assert "scan" in str(jax.make_jaxpr(module.apply)({"params": params}, noisy, log_snr, {}))
    assert_same(loss_and_gradients(module, params, noisy, log_snr), whole)
