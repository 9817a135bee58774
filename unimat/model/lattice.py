"""Lattice parameters (a, b, c in Å; α, β, γ in degrees) and lattice matrices, in closed form.

Works on numpy and JAX arrays alike: `xp` is the module to compute with.
"""

from typing import Any

import numpy as np


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
    """(..., 6) what is diffused, before standardisation: lengths as `lengths` says, angles in degrees.

    Args:
        lengths: `raw` (Å), `log`, or `per_atom`: the logarithm of the length over the cube root of `n_atoms` (...),
            which hardly depends on how large the cell is.
    """
    first = parameters[..., :3] if lengths == "raw" else xp.log(parameters[..., :3])
    if lengths == "per_atom":
        first = first - xp.log(n_atoms)[..., None] / 3
    return xp.concatenate([first, parameters[..., 3:]], axis=-1)


def from_vector(vectors: Any, lengths: str, xp: Any = np, n_atoms: Any = None) -> Any:
    """(..., 6) lattice parameters of unstandardised vectors; inverse of `to_vector`."""
    first = vectors[..., :3]
    if lengths == "per_atom":
        first = first + xp.log(xp.maximum(n_atoms, 1))[..., None] / 3
    return xp.concatenate([first if lengths == "raw" else xp.exp(first), vectors[..., 3:]], axis=-1)
