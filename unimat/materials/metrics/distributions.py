"""Distributions of simple properties, generated against reference, by the 1-D Wasserstein distance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pymatgen.core import Element
from scipy.constants import atomic_mass
from scipy.stats import wasserstein_distance

from unimat.crystal_table import CrystalTable
from unimat.materials.crystals.intervals import Bootstrap, around

# Name and unit; density, number of elements and energy are CDVAE's, the others ours.
GEOMETRIC = {"density": "g/cm^3", "n_elements": "", "n_atoms": "", "volume_per_atom": "Å^3"}
PROPERTIES = GEOMETRIC | {"energy_per_atom": "eV/atom"}
NO_BOOTSTRAP = Bootstrap(resamples=0)
_GRAM_PER_CM3 = atomic_mass * 1e3 / 1e-24  # of one atomic mass unit per Å^3


def properties(crystals: CrystalTable) -> dict[str, np.ndarray]:
    """Values of `GEOMETRIC` properties of each crystal, (m,) each."""
    n_atoms, starts = crystals.n_atoms, crystals.atom_offsets[:-1]
    numbers = crystals.flat_atomic_numbers
    volume = np.abs(np.linalg.det(crystals.lattices)) if len(crystals) else np.zeros(0)
    mass = np.add.reduceat(_masses()[numbers], starts) if len(crystals) else np.zeros(0)
    n_elements = np.array([len(np.unique(numbers[s : s + n])) for s, n in zip(starts, n_atoms, strict=True)], np.int64)
    with np.errstate(divide="ignore"):  # a cell without volume has an infinite density
        density = mass * _GRAM_PER_CM3 / volume
    return {"density": density, "n_elements": n_elements, "n_atoms": n_atoms, "volume_per_atom": volume / n_atoms}


def distances(
    generated: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    take: int | None = None,
    seed: int = 0,
    bootstrap: Bootstrap = NO_BOOTSTRAP,
) -> dict[str, dict[str, Any]]:
    """Wasserstein distance of each property with its interval, JSON-ready; None if a side is empty.

    Args:
        generated: properties of the valid generated crystals, (m,) each, by a name in `PROPERTIES`; NaN or infinite
            values are left out and counted.
        reference: of all reference crystals, valid or not, as CDVAE has it.
        take: compare a draw of this many generated crystals; all where there are fewer.
        seed: of the draw.
    """
    drawn = draw(len(generated["density"]), take, seed)
    return {name: _distance(generated[name], drawn, reference[name], PROPERTIES[name], bootstrap) for name in generated}


def _distance(
    generated: np.ndarray, drawn: np.ndarray, reference: np.ndarray, unit: str, bootstrap: Bootstrap
) -> dict[str, Any]:
    ours, theirs = (values[np.isfinite(values)] for values in (generated[drawn], reference))
    value = float(wasserstein_distance(ours, theirs)) if len(ours) and len(theirs) else None
    bounds = bootstrap.of_wasserstein(ours, theirs)
    low, high = (value is not None and bounds and around(value, *bounds)) or (None, None)
    return {
        "wasserstein": value,
        "low": low,
        "high": high,
        "unit": unit,
        "n_generated": len(ours),
        "n_valid": len(generated),
        "n_reference": len(theirs),
        "n_without_value": {"generated": len(drawn) - len(ours), "reference": len(reference) - len(theirs)},
    }


def draw(n: int, take: int | None, seed: int) -> np.ndarray:
    """Rising indices of a seeded draw of `take` out of `n` without replacement; all if that is not fewer."""
    if take is None or take >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, take, replace=False))


def _masses() -> np.ndarray:
    """(119,) atomic masses in u by atomic number."""
    return np.array([0.0] + [float(Element.from_Z(z).atomic_mass) for z in range(1, 119)])
