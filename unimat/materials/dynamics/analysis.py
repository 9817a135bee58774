"""What a trajectory says: drift of energies, displacements of atoms, and whether the crystal is still there.

Pure functions of arrays. Times are in ps, lengths in Å, energies in eV.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from pymatgen.core import Lattice
from scipy.optimize import linear_sum_assignment

# Lags that a diffusion coefficient is fitted to, as shares of the trajectory: below, atoms still fly or vibrate; above,
# too few time origins are left to average over.
FIT_WINDOW = (0.1, 0.5)
# A slope is a diffusion coefficient where the displacement grows with the first power of time, and has grown beyond
# what vibrations reach: at melting, a tenth of 3 Å squared, twice, is 0.2 Å^2.
LINEAR = (0.8, 1.2)  # exponents
MIN_DISPLACEMENT = 1.0  # Å^2
BLOCKS = 4  # of a trajectory, whose scatter is the error of a diffusion coefficient
MIN_FRAMES = 8  # of a block
SAME_SITE = 0.3  # of the cube root of the volume per atom: `stol` of pymatgen's StructureMatcher


@dataclasses.dataclass(frozen=True)
class Diffusion:
    """Attributes: coefficient and its standard error, Å^2/ps (1 Å^2/ps is 1e-4 cm^2/s)."""

    value: float
    error: float


def drift(time: np.ndarray, energy: np.ndarray, stretch: np.ndarray) -> float:
    """Slope of an energy over time by least squares, eV/ps.

    Args:
        time: (f,) ps.
        energy: (f,) eV.
        stretch: (f,) frames of one number share a constant; each has its own, the slope is that of all.

    Returns:
        NaN where no stretch has two frames or a value is not finite.
    """
    x, y = np.array(time, float), np.array(energy, float)
    for each in np.unique(stretch):
        x[stretch == each] -= x[stretch == each].mean()
        y[stretch == each] -= y[stretch == each].mean()
    spread = (x**2).sum()
    return float((x * y).sum() / spread) if spread > 0 and np.isfinite(y).all() else float("nan")


def centred(positions: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """(f, n, 3) positions without the motion of the centre of mass since the first frame."""
    centre = np.einsum("n,fnx->fx", masses / masses.sum(), positions)
    return positions - (centre - centre[0])[:, None, :]


def mean_square_displacement(positions: np.ndarray) -> np.ndarray:
    """(f,) Å^2 for lags of 0 to f - 1 frames: mean over atoms, and over all time origins of a lag.

    By Fourier transforms (Calandrini et al., Collection SFN 12, 201, 2011).

    Args:
        positions: (f, n, 3) Å, not wrapped into a cell.
    """
    f = len(positions)
    flat = (positions - positions.mean(axis=0)).reshape(f, -1)  # small numbers: the terms below nearly cancel
    transformed = np.fft.rfft(flat, 2 * f, axis=0)
    correlation = np.fft.irfft(np.abs(transformed) ** 2, 2 * f, axis=0)[:f].sum(axis=1)
    squares = (flat**2).sum(axis=1)
    total = np.concatenate([[0.0], np.cumsum(squares)])
    lags = np.arange(f)
    ends = total[f - lags] + total[f] - total[lags]  # sums of squares at both ends of all spans of a lag
    found = (ends - 2 * correlation) / (f - lags) / positions.shape[1]
    found[0] = 0.0
    return np.maximum(found, 0.0)


def diffusion(time_between: float, positions: np.ndarray) -> Diffusion | None:
    """Diffusion coefficient by Einstein's relation; None where the displacement does not grow as diffusion does.

    The slope is that of the whole trajectory; its error is the standard error of the slopes of four parts of it.

    Args:
        time_between: of two frames, ps.
        positions: (f, n, 3) Å of the atoms of one element, centre of mass at rest.
    """
    if len(positions) < BLOCKS * MIN_FRAMES:
        return None
    msd = mean_square_displacement(positions)
    window = _window(len(positions))
    if (msd[window] <= 0).any() or msd[window][-1] < MIN_DISPLACEMENT:
        return None
    exponent = np.polyfit(np.log(window), np.log(msd[window]), 1)[0]
    if not LINEAR[0] <= exponent <= LINEAR[1]:
        return None
    blocks = [_coefficient(time_between, part) for part in np.array_split(positions, BLOCKS)]
    found = Diffusion(_coefficient(time_between, positions), float(np.std(blocks, ddof=1) / np.sqrt(BLOCKS)))
    return found if found.value > 2 * found.error else None


def _coefficient(time_between: float, positions: np.ndarray) -> float:
    window = _window(len(positions))
    slope = np.polyfit(window * time_between, mean_square_displacement(positions)[window], 1)[0]
    return float(slope / 6)


def _window(n_frames: int) -> np.ndarray:
    return np.arange(max(1, round(FIT_WINDOW[0] * n_frames)), max(3, round(FIT_WINDOW[1] * n_frames)) + 1)


def lindemann_ratio(positions: np.ndarray, neighbour_distance: float) -> float:
    """Root mean square vibration about the mean places over the distance of nearest neighbours; melting is near 0.1.

    Args:
        positions: (f, n, 3) Å, centre of mass at rest.
        neighbour_distance: Å, mean over atoms.
    """
    vibration = ((positions - positions.mean(axis=0)) ** 2).sum(axis=-1).mean()
    return float(np.sqrt(vibration) / neighbour_distance)


def neighbour_distance(lattice: np.ndarray, frac_coords: np.ndarray) -> float:
    """Distance of an atom to its nearest neighbour, its own images included, mean over atoms, Å."""
    box = Lattice(lattice)
    distances = box.get_all_distances(frac_coords, frac_coords)
    images = [np.linalg.norm((np.array(each) - 1) @ lattice) for each in np.ndindex(3, 3, 3) if each != (1, 1, 1)]
    np.fill_diagonal(distances, min(images))
    return float(distances.min(axis=1).mean())


def largest_shift(
    lattice: np.ndarray, frac_coords: np.ndarray, positions: np.ndarray, atomic_numbers: Sequence[int] | np.ndarray
) -> float:
    """How far the mean place of an atom lies from the site that it is matched with at most, Å.

    Mean places and sites of one element are paired so that the distances are smallest; atoms that have changed places
    with their like have not left the crystal.

    Args:
        frac_coords: (n, 3) sites at the start.
        positions: (f, n, 3) Å, centre of mass at rest.
    """
    numbers, box = np.asarray(atomic_numbers), Lattice(lattice)
    means = box.get_fractional_coords(positions.mean(axis=0))
    largest = 0.0
    for z in np.unique(numbers):
        distances = box.get_all_distances(frac_coords[numbers == z], means[numbers == z])
        largest = max(largest, float(distances[linear_sum_assignment(distances**2)].max()))
    return largest


def same_crystal(shift: float, volume_per_atom: float) -> bool:
    """Whether every mean place is still that of its site: within 0.3 of the cube root of the volume per atom (Å^3)."""
    return bool(shift < SAME_SITE * volume_per_atom ** (1 / 3))
