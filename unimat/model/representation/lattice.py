"""Lattice parameters (a, b, c in Å; α, β, γ in degrees) and lattice matrices, in closed form.

Works on numpy and JAX arrays alike: `xp` is the module to compute with.
"""

from typing import Any

import numpy as np

FLAT = 0.05  # least volume of a cell of unit lengths that is reckoned with; a reduced cell has 0.7


def to_parameters(matrices: Any, xp: Any = np) -> Any:
    """(..., 6) lengths in Å and angles in degrees of lattice matrices (..., 3, 3), rows a, b, c."""
    lengths = xp.linalg.norm(matrices, axis=-1)
    a, b, c = (matrices[..., k, :] for k in range(3))
    la, lb, lc = (lengths[..., k] for k in range(3))
    cosines = [(b * c).sum(-1) / (lb * lc), (a * c).sum(-1) / (la * lc), (a * b).sum(-1) / (la * lb)]
    angles = xp.degrees(xp.arccos(xp.clip(xp.stack(cosines, axis=-1), -1.0, 1.0)))
    return xp.concatenate([lengths, angles], axis=-1)


def to_matrices(parameters: Any, xp: Any = np) -> Any:
    """(..., 3, 3) right-handed lattice matrices of parameters (..., 6).

    Same orientation as pymatgen's `Lattice.from_parameters`: c along z, a in the xz plane. Angles that
    cannot close (see `closes`) give a matrix without volume.
    """
    a, b, c = (parameters[..., k] for k in range(3))
    alpha, beta, gamma = (xp.radians(parameters[..., k]) for k in (3, 4, 5))
    sin_alpha, sin_beta = xp.sin(alpha), xp.sin(beta)
    cos_gamma_star = (xp.cos(alpha) * xp.cos(beta) - xp.cos(gamma)) / xp.maximum(sin_alpha * sin_beta, 1e-12)
    cos_gamma_star = xp.clip(cos_gamma_star, -1.0, 1.0)
    sin_gamma_star = xp.sqrt(1.0 - cos_gamma_star**2)
    zero = xp.zeros_like(a)
    row_a = xp.stack([a * sin_beta, zero, a * xp.cos(beta)], axis=-1)
    row_b = xp.stack([-b * sin_alpha * cos_gamma_star, b * sin_alpha * sin_gamma_star, b * xp.cos(alpha)], axis=-1)
    row_c = xp.stack([zero, zero, c], axis=-1)
    return xp.stack([row_a, row_b, row_c], axis=-2)


def closes(parameters: np.ndarray) -> np.ndarray:
    """(...) bool: the lengths are positive and the three angles can stand between three vectors."""
    with np.errstate(invalid="ignore"):
        angles = parameters[..., 3:]
        cosines = np.cos(np.radians(angles))
        squared_volume = 1 + 2 * cosines.prod(-1) - (cosines**2).sum(-1)  # of the cell of unit lengths
        possible = ((angles > 0) & (angles < 180)).all(-1) & (squared_volume > 0)
        return np.isfinite(parameters).all(-1) & (parameters[..., :3] > 0).all(-1) & possible


def to_vector(parameters: Any, lengths: str, xp: Any = np, n_atoms: Any = None) -> Any:
    """(..., 6) what is diffused, before standardisation: three numbers as `lengths` says, and angles in degrees.

    Args:
        lengths: `raw`: a, b, c in Å; `log`: their logarithms; `per_atom`: those of a, b, c over the cube root of
            `n_atoms` (...), which hardly depend on how large the cell is; `volume`: the logarithm of the volume (Å^3)
            over `n_atoms`, then how long a is beside b, and both beside c. A density is then one number of the vector,
            not what the errors of six leave of it.
    """
    if lengths == "raw":
        return parameters
    logs, angles = xp.log(parameters[..., :3]), parameters[..., 3:]
    if lengths == "per_atom":
        logs = logs - xp.log(n_atoms)[..., None] / 3
    elif lengths == "volume":
        a, b, c = (logs[..., k] for k in range(3))
        volume = a + b + c + _log_volume_of_unit_lengths(angles, xp) - xp.log(n_atoms)
        logs = xp.stack([volume, (a - b) / 2**0.5, (a + b - 2 * c) / 6**0.5], axis=-1)
    return xp.concatenate([logs, angles], axis=-1)


def from_vector(vectors: Any, lengths: str, xp: Any = np, n_atoms: Any = None) -> Any:
    """(..., 6) lattice parameters of unstandardised vectors; inverse of `to_vector`."""
    if lengths == "raw":
        return vectors
    logs, angles = vectors[..., :3], vectors[..., 3:]
    if lengths == "per_atom":
        logs = logs + xp.log(xp.maximum(n_atoms, 1))[..., None] / 3
    elif lengths == "volume":
        volume, a_to_b, both_to_c = (logs[..., k] for k in range(3))
        volume = volume + xp.log(xp.maximum(n_atoms, 1)) - _log_volume_of_unit_lengths(angles, xp)
        both = volume / 3 + both_to_c / 6**0.5
        logs = xp.stack([both + a_to_b / 2**0.5, both - a_to_b / 2**0.5, both - 3 * both_to_c / 6**0.5], axis=-1)
    return xp.concatenate([xp.exp(logs), angles], axis=-1)


def _log_volume_of_unit_lengths(angles: Any, xp: Any) -> Any:
    """(...) of cells of these angles (..., 3) in degrees; of a nearly flat one where they cannot close.

    By four sines of the half sum, not by cosines: their differences lose digits in single precision.
    """
    half = xp.radians(angles.sum(-1)) / 2
    product = xp.sin(half) * xp.sin(half[..., None] - xp.radians(angles)).prod(-1)
    return xp.log(xp.maximum(4 * product, FLAT**2)) / 2
