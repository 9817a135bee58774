"""What stands where around atoms: polar angles and azimuths of all neighbours, seen from each neighbour as the pole."""

import dataclasses

import numpy as np

ON_AXIS = 1e-12  # sine of the polar angle below which a neighbour has no azimuth
_NEARLY_ON_AXIS = (1e-14, 1e-9)  # where rounding decides whether a neighbour has an azimuth, and which


@dataclasses.dataclass(frozen=True)
class Globes:
    """Neighbours of s atoms, n each, on a globe for each choice of pole j and prime meridian k.

    Attributes:
        polar: (s, n, n) polar angle of k where j is the pole, radians.
        azimuth: (s, n, n, n) azimuth of m where j is the pole and k on the meridian, radians, 0 to pi.
        others: (n, n) whether k is not j.
        has_meridian: (s, n, n, n) whether j, k, m differ and k stands off the axis.
        has_azimuth: (s, n, n, n) whether, in addition, m stands off the axis.
        cosines: (s, n, n) of the polar angles.
        weights: (s, n) of the neighbours, not increasing: in the one motif whose value depends on their order.
        uncertain: (s,) whether rounding decides who has an azimuth.
    """

    polar: np.ndarray
    azimuth: np.ndarray
    others: np.ndarray
    has_meridian: np.ndarray
    has_azimuth: np.ndarray
    cosines: np.ndarray
    weights: np.ndarray
    uncertain: np.ndarray


def globes(directions: np.ndarray, weights: np.ndarray) -> Globes:
    """Globes of s atoms.

    Args:
        directions: (s, n, 3) unit vectors to the neighbours.
        weights: (s, n) of the neighbours, not increasing.
    """
    cosines = np.clip(directions @ directions.swapaxes(1, 2), -1.0, 1.0)
    across = directions[:, None] - cosines[..., None] * directions[:, :, None]
    sines = np.linalg.norm(across, axis=-1)
    off_axis = sines >= ON_AXIS
    across /= np.where(off_axis, sines, 1.0)[..., None]
    others = ~np.eye(directions.shape[1], dtype=bool)
    has_meridian = (others[:, :, None] & others[:, None] & others) & off_axis[..., None]
    nearly = (sines > _NEARLY_ON_AXIS[0]) & (sines < _NEARLY_ON_AXIS[1]) & others
    return Globes(
        polar=np.arccos(cosines),
        azimuth=np.arccos(np.clip(across @ across.swapaxes(2, 3), -1.0, 1.0)),
        others=others,
        has_meridian=has_meridian,
        has_azimuth=has_meridian & off_axis[:, :, None],
        cosines=cosines,
        weights=weights,
        uncertain=nearly.any(axis=(1, 2)),
    )
