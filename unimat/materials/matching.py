"""Which crystals are the same: clusters within a set, and matches in a table of known ones.

Two crystals match if pymatgen's StructureMatcher fits one onto the other in either direction. (Its `fit` gives
different answers for (a, b) and (b, a) at the border of its tolerances; asking both makes the relation symmetric,
and counts fewer crystals as unique and new.) A cluster is a connected component of the graph of matches. So neither
depends on the order of rows.
"""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from tqdm import tqdm

from unimat.crystal_table import Crystal
from unimat.materials.lattice_filter import ScaledLattice
from unimat.materials.metrics_settings import MatcherSettings
from unimat.materials.structures import to_structure

log = logging.getLogger("unimat.matching")

# What pymatgen raises on cells that it cannot reduce; numpy's LinAlgError is a ValueError.
_GEOMETRY_ERRORS = (ValueError, ArithmeticError, IndexError, RuntimeError)


def clusters(crystals: Iterable[Crystal], matcher: MatcherSettings | None = None) -> list[int]:
    """Cluster of each crystal, numbered from 0 in the order of first appearance."""
    comparer = Comparer(matcher or MatcherSettings())
    crystals = list(crystals)
    parent = list(range(len(crystals)))
    with tqdm(total=len(crystals), desc="uniqueness", disable=None) as bar:
        for rows in _by_formula(crystals).values():
            reduced = {row: comparer.reduce(crystals[row]) for row in rows}
            for at, row in enumerate(rows):
                for other in rows[:at]:
                    # Crystals that are joined already need no comparison.
                    if _root(parent, row) != _root(parent, other) and comparer.same(reduced[row], reduced[other]):
                        parent[_root(parent, row)] = _root(parent, other)
                bar.update()
    comparer.report()
    names: dict[int, int] = {}
    return [names.setdefault(_root(parent, row), len(names)) for row in range(len(crystals))]


def matches_known(
    crystals: Iterable[Crystal], known: Iterable[Crystal], matcher: MatcherSettings | None = None
) -> list[str | None]:
    """material_id of the first crystal of `known` that matches each crystal; None for a novel one."""
    comparer = Comparer(matcher or MatcherSettings())
    crystals, known = list(crystals), list(known)
    wanted = _by_formula(crystals)
    candidates = _by_formula(known, wanted)
    matches: list[str | None] = [None] * len(crystals)
    with tqdm(total=len(crystals), desc="novelty", disable=None) as bar:
        for formula, rows in wanted.items():
            references = [(known[row].material_id, comparer.reduce(known[row])) for row in candidates.get(formula, [])]
            for row in rows if references else []:
                ours = comparer.reduce(crystals[row])
                matches[row] = next((name for name, theirs in references if comparer.same(ours, theirs)), None)
                bar.update()
            bar.update(0 if references else len(rows))
    comparer.report()
    return matches


@dataclasses.dataclass(frozen=True)
class Reduced:
    """A crystal made ready for many comparisons; no lattice where it could not be reduced."""

    structure: Structure
    lattice: ScaledLattice | None


@dataclasses.dataclass
class Comparer:
    """A StructureMatcher over crystals that were reduced once, and how often it failed."""

    settings: MatcherSettings
    n_unreduced: int = 0
    n_failed: int = 0

    def __post_init__(self) -> None:
        self._matcher = StructureMatcher(**dataclasses.asdict(self.settings))

    def reduce(self, crystal: Crystal) -> Reduced:
        """Niggli-reduced primitive cell, as the matcher would make it; the crystal as it is where that fails."""
        order = np.argsort(crystal.atomic_numbers, kind="stable")  # the matcher wants each species in one block
        structure = to_structure(
            dataclasses.replace(
                crystal, atomic_numbers=crystal.atomic_numbers[order], frac_coords=crystal.frac_coords[order]
            )
        )
        try:
            reduced = self._matcher._get_reduced_structure(structure)
            return Reduced(reduced, ScaledLattice(reduced.lattice))
        except _GEOMETRY_ERRORS as error:
            log.debug("%s could not be reduced: %s", crystal.material_id, error)
            self.n_unreduced += 1
            return Reduced(structure, None)

    def same(self, one: Reduced, other: Reduced) -> bool:
        """Whether two crystals of one composition match in either direction; a matcher that fails on both says no."""
        if len(one.structure) != len(other.structure):  # no supercells are tried: the matcher would refuse these too
            return False
        return self._fits(one, other) or self._fits(other, one)

    def report(self) -> None:
        """Warn if any comparison failed."""
        if self.n_unreduced or self.n_failed:
            log.warning(
                "%d crystals could not be reduced and were compared as they are; %d comparisons failed and count as"
                " different",
                self.n_unreduced,
                self.n_failed,
            )

    def _fits(self, one: Reduced, other: Reduced) -> bool:
        limits = self.settings.ltol, self.settings.angle_tol
        if one.lattice and other.lattice and not one.lattice.has_basis_like(other.lattice, *limits):
            return False
        try:
            return bool(self._matcher.fit(one.structure, other.structure, skip_structure_reduction=True))
        except _GEOMETRY_ERRORS as error:
            log.debug("a comparison failed: %s", error)
            self.n_failed += 1
            return False


def _by_formula(
    crystals: Sequence[Crystal], wanted: Iterable[tuple] | None = None
) -> dict[tuple[tuple[int, int], ...], list[int]]:
    """Rows of each reduced composition (atomic number and count), of all or of the `wanted` ones."""
    rows = defaultdict(list)
    for row, crystal in enumerate(crystals):
        numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
        counts = counts // np.gcd.reduce(counts)
        rows[tuple(zip(numbers.tolist(), counts.tolist(), strict=True))].append(row)
    return {formula: found for formula, found in rows.items() if wanted is None or formula in wanted}


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row
