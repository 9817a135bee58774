"""One resolution of the U-Net: its residual blocks with attention, repeated ones as a single scanned block."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from unimat.model.network.attention import GridAttention
from unimat.model.network.blocks import ResidualBlock
from unimat.model.network.displacements import Waves
from unimat.model.settings import ModelSettings

# Up to two blocks per resolution nothing is scanned: there is little to win, and the parameters keep their names.
LARGEST_UNROLLED = 2


def residual(
    settings: ModelSettings, level: int, train: bool, name: str, x: jax.Array, embedding: jax.Array
) -> jax.Array:
    """Residual block `name` of a resolution, for use inside the U-Net."""
    width, dtype = settings.channels * settings.multipliers[level], jnp.dtype(settings.compute_dtype)
    kernel = (settings.slot_kernel, settings.grid_kernel, settings.grid_kernel)
    block: Any = nn.remat(ResidualBlock) if settings.remat else ResidualBlock
    return block(width, kernel, settings.dropout, train, dtype, name=name)(x, embedding)


def attended(settings: ModelSettings, level: int, name: str, x: jax.Array, waves: Waves | None) -> jax.Array:
    """Attention `name`, where the settings want it at this resolution; else x.

    Args:
        waves: harmonics of the slots' coordinates, where a token is a slot and the settings want displacements.
    """
    if 3**level not in settings.attention_resolutions:
        return x
    attention: Any = nn.remat(GridAttention) if settings.remat else GridAttention
    return attention(settings.head_dim, settings.attention, jnp.dtype(settings.compute_dtype), name=name)(x, waves)


class Repeated(nn.Module):
    """Body of a scan over blocks of equal shapes: (x, skip or None) -> x twice, to carry and to keep."""

    settings: ModelSettings
    level: int
    train: bool

    @nn.compact
    def __call__(
        self, x: jax.Array, skip: jax.Array | None, embedding: jax.Array, waves: Waves | None
    ) -> tuple[jax.Array, jax.Array]:
        x = residual(self.settings, self.level, self.train, "residual", _joined(x, skip), embedding)
        x = attended(self.settings, self.level, "attention", x, waves)
        return x, x


def blocks(
    settings: ModelSettings,
    level: int,
    train: bool,
    name: str,
    x: jax.Array,
    embedding: jax.Array,
    skips: Sequence[jax.Array | None],
    waves: Waves | None,
) -> tuple[jax.Array, list[jax.Array]]:
    """Output of one block for each of `skips` (None: nothing to concatenate), and what each block gave.

    Parameters are called ``{name}_{i}`` and ``{name}_{i}_attention``; those of scanned blocks i to j are stacked along
    a first axis under ``{name}_{i}_to_{j}``.
    """
    width, passed = settings.channels * settings.multipliers[level], []
    widths = [(x.shape[-1] if i == 0 else width, 0 if s is None else s.shape[-1]) for i, s in enumerate(skips)]
    for (carried, _), run in itertools.groupby(range(len(skips)), key=lambda i: widths[i]):
        indices = list(run)
        if settings.blocks > LARGEST_UNROLLED and len(indices) > 1 and carried == width:
            stacked = None if skips[indices[0]] is None else jnp.stack([skips[i] for i in indices])  # type: ignore[misc]
            x, outputs = _scanned(settings, level, train, f"{name}_{indices[0]}_to_{indices[-1]}", len(indices))(
                x, stacked, embedding, waves
            )
            passed += list(outputs)
            continue
        for i in indices:
            x = residual(settings, level, train, f"{name}_{i}", _joined(x, skips[i]), embedding)
            x = attended(settings, level, f"{name}_{i}_attention", x, waves)
            passed.append(x)
    return x, passed


def _scanned(settings: ModelSettings, level: int, train: bool, name: str, length: int) -> Any:
    scan: Any = nn.scan(
        Repeated,
        variable_axes={"params": 0},
        split_rngs={"params": True, "dropout": True},
        in_axes=(0, nn.broadcast, nn.broadcast),
        length=length,
    )
    return scan(settings, level, train, name=name)


def _joined(x: jax.Array, skip: jax.Array | None) -> jax.Array:
    return x if skip is None else jnp.concatenate([x, skip], axis=-1)
