"""Distributions of simple properties, generated against reference, by the 1-D Wasserstein distance."""

from typing import Any

import numpy as np
from pymatgen.core import Element
from scipy.constants import atomic_mass
from scipy.stats import wasserstein_distance

from unimat.crystal_table import CrystalTable

# Name and unit; density and number of elements are CDVAE's, the others ours.
PROPERTIES = {"density": "g/cm^3", "n_elements": "", "n_atoms": "", "volume_per_atom": "Å^3"}
_GRAM_PER_CM3 = atomic_mass * 1e3 / 1e-24  # of one atomic mass unit per Å^3


def properties(crystals: CrystalTable) -> dict[str, np.ndarray]:
    """Values of `PROPERTIES` of each crystal, (m,) each."""
    n_atoms, starts = crystals.n_atoms, crystals.atom_offsets[:-1]
    numbers = crystals.flat_atomic_numbers
    volume = np.abs(np.linalg.det(crystals.lattices)) if len(crystals) else np.zeros(0)
    mass = np.add.reduceat(_masses()[numbers], starts) if len(crystals) else np.zeros(0)
    n_elements = np.array([len(np.unique(numbers[s : s + n])) for s, n in zip(starts, n_atoms, strict=True)], np.int64)
    with np.errstate(divide="ignore"):  # a cell without volume has an infinite density
        density = mass * _GRAM_PER_CM3 / volume
    return {"density": density, "n_elements": n_elements, "n_atoms": n_atoms, "volume_per_atom": volume / n_atoms}


def distances(
    generated: dict[str, np.ndarray], reference: dict[str, np.ndarray], take: int | None = None, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Wasserstein distance of each property, JSON-ready; None if a side is empty.

    Args:
        generated: `properties` of the valid generated crystals.
        reference: of all reference crystals, valid or not, as CDVAE has it.
        take: compare a draw of this many generated crystals.
        seed: of the draw.
    """
    n = len(generated["density"])
    drawn = draw(n, take, seed)
    found: dict[str, dict[str, Any]] = {}
    for name, unit in PROPERTIES.items():
        ours, theirs = generated[name][drawn], reference[name]
        found[name] = {
            "wasserstein": float(wasserstein_distance(ours, theirs)) if len(ours) and len(theirs) else None,
            "unit": unit,
            "n_generated": len(ours),
            "n_valid": n,
            "n_reference": len(theirs),
        }
    return found


def draw(n: int, take: int | None, seed: int) -> np.ndarray:
    """Rising indices of a seeded draw of `take` out of `n` without replacement; all if that is not fewer."""
    if take is None or take >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, take, replace=False))


def _masses() -> np.ndarray:
    """(119,) atomic masses in u by atomic number."""
    return np.array([0.0] + [float(Element.from_Z(z).atomic_mass) for z in range(1, 119)])
