"""The paper's 3D U-Net over (L, H, W): slots where a video has frames, periods and groups where it has pixels."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from unimat.model.network import displacements
from unimat.model.network.blocks import Convolution, Downsample, Upsample, factors, fan_in
from unimat.model.network.displacements import Waves
from unimat.model.network.embeddings import ConditionEmbedding, NoiseLevel
from unimat.model.network.levels import attended, blocks, residual
from unimat.model.network.normalization import GroupNorm
from unimat.model.noise.diffusion import prediction_of
from unimat.model.noise.preconditioning import Edm
from unimat.model.representation.tensors import State
from unimat.model.settings import ModelSettings


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
        """Prediction of the shapes of `noisy`.

        Args:
            conditions: by name; (B, L, H, W, k) is concatenated to the input, (B, k) modulates each block.
        """
        s, dtype = self.settings, jnp.dtype(self.settings.compute_dtype)
        kernel = (s.slot_kernel, s.grid_kernel, s.grid_kernel)
        mask = jnp.asarray(np.array(self.element_mask), jnp.float32)[:, :, None]
        n_coords, n_lattice = noisy["coords"].shape[-1], noisy["lattice"].shape[-1]
        waves, form = self._waves(noisy["coords"], log_snr, mask), prediction_of(s)
        at_one = form.network_input(noisy, log_snr) if isinstance(form, Edm) else noisy
        embedding = self._embedding(at_one["lattice"], log_snr, conditions)
        x = self._inputs(noisy["coords"], at_one, conditions, mask).astype(dtype)
        x = Convolution(s.channels, kernel, dtype=dtype, name="first")(x) + self._positions(x.shape).astype(dtype)
        skips, steps = [x], []
        last = len(s.multipliers) - 1
        for level in range(last + 1):
            x, passed = blocks(s, level, train, f"down_{level}", x, embedding, [None] * s.blocks, _at(x, waves))
            skips += passed
            if level < last:
                steps.append(factors(x.shape[2], x.shape[3]))
                if steps[-1] != (1, 1):
                    x = Downsample(steps[-1], dtype=dtype, name=f"downsample_{level}")(x)
                skips.append(x)
        x = residual(s, last, train, "middle_0", x, embedding)
        x = attended(s, last, "middle_0_attention", x, _at(x, waves))
        x = residual(s, last, train, "middle_1", x, embedding)
        for level in range(last, -1, -1):
            joining = [skips.pop() for _ in range(s.blocks + 1)]
            x, _ = blocks(s, level, train, f"up_{level}", x, embedding, joining, _at(x, waves))
            if level and steps[level - 1] != (1, 1):
                x = Upsample(steps[level - 1], dtype=dtype, name=f"upsample_{level}")(x)
        x = GroupNorm(dtype, swish=True, name="norm_out")(x).astype(jnp.float32)
        out = Convolution(n_coords + n_lattice, kernel, zero=True, name="out")(x)
        over_cells = (out[..., n_coords:] * mask).sum((1, 2, 3)) / (mask.sum() * out.shape[1])
        return {"coords": out[..., :n_coords], "lattice": over_cells}

    def _embedding(self, lattice: jax.Array, log_snr: jax.Array, conditions: Mapping[str, jax.Array]) -> jax.Array:
        """(B, 4 channels): the noise level, the noisy lattice if asked for, conditions that are vectors."""
        s, dtype = self.settings, jnp.dtype(self.settings.compute_dtype)
        total: jax.Array = NoiseLevel(4 * s.channels, dtype=dtype, name="noise_level")(log_snr)
        if s.lattice_embedding:
            entering = nn.Dense(4 * s.channels, kernel_init=fan_in, dtype=dtype, name="lattice_in")
            leaving = nn.Dense(4 * s.channels, kernel_init=fan_in, dtype=dtype, name="lattice_out")
            total = total + leaving(nn.swish(entering(lattice)))
        for name in _of_rank(2, conditions):
            total = total + ConditionEmbedding(4 * s.channels, dtype, name=f"condition_{name}")(conditions[name])
        return total

    def _waves(self, coords: jax.Array, log_snr: jax.Array, mask: jax.Array) -> Waves | None:
        """Harmonics of the coordinates if the settings want displacements; zero in cells without an element."""
        if not self.settings.displacement_features:
            return None
        cos, sin = displacements.waves_of(coords, log_snr, self.settings)
        return Waves(cos * mask, sin * mask)

    def _inputs(
        self, coords: jax.Array, at_one: State, conditions: Mapping[str, jax.Array], mask: jax.Array
    ) -> jax.Array:
        """(B, L, H, W, channels): coordinates, the lattice repeated in every slot (section 2.2), conditions.

        Cells without an element are zero, in training and sampling alike.

        Args:
            coords: noisy coordinates. at_one: the noisy state, scaled as the network reads it.
        """
        parts = [at_one["coords"]]
        for k in range(1, self.settings.fourier_features + 1):
            angles = 2 * jnp.pi * k * coords / self.settings.coords_scale
            parts += [jnp.sin(angles), jnp.cos(angles)]
        n_lattice = at_one["lattice"].shape[-1]
        parts.append(jnp.broadcast_to(at_one["lattice"][:, None, None, None], (*coords.shape[:-1], n_lattice)))
        parts += [conditions[name] for name in _of_rank(5, conditions)]
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


def _at(x: jax.Array, waves: Waves | None) -> Waves | None:
    """The harmonics where every token of x (B, L, H, W, channels) is a slot; a coarser cell has no coordinates."""
    return waves if waves is not None and waves.cos.shape[1:4] == x.shape[1:4] else None


def _of_rank(rank: int, conditions: Mapping[str, jax.Array]) -> list[str]:
    """Names in one order, whatever that of the mapping."""
    return sorted(name for name in conditions if conditions[name].ndim == rank)
