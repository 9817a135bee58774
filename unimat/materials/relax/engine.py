"""What every relaxation engine offers, and the registry of engines."""

import dataclasses
import importlib
from pathlib import Path
from typing import Any, Protocol

from pymatgen.core import Structure

from unimat.materials.relax.settings import RelaxSettings


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """Outcome of relaxing one crystal.

    Attributes:
        structure: the relaxed structure; None if the calculation failed.
        energy_per_atom: total energy of the engine, eV/atom.
        initial_energy_per_atom: the same before the first step, eV/atom.
        fmax: largest force on an atom at the end, eV/Å.
        n_steps: ionic steps taken.
        converged: whether forces (and stresses) fell below the limit in time.
        failure: reason, if there is no result.
        transient: the failure is the machine's, not the crystal's (a missing file, say): not remembered, so that the
            next run tries again.
        mended: errors on the way that were mended, or given up on, as `custodian_log.mended` lists them.
        parameters: run type and Hubbard U (eV) of each element, for a correction scheme; None of an engine whose
            energies are never corrected afterwards.
        correction_per_atom: part of both energies that a correction scheme added, eV/atom; None where none was applied.
    """

    structure: Structure | None
    energy_per_atom: float | None = None
    initial_energy_per_atom: float | None = None
    fmax: float | None = None
    n_steps: int = 0
    converged: bool = False
    failure: str | None = None
    transient: bool = False
    mended: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    parameters: dict[str, Any] | None = None
    correction_per_atom: float | None = None


class Engine(Protocol):
    """A way to relax a crystal.

    Attributes:
        energy_type: what its energies are: calculator, functional, corrections and quantity. Energies of different
            types never share a hull.
    """

    energy_type: dict[str, str]

    def relax(self, structure: Structure, folder: Path | None = None) -> Relaxation:
        """Relax one structure; a crystal that cannot be relaxed is an outcome, no exception.

        Args:
            folder: where an engine with raw files worth keeping writes them.
        """


MAX_VOLUME_RATIO = 5.0  # of relaxed to initial volume; beyond it the crystal has evaporated


def cell_failure(initial: Structure, relaxed: Structure) -> str | None:
    """Why a relaxed cell means nothing, if so."""
    return "the cell expanded beyond bonding" if relaxed.volume / initial.volume > MAX_VOLUME_RATIO else None


ENGINES = {
    "chgnet": ("unimat.materials.relax.forcefield", "ForceFieldEngine"),
    "vasp": ("unimat.materials.relax.vasp", "VaspEngine"),
}


def make_engine(settings: RelaxSettings) -> Any:
    """The configured engine; its packages are imported here and nowhere else."""
    module, name = ENGINES[settings.engine]
    return getattr(importlib.import_module(module), name)(settings)
