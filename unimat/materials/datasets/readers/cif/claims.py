"""What a CIF says of its contents, held against what was read from it.

The proportions of the elements must be the formula's. How many atoms the cell holds is said by Z, by the multiplicities
of the sites and, more roughly, by the density: one that agrees outweighs one that does not, since files are edited.
"""

import dataclasses
import enum
from collections.abc import Mapping, Sequence

import gemmi
import numpy as np
from pymatgen.core import Element

from unimat.materials.datasets.readers.cif.document import Block
from unimat.materials.datasets.readers.cif.formula import Formula, stated_formula
from unimat.periodic_table import SYMBOLS

VOLUME_WITHIN = 0.02  # of the volume; angles in whole degrees change it by as much
DENSITY_WITHIN = 0.1  # of the density; enough to tell half or twice the atoms
_DALTON = 1.66053907  # g/cm^3 of one Da in one Å^3
_TRIVIAL = frozenset({"1", "", "?", "."})
_UNITS, _VOLUME = "_cell_formula_units_z", "_cell_volume"
_DENSITY = "_exptl_crystal_density_diffrn"


class Standing(enum.IntEnum):
    """How the contents of a cell stand with what the file says."""

    CONTRADICTED = 0
    DOUBTFUL = 1  # no whole number of formulas
    POSSIBLE = 2
    CONFIRMED = 3  # the number of atoms is said, and it is this


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a reading puts into the cell.

    Attributes:
        counts: atoms by atomic number.
        lattice: (3, 3), Å.
        orbits: atoms that each site of the list makes; None if the list holds each several times.
        order: number of symmetry operations.
    """

    counts: Mapping[int, int]
    lattice: np.ndarray
    orbits: Sequence[int] | None
    order: int

    @property
    def volume(self) -> float:
        """Å^3."""
        (a, b, c), (d, e, f), (g, h, i) = self.lattice.tolist()
        return abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))

    @property
    def text(self) -> str:
        return " ".join(sorted(f"{SYMBOLS[number - 1]}{count}" for number, count in self.counts.items()))

    @property
    def density(self) -> float:
        """g/cm^3."""
        mass = sum(float(Element.from_Z(number).atomic_mass) * count for number, count in self.counts.items())
        return mass * _DALTON / self.volume


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How contents stand with what the file says, and why not if they do not.

    Attributes:
        makes_one: whether they are the formula once, and that is several reduced ones: Si8, as of a whole cell.
    """

    standing: Standing
    reason: str = ""
    makes_one: bool = False


_CONFIRMED = Verdict(Standing.CONFIRMED)


@dataclasses.dataclass(frozen=True)
class Claims:
    """What a data block says of its contents; None is not said, or not in a form that can be read."""

    formula: Formula | None
    units: float | None
    volume: float | None
    density: float | None
    multiplicities: Sequence[str]

    @classmethod
    def of(cls, block: Block, multiplicities: Sequence[str]) -> "Claims":
        units, volume, density = (_positive(block.first(tag)) for tag in (_UNITS, _VOLUME, _DENSITY))
        return cls(stated_formula(block), units, volume, density, multiplicities)

    def verdict(self, contents: Contents) -> Verdict:
        """How `contents` stand with these claims, and why not if they do not."""
        if self.volume and abs(contents.volume / self.volume - 1) > VOLUME_WITHIN:
            reason = f"the cell has a volume of {contents.volume:.4g} Å^3, {_VOLUME} says {self.volume:g}"
            return Verdict(Standing.CONTRADICTED, reason)
        made = self.formula.units(contents.counts) if self.formula else None
        if self.formula and made is None:
            reason = f"the cell holds {contents.text}, the formula says {self.formula.text}"
            return Verdict(Standing.CONTRADICTED, reason)
        return self._of_number(contents, made)

    def _of_number(self, contents: Contents, made: tuple[float, float] | None) -> Verdict:
        """The verdict on the number of atoms, their proportions being right."""
        said = [self._of_units(made), self._of_multiplicities(contents)]
        if None is said[0] is said[1]:
            said = [self._of_density(contents)]
        if "" in said:
            return _CONFIRMED
        reasons = [reason for reason in said if reason]
        if reasons:
            return Verdict(Standing.CONTRADICTED, f"the cell holds {contents.text}; {reasons[0]}")
        if made is None or self.formula is None or self.formula.divisor == 1:
            return Verdict(Standing.POSSIBLE)
        return Verdict(Standing.POSSIBLE if _whole(made) else Standing.DOUBTFUL, makes_one=_within(1, made, 1))

    def _of_units(self, made: tuple[float, float] | None) -> str | None:
        """Empty if Z confirms the number of formulas, why not if it does not, None if it does not say."""
        if self.units is None or made is None or self.formula is None:
            return None
        if any(_within(self.units, made, times) for times in self.formula.countings):
            return ""
        return f"the formula says {self.formula.text}, and Z is {self.units:g}"

    def _of_multiplicities(self, contents: Contents) -> str | None:
        if contents.orbits is None:
            return None
        if contents.order == 1 and _TRIVIAL.issuperset(self.multiplicities):
            return None
        said_and_made = zip(self.multiplicities, contents.orbits, strict=True)
        stated = [(int(said), made) for said, made in said_and_made if said.isdecimal() and len(said) < 6]
        if not stated:
            return None
        # Some write in its place how many operations leave the site where it is.
        if any(all(said == each for said, each in pairs) for pairs in (stated, _inverted(stated, contents.order))):
            return ""
        said, made = next(pair for pair in stated if pair[0] != pair[1])
        return f"a site makes {made} atoms, its multiplicity says {said}"

    def _of_density(self, contents: Contents) -> str | None:
        if self.density is None:
            return None
        if abs(contents.density / self.density - 1) <= DENSITY_WITHIN:
            return ""
        return f"that is {contents.density:.4g} g/cm^3, {_DENSITY} says {self.density:g}"


def _inverted(pairs: list[tuple[int, int]], order: int) -> list[tuple[int, int]]:
    return [(said, order // made) for said, made in pairs]


def _within(value: float, interval: tuple[float, float], times: int) -> bool:
    return interval[0] * times * (1 - 1e-6) <= value <= interval[1] * times * (1 + 1e-6)


def _whole(interval: tuple[float, float]) -> bool:
    """Whether a whole number from 1 on lies in the interval."""
    return np.floor(interval[1] + 1e-6) >= max(1, interval[0] - 1e-6)


def _positive(text: str) -> float | None:
    value = gemmi.cif.as_number(text) if text else 0.0
    return value if value > 0 else None
