"""Settings of the engine gpaw; importable without GPAW."""

import dataclasses
from typing import Literal

# What belongs to the machine, and changes nothing of what GPAW computes.
GPAW_WITHOUT_EFFECT = ("raw_outputs",)
CONVERGENCE = ("energy", "density", "eigenstates", "forces")


@dataclasses.dataclass(frozen=True)
class GpawSettings:
    """PBE in plane waves, as near to the Materials Project's protocol as another code comes.

    Attributes:
        cutoff: of the plane waves, eV; the paper's and the Materials Project's (Appendix 7).
        kpoint_density: k-points per Å⁻¹ of reciprocal lattice (its 2π included), gamma-centred; the Materials Project's
            64 per Å⁻³ are 4 in each direction. 3 leaves 5 meV/atom with silicon, and takes half the time; 2 leaves 90.
        smearing: width of the Fermi-Dirac occupations, eV (the Materials Project's SIGMA); energies are those
            extrapolated to no smearing.
        spin: `auto` starts ferromagnetically where an element of `moments` is in the crystal, or it is pure oxygen, and
            computes all others without spin; `none` computes all without.
        moments: starting moment of an atom by element, μB, beside those of the Materials Project's MAGMOM.
        symmetrize: crystals this near to a symmetry are put on it before the first step, Å (pymatgen's `symprec`), in
            their Niggli cells, since symmetry saves k-points; 0 leaves them as they come.
        convergence: GPAW's criteria of self-consistency (energy in eV per valence electron, density in electrons per
            valence electron, eigenstates in eV² per valence electron, forces in eV/Å) where they are not its own.
        max_electronic_steps: steps to self-consistency after which a calculation is tried with slower mixing, and then
            given up (GPAW's default).
        setups: folder of PAW sets; None takes GPAW's own places, GPAW_SETUP_PATH and the package gpaw-data.
        raw_outputs: what stays of GPAW's logs and of the trajectories once a crystal is finished: `keep`, `compress`
            (gzipped) or `remove`. A failed crystal's files stay.
    """

    cutoff: float = 520.0
    kpoint_density: float = 4.0
    smearing: float = 0.05
    spin: Literal["auto", "none"] = "auto"
    moments: dict[str, float] = dataclasses.field(default_factory=dict)
    symmetrize: float = 0.01
    convergence: dict[str, float] = dataclasses.field(default_factory=dict)
    max_electronic_steps: int = 333
    setups: str | None = None
    raw_outputs: Literal["keep", "compress", "remove"] = "compress"

    def __post_init__(self) -> None:
        for name in ("cutoff", "kpoint_density", "smearing", "max_electronic_steps"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, found {getattr(self, name)}")
        if self.symmetrize < 0:
            raise ValueError(f"symmetrize must be 0 or above, found {self.symmetrize}")
        if unknown := sorted(self.convergence.keys() - set(CONVERGENCE)):
            raise ValueError(f"convergence knows {', '.join(CONVERGENCE)}, not {', '.join(unknown)}")
