"""The registry of networks, and the one interface through which all else uses them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from unimat.model.channels import channel_map
from unimat.model.encoded import Encoding
from unimat.model.settings import ModelSettings
from unimat.model.tensors import State
from unimat.model.unet import UNet

Params = Any


@dataclasses.dataclass(frozen=True)
class Network:
    """A network for one encoding.

    Attributes:
        shapes: shape of each part of the state of one crystal: coords (L, H, W, C), lattice (D,).
    """

    module: nn.Module
    shapes: Mapping[str, tuple[int, ...]]

    def init(self, *, key: jax.Array) -> Params:
        """Fresh parameters, float32."""
        noisy = {name: jnp.zeros((1, *shape)) for name, shape in self.shapes.items()}
        return jax.jit(self.module.init)(key, noisy, jnp.zeros(1), {})["params"]

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
            conditions: by name, (B, L, H, W, k) each; empty without conditions.
            rngs: `dropout` when training.
        """
        predict: Any = self.module.apply  # Flax knows no more of its type
        return predict({"params": params}, noisy, log_snr, conditions, train=train, rngs=rngs)


def _unet(settings: ModelSettings, encoding: Encoding) -> nn.Module:
    return UNet(settings, tuple(tuple(bool(cell) for cell in row) for row in encoding.element_mask))


NETWORKS: dict[str, Callable[[ModelSettings, Encoding], nn.Module]] = {"unet": _unet}


def build(settings: ModelSettings, encoding: Encoding) -> Network:
    """The network that the settings name, for tensors of an encoding's shape."""
    channels = channel_map(settings).n_channels
    shapes = {"coords": (*encoding.tensor_shape, channels), "lattice": (encoding.lattice_size,)}
    return Network(NETWORKS[settings.network](settings, encoding), shapes)
