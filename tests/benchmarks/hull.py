"""Decomposition energies of many candidates, against one phase diagram per candidate.

Agreement is measured on phases of the Materials Project's published summary that are left out of the reference and
judged against the rest: their ground states lie below the hull without them, and all phases of six and more elements
are among them. Throughput is measured with the compositions of DiffCSP's 10,000 generated crystals against the whole
summary, and with random compositions of one to five elements against a made-up reference of half a million phases. The
alternative builds pymatgen's phase diagram anew for each candidate, of all entries within its elements, as scripts
around pymatgen do; entries and their sets of elements are at hand before its clock starts. Without UNIMAT_DATA_DIR the
smaller reference is made up, too. A made-up ternary is held against a linear program besides.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from harness import Figure, best_of, finish, peak_memory_mib, say
from hull_reference import PUBLISHED, SMALL, candidates_of, judged_one_by_one, made_up
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element
from scipy.optimize import linprog
from tqdm import tqdm

from unimat.materials.crystals.formulas import of_composition
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.stability.decomposition import Hulls, elements_of
from unimat.materials.stability.hull import hulls_of, stability_tables
from unimat.materials.stability.references.build import build
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import ColumnSettings, HullSettings, ReferenceSettings

ELEMENTS = ("Li", "Fe", "O")
GENERATED = "generated/diffcsp_mp_20/DiffCSP_mp_20.pt"
TARGET_SECONDS = 60.0
TARGET_SPEED_UP = 50.0
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


def together(reference: Reference, candidates: list[PDEntry]) -> list[float]:
    """Decomposition energies of all candidates at once; finding the reference's compounds is part of the work."""
    atoms = [of_composition(each.composition) for each in candidates]
    verdicts = Hulls(reference).verdicts(atoms, [each.energy_per_atom for each in candidates])
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
    return float(max(abs(a - b) for a, b in zip(ours, theirs, strict=True)))


def published() -> Reference | None:
    """The summary as it is, without corrections: they change no set of elements, and agreement has to hold anyhow."""
    if not Path(os.environ.get("UNIMAT_DATA_DIR", ""), PUBLISHED).is_file():
        return None
    columns = ColumnSettings("MaterialId", "Composition", "Corrected Energy", "eV")
    settings = ReferenceSettings(
        kind="table", path=PUBLISHED, columns=columns, functional="PBE", calculator="VASP", corrections="none"
    )
    return build(settings, {})


def left_out(reference: Reference, n: int, rng: np.random.Generator) -> tuple[Reference, list[PDEntry]]:
    """The reference without `n` of its compounds and without all those of six and more elements, and these."""
    sizes = np.array([len(each) for each in reference.entries.table["elements"].to_pylist()])
    chosen = sizes > 5
    chosen[rng.permutation(np.flatnonzero(sizes > 1))[:n]] = True
    rest = reference.replaced(reference.entries.table.filter(pa.array(~chosen)))
    hulls, found = Hulls(rest), [reference.entries[row] for row in np.flatnonzero(chosen).tolist()]
    return rest, [each for each in found if not hulls.missing(element.Z for element in each.composition.elements)]


def generated(reference: Reference, n: int, rng: np.random.Generator) -> list[PDEntry]:
    """Compositions of generated crystals that the reference can judge, or else of its own entries, again and again."""
    hulls = Hulls(reference)
    path = Path(os.environ.get("UNIMAT_DATA_DIR", ""), GENERATED)
    if not path.is_file():
        pairs = candidates_of(reference, n, rng)
        return [PDEntry(composition, energy * composition.num_atoms) for composition, energy in pairs]
    symbols = [Element.from_Z(number).symbol for number in range(1, 119)]
    rows = [np.unique(each.atomic_numbers, return_counts=True) for each in read_crystals(path, None, 1)[0]]
    compositions = [
        Composition({symbols[number - 1]: count for number, count in zip(*row, strict=True)})
        for row in rows
        if not hulls.missing(row[0].tolist())
    ]
    return [PDEntry(compositions[i % len(compositions)], rng.uniform(-9, -1)) for i in range(n)]


def throughput(name: str, reference: Reference, candidates: list[PDEntry], few: int, repeats: int) -> list[Figure]:
    say(f"{len(candidates)} candidates against {len(reference.entries)} phases")
    seconds, energies = best_of(lambda: together(reference, candidates), repeats)
    pairs = [(each.composition, each.energy_per_atom) for each in candidates[:few]]
    slow_seconds, slow = judged_one_by_one(reference, pairs)
    rate, slow_rate = len(candidates) / seconds, len(pairs) / slow_seconds
    return [
        Figure(f"{name}: all candidates", seconds, "s", TARGET_SECONDS * len(candidates) / 10_000),
        Figure(f"{name}: candidates judged", rate, "1/s", TARGET_SPEED_UP * slow_rate, slow_rate, "higher"),
        Figure(f"{name}: disagreement with PhaseDiagram", largest_difference(energies[:few], slow), "eV/atom",
               TARGET_DISAGREEMENT),
    ]  # fmt: skip


def agreement(reference: Reference, n: int, rng: np.random.Generator) -> list[Figure]:
    """Every candidate by its own PhaseDiagram, and how many of which kind there are."""
    rest, candidates = left_out(reference, n, rng)
    ours = together(rest, candidates)
    hulls, theirs = Hulls(rest), []
    start = time.perf_counter()
    for each in tqdm(candidates, desc="phases left out", unit="phase", disable=None):
        rows = rest.entries.within(each.composition.elements)
        diagram = PhaseDiagram([rest.entries[row] for row in rows.tolist()])
        _, energy = diagram.get_decomp_and_e_above_hull(each, allow_negative=True)
        theirs.append(np.nan if energy is None else float(energy))
    slow_rate = len(candidates) / (time.perf_counter() - start)
    seconds, _ = best_of(lambda: hulls.verdicts(*_atoms_and_energies(candidates)), 3)
    return [
        Figure("phases left out", len(candidates), "phases", min(n, 2000), better="higher"),
        Figure("phases left out: E_d < 0", sum(energy < 0 for energy in ours), "phases"),
        Figure("phases left out: of six and more elements", sum(len(c.composition) > 5 for c in candidates), "phases"),
        Figure("phases left out: disagreement with PhaseDiagram", largest_difference(ours, theirs), "eV/atom",
               TARGET_DISAGREEMENT),
        Figure("phases left out: rate beside a diagram each, entries found at once", len(candidates) / seconds, "1/s",
               None, slow_rate, "higher"),
    ]  # fmt: skip


def whole_table(reference: Reference, processes: int) -> list[Figure]:
    """The table that `unimat hull` writes: formulas, space groups and verdicts of all generated crystals."""
    path = Path(os.environ.get("UNIMAT_DATA_DIR", ""), GENERATED)
    if not path.is_file():
        return []
    crystals, _ = read_crystals(path, None, 1)
    n, rng = len(crystals), np.random.default_rng(0)
    table = crystals.with_column("energy_per_atom", rng.uniform(-9, -1, n)).with_column("converged", [True] * n)
    table = table.with_metadata(energy_type=reference.energy_type)
    hulls = hulls_of([reference])
    seconds, _ = best_of(lambda: stability_tables(table, hulls, HullSettings(), processes), 1)
    return [Figure(f"stability table of {n} crystals, {processes} processes", seconds, "s", TARGET_SECONDS)]


def _atoms_and_energies(candidates: list[PDEntry]) -> tuple[list, list[float]]:
    return [of_composition(each.composition) for each in candidates], [each.energy_per_atom for each in candidates]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phases", type=int, default=300, help="phases of the ternary (default: 300)")
    parser.add_argument("--candidates", type=int, default=10_000, help="phases to judge (default: 10000)")
    parser.add_argument("--alternative", type=int, default=100, help="so many by the alternative, too (default: 100)")
    parser.add_argument("--left-out", type=int, default=2500, help="real phases judged by both (default: 2500)")
    parser.add_argument("--small", type=int, default=SMALL, help=f"made-up phases without data (default: {SMALL})")
    parser.add_argument("--large", type=int, default=500_000, help="phases of the larger one (default: 500000)")
    parser.add_argument("--processes", type=int, default=2, help="that look for space groups (default: 2)")
    parser.add_argument("--repeats", type=int, default=3, help="the shortest time counts (default: 3)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    figures = []
    ternary, candidates = made_up_reference(args.phases, rng), made_up_phases(args.candidates, rng, "candidate")
    few = candidates[: args.alternative]
    ours = together(ternary, few)
    programs = [by_linear_program(ternary, candidate) for candidate in few]
    each = one_diagram_each(ternary, few)
    figures += [
        Figure("disagreement with PhaseDiagram", largest_difference(ours, each), "eV/atom", TARGET_DISAGREEMENT),
        Figure("disagreement with linprog", largest_difference(ours, programs), "eV/atom", TARGET_DISAGREEMENT),
    ]
    known = published()
    if known is not None:
        figures += agreement(known, args.left_out, rng)
        figures += whole_table(known, args.processes)
    small = known if known is not None else made_up(args.small, rng)
    for reference in (small, made_up(args.large, rng)):
        candidates = generated(reference, args.candidates, rng)
        name = f"{len(reference.entries)} phases"
        figures += throughput(name, reference, candidates, args.alternative, args.repeats)
    finish("hull", [*figures, Figure("peak memory", peak_memory_mib(), "MiB")])


if __name__ == "__main__":
    main()
