"""The paper's 3D U-Net over (L, H, W): slots where a video has frames, periods and groups where it has pixels."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from unimat.model.blocks import (
    Convolution,
    Downsample,
    GridAttention,
    NoiseLevel,
    ResidualBlock,
    Upsample,
    factors,
    fan_in,
    norm,
)
from unimat.model.settings import ModelSettings
from unimat.model.tensors import State


class UNet(nn.Module):
    """Prediction {coords, lattice} for a noisy state at a noise level.

    Source: sections 2.2 and 6 and Table 4. Resolutions 9 x 18, 3 x 6 and 1 x 2 on the full table; an axis that 3
    does not divide keeps its size.

    Attributes:
        element_mask: (H, W) as nested tuples (hashable), the cells of elements.
    """

    settings: ModelSettings
    element_mask: tuple[tuple[bool, ...], ...]

    @nn.compact
    def __call__(
        self, noisy: State, log_snr: jax.Array, conditions: Mapping[str, jax.Array], train: bool = False
    ) -> State:
        s, dtype = self.settings, jnp.dtype(self.settings.compute_dtype)
        kernel = (s.slot_kernel, s.grid_kernel, s.grid_kernel)
        mask = jnp.asarray(np.array(self.element_mask), jnp.float32)[:, :, None]
        n_coords, n_lattice = noisy["coords"].shape[-1], noisy["lattice"].shape[-1]
        embedding = NoiseLevel(4 * s.channels, dtype=dtype, name="noise_level")(log_snr)
        if s.lattice_embedding:
            hidden = nn.swish(
                nn.Dense(4 * s.channels, kernel_init=fan_in, dtype=dtype, name="lattice_in")(noisy["lattice"])
            )
            embedding = embedding + nn.Dense(4 * s.channels, kernel_init=fan_in, dtype=dtype, name="lattice_out")(
                hidden
            )

        def block(x: jax.Array, level: int, name: str) -> jax.Array:
            width = s.channels * s.multipliers[level]
            x = ResidualBlock(width, kernel, s.dropout, dtype=dtype, name=name)(x, embedding, train)
            return attention(x, level, f"{name}_attention")

        def attention(x: jax.Array, level: int, name: str) -> jax.Array:
            if 3**level not in s.attention_resolutions:
                return x
            return GridAttention(s.head_dim, s.attention, dtype=dtype, name=name)(x)

        x = self._inputs(noisy, conditions, mask).astype(dtype)
        x = Convolution(s.channels, kernel, dtype=dtype, name="first")(x) + self._positions(x.shape).astype(dtype)
        skips, steps = [x], []
        last = len(s.multipliers) - 1
        for level in range(last + 1):
            for i in range(s.blocks):
                x = block(x, level, f"down_{level}_{i}")
                skips.append(x)
            if level < last:
                steps.append(factors(x.shape[2], x.shape[3]))
                if steps[-1] != (1, 1):
                    x = Downsample(steps[-1], dtype=dtype, name=f"downsample_{level}")(x)
                skips.append(x)
        x = block(x, last, "middle_0")
        width = s.channels * s.multipliers[last]
        x = ResidualBlock(width, kernel, s.dropout, dtype=dtype, name="middle_1")(x, embedding, train)
        for level in range(last, -1, -1):
            for i in range(s.blocks + 1):
                x = block(jnp.concatenate([x, skips.pop()], axis=-1), level, f"up_{level}_{i}")
            if level and steps[level - 1] != (1, 1):
                x = Upsample(steps[level - 1], dtype=dtype, name=f"upsample_{level}")(x)
        x = nn.swish(norm(x.shape[-1], dtype, "norm_out")(x)).astype(jnp.float32)
        out = Convolution(n_coords + n_lattice, kernel, zero=True, name="out")(x)
        over_cells = (out[..., n_coords:] * mask).sum((1, 2, 3)) / (mask.sum() * out.shape[1])
        return {"coords": out[..., :n_coords], "lattice": over_cells}

    def _inputs(self, noisy: State, conditions: Mapping[str, jax.Array], mask: jax.Array) -> jax.Array:
        """(B, L, H, W, channels): coordinates, the lattice repeated in every slot (section 2.2), conditions.

        Cells without an element are zero, in training and sampling alike.
        """
        coords = noisy["coords"]
        parts = [coords]
        for k in range(1, self.settings.fourier_features + 1):
            angles = 2 * jnp.pi * k * coords / self.settings.coords_scale
            parts += [jnp.sin(angles), jnp.cos(angles)]
        n_lattice = noisy["lattice"].shape[-1]
        parts.append(jnp.broadcast_to(noisy["lattice"][:, None, None, None], (*coords.shape[:-1], n_lattice)))
        parts += [conditions[name] for name in sorted(conditions)]
        return jnp.concatenate(parts, axis=-1) * mask

    def _positions(self, shape: tuple[int, ...]) -> Any:
        """Learned vectors that tell cells, and if asked for slots, apart; zero when the settings have neither."""
        s, (_, n_slots, height, width, _) = self.settings, shape
        total: jax.Array = jnp.zeros((1, 1, 1, s.channels))
        if s.cell_embedding and height * width > 1:
            total = total + self.param("cells", nn.initializers.normal(0.3), (1, height, width, s.channels))
        if s.slot_embedding and n_slots > 1:
            total = total + self.param("slots", nn.initializers.normal(0.3), (n_slots, 1, 1, s.channels))
        return total
