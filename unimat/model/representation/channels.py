"""How a slot's coordinates and its absence become channels that Gaussian noise is added to, and back.

Both forms read a slot as null when its presence, 0 for exact null and 1 (or more) for an exact atom, lies
below one half; samples near one half were hard to tell, and their share says how well a model has learned.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np

from unimat.model.settings import ModelSettings

NULL_BORDER = 0.5
NEAR_BORDER = 0.25  # half-width of the band in which a slot counts as hard to tell


class ChannelMap(Protocol):
    """Attributes: n_channels, C; null (C,), the channels of an empty slot; bound, no channel of data exceeds it."""

    @property
    def n_channels(self) -> int: ...
    @property
    def null(self) -> np.ndarray: ...
    @property
    def bound(self) -> float: ...

    def to_channels(self, coords: Any) -> Any:
        """(..., C) of coordinates (..., 3) in [0, 1)."""

    def from_channels(self, channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates (..., 3), not wrapped, and presence (...) of channels (..., C)."""


@dataclasses.dataclass(frozen=True)
class RawChannels:
    """The paper's form: x, y, z, and (-1, -1, -1) for null (section 2.1).

    Presence is one plus the mean of the three raw coordinates: a slot is null when that mean lies below
    -0.5, half way between null and the nearest atom.
    """

    scale: float = 1.0

    @property
    def n_channels(self) -> int:
        return 3

    @property
    def null(self) -> np.ndarray:
        return np.full(3, -self.scale, np.float32)

    @property
    def bound(self) -> float:
        return self.scale

    def to_channels(self, coords: Any) -> Any:
        return self.scale * coords

    def from_channels(self, channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        coords = channels / self.scale
        return coords, coords.mean(-1) + 1.0


@dataclasses.dataclass(frozen=True)
class CircleChannels:
    """Each coordinate as (cos 2πx, sin 2πx): periodic, without a wall at the cell border; null is zero.

    Presence is the mean radius of the three circles.
    """

    scale: float = 1.0

    @property
    def n_channels(self) -> int:
        return 6

    @property
    def null(self) -> np.ndarray:
        return np.zeros(6, np.float32)

    @property
    def bound(self) -> float:
        return self.scale

    def to_channels(self, coords: Any) -> Any:
        angles = 2 * jnp.pi * coords
        return self.scale * jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)

    def from_channels(self, channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cosines, sines = channels[..., :3] / self.scale, channels[..., 3:] / self.scale
        return np.arctan2(sines, cosines) / (2 * np.pi), np.hypot(sines, cosines).mean(-1)


def channel_map(settings: ModelSettings) -> ChannelMap:
    forms: dict[str, Callable[[float], ChannelMap]] = {"raw": RawChannels, "circle": CircleChannels}
    return forms[settings.coordinate_form](settings.coords_scale)
