"""What every relaxation engine offers, and the registry of engines."""

import dataclasses
import importlib
import math
from pathlib import Path
from typing import Any, Protocol

from pymatgen.core import Structure

from unimat.errors import CrystalRejected
from unimat.materials.crystals.structures import check_crystal, from_structure
from unimat.materials.relax.force_fields.known import FORCE_FIELDS
from unimat.materials.relax.force_fields.settings import energy_type
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
# Of total energies on the scale of VASP's PAW potentials, eV/atom. The Materials Project's lie between -14.3 (Pu) and
# -0.3 (mp_materials_summary.csv of GNoME, 31,840 crystals), and atoms pressed into each other above 0.
PLAUSIBLE_ENERGIES = (-25.0, 25.0)


def cell_failure(initial: Structure, relaxed: Structure, settings: RelaxSettings | None = None) -> str | None:
    """Why a relaxed cell means nothing, if so: it evaporated, it collapsed, or atoms lie on top of each other."""
    limits, ratio = settings or RelaxSettings(), relaxed.volume / initial.volume
    if ratio > MAX_VOLUME_RATIO:
        return f"the cell expanded beyond bonding: {ratio:.3g} times its volume, the limit is {MAX_VOLUME_RATIO:g}"
    try:
        check_crystal(from_structure(relaxed, ""), limits.min_distance, limits.min_volume_per_atom)
    except CrystalRejected as error:
        what = {"overlapping_atoms": "atoms overlap after relaxation"}.get(error.reason, "the cell collapsed")
        return f"{what}: {error.detail}"
    return None


def energy_failure(energy_per_atom: float | None, plausible: tuple[float, float] | None = None) -> str | None:
    """Why an energy (eV/atom) means nothing, if so; `plausible` is the range that it must lie in."""
    if energy_per_atom is None or not math.isfinite(energy_per_atom):
        return "the energy is not finite"
    if plausible and not plausible[0] <= energy_per_atom <= plausible[1]:
        low, high = plausible
        return f"the energy is implausible: {energy_per_atom:.4g} eV/atom, outside of {low:g} to {high:g}"
    return None


ENGINES = {
    **dict.fromkeys(FORCE_FIELDS, ("unimat.materials.relax.force_fields.engine", "ForceFieldEngine")),
    "vasp": ("unimat.materials.relax.vasp.engine", "VaspEngine"),
    "gpaw": ("unimat.materials.relax.gpaw.engine", "GpawEngine"),
}


def make_engine(settings: RelaxSettings) -> Any:
    """The configured engine; its packages are imported here and nowhere else."""
    module, name = ENGINES[settings.engine]
    return getattr(importlib.import_module(module), name)(settings)


def energy_type_of(settings: RelaxSettings) -> dict[str, str]:
    """What the energies of the configured engine are, without torch where that can be known without it."""
    if settings.engine in FORCE_FIELDS:
        return energy_type(settings.engine, settings.force_field)
    return make_engine(settings).energy_type
