"""What cutoff and k-points do to GPAW's energies, what a crystal takes, and how near other PBE codes are.

Formation energies of 3C-SiC against silicon and diamond, at measured lattice constants, by cutoff at one density of
k-points and by density at one cutoff; each against the finest of its series. Then the phases of
config/silicon_carbon_phases relaxed by the engine, in CPU seconds of one core beside those of ASE's own relaxation by
GPAW at the same settings, and the results beside the Materials Project's. Without GPAW there is nothing to measure.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from harness import ROOT, Figure, finish, peak_memory_mib, say
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from unimat.distributions import installed
from unimat.materials.crystals.structures import to_structure
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.relax.engine import Relaxation
from unimat.materials.relax.gpaw.engine import GpawEngine
from unimat.materials.relax.gpaw.inputs import kpoint_mesh
from unimat.materials.relax.gpaw.job import parameters
from unimat.materials.relax.gpaw.settings import GpawSettings
from unimat.materials.relax.settings import RelaxSettings

PHASES = ROOT / "config/silicon_carbon_phases"
CUTOFFS = (400.0, 520.0, 700.0, 900.0)  # eV
DENSITIES = (2.0, 3.0, 4.0, 6.0)  # per Å⁻¹
COMPOUND, SILICON, DIAMOND, GRAPHITE = "silicon_carbide_3c", "silicon", "diamond", "graphite"
# PBE by VASP: MP-20's validation split (mp-8062, mp-149); diamond of Paier et al., J. Chem. Phys. 124, 154709 (2006).
FORMATION_ENERGY = -0.2036  # eV/atom, against graphite
LATTICE_CONSTANTS = {DIAMOND: 3.574, SILICON: 5.4687, COMPOUND: 4.3796}  # Å


def static(structure: Structure, settings: GpawSettings) -> float:
    """Energy of a crystal as it is, eV/atom."""
    with tempfile.TemporaryDirectory() as folder:
        engine = GpawEngine(RelaxSettings(engine="gpaw", gpaw=settings))
        return engine.stages()[-1].result(Path(folder), engine.start(structure), 1).energy / len(structure)


def formation_energy(phases: dict[str, Structure], settings: GpawSettings) -> float:
    """Of 3C-SiC against silicon and diamond, eV/atom."""
    energy = {name: static(phases[name], settings) for name in (COMPOUND, SILICON, DIAMOND)}
    found = energy[COMPOUND] - (energy[SILICON] + energy[DIAMOND]) / 2
    say(f"{settings.cutoff:g} eV, {settings.kpoint_density:g} per Å⁻¹: {found:.4f} eV/atom, {energy}")
    return found


def convergence(phases: dict[str, Structure], density: float) -> list[Figure]:
    """Errors of the formation energy by cutoff and by density of k-points, meV/atom."""
    by_cutoff = {cutoff: formation_energy(phases, GpawSettings(cutoff, density)) for cutoff in CUTOFFS}
    by_density = {each: formation_energy(phases, GpawSettings(kpoint_density=each)) for each in DENSITIES}
    return [
        *(Figure(f"error of the formation energy of 3C-SiC at {cutoff:g} eV and {density:g} per Å⁻¹",
                 1000 * abs(found - by_cutoff[CUTOFFS[-1]]), "meV/atom")
          for cutoff, found in list(by_cutoff.items())[:-1]),
        *(Figure(f"error of the formation energy of 3C-SiC at {each:g} per Å⁻¹ and 520 eV",
                 1000 * abs(found - by_density[DENSITIES[-1]]), "meV/atom")
          for each, found in list(by_density.items())[:-1]),
    ]  # fmt: skip


def by_ase(structure: Structure, settings: RelaxSettings) -> None:
    """The same relaxation by ASE and GPAW alone, without files, checks or a static calculation."""
    from gpaw import GPAW

    atoms = AseAtomsAdaptor.get_atoms(structure)
    mesh = kpoint_mesh(atoms, settings.gpaw.kpoint_density)
    atoms.calc = GPAW(**parameters(settings.gpaw), kpts={"size": mesh, "gamma": True}, txt=None)
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=settings.fmax, steps=settings.max_steps)


def relaxations(phases: dict[str, Structure], settings: RelaxSettings) -> tuple[list[Figure], dict[str, Relaxation]]:
    """CPU seconds of each phase, beside those of ASE alone, and what came out."""
    engine, figures, found = GpawEngine(settings), [], {}
    for name, structure in phases.items():
        start = time.process_time()
        found[name] = engine.relax(structure)
        ours = time.process_time() - start
        by_ase(structure, settings)
        theirs = time.process_time() - start - ours
        say(f"{name}: {found[name].energy_per_atom} eV/atom, {found[name].n_steps} steps, {ours:.1f} s")
        label = f"{name.replace('_', ' ')}, {len(structure)} atoms, {found[name].n_steps} steps"
        figures.append(Figure(label, ours, "CPU s", baseline=theirs))
    return figures, found


def beside_other_codes(found: dict[str, Relaxation]) -> list[Figure]:
    energy = {name: float(each.energy_per_atom or 0) for name, each in found.items()}
    formation = energy[COMPOUND] - (energy[SILICON] + energy[GRAPHITE]) / 2
    figures = [
        Figure("formation energy of 3C-SiC against graphite", formation, "eV/atom", baseline=FORMATION_ENERGY),
        Figure("diamond above graphite", 1000 * (energy[DIAMOND] - energy[GRAPHITE]), "meV/atom"),
    ]
    for name, theirs in LATTICE_CONSTANTS.items():
        ours = (4 * found[name].structure.volume) ** (1 / 3)  # type: ignore[union-attr]
        figures.append(Figure(f"lattice constant of {name.replace('_', ' ')}", ours, "Å", baseline=theirs))
        figures.append(Figure(f"its difference, {name.replace('_', ' ')}", 100 * abs(ours / theirs - 1), "%", 0.5))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--density", type=float, default=3.0, help="k-points per Å⁻¹ (default: 3, as config/gpaw.yaml)")
    parser.add_argument("--relax-only", action="store_true", help="leave the convergence with settings out")
    args = parser.parse_args()
    if not installed("gpaw"):
        sys.exit("GPAW is not installed: make gpaw")
    phases = {crystal.material_id: to_structure(crystal) for crystal in read_crystals(PHASES)[0]}
    settings = RelaxSettings(engine="gpaw", fmax=0.02, gpaw=GpawSettings(kpoint_density=args.density))
    figures = [] if args.relax_only else convergence(phases, args.density)
    times, found = relaxations(phases, settings)
    finish("dft", [*figures, *times, *beside_other_codes(found), Figure("peak memory", peak_memory_mib(), "MiB")])


if __name__ == "__main__":
    main()
