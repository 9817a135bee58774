"""What a crystal's run says of it: one row of numbers, and the curves of the figures."""

import dataclasses
from typing import Any

import numpy as np
from pymatgen.core import Structure

from unimat.materials.dynamics import analysis
from unimat.materials.dynamics.frames import Frames
from unimat.materials.dynamics.run import masses_of
from unimat.materials.dynamics.settings import MdSettings

MAX_POINTS = 200  # of a curve in the summary


@dataclasses.dataclass(frozen=True)
class Dynamics:
    """Outcome of one run; `None` where a run is too short or has failed.

    Attributes:
        n_atoms: of the supercell.
        time_step: fs.
        duration: ps that were run.
        n_frames: frames after equilibration, of which all means are taken.
        mean_temperature: K.
        temperature_std: standard deviation over time, K; sqrt(2 / (3n - 3)) of the temperature is canonical.
        conserved_drift: slope of the energy that the Nosé-Hoover equations conserve (potential, kinetic and the
            thermostat's), meV/atom/ps; None where the engine writes none.
        potential_drift: slope of the potential energy, meV/atom/ps.
        potential_energy: mean over time, eV/atom, of the engine.
        displacements: by element: `msd` (mean-square displacement at the longest lag that is averaged well, half the
            frames, Å^2), `lag` (ps), `diffusion` and `diffusion_error` (Å^2/ps, or None where it does not diffuse).
        max_msd: largest `msd` of an element, Å^2.
        lindemann: root mean square vibration over the distance of nearest neighbours.
        largest_shift: largest distance of an atom's mean place from its site at the start, Å.
        kept: every atom's mean place is its site's.
        mended: errors that custodian mended, as `custodian_log.mended` lists them.
        trajectory: file of all frames.
        failure: why there is no run, or why it ended early.
    """

    n_atoms: int | None = None
    time_step: float | None = None
    duration: float | None = None
    n_frames: int | None = None
    mean_temperature: float | None = None
    temperature_std: float | None = None
    conserved_drift: float | None = None
    potential_drift: float | None = None
    potential_energy: float | None = None
    displacements: dict[str, dict[str, float | None]] | None = None
    max_msd: float | None = None
    lindemann: float | None = None
    largest_shift: float | None = None
    kept: bool | None = None
    mended: list[dict[str, Any]] | None = None
    trajectory: str | None = None
    failure: str | None = None


def assess(structure: Structure, frames: Frames, time_step: float, settings: MdSettings) -> Dynamics:
    """Numbers of one run.

    Args:
        structure: the supercell at the start.
        time_step: fs.
    """
    used = after_equilibration(frames, settings)
    time, n_atoms = used.step * time_step / 1000, len(structure)
    positions = moved(structure, frames)[len(frames) - len(used) :]
    temperature, distance = (
        used.temperature(),
        analysis.neighbour_distance(structure.lattice.matrix, structure.frac_coords),
    )
    shift = analysis.largest_shift(
        structure.lattice.matrix, structure.frac_coords, positions, np.array(structure.atomic_numbers)
    )
    displacements = displacements_of(structure, positions, time_between(used, time_step))
    return Dynamics(
        n_atoms=n_atoms,
        time_step=time_step,
        duration=float(frames.step[-1]) * time_step / 1000,
        n_frames=len(used),
        mean_temperature=float(temperature.mean()),
        temperature_std=float(temperature.std()),
        conserved_drift=_finite(1000 * analysis.drift(time, used.conserved, used.stretch) / n_atoms),
        potential_drift=_finite(1000 * analysis.drift(time, used.potential, np.zeros(len(used))) / n_atoms),
        potential_energy=float(used.potential.mean() / n_atoms),
        displacements=displacements,
        max_msd=max(each["msd"] or 0.0 for each in displacements.values()),
        lindemann=analysis.lindemann_ratio(positions, distance),
        largest_shift=shift,
        kept=analysis.same_crystal(shift, structure.volume / n_atoms),
    )


def after_equilibration(frames: Frames, settings: MdSettings) -> Frames:
    """Frames that means are taken of; all but the first share of the steps, and at least the last one."""
    return frames[np.maximum(frames.step >= settings.equilibration * frames.step[-1], frames.step == frames.step[-1])]


def moved(structure: Structure, frames: Frames) -> np.ndarray:
    """(f, n, 3) Å, positions with the centre of mass where it was in the first frame."""
    return analysis.centred(frames.positions, masses_of(structure))


def time_between(frames: Frames, time_step: float) -> float:
    """Of two frames, ps."""
    return float(np.median(np.diff(frames.step))) * time_step / 1000 if len(frames) > 1 else 0.0


def displacements_of(structure: Structure, positions: np.ndarray, between: float) -> dict[str, dict[str, float | None]]:
    """By element, as `Dynamics` describes it."""
    found: dict[str, dict[str, float | None]] = {}
    for symbol, chosen in _atoms_of(structure).items():
        msd, half = analysis.mean_square_displacement(positions[:, chosen]), len(positions) // 2
        diffusion = analysis.diffusion(between, positions[:, chosen])
        found[symbol] = {
            "msd": float(msd[half]),
            "lag": half * between,
            "diffusion": diffusion.value if diffusion else None,
            "diffusion_error": diffusion.error if diffusion else None,
        }
    return found


def curves(structure: Structure, frames: Frames, time_step: float, settings: MdSettings) -> dict[str, Any]:
    """Points of the figures, at most 200 of each curve.

    Returns:
        `time` (ps) with `temperature` (K), `potential` and `conserved` (meV/atom, from the first frame on; null where
        there is none; each stretch of `conserved` from its own first frame), and `lag` (ps) with `msd` (Å^2, by
        element).
    """
    chosen, n_atoms = _thinned(len(frames)), len(structure)
    used = after_equilibration(frames, settings)
    positions = moved(structure, frames)[len(frames) - len(used) :]
    lags = _thinned(len(used) // 2 + 1)
    conserved = frames.conserved.copy()
    for each in np.unique(frames.stretch):
        conserved[frames.stretch == each] -= conserved[frames.stretch == each][0]
    return {
        "time": _rounded(frames.step[chosen] * time_step / 1000),
        "temperature": _rounded(frames.temperature()[chosen]),
        "potential": _rounded(1000 * (frames.potential - frames.potential[0])[chosen] / n_atoms),
        "conserved": _rounded(1000 * conserved[chosen] / n_atoms),
        "lag": _rounded(lags * time_between(used, time_step)),
        "msd": {
            symbol: _rounded(analysis.mean_square_displacement(positions[:, atoms])[lags])
            for symbol, atoms in _atoms_of(structure).items()
        },
    }


def _atoms_of(structure: Structure) -> dict[str, np.ndarray]:
    symbols = np.array([site.specie.symbol for site in structure])
    return {symbol: np.flatnonzero(symbols == symbol) for symbol in dict.fromkeys(symbols.tolist())}


def _thinned(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, MAX_POINTS)).round().astype(int))


def _rounded(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
