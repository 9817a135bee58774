"""What an engine of molecular dynamics offers, and how one is made from the engines of relaxation."""

from pathlib import Path
from typing import Any, Protocol

from pymatgen.core import Structure

from unimat.materials.dynamics.frames import Frames, State
from unimat.materials.dynamics.settings import MdSettings
from unimat.materials.relax.engine import make_engine
from unimat.materials.relax.settings import RelaxSettings

# An instantaneous temperature of this many times the thermostat's says that the crystal has flown apart, or that the
# time step is too long. Of the two atoms of the smallest cell, one step in a million would be as hot by chance.
MAX_HEATING = 10.0


class Exploded(Exception):
    """The motion has become unphysical; the text says when and how."""


class Impossible(Exception):
    """A crystal cannot be computed.

    Args:
        transient: the machine's fault, not the crystal's (a missing file, say): the next run tries again.
    """

    def __init__(self, message: str, transient: bool = False):
        super().__init__(message)
        self.transient = transient


class MdEngine(Protocol):
    """A way to move a crystal.

    Attributes:
        energy_type: what its energies are, as of an engine of relaxation.
    """

    energy_type: dict[str, str]

    def check(self, structure: Structure) -> None:
        """Raise `Impossible` for a crystal that cannot be computed, UserError where none can."""

    def advance(
        self, structure: Structure, state: State, n_steps: int, time_step: float, folder: Path
    ) -> tuple[Frames, State]:
        """Frames of the next `n_steps` (fewer, if its time was nearly over) and the state after them.

        Args:
            structure: the supercell; its cell and its order of atoms, not its positions.
            time_step: fs.
            folder: of the crystal, for raw files.

        Raises:
            Exploded: if the motion has become unphysical.
            Impossible: if the calculation failed.
        """

    def mended(self, folder: Path) -> list[dict[str, Any]]:
        """Errors of the run in `folder` that were mended, or given up on, as `custodian_log.mended` lists them."""


def make_md_engine(settings: MdSettings) -> MdEngine:
    """The configured engine; its packages are imported here and nowhere else.

    Raises:
        UserError: if its package is not installed, or its model cannot be loaded.
    """
    if settings.engine == "vasp":
        from unimat.materials.dynamics.vasp import VaspMdEngine

        return VaspMdEngine(settings)
    relaxer = make_engine(relax_settings(settings))
    from unimat.materials.dynamics.forcefield import ForceFieldMdEngine

    return ForceFieldMdEngine(settings, relaxer)


def relax_settings(settings: MdSettings) -> RelaxSettings:
    """The same engine with the same settings of its own, for relaxation."""
    return RelaxSettings(
        engine=settings.engine,  # type: ignore[arg-type]  # checked by `MdSettings`
        threads=settings.threads,
        force_field=settings.force_field,
        vasp=settings.vasp,
    )


def refuse_explosion(step: int, temperature: float, potential: float, wanted: float) -> None:
    """Raise `Exploded` if a step's temperature (K) or energy (eV) is that of no crystal at `wanted` K."""
    if not (abs(temperature) < float("inf") and abs(potential) < float("inf")):
        raise Exploded(f"exploded: energies are no numbers at step {step}")
    if temperature > MAX_HEATING * wanted:
        raise Exploded(f"exploded: {temperature:.0f} K at step {step}, the thermostat is at {wanted:g} K")
