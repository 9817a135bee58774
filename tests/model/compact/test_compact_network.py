"""The compact network and its parts, each against a plain formula or a symmetry."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pymatgen.core import Lattice

import tests.model.model_helpers  # noqa: F401  (XLA's flags)
from tests.model.model_helpers import random_table, write_tiny_dataset
from unimat.errors import UserError
from unimat.model import networks
from unimat.model.compact.attention import displacements
from unimat.model.compact.geometry import (
    FARTHEST,
    distances_of,
    matrices_of,
    phases_of,
    radial_features,
    vector_features,
)
from unimat.model.compact.names import CELLS
from unimat.model.representation import lattice as lattice_forms
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.representation.encoded import read_encoding
from unimat.model.settings import EncodeSettings, ModelSettings

COMPACT = ModelSettings(network="compact", channels=16, layers=2, head_dim=8, harmonics=3, occupancy_channels=8)


@pytest.fixture(scope="module")
def encoding(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    tables = {name: [random_table(12, (6, 14), 6, seed)] for seed, name in enumerate(("train", "val", "test"))}
    encode_dataset(tables, EncodeSettings(elements=("C", "Si"), lattice_lengths="per_atom"), folder)
    return read_encoding(folder)


@pytest.fixture(scope="module", params=["distances", "vectors"])
def network(encoding, request):
    return networks.build(dataclasses.replace(COMPACT, pair_features=request.param), encoding)


@pytest.fixture(scope="module")
def params(network):
    """Random ones: fresh parameters predict zero."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda p: jnp.asarray(rng.normal(0, 0.3, p.shape), jnp.float32), network.init(key=jax.random.key(0))
    )


CARBON, SILICON = 0, 1
NOISY = {
    "coords": jnp.asarray(np.random.default_rng(1).uniform(size=(2, 5, 3)), jnp.float32),
    "lattice": jnp.asarray(np.random.default_rng(2).normal(size=(2, 6)), jnp.float32),
}
CELLS_OF = jnp.array([[CARBON, CARBON, SILICON, SILICON, SILICON], [CARBON, SILICON, SILICON, -1, -1]])
LOG_SNR = jnp.array([-1.0, 2.0])


def velocities(network, params, coords=NOISY["coords"], cells=CELLS_OF):
    return network.apply(params, {**NOISY, "coords": coords}, LOG_SNR, {CELLS: cells})


def test_displacements_are_the_sums_over_pairs():
    rng = np.random.default_rng(0)
    coords, k = rng.uniform(size=(2, 4, 3)), np.arange(1, 4)
    weights = rng.dirichlet(np.ones(4), size=(2, 3, 4))
    between = 2 * np.pi * (coords[:, :, None] - coords[:, None])[..., None] * k
    wanted = [np.einsum("bhij,bijx->bihx", weights, f(between).reshape(2, 4, 4, 9)) for f in (np.cos, np.sin)]
    found = displacements(jnp.asarray(weights, jnp.float32), phases_of(jnp.asarray(coords, jnp.float32), 3))
    np.testing.assert_allclose(found, np.stack(wanted, axis=-2), atol=1e-5)


def test_distances_are_those_of_pymatgen():
    rng = np.random.default_rng(3)
    for _ in range(5):
        parameters = np.concatenate([rng.uniform(3, 8, 3), rng.uniform(70, 110, 3)])
        lattice, coords = Lattice.from_parameters(*parameters), rng.uniform(size=(6, 3))
        wanted = lattice.get_all_distances(coords, coords)
        images = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])
        own = np.linalg.norm(images[images.any(axis=1)] @ lattice.matrix, axis=1).min()
        wanted[np.diag_indices(6)] = own
        found = distances_of(jnp.asarray(coords[None], jnp.float32), matrices_of(jnp.asarray(parameters[None])))[0]
        np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_vector_features_sum_over_the_images_that_pymatgen_finds():
    rng = np.random.default_rng(4)
    parameters = np.array([6.2, 7.1, 6.8, 84.0, 97.0, 101.0])
    lattice, coords, centres = (
        Lattice.from_parameters(*parameters),
        rng.uniform(size=(4, 3)),
        np.linspace(0, FARTHEST, 9),
    )
    wanted = np.zeros((4, 4, 9, 4))
    for i, j in itertools.product(range(4), repeat=2):
        between = coords[i] - coords[j]
        for image in itertools.product((-2, -1, 0, 1, 2), repeat=3):
            vector = between + image
            distance = np.linalg.norm(vector @ lattice.matrix)
            if distance > 1e-8:
                radial = np.exp(-(((distance - centres) * 8 / FARTHEST) ** 2))
                wanted[i, j] += radial[:, None] * np.array([1, *vector])
    matrices = matrices_of(jnp.asarray(parameters[None], jnp.float32))
    found = np.asarray(vector_features(jnp.asarray(coords[None], jnp.float32), matrices, 9))[0]
    assert found.shape == (4, 4, 36)
    near = slice(0, 5)  # Gaussians up to 3 Å: the farther ones also see images that 27 cells do not hold
    np.testing.assert_allclose(found[..., :9][..., near], wanted[..., near, 0], atol=1e-4)
    np.testing.assert_allclose(found[..., 9:].reshape(4, 4, 9, 3)[:, :, near], wanted[:, :, near, 1:], atol=1e-4)


def test_radial_features_peak_where_their_distance_is():
    features = np.asarray(radial_features(jnp.array([0.0, 2.0, 6.0, 60.0]), 4))
    assert features.argmax(axis=1)[:3].tolist() == [0, 1, 3]
    assert features.max(axis=1).tolist() == pytest.approx([1, 1, 1, 0])


def test_velocities_do_not_depend_on_the_origin_and_have_no_mean(network, params):
    found = velocities(network, params)
    moved = velocities(network, params, (NOISY["coords"] + jnp.array([0.3, 0.8, 0.1])) % 1.0)
    for name in found:
        np.testing.assert_allclose(moved[name], found[name], atol=1e-3)
    np.testing.assert_allclose(found["coords"].sum(axis=1), 0, atol=1e-4)
    assert np.abs(found["coords"][1, :3]).min() > 1e-4
    np.testing.assert_array_equal(found["coords"][1, 3:], 0)


def test_velocities_follow_a_permutation_of_atoms(network, params):
    order = jnp.array([4, 1, 0, 3, 2])
    found = velocities(network, params)
    permuted = velocities(network, params, NOISY["coords"][:, order], CELLS_OF[:, order])
    np.testing.assert_allclose(permuted["coords"], found["coords"][:, order], atol=1e-4)
    np.testing.assert_allclose(permuted["lattice"], found["lattice"], atol=1e-4)


def test_padding_changes_nothing(network, params):
    found = velocities(network, params)
    coords = jnp.pad(NOISY["coords"], ((0, 0), (0, 3), (0, 0)), constant_values=0.7)
    wider = velocities(network, params, coords, jnp.pad(CELLS_OF, ((0, 0), (0, 3)), constant_values=-1))
    np.testing.assert_allclose(wider["coords"][:, :5], found["coords"], atol=1e-5)
    np.testing.assert_allclose(wider["lattice"], found["lattice"], atol=1e-5)


def test_every_parameter_is_used(network, params):
    """All but those of the model of compositions have a gradient."""

    def total(params):
        return sum((x**2).sum() for x in velocities(network, params).values())

    gradients = jax.grad(total)(params)
    occupancy = gradients.pop("occupancy")
    assert all(not np.any(g) for g in jax.tree.leaves(occupancy))
    unused = [jax.tree_util.keystr(path) for path, g in jax.tree_util.tree_leaves_with_path(gradients) if not np.any(g)]
    assert unused == []
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))


def test_lengths_per_atom_come_back_and_forget_the_size_of_the_cell():
    parameters = np.array([[4.0, 5.0, 6.0, 80.0, 90.0, 100.0]])
    doubled = np.array([[8.0, 10.0, 12.0, 80.0, 90.0, 100.0]])
    vectors = lattice_forms.to_vector(parameters, "per_atom", n_atoms=np.array([3]))
    np.testing.assert_allclose(lattice_forms.from_vector(vectors, "per_atom", n_atoms=np.array([3])), parameters)
    np.testing.assert_allclose(lattice_forms.to_vector(doubled, "per_atom", n_atoms=np.array([24])), vectors)


def test_volume_per_atom_is_a_number_of_its_own():
    rng = np.random.default_rng(0)
    parameters = np.concatenate([rng.uniform(2, 15, (200, 3)), rng.uniform(60, 120, (200, 3))], axis=1)
    parameters, n_atoms = parameters[lattice_forms.closes(parameters)], np.array([7])
    vectors = lattice_forms.to_vector(parameters, "volume", n_atoms=n_atoms)
    np.testing.assert_allclose(lattice_forms.from_vector(vectors, "volume", n_atoms=n_atoms), parameters)
    volumes = [Lattice.from_parameters(*row).volume for row in parameters]
    np.testing.assert_allclose(vectors[:, 0], np.log(np.array(volumes) / 7), atol=1e-12)
    flat = np.array([[4.0, 5.0, 6.0, 60.0, 60.0, 170.0]])  # angles of no cell come back, too
    there = lattice_forms.to_vector(flat, "volume", n_atoms=n_atoms)
    np.testing.assert_allclose(lattice_forms.from_vector(there, "volume", n_atoms=n_atoms), flat)


def test_what_a_compact_network_cannot_be_is_told(tmp_path, encoding):
    with pytest.raises(UserError, match="'composition': a compact network is always told"):
        networks.build(ModelSettings(network="compact", conditions=("composition",)), encoding)
    write_tiny_dataset(tmp_path)
    tables = {name: [random_table(4, (6,), 3, seed)] for seed, name in enumerate(("train", "val", "test"))}
    encode_dataset(tables, EncodeSettings(elements=("C",), coordinates="cartesian"), tmp_path / "cartesian")
    with pytest.raises(UserError, match=r"needs encode\.coordinates fractional"):
        networks.build(COMPACT, read_encoding(tmp_path / "cartesian"))
