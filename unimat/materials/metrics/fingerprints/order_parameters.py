"""How much the neighbours of an atom look like a tetrahedron, an octahedron and so on: 0 (not at all) to 1.

Local structure order parameters of Zimmermann et al. (Front. Mater. 4, 34, 2017; RSC Adv. 10, 6063, 2020), number for
number as pymatgen's `LocalStructOrderParams` computes them one at a time, for many atoms of one coordination number
at once. Each neighbour j is put at the north pole in turn and each other neighbour k on the prime meridian; what
stands at which polar angle and azimuth of that globe is compared with the motif.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import eval_legendre

from unimat.materials.metrics.fingerprints.spherical_angles import Globes

_ROUNDING = 1e-9  # radians
_TIE = 1e-7  # of neighbours' weights
_NEGLIGIBLE = 1e-7  # of an order parameter


@dataclasses.dataclass(frozen=True)
class Motif:
    """One order parameter.

    Attributes:
        function: (s,) values from `Globes` and `settings`.
        settings: arguments of `function`.
        polar_limits: polar angles at which it jumps, radians.
        azimuth_limits: azimuths at which it jumps, radians.
        uncertain: (s,) from the same arguments, whether rounding decides its value for another reason.
    """

    function: Callable[..., np.ndarray]
    settings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    polar_limits: tuple[float, ...] = ()
    azimuth_limits: tuple[float, ...] = ()
    uncertain: Callable[..., np.ndarray] | None = None


def values(motifs: tuple[Motif, ...], seen: Globes) -> tuple[np.ndarray, np.ndarray]:
    """Order parameters of s atoms, (s, p), and (s,) whether rounding decides one of them."""
    columns = np.stack([motif.function(seen, **motif.settings) for motif in motifs], axis=1)
    return columns, functools.reduce(np.logical_or, (_uncertain(motif, seen) for motif in motifs))


def single_bond(seen: Globes) -> np.ndarray:
    return np.ones(len(seen.polar))


def steinhardt(seen: Globes, degree: int) -> np.ndarray:
    """Bond-orientational q_l (Steinhardt et al., Phys. Rev. B 28, 784, 1983, by the addition theorem)."""
    return np.sqrt(np.maximum(eval_legendre(degree, seen.cosines).mean(axis=(1, 2)), 0.0))


def bent(seen: Globes, angle: float, sharpness: float) -> np.ndarray:
    """`angle` in units of pi, as everywhere below."""
    return _bell(sharpness * (seen.polar / np.pi - angle))[:, seen.others].mean(axis=1)


def around_pole(seen: Globes, angle: float, sharpness: float, fold: float) -> np.ndarray:
    """All others at one polar angle and at azimuths of pi/`fold`: planes, pyramids without their base, T."""
    return _around_pole(seen, _bell(sharpness * (seen.polar / np.pi - angle)), fold)


def pentagon(seen: Globes, limit: float, sharpness: float) -> np.ndarray:
    nearest = np.where(seen.polar <= limit * np.pi, 0.4, 0.8)
    return _around_pole(seen, _bell(sharpness * (seen.polar / np.pi - nearest)), 1.0)


def with_south_pole(
    seen: Globes, limit: float, south: float, equator: float, fold: float, offset: float = 0.0, azimuth: float = np.inf
) -> np.ndarray:
    """Others at the south pole (polar angle from `limit` on) or near the equator at azimuths of pi/`fold`.

    Args:
        south, equator: sharpness.
        offset: how far from the equator on either side, units of pi.
        azimuth: only those before it count, radians.
    """
    in_south = seen.polar >= limit
    middle = np.where(in_south, 0.0, _bell(equator * (np.abs(seen.polar / np.pi - 0.5) - offset)))
    pole = np.where(in_south, _bell(south * (seen.polar / np.pi - 1.0)), 0.0)
    counts = seen.has_azimuth & ~in_south[:, :, None] & ~in_south[..., None] & (seen.azimuth < azimuth)
    around = np.where(counts, np.cos(fold * seen.azimuth) ** 2, 0.0) * middle[:, :, None]
    total = middle + (around + seen.has_meridian * pole[:, :, None]).sum(axis=-1)
    number = ~in_south + (counts | (seen.has_meridian & in_south[:, :, None])).sum(axis=-1)
    return _best(seen, total, number)


def cuboctahedron(
    seen: Globes, limit: float, south: float, weight: float, low: float, high: float, equator: float, thirds: float
) -> np.ndarray:
    """Others at the south pole, on the equator (polar angle between `low` and `high`), at pi/3 and at 2 pi/3."""
    turns = seen.polar / np.pi
    in_south = seen.polar >= limit
    on_equator = (low < seen.polar) & (seen.polar < high)
    counts = seen.has_azimuth & on_equator[..., None]
    from_azimuth = _bell(0.0556 * (np.sin(seen.azimuth) - 0.81649658))  # sqrt(2/3)
    third = np.where(seen.polar < low, _bell(thirds * (turns - 1 / 3)), _bell(thirds * (turns - 2 / 3)))
    at_equator = np.cos(seen.azimuth) ** 2 * _bell(equator * (turns - 0.5))[:, :, None]
    each = np.where(on_equator[:, :, None], at_equator, from_azimuth * third[:, :, None])
    counts = counts & ((on_equator | (seen.polar < low) | (seen.polar > high)) & ~in_south)[:, :, None]
    pole = np.where(in_south, weight * _bell(south * (turns - 1.0)), 0.0)
    return _best(seen, pole + (counts * each).sum(axis=-1), weight * in_south + counts.sum(axis=-1))


def body_centred(seen: Globes, limit: float, south: float, weight: float) -> np.ndarray:
    """pymatgen counts each pair once, with the one of more weight as the pole."""
    n = seen.polar.shape[1]
    pairs = np.triu(_body_centred_pairs(seen, limit, south, weight), 1)
    return pairs.sum(axis=(1, 2)) / (0.5 * n * (6 + (n - 2) * (n - 3)))


def body_centred_uncertain(seen: Globes, limit: float, south: float, weight: float) -> np.ndarray:
    """Where neighbours of the same weight could stand in either order, or the sign of a pair hangs on rounding."""
    pairs = _body_centred_pairs(seen, limit, south, weight)
    tied = np.abs(seen.weights[:, :, None] - seen.weights[:, None]) < _TIE
    ordered = np.abs(pairs - pairs.swapaxes(1, 2)) > _NEGLIGIBLE
    upright = (np.abs(seen.polar - np.pi / 2) < _ROUNDING) & (np.abs(pairs) > _NEGLIGIBLE)
    return ((tied & ordered) | upright).any(axis=(1, 2))


def _body_centred_pairs(seen: Globes, limit: float, south: float, weight: float) -> np.ndarray:
    latitude = (seen.polar - np.pi / 2) / np.arcsin(1 / 3)
    height = np.exp(0.5) * latitude * _bell(latitude)  # 1 at the corners of a cube
    around = (np.where(seen.has_azimuth, np.cos(3 * seen.azimuth), 0.0) @ height[..., None])[..., 0]
    sign = np.where(seen.polar > np.pi / 2, 1.0, -1.0)
    return np.where(seen.polar >= limit, weight * _bell(south * (seen.polar / np.pi - 1.0)), sign * around)


def _around_pole(seen: Globes, profile: np.ndarray, fold: float) -> np.ndarray:
    around = np.where(seen.has_azimuth, np.cos(fold * seen.azimuth) ** 2, 0.0)
    total = profile + (around @ profile[..., None])[..., 0]
    return _best(seen, total, 1 + seen.has_azimuth.sum(axis=-1))


def _best(seen: Globes, total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Highest mean over the choices of pole and meridian."""
    return (total / np.where(number > 0, number, np.inf))[:, seen.others].max(axis=1)


def _bell(x: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * x * x)


def _uncertain(motif: Motif, seen: Globes) -> np.ndarray:
    found = seen.uncertain
    for limit in motif.polar_limits:
        found = found | (np.abs(seen.polar - limit) < _ROUNDING).any(axis=(1, 2))
    for limit in motif.azimuth_limits:
        near = (np.abs(seen.azimuth - limit) < _ROUNDING) & seen.has_azimuth
        found = found | near.any(axis=(1, 2, 3))
    return found | motif.uncertain(seen, **motif.settings) if motif.uncertain else found
