"""The registry of networks, and the one interface through which all else uses them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from unimat.errors import UserError
from unimat.model.compact.names import CELLS, TEMPLATE
from unimat.model.compact.network import CompactNetwork
from unimat.model.network.unet import UNet
from unimat.model.representation.channels import channel_map
from unimat.model.representation.conditions import condition_shapes
from unimat.model.representation.encoded import TEMPLATE_CELL, TEMPLATE_COORDS, TEMPLATE_LATTICE, Encoding
from unimat.model.representation.tensors import State
from unimat.model.settings import CRYSTAL_CONDITIONS, ModelSettings

Params = Any


@dataclasses.dataclass(frozen=True)
class Network:
    """A network for one encoding.

    Attributes:
        shapes: shape of each part of the state of one crystal: coords (L, H, W, C), or (A, 3) of a compact network, and
            lattice (D,).
        condition_shapes: shape of each condition of one crystal, by name.
    """

    module: nn.Module
    shapes: Mapping[str, tuple[int, ...]]
    condition_shapes: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def __hash__(self) -> int:  # so that a compiled program can be found again by the network that it is of
        return hash((self.module, *(tuple(sorted(each.items())) for each in (self.shapes, self.condition_shapes))))

    def init(self, *, key: jax.Array) -> Params:
        """Fresh parameters, float32."""
        noisy = {name: jnp.zeros((1, *shape)) for name, shape in self.shapes.items()}
        return jax.jit(self.module.init)(key, noisy, jnp.zeros(1), self.no_conditions(1))["params"]

    def no_conditions(self, n: int) -> dict[str, jax.Array]:
        """The conditions of n crystals of which nothing is said."""
        none = {name: jnp.zeros((n, *shape)) for name, shape in self.condition_shapes.items()}
        return none | {name: none[name].astype(jnp.int32) - 1 for name in (CELLS, TEMPLATE_CELL) if name in none}

    def apply(
        self,
        params: Params,
        noisy: State,
        log_snr: jax.Array,
        conditions: Mapping[str, jax.Array],
        train: bool = False,
        rngs: dict[str, jax.Array] | None = None,
    ) -> State:
        """Prediction of the shapes of `noisy`.

        Args:
            log_snr: (B,).
            conditions: by name, all of `condition_shapes`: (B, L, H, W, k) each, or (B, k) of a property; see
                `unimat.model.representation.conditions`.
            rngs: `dropout` when training.
        """
        predict: Any = self.module.apply  # Flax knows no more of its type
        return predict({"params": params}, noisy, log_snr, conditions, train=train, rngs=rngs)


def _unet(settings: ModelSettings, encoding: Encoding) -> nn.Module:
    if settings.displacement_features and encoding.coordinates != "fractional":
        raise UserError("model.displacement_features needs encode.coordinates fractional; others have no period")
    return UNet(settings, tuple(tuple(bool(cell) for cell in row) for row in encoding.element_mask))


def _compact(settings: ModelSettings, encoding: Encoding) -> nn.Module:
    if encoding.coordinates != "fractional":
        raise UserError("model.network compact needs encode.coordinates fractional: its atoms move on a torus")
    told = set(settings.conditions) & set(CRYSTAL_CONDITIONS)
    if told:
        raise UserError(f"model.conditions names {min(told)!r}: a compact network is always told the whole composition")
    return CompactNetwork(
        settings,
        encoding.grid.shape,
        encoding.max_atoms,
        encoding.lattice_mean,
        encoding.lattice_std,
        encoding.lattice_lengths,
    )


NETWORKS: dict[str, Callable[[ModelSettings, Encoding], nn.Module]] = {"unet": _unet, "compact": _compact}


def build(settings: ModelSettings, encoding: Encoding) -> Network:
    """The network that the settings name, for tensors of an encoding's shape.

    Raises:
        UserError: on a condition that the encoded dataset does not have, or coordinates that the network cannot use.
    """
    module, conditions = NETWORKS[settings.network](settings, encoding), condition_shapes(settings, encoding)
    coords: tuple[int, ...] = (encoding.max_atoms, 3)
    if settings.network == "compact":
        conditions = {CELLS: (encoding.max_atoms,), **conditions}
        if settings.templates:
            of_atoms = {TEMPLATE_COORDS: coords, TEMPLATE_CELL: (encoding.max_atoms,)}
            conditions |= {TEMPLATE: (2,), **of_atoms, TEMPLATE_LATTICE: (encoding.lattice_size,)}
    else:
        coords = (*encoding.tensor_shape, channel_map(settings).n_channels)
    return Network(module, {"coords": coords, "lattice": (encoding.lattice_size,)}, conditions)
