"""Frames of a run and the point where it goes on, and their files."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
from ase import units

from unimat import npz
from unimat.errors import UserError
from unimat.files import whole_file

log = logging.getLogger("unimat.md")

KB = units.kB  # eV/K
AMU = units.fs**-2  # eV fs^2/Å^2 in an atomic mass unit


@dataclasses.dataclass(frozen=True)
class State:
    """Where a run stands.

    Attributes:
        step: steps taken so far.
        positions: (n, 3) Å, never wrapped into the cell.
        velocities: (n, 3) Å/fs.
        thermostat: (2, m) positions and momenta of the thermostat's variables (eV and ASE's units of time); (2, 0)
            where the engine keeps none.
    """

    step: int
    positions: np.ndarray
    velocities: np.ndarray
    thermostat: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, 0)))


@dataclasses.dataclass(frozen=True)
class Frames:
    """What was kept of a run.

    Attributes:
        step: (f,) number of the step.
        positions: (f, n, 3) Å, never wrapped into the cell.
        potential: (f,) potential energy of the cell, eV.
        kinetic: (f,) kinetic energy of the cell, eV.
        conserved: (f,) what the thermostat's equations of motion conserve: potential, kinetic and thermostat's energy,
            eV; NaN where the engine does not write it.
        stretch: (f,) int; frames of one stretch share the constant of `conserved`. VASP starts its thermostat anew with
            each calculation, so that each is a stretch of its own.
    """

    step: np.ndarray
    positions: np.ndarray
    potential: np.ndarray
    kinetic: np.ndarray
    conserved: np.ndarray
    stretch: np.ndarray

    def __len__(self) -> int:
        return len(self.step)

    def __getitem__(self, chosen: slice | np.ndarray) -> "Frames":
        return Frames(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))

    def temperature(self) -> np.ndarray:
        """(f,) K, of the 3n - 3 degrees of freedom that are left when the centre of mass rests."""
        return 2 * self.kinetic / (KB * degrees_of_freedom(self.positions.shape[1]))


def degrees_of_freedom(n_atoms: int) -> int:
    return max(3 * n_atoms - 3, 1)


def joined(parts: list[Frames]) -> Frames:
    """Frames of all parts, one after the other."""
    return Frames(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Frames))
    )


def start(positions: np.ndarray, masses: np.ndarray, temperature: float, seed: int) -> State:
    """A state with Maxwell-Boltzmann velocities, the centre of mass at rest, of exactly `temperature` (K).

    Args:
        positions: (n, 3) Å, n at least 2.
        masses: (n,) atomic mass units.
    """
    rng = np.random.default_rng(seed)
    velocities = rng.standard_normal(positions.shape) * np.sqrt(KB * temperature / (masses[:, None] * AMU))
    velocities -= masses @ velocities / masses.sum()
    now = 2 * kinetic_energy(velocities, masses) / (KB * degrees_of_freedom(len(masses)))
    return State(0, positions.copy(), velocities * np.sqrt(temperature / now))


def kinetic_energy(velocities: np.ndarray, masses: np.ndarray) -> float:
    """eV, of velocities in Å/fs and masses in atomic mass units."""
    return float(0.5 * AMU * (masses[:, None] * velocities**2).sum())


def write_part(folder: Path, frames: Frames, state: State) -> None:
    """Frames since the last restart point and the new one, whole or not at all."""
    arrays = {f"frames_{field.name}": getattr(frames, field.name) for field in dataclasses.fields(Frames)}
    arrays |= {f"state_{field.name}": np.asarray(getattr(state, field.name)) for field in dataclasses.fields(State)}
    with whole_file(folder / f"part_{state.step:09d}.npz") as unfinished:
        np.savez(unfinished, allow_pickle=False, **arrays)


def read_parts(folder: Path) -> tuple[list[Frames], State | None]:
    """All parts of a run in their order, and where it goes on; a file that cannot be read ends the list."""
    parts: list[Frames] = []
    state: State | None = None
    for path in sorted(folder.glob("part_*.npz")):
        try:
            arrays = npz.read(path, "restart point", "")
            frames = Frames(*(arrays[f"frames_{field.name}"] for field in dataclasses.fields(Frames)))
            fields: dict[str, Any] = {field.name: arrays[f"state_{field.name}"] for field in dataclasses.fields(State)}
        except (UserError, KeyError):  # of another version, too
            log.warning("%s is broken; the run goes on from the restart point before", path)
            break
        parts.append(frames)
        state = State(**fields | {"step": int(fields["step"])})
    return parts, state
