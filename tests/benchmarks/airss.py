"""Random structure search: soft spheres, batched in JAX against one crystal after the other in ASE; and whole searches.

The same random structures at the same volumes go through both: JAX in batches, and ASE's FIRE on the same potential,
whose pairs come from ASE's neighbour list, with a filter that holds the volume. Both stop when the smallest distance
asked for is met, or after as many steps. The time of JAX is that of a second run, compiled; the first stands beside it.
"""

import argparse
import time
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.optimize import FIRE
from ase.stress import full_3x3_to_voigt_6_stress
from harness import Figure, best_of, finish, peak_memory_mib, say

from unimat.materials.search.random_search.airss import closest_contact, random_search
from unimat.materials.search.random_search.draws import Drawn, draw, wanted_distances
from unimat.materials.search.random_search.settings import AirssSettings
from unimat.materials.search.random_search.soft_sphere_steps import MARGIN
from unimat.materials.search.random_search.soft_spheres import Pushed, Spheres, push_apart

COUNTS = ({"Si": 4, "C": 4}, {"Na": 4, "Cl": 4}, {"Ba": 2, "Ti": 2, "O": 6}, {"Li": 4, "Fe": 4, "O": 12})
STEPS = 500


class SoftSpheres(Calculator):
    """The potential of `unimat.materials.search.random_search.soft_spheres` by ASE's pairs."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, distances: np.ndarray):
        super().__init__()
        self.diameters = MARGIN * distances
        self.closest = 0.0

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        first, second, distance, vector = neighbor_list("ijdD", atoms, float(self.diameters.max()))
        diameters = self.diameters[first, second]
        overlap = np.maximum(diameters - distance, 0)
        self.closest = MARGIN * float((distance / diameters).min(initial=np.inf))
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, first, -(overlap / distance)[:, None] * vector)
        stress = -np.einsum("p,pi,pj->ij", overlap / distance, vector, vector) / 2 / atoms.get_volume()
        self.results = {
            "energy": float((overlap**2).sum() / 4),
            "forces": forces,
            "stress": full_3x3_to_voigt_6_stress(stress),
        }


def by_ase(crystal: Spheres) -> float:
    """Smallest distance over the one asked for, after ASE's FIRE."""
    n = len(crystal.frac_coords)
    atoms = ase.Atoms(f"H{n}", cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)
    atoms.calc = SoftSpheres(crystal.distances)
    optimizer = FIRE(FrechetCellFilter(atoms, constant_volume=True), logfile=None)
    for _ in optimizer.irun(fmax=1e-4, steps=STEPS):
        if atoms.calc.closest >= 1:
            break
    return atoms.calc.closest


def spheres_of(drawn: list[Drawn], factor: float) -> list[Spheres]:
    return [
        Spheres(
            each.structure.lattice.matrix,
            each.structure.frac_coords,
            wanted_distances(np.array(each.structure.atomic_numbers), factor),
        )
        for each in drawn
    ]


def drawn_structures(n: int, settings: AirssSettings) -> list[Drawn]:
    found = [draw(COUNTS[index % len(COUNTS)], settings, index, 0) for index in range(n)]
    return [each for each in found if each is not None]


def relaxations(n: int, n_ase: int, settings: AirssSettings) -> list[Figure]:
    """Throughput and success of the soft spheres alone."""
    start = time.perf_counter()
    drawn = drawn_structures(n, settings)
    per_draw = (time.perf_counter() - start) / len(drawn)
    crystals = spheres_of(drawn, settings.min_distance)
    first, _ = best_of(lambda: push_apart(crystals, max_steps=STEPS), 1)
    seconds, pushed = best_of(lambda: push_apart(crystals, max_steps=STEPS), 2)
    ase_seconds, closest = best_of(lambda: [by_ase(each) for each in crystals[:n_ase]], 1)
    say(f"JAX {seconds:.2f} s for {len(crystals)}, {first:.2f} s with compilation; ASE {ase_seconds:.2f} s for {n_ase}")
    return [
        Figure("structures drawn", 1 / per_draw, "1/s", better="higher"),
        Figure(
            f"structures relaxed, {len(crystals)}", len(crystals) / seconds, "1/s", better="higher",
            baseline=len(closest) / ase_seconds,
        ),
        Figure("first call, compilation included", first, "s"),
        Figure("share with the distances asked for", met(pushed), "of 1"),
        Figure(f"the same of {n_ase}", met(pushed[:n_ase]), "of 1", baseline=float(np.mean(np.array(closest) >= 1))),
        Figure("share before relaxation", before(drawn, settings), "of 1"),
        Figure("mean steps", float(np.mean([each.n_steps for each in pushed])), "steps"),
    ]  # fmt: skip


def met(pushed: list[Pushed]) -> float:
    return float(np.mean([each.closest >= 1 for each in pushed]))


def before(drawn: list[Drawn], settings: AirssSettings) -> float:
    return float(np.mean([closest_contact(each.structure, settings.min_distance) >= 1 for each in drawn]))


def searches(n: int, processes: int) -> list[Figure]:
    """Whole searches, with and without soft spheres, PyXtal's distances being what does their work without."""
    formulas = tuple("".join(f"{symbol}{count}" for symbol, count in each.items()) for each in COUNTS)
    settings = AirssSettings(compositions=formulas, n=n)
    start = time.perf_counter()
    table, rejected = random_search(settings, processes)
    seconds = time.perf_counter() - start
    say(f"{len(table)} made, {len(rejected)} rejected, {table.metadata['redrawn']} redrawn")
    return [
        Figure(f"search, {n} structures", n / seconds, "1/s", better="higher"),
        Figure("structures made", len(table) / n, "of 1"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=400, help="structures relaxed by JAX (default: 400)")
    parser.add_argument("--n-ase", type=int, default=100, help="of these by ASE (default: 100)")
    parser.add_argument("--n-search", type=int, default=400, help="structures of the search (default: 400)")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    settings = AirssSettings(compositions=("C",), seed=1)
    figures = relaxations(args.n, args.n_ase, settings) + searches(args.n_search, args.processes)
    finish("airss", [*figures, Figure("peak memory", peak_memory_mib(), "MiB")])


if __name__ == "__main__":
    main()
