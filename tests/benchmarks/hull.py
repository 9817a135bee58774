"""Decomposition energies by one phase diagram per chemical system, against one phase diagram per candidate.

The reference is a made-up ternary of random phases; the candidates are random phases of its subsystems. The alternative
builds pymatgen's phase diagram anew for each candidate, as scripts around pymatgen often do. The energies are held
against these and against a linear program for the lowest mixture of the candidate's composition.
"""

import argparse

import numpy as np
from harness import Figure, best_of, finish, peak_memory_mib, say
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition
from scipy.optimize import linprog
from tqdm import tqdm

from unimat.materials.hull import Hulls, elements_of
from unimat.materials.reference import Reference

ELEMENTS = ("Li", "Fe", "O")
TARGET_SPEED_UP = 10.0
TARGET_DISAGREEMENT = 1e-6  # eV/atom
ENERGY_TYPE = {"calculator": "none: made up", "functional": "none", "corrections": "none", "quantity": "total energy"}


def made_up_phases(n: int, rng: np.random.Generator, name: str) -> list[PDEntry]:
    """Phases of random small formulas; energies in a range where some lie on the hull and some above it."""
    entries = []
    for index in range(n):
        members = rng.choice(len(ELEMENTS), size=rng.integers(1, 4), replace=False)
        composition = Composition({ELEMENTS[member]: int(rng.integers(1, 9)) for member in sorted(members)})
        mixing = -2.0 * (1 - sum(share**2 for share in composition.fractional_composition.values()))
        energy = -4.0 + mixing + rng.uniform(0, 0.6)
        entries.append(PDEntry(composition, energy * composition.num_atoms, name=f"{name}-{index}"))
    return entries


def made_up_reference(n: int, rng: np.random.Generator) -> Reference:
    elemental = [PDEntry(Composition(symbol), -4.0, name=f"pure-{symbol}") for symbol in ELEMENTS]
    return Reference("made-up ternary", [*elemental, *made_up_phases(n, rng, "phase")], ENERGY_TYPE)


def shared_diagrams(reference: Reference, candidates: list[PDEntry]) -> list[float]:
    hulls = Hulls(reference)
    verdicts = (hulls.judge(each.composition, each.energy_per_atom) for each in candidates)
    return [float(verdict["decomposition_energy"]) for verdict in verdicts]


def one_diagram_each(reference: Reference, candidates: list[PDEntry]) -> list[float]:
    energies = []
    for candidate in tqdm(candidates, desc="one diagram each", unit="candidate", disable=None):
        diagram = PhaseDiagram(phases_within(reference, candidate))
        energies.append(float(diagram.get_e_above_hull(candidate, allow_negative=True)))
    return energies


def by_linear_program(reference: Reference, candidate: PDEntry) -> float:
    """Energy per atom above the cheapest mixture of phases that has the candidate's composition."""
    phases = phases_within(reference, candidate)
    shares = np.array([[phase.composition.get_atomic_fraction(symbol) for phase in phases] for symbol in ELEMENTS])
    wanted = [candidate.composition.get_atomic_fraction(symbol) for symbol in ELEMENTS]
    mixture = linprog([phase.energy_per_atom for phase in phases], A_eq=shares, b_eq=wanted)
    return float(candidate.energy_per_atom - mixture.fun)


def phases_within(reference: Reference, candidate: PDEntry) -> list[PDEntry]:
    own = elements_of(candidate.composition)
    return [entry for entry in reference.entries if elements_of(entry.composition) <= own]


def largest_difference(ours: list[float], theirs: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phases", type=int, default=300, help="phases of the reference (default: 300)")
    parser.add_argument("--candidates", type=int, default=2000, help="phases to judge (default: 2000)")
    parser.add_argument("--alternative", type=int, default=100, help="so many by the alternative, too (default: 100)")
    parser.add_argument("--repeats", type=int, default=3, help="the shortest time counts (default: 3)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    reference = made_up_reference(args.phases, rng)
    candidates = made_up_phases(args.candidates, rng, "candidate")
    say(f"{args.candidates} candidates against {len(reference.entries)} phases")
    shared_time, shared = best_of(lambda: shared_diagrams(reference, candidates), args.repeats)
    few = candidates[: args.alternative]
    each_time, each = best_of(lambda: one_diagram_each(reference, few), 1)
    programs = [by_linear_program(reference, candidate) for candidate in few]
    ours = shared[: len(few)]
    rate, slow_rate = len(candidates) / shared_time, len(few) / each_time
    say(f"{sum(energy < 0 for energy in shared)} of {len(shared)} candidates lie below the hull")
    finish(
        "hull",
        [
            Figure("decomposition energies", rate, "1/s", TARGET_SPEED_UP * slow_rate, slow_rate, "higher"),
            Figure("disagreement with PhaseDiagram", largest_difference(ours, each), "eV/atom", TARGET_DISAGREEMENT),
            Figure("disagreement with linprog", largest_difference(ours, programs), "eV/atom", TARGET_DISAGREEMENT),
            Figure("peak memory", peak_memory_mib(), "MiB"),
        ],
    )


if __name__ == "__main__":
    main()
