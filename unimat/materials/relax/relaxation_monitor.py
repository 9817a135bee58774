"""Ending a relaxation by a force field that leads nowhere, and doing nothing twice in one that leads somewhere."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from atomate2.ase.utils import OPTIMIZERS
from atomate2.forcefields.jobs import ForceFieldRelaxMaker
from atomate2.forcefields.utils import ase_calculator

from unimat.materials.relax.engine import MAX_VOLUME_RATIO, energy_failure


class Watch:
    """Looks at a relaxation after each step, and ends it when it has left what a crystal can be.

    Attributes:
        n_steps: steps taken.
        energies: before the first step and after the last one, eV per cell; empty if there was none.
        fmax: largest force on an atom after the last step, eV/Å.
        forces: (n, 3) after the last step, eV/Å; None if there was none.
        reason: why it was ended; None if it was not.
    """

    def __init__(
        self,
        max_steps: int,
        min_volume_per_atom: float,
        plausible: tuple[float, float] | None,
        max_seconds: float | None,
    ) -> None:
        self.max_steps, self.max_seconds = max_steps, max_seconds
        self.min_volume_per_atom, self.plausible = min_volume_per_atom, plausible
        self.n_steps = 0
        self.energies: list[float] = []
        self.fmax = np.nan
        self.forces: np.ndarray | None = None
        self.reason: str | None = None

    def optimizer(self, name: str) -> Callable[..., Any]:
        """What makes ASE's optimizer of that name, watched."""

        def make(atoms: Any, **kwargs: Any) -> Any:
            optimizer: Any = OPTIMIZERS[name](atoms, **kwargs)
            self._start(atoms.atoms if hasattr(atoms, "atoms") else atoms)
            optimizer.attach(lambda: self._look(optimizer), interval=1)
            return optimizer

        return make

    def _start(self, atoms: Atoms) -> None:
        self._atoms, self._first_volume, self._began = atoms, atoms.get_volume(), time.monotonic()

    def _look(self, optimizer: Any) -> None:
        self.n_steps = optimizer.nsteps
        energy = float(self._atoms.get_potential_energy())
        self.energies = [*self.energies[:1], energy]
        self.forces = self._atoms.get_forces()
        self.fmax = float(np.linalg.norm(self.forces, axis=1).max())
        self.reason = self._why_hopeless(energy) or self._out_of_time()
        if self.reason or self.n_steps >= self.max_steps:
            optimizer.max_steps = optimizer.nsteps  # ASE goes no further, and nothing is lost of what it has

    def _why_hopeless(self, energy: float) -> str | None:
        n_atoms, volume = len(self._atoms), self._atoms.get_volume()
        if volume > MAX_VOLUME_RATIO * self._first_volume:
            ratio = volume / self._first_volume
            return f"the cell expanded beyond bonding: {ratio:.3g} times its volume, the limit is {MAX_VOLUME_RATIO:g}"
        if volume < self.min_volume_per_atom * n_atoms:
            found = f"{volume / n_atoms:.3g} Å^3 per atom, the limit is {self.min_volume_per_atom:g}"
            return f"the cell collapsed: {found}"
        failure = energy_failure(energy / n_atoms, self.plausible)
        return failure or (None if np.isfinite(self.fmax) else "the forces are not finite")

    def _out_of_time(self) -> str | None:
        seconds = time.monotonic() - self._began
        if self.max_seconds is None or seconds < self.max_seconds:
            return None
        return f"out of time: {seconds:.0f} s, the limit is {self.max_seconds:g}"


class CellFilter(FrechetCellFilter):
    """ASE's filter, asked three times a step for the same forces and computing them once.

    Their matrix logarithm and exponential cost as much as a small crystal's message passing.
    """

    _forces: np.ndarray | None = None
    _of: tuple[bytes, bytes] = (b"", b"")

    def get_forces(self, **kwargs: Any) -> np.ndarray:
        state = (self.atoms.positions.tobytes(), self.atoms.cell.array.tobytes())
        if self._forces is None or state != self._of:
            self._forces, self._of = super().get_forces(**kwargs), state
        return self._forces.copy()


@dataclasses.dataclass
class WatchedRelaxMaker(ForceFieldRelaxMaker):
    """atomate2's maker with one calculator for all crystals of a process, and a watch on each.

    jobflow hands a job a copy of its maker, without the calculator, so that each job would load the force field again.

    Attributes:
        limits: arguments of `Watch`.
        own_calculator: import path of what makes the calculator, in the place of atomate2's; None: atomate2's.
    """

    limits: dict[str, Any] = dataclasses.field(default_factory=dict)
    own_calculator: str | None = None
    calculators: ClassVar[dict[str, Any]] = {}
    last: ClassVar[Watch]  # of the last relaxation of this process

    def _get_calculator(self) -> Any:
        key = repr((self.calculator_meta, self.calculator_kwargs))
        if key not in self.calculators:
            made_by = self.own_calculator or self.calculator_meta or ""
            self.calculators[key] = ase_calculator(made_by, **self.calculator_kwargs)
        return self.calculators[key]

    def run_ase(self, mol_or_struct: Any, prev_dir: Any = None) -> Any:
        """As the maker's, watched."""
        WatchedRelaxMaker.last = watch = Watch(**self.limits)
        given = self.optimizer_kwargs
        self.optimizer_kwargs = {**given, "optimizer": watch.optimizer(given["optimizer"])}
        try:
            return super().run_ase(mol_or_struct, prev_dir)
        finally:
            self.optimizer_kwargs = given
