"""Pairs of crystals, one at a time: pymatgen's StructureMatcher over crystals that were reduced once."""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Iterator

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from unimat.crystal_table import Crystal
from unimat.materials.crystals.structures import to_structure
from unimat.materials.crystals.time_limit import TimeUpError, time_limit
from unimat.materials.metrics.settings import MatcherSettings
from unimat.periodic_table import SYMBOLS

log = logging.getLogger("unimat.matching")

MAX_SECONDS = 60.0  # per pair, and per reduction; a thousandth of that is usual
# What pymatgen raises on cells that it cannot reduce; numpy's LinAlgError is a ValueError.
GEOMETRY_ERRORS = (ValueError, ArithmeticError, IndexError, RuntimeError)


@dataclasses.dataclass
class Problems:
    """What went wrong with the matching, by name; such pairs count as different.

    Attributes:
        unreduced: ids of crystals that could not be reduced, and were compared as they are.
        failed: pairs of ids on which the matcher failed.
        timed_out: pairs of ids that took more than the time limit.
    """

    unreduced: list[str] = dataclasses.field(default_factory=list)
    failed: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    timed_out: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def add(self, other: "Problems") -> None:
        for field in dataclasses.fields(self):
            getattr(self, field.name).extend(getattr(other, field.name))

    def report(self) -> None:
        """Warn if there are any."""
        counts = len(self.unreduced), len(self.failed), len(self.timed_out)
        if any(counts):
            log.warning(
                "%d crystals could not be reduced and were compared as they are; %d comparisons failed and %d took too"
                " long, and count as different",
                *counts,
            )


@dataclasses.dataclass(frozen=True)
class Reduced:
    """A crystal made ready for many comparisons: the cell as the matcher reduces it, atoms sorted by element.

    Attributes:
        scaled: whether the matcher compares crystals at equal volumes.
        reducible: whether the matcher could reduce it; else it is as it was.
    """

    material_id: str
    lattice: np.ndarray
    atomic_numbers: np.ndarray
    frac_coords: np.ndarray
    scaled: bool
    reducible: bool = True

    def __len__(self) -> int:
        return len(self.atomic_numbers)

    @functools.cached_property
    def structure(self) -> Structure:
        species = [SYMBOLS[z - 1] for z in self.atomic_numbers]
        return Structure(Lattice(self.lattice), species, self.frac_coords, to_unit_cell=False)

    @functools.cached_property
    def compared_lattice(self) -> np.ndarray:
        """(3, 3) of unit volume where crystals are compared at equal volumes."""
        return self.lattice / np.cbrt(abs(np.linalg.det(self.lattice))) if self.scaled else self.lattice


@dataclasses.dataclass
class Comparer:
    """A StructureMatcher, and what went wrong with it."""

    settings: MatcherSettings
    max_seconds: float = MAX_SECONDS
    problems: Problems = dataclasses.field(default_factory=Problems)

    def __post_init__(self) -> None:
        self._matcher = StructureMatcher(**dataclasses.asdict(self.settings))

    def reduce(self, crystal: Crystal) -> Reduced:
        """Niggli-reduced (primitive) cell, as the matcher would make it; the crystal as it is where that fails."""
        order = np.argsort(crystal.atomic_numbers, kind="stable")  # the matcher wants each species in one block
        numbers, coords = crystal.atomic_numbers[order], crystal.frac_coords[order]
        structure = to_structure(dataclasses.replace(crystal, atomic_numbers=numbers, frac_coords=coords))
        try:
            with time_limit(self.max_seconds):
                structure = self._matcher._get_reduced_structure(structure, self.settings.primitive_cell)
                if not 0 < structure.volume < np.inf:
                    raise ValueError(f"its volume is {structure.volume} Å^3")
                found = np.array(structure.lattice.matrix), np.array([site.specie.Z for site in structure])
                return Reduced(crystal.material_id, *found, np.array(structure.frac_coords), self.settings.scale)
        except (*GEOMETRY_ERRORS, TimeUpError) as error:
            log.debug("%s could not be reduced: %s", crystal.material_id, error)
            self.problems.unreduced.append(crystal.material_id)
            return Reduced(crystal.material_id, crystal.lattice, numbers, coords, self.settings.scale, reducible=False)

    def fits(self, one: Reduced, other: Reduced) -> bool:
        """Whether the matcher fits one crystal onto the other, in this direction; a matcher that fails says no."""
        with self._guarded(one, other):
            return bool(self._matcher.fit(one.structure, other.structure, skip_structure_reduction=True))
        return False

    def distance(self, one: Crystal, other: Crystal, fit: bool = False) -> float | None:
        """Root mean square displacement in units of (volume per atom)^(1/3); None if the crystals do not match.

        Args:
            fit: they match only if `fit` says so, too, which holds the largest displacement to the tolerance;
                get_rms_dist takes any mapping whose atoms are near enough to be paired.
        """
        with self._guarded(one, other):
            structures = to_structure(one), to_structure(other)
            if fit and not self._matcher.fit(*structures):
                return None
            found = self._matcher.get_rms_dist(*structures)
            return None if found is None else float(found[0])
        return None

    @contextlib.contextmanager
    def _guarded(self, one: Reduced | Crystal, other: Reduced | Crystal) -> Iterator[None]:
        try:
            with time_limit(self.max_seconds):
                yield
        except TimeUpError:
            self.problems.timed_out.append((one.material_id, other.material_id))
        except GEOMETRY_ERRORS as error:
            log.debug("a comparison failed: %s", error)
            self.problems.failed.append((one.material_id, other.material_id))
