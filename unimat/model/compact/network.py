"""The compact network: a transformer whose tokens are the occupied cells of the table, each atom one token."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from unimat.model.compact.attention import TorusAttention
from unimat.model.compact.geometry import distances_of, matrices_of, phases_of, radial_features, vector_features
from unimat.model.compact.names import CELLS, OCCUPANCY, TEMPLATE, TEMPLATE_LAYER
from unimat.model.compact.occupancy import Occupancy
from unimat.model.compact.torus import wrapped
from unimat.model.network import backend
from unimat.model.network.blocks import fan_in, zeros
from unimat.model.network.embeddings import ConditionEmbedding, NoiseLevel
from unimat.model.representation import lattice as lattice_forms
from unimat.model.representation.encoded import TEMPLATE_CELL, TEMPLATE_COORDS, TEMPLATE_LATTICE
from unimat.model.representation.tensors import State
from unimat.model.settings import ModelSettings

LATEST = 0.75  # time beyond which what leads to the template is not hurried any more: its factor 1 / (1 - t) ends at 4
TEMPLATE_WIDTH = 64  # of what is made of a template's lattice
TEMPLATES = (TEMPLATE, TEMPLATE_CELL, TEMPLATE_COORDS, TEMPLATE_LATTICE)


class CellEmbedding(nn.Module):
    """(..., features) of flat cells (...): what period, group and element each add; -1 is no cell.

    Attributes:
        shape: (H, W) of the grid.
    """

    features: int
    shape: tuple[int, int]

    @nn.compact
    def __call__(self, cells: jax.Array) -> jax.Array:
        (height, width), init = self.shape, nn.initializers.normal(0.5)
        period = self.param("period", init, (height, self.features))
        group = self.param("group", init, (width, self.features))
        element = self.param("element", init, (height * width, self.features))
        flat = jnp.maximum(cells, 0)
        embedded = period[flat // width] + group[flat % width] + element[flat]
        return embedded * (cells >= 0)[..., None]


class Block(nn.Module):
    """(B, A, d) after attention and a feed-forward layer, both scaled, shifted and gated by c (B, e).

    Body of a scan over layers, which is compiled once: nothing is given out beside what is carried.
    """

    head_dim: int
    dropout: float
    train: bool
    dtype: Any

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        c: jax.Array,
        phases: jax.Array,
        distances: jax.Array,
        present: jax.Array,
        template: jax.Array | None,
    ) -> tuple[jax.Array, None]:
        b, n, width = x.shape
        film = nn.Dense(6 * width, kernel_init=zeros, dtype=self.dtype, name="film")(nn.swish(c))
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = jnp.split(film[:, None], 6, axis=-1)
        attention = TorusAttention(self.head_dim, self.dtype, name="attention")
        mixed = attention(_normal(x) * (1 + scale_a) + shift_a, phases, distances, present, template)
        x = x + (1 + gate_a) * self._dropped(mixed)
        hidden = nn.Dense(4 * width, kernel_init=fan_in, dtype=self.dtype, name="in")
        out = nn.Dense(width, kernel_init=fan_in, dtype=self.dtype, name="out")
        tokens = (_normal(x) * (1 + scale_f) + shift_f).reshape(b * n, width)  # a CPU multiplies two axes fastest
        return x + (1 + gate_f) * self._dropped(out(nn.gelu(hidden(tokens))).reshape(b, n, width)), None

    def _dropped(self, x: jax.Array) -> jax.Array:
        return nn.Dropout(self.dropout, deterministic=not self.train)(x) if self.dropout else x


def _normal(x: jax.Array) -> jax.Array:
    return nn.LayerNorm(use_bias=False, use_scale=False, dtype=x.dtype)(x)


class CompactNetwork(nn.Module):
    """Velocities {coords, lattice} of a noisy crystal at a time of the flow; see `unimat.model.compact.flow`.

    Attributes:
        shape: (H, W) of the grid. max_atoms: most atoms of a crystal. mean, std: of the lattice vector, (6,) each.
        lattice_lengths: what stands for a, b, c; see `unimat.model.representation.lattice`.
    """

    settings: ModelSettings
    shape: tuple[int, int]
    max_atoms: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    lattice_lengths: str

    @nn.compact
    def __call__(
        self, noisy: State, log_snr: jax.Array, conditions: Mapping[str, jax.Array], train: bool = False
    ) -> State:
        """Velocities of the shapes of `noisy`: coords (B, A, 3) in cells per unit of time, lattice (B, 6).

        Args:
            log_snr: (B,), of the path at this time.
            conditions: `cells` (B, A) int, -1 where there is no atom; (B, k) of properties, which modulate each block;
                of a network that can be shown templates `template` (B, 2), `template_coords` (B, A, 3),
                `template_cell` (B, A) int and `template_lattice` (B, 6), standardised. What is made of these begins at
                zero.
        """
        s, dtype = self.settings, jnp.dtype(self.settings.compute_dtype)
        cells = conditions[CELLS]
        present = cells >= 0
        if self.is_initializing():  # its parameters live here, but its loss needs no noisy crystal
            nothing = jnp.full((1, 1), -1)
            occupancy = Occupancy(s.occupancy_channels, self.shape, self.max_atoms, name=OCCUPANCY)
            occupancy(nothing, nothing + 1, jnp.ones(1, jnp.int32), jnp.zeros(1, jnp.int32))
        atoms = present.sum(1, keepdims=True).astype(jnp.float32)
        embedding = CellEmbedding(s.channels, self.shape, name="cells")
        embedded = embedding(cells)
        pooled = embedded.sum(1) / jnp.maximum(atoms, 1.0)
        c = self._modulation(noisy["lattice"], log_snr, pooled, atoms, conditions).astype(dtype)
        phases, distances = self._geometry(noisy, atoms, dtype)
        x = nn.Dense(s.channels, kernel_init=fan_in, dtype=dtype, name="first")(embedded)
        template = None
        if s.templates:
            given = conditions[TEMPLATE][:, None, :1]
            x = x + self._towards(noisy["coords"], conditions).astype(dtype)
            moved = (embedding(conditions[TEMPLATE_CELL]) - embedded) * (conditions[TEMPLATE_CELL] >= 0)[..., None]
            move = nn.Dense(s.channels, use_bias=False, kernel_init=zeros, dtype=dtype, name="template_move")
            x = x + move(moved) * given
            known = {"coords": conditions[TEMPLATE_COORDS], "lattice": conditions[TEMPLATE_LATTICE]}
            template = self._geometry(known, atoms, dtype)[1] * given[..., None].astype(dtype)
        x, _ = self._blocks(train)(x, c, phases, distances, present, template)
        x = _normal(x.astype(jnp.float32)) * present[..., None]
        coords = nn.Dense(3, kernel_init=zeros, name="coords")(x) * present[..., None]
        if s.templates:
            coords = coords + self._on_the_way(x, c, noisy["coords"], log_snr, conditions) * present[..., None]
        coords = (coords - coords.sum(1, keepdims=True) / jnp.maximum(atoms, 1.0)[..., None]) * present[..., None]
        told = jnp.concatenate([x.sum(1) / jnp.maximum(atoms, 1.0), c.astype(jnp.float32)], axis=-1)
        hidden = nn.swish(nn.Dense(s.channels, kernel_init=fan_in, name="lattice_in")(told))
        lattice = nn.Dense(noisy["lattice"].shape[-1], kernel_init=zeros, name="lattice_out")(hidden)
        return {"coords": coords, "lattice": lattice}

    def _blocks(self, train: bool) -> Any:
        s, block = self.settings, nn.remat(Block) if self.settings.remat else Block
        scan: Any = nn.scan(
            block,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=s.layers,
            unroll=s.layers if backend.by_products() else 1,  # a CPU gains a quarter, an accelerator only compile time
        )
        return scan(s.head_dim, s.dropout, train, jnp.dtype(s.compute_dtype), name="blocks")

    def _towards(self, coords: jax.Array, conditions: Mapping[str, jax.Array]) -> jax.Array:
        """(B, A, channels) of where the template's atoms lie from the noisy ones."""
        there = phases_of(wrapped(conditions[TEMPLATE_COORDS] - coords), self.settings.harmonics)
        flat = jax.lax.stop_gradient(there).reshape(*coords.shape[:2], -1) * conditions[TEMPLATE][:, None, :1]
        layer = nn.Dense(self.settings.channels, use_bias=False, kernel_init=zeros, name=TEMPLATE_LAYER)
        return layer(flat)

    def _on_the_way(
        self, x: jax.Array, c: jax.Array, coords: jax.Array, log_snr: jax.Array, conditions: Mapping[str, jax.Array]
    ) -> jax.Array:
        """(B, A, 3) the velocity that leads to the template in what is left of the time, and its harmonics, weighted.

        For paths from noise, which would not find the template by what enters with the tokens alone: 2,500 steps of
        training left that unused. A path that starts at the template has nowhere to go by this.
        """
        n = self.settings.harmonics
        left = 1 - jnp.clip(jax.nn.sigmoid(log_snr / 2), 0.0, LATEST)
        towards = wrapped(conditions[TEMPLATE_COORDS] - coords)
        waves = jnp.sin(2 * jnp.pi * towards[..., None] * jnp.arange(1, n + 1))
        ways = jnp.concatenate([towards[..., None], waves], axis=-1) / left[:, None, None, None]
        told = jnp.concatenate([x, jnp.broadcast_to(c.astype(jnp.float32)[:, None], x.shape)], axis=-1)
        weights = nn.Dense(n + 1, kernel_init=zeros, name="template_ways")(told)
        shown, starts = jnp.split(conditions[TEMPLATE][:, None], 2, axis=-1)
        return jnp.einsum("baxn,ban->bax", jax.lax.stop_gradient(ways), weights) * shown * (1 - starts)

    def _modulation(
        self, lattice: jax.Array, log_snr: jax.Array, pooled: jax.Array, atoms: jax.Array, conditions: Any
    ) -> jax.Array:
        """(B, channels): time, noisy lattice, composition and properties, each through a layer of its own."""
        width = self.settings.channels
        level = NoiseLevel(width, name="noise_level")(log_snr)
        parts = jnp.concatenate([lattice, pooled, jnp.log(jnp.maximum(atoms, 1.0))], axis=-1)
        hidden = nn.swish(nn.Dense(width, kernel_init=fan_in, name="crystal_in")(parts))
        total = level + nn.Dense(width, kernel_init=fan_in, name="crystal_out")(hidden)
        if self.settings.templates:
            told, there = conditions[TEMPLATE], conditions[TEMPLATE_LATTICE]
            parts = jnp.concatenate([told, (there - lattice) * told[:, :1], there * told[:, :1]], axis=-1)
            hidden = nn.swish(nn.Dense(TEMPLATE_WIDTH, kernel_init=fan_in, name="template_lattice_in")(parts))
            layer = nn.Dense(width, use_bias=False, kernel_init=zeros, name="template_lattice_out")
            total = total + layer(hidden * told[:, :1])
        for name in sorted(name for name in conditions if name not in (CELLS, *TEMPLATES)):
            total = total + ConditionEmbedding(width, name=f"condition_{name}")(conditions[name])
        return total

    def _geometry(self, noisy: State, atoms: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """Phases (B, A, 2, 3K) and features (B, A, A, R) of pairs: inputs, of which no gradient is wanted."""
        s = self.settings
        vectors = noisy["lattice"] * jnp.asarray(self.std, jnp.float32) + jnp.asarray(self.mean, jnp.float32)
        parameters = lattice_forms.from_vector(vectors, self.lattice_lengths, jnp, atoms[:, 0])
        coords, matrices, n = noisy["coords"], matrices_of(parameters), s.distance_features
        if s.pair_features == "vectors":
            features = vector_features(coords, matrices, n)
        else:
            features = radial_features(distances_of(coords, matrices), n)
        return jax.lax.stop_gradient((phases_of(noisy["coords"], s.harmonics), features.astype(dtype)))


def occupancy_of(module: nn.Module) -> Occupancy:
    """The model of compositions of a compact network, whose parameters are the entry `OCCUPANCY` of its own."""
    assert isinstance(module, CompactNetwork)
    return Occupancy(module.settings.occupancy_channels, module.shape, module.max_atoms)
