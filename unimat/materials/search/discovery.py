"""New compositions by likely substitution of elements in known crystals.

A template is drawn, then for each of its elements the one that takes its place, with the probability exp(-distance) of
`Exchange`. A draw that changes nothing, or leads to a known composition, is drawn again. A share of the crystals are
partial substitutions: the atoms of one orbit are exchanged, which gives an ordered derivative of the template. The
orbit may also be exchanged in every other cell alone, as in the double perovskites. Both are in the manner of GNoME
(Merchant et al., Nature 624, 80 (2023): substitutions by ionic probabilities, and symmetry-aware partial
substitutions).
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from unimat.crystal_table import Crystal, CrystalTable, Rejected, from_crystals
from unimat.errors import CrystalRejected, UserError
from unimat.materials.crystals.compositions import element_counts
from unimat.materials.crystals.reduction import reduced
from unimat.materials.crystals.structures import check_crystal, reduced_formula
from unimat.materials.metrics.fingerprints.magpie import Formula
from unimat.materials.metrics.validity import formula_failure
from unimat.materials.search.candidates import about_templates, field
from unimat.materials.search.exchange import Exchange, shipped
from unimat.materials.search.settings import SubstitutionSettings
from unimat.materials.search.substitution import moves_text
from unimat.materials.search.templates import Templates, orbits_of
from unimat.periodic_table import ATOMIC_NUMBER
from unimat.progress import progress
from unimat.settings import as_dict

ATTEMPTS = 2000  # draws, before a crystal is given up
FIELDS = (
    field("template", pa.string(), "material_id of the known crystal"),
    field("moves", pa.string(), "elements that are exchanged; of a part, with the atoms: Ti->Zr (1 of 2)"),
    field("distance", pa.float64(), "of the crystal from its template: how unlikely the exchange is", "nats"),
    field("formula", pa.string(), "reduced formula"),
)
# Bases of the seven sublattices of index 2, as rows of integers, and a lattice vector outside of each.
HALVES = tuple(
    (np.array(basis), np.eye(3, dtype=int)[axis])
    for axis, bases in enumerate(
        (
            [[[2, 0, 0], [0, 1, 0], [0, 0, 1]]],
            [[[1, b, 0], [0, 2, 0], [0, 0, 1]] for b in (0, 1)],
            [[[1, 0, a], [0, 1, b], [0, 0, 2]] for a in (0, 1) for b in (0, 1)],
        )
    )
    for basis in bases
)


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """One draw: a cell, the new atomic number (n,) of each atom, what was exchanged, and the distance in nats."""

    cell: Crystal
    species: np.ndarray
    moves: str
    distance: float

    @property
    def formula(self) -> Formula:
        return _formula(*np.unique(self.species, return_counts=True))


class Discovery:
    """Crystals of new compositions.

    Args:
        known: tables whose compositions are not new; those of the templates never are.
        exchange: distances of elements; None: those that ship.

    Raises:
        UserError: if the settings leave no template.
    """

    def __init__(
        self,
        templates: Templates,
        settings: SubstitutionSettings,
        known: Sequence[CrystalTable] = (),
        exchange: Exchange | None = None,
    ):
        self.templates, self.settings, self.exchange = templates, settings, exchange or shipped()
        self.system = {ATOMIC_NUMBER[symbol] for symbol in settings.system}
        given = self.system or {ATOMIC_NUMBER[symbol] for symbol in settings.elements}
        self.allowed = np.array(sorted(given or templates.elements), np.int64)
        self._with_orbits = functools.lru_cache(maxsize=1000)(self._cell_and_orbits)
        self.known = set[Formula]().union(*(formulas_of(table) for table in (templates.table, *known)))
        self.partial = self._rows_for_parts()
        self.whole, self.cumulative = self._rows_and_weights()
        if not len(self.whole) and not len(self.partial):
            of = f" for {'-'.join(settings.system or settings.elements)}" if given else ""
            limit = f"at most {settings.max_atoms} atoms"
            raise UserError(f"{templates.name}: no template of {limit}{of}; allow more atoms, or more elements")

    def crystals(self) -> tuple[CrystalTable, list[Rejected]]:
        """`settings.n` crystals, ids ``discovery-000000``..., and those that were not found.

        Crystal i depends on the seed, on i and on the crystals before it: fewer are the beginning of more. Columns are
        `FIELDS`.
        """
        found: list[Crystal] = []
        rejected: list[Rejected] = []
        taken, n = set(self.known), self.settings.n or 0
        for index in progress(range(n), "discoveries", n, unit="crystal"):
            crystal = self._crystal(index, taken)
            if crystal is None:
                why = f"{ATTEMPTS} draws gave no further composition that is new and that the settings allow"
                rejected.append(Rejected(_id(index), "discovery", "no_new_composition", why))
            else:
                found.append(crystal)
        table = from_crystals(
            found,
            fields=FIELDS,
            name="substitution",
            source=f"unimat substitute: likely exchanges of elements in {len(self.templates)} known crystals",
            **about_templates(self.templates),
            n_requested=n,
            settings=as_dict(self.settings),
        )
        return table, rejected

    def _crystal(self, index: int, taken: set[Formula]) -> Crystal | None:
        """Crystal `index`, whose composition then is among those taken."""
        rng = np.random.default_rng([self.settings.seed, index])
        partial = len(self.partial) and (not len(self.whole) or rng.uniform() < self.settings.partial)
        for _ in range(ATTEMPTS):
            drawn = self._part(rng) if partial else self._exchanged(rng)
            if drawn is None or not self._wanted(drawn, taken):
                continue
            about = {"template": drawn.cell.material_id, "moves": drawn.moves, "distance": drawn.distance}
            about["formula"] = reduced_formula(drawn.species)
            crystal = Crystal(_id(index), self._lattice(drawn), drawn.species, drawn.cell.frac_coords, about)
            try:
                check_crystal(crystal)
            except CrystalRejected:
                continue
            taken.add(drawn.formula)
            return crystal
        return None

    def _wanted(self, drawn: _Drawn, taken: set[Formula]) -> bool:
        settings, formula = self.settings, drawn.formula
        if settings.max_distance is not None and drawn.distance > settings.max_distance:
            return False
        if self.system and {z for z, _ in formula} != self.system:
            return False
        return formula not in taken and not (settings.valid_only and formula_failure(formula))

    def _lattice(self, drawn: _Drawn) -> np.ndarray:
        """(3, 3) Å, stretched alike in all directions to the volume of the new elements."""
        volumes = self.exchange.volumes
        return drawn.cell.lattice * np.cbrt(volumes[drawn.species].sum() / volumes[drawn.cell.atomic_numbers].sum())

    def _exchanged(self, rng: np.random.Generator) -> _Drawn | None:
        """A template with any of its elements exchanged; None where two became one, or none was exchanged."""
        row = int(self.whole[_draw(self.cumulative, rng)])
        elements, places, counts = np.unique(self._numbers(row), return_inverse=True, return_counts=True)
        new = np.array([self._taker(z, n / counts.sum(), rng) for z, n in zip(elements, counts, strict=True)])
        if len(np.unique(new)) < len(new) or (new == elements).all():
            return None
        distance = (self.exchange.weights(tuple(counts.tolist())) * self.exchange.distances[elements, new]).sum()
        moves = [moves_text({z: y}) for z, y in zip(elements, new, strict=True) if z != y]
        return _Drawn(self.templates.table[row], new[places], " ".join(moves), float(distance))

    def _part(self, rng: np.random.Generator) -> _Drawn | None:
        """A template with the atoms of one orbit exchanged, in each or in every other cell; None where it has none."""
        cell, orbits = self._with_orbits(int(rng.choice(self.partial)))
        n = len(cell.atomic_numbers)
        choices = _parts(cell.atomic_numbers, orbits)
        if 2 * n <= self.settings.max_atoms and (not choices or rng.uniform() < 0.5):
            cell = doubled(cell, *HALVES[rng.integers(len(HALVES))])
            choices = [np.flatnonzero(orbits == orbit) for orbit in np.unique(orbits)]  # in the first of two cells
        if not choices:
            return None
        atoms = choices[rng.integers(len(choices))]
        old, share = int(cell.atomic_numbers[atoms[0]]), len(atoms) / len(cell.atomic_numbers)
        new = self._taker(old, share, rng)
        if new in cell.atomic_numbers:
            return None
        species = cell.atomic_numbers.copy()
        species[atoms] = new
        moves = f"{moves_text({old: new})} ({len(atoms)} of {(cell.atomic_numbers == old).sum()})"
        return _Drawn(cell, species, moves, float(self._weight(share) * self.exchange.distances[old, new]))

    def _cell_and_orbits(self, row: int) -> tuple[Crystal, np.ndarray]:
        cell = self.templates.table[row]
        return cell, orbits_of(cell)

    def _taker(self, element: int, share: float, rng: np.random.Generator) -> int:
        """Atomic number of the element that takes the place of one with this share of the atoms."""
        distances = self.exchange.distances[element, self.allowed]
        return int(self.allowed[_draw(np.exp(-self._weight(share) * distances).cumsum(), rng)])

    def _weight(self, share: float) -> float:
        return 1 + self.exchange.share * share

    def _numbers(self, row: int) -> np.ndarray:
        numbers, offsets = self._atoms
        return numbers[offsets[row] : offsets[row + 1]]

    @functools.cached_property
    def _atoms(self) -> tuple[np.ndarray, np.ndarray]:
        return self.templates.table.flat_atomic_numbers, self.templates.table.atom_offsets

    def _rows_for_parts(self) -> np.ndarray:
        """(m,) rows of templates of which a part may be exchanged: allowed elements, one less than the system's."""
        present = element_counts(self.templates.table) > 0
        outside = np.delete(present, self.allowed, axis=1).any(1)
        fits = (self.templates.table.n_atoms <= self.settings.max_atoms) & ~outside
        if self.system:
            fits &= present.sum(1) == len(self.system) - 1
        return np.flatnonzero(fits)

    def _rows_and_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """(m,) rows of templates whose elements may be exchanged, and the cumulative sum of their weights.

        A weight is the probability that takers drawn from all elements would be among those allowed.
        """
        every = np.array(sorted(self.templates.elements | set(self.allowed.tolist())))
        rows, weights = [np.zeros(0, np.int64)], [np.zeros(0)]
        n_atoms = self.templates.table.n_atoms
        for counts, group in self.templates.groups.items():
            if len(counts) > len(self.allowed) or (self.system and len(counts) != len(self.system)):
                continue
            near = np.exp(-self.exchange.weights(counts)[:, None] * self.exchange.distances[group.elements])
            small = n_atoms[group.rows] <= self.settings.max_atoms
            rows.append(group.rows[small])
            weights.append((near[..., self.allowed].sum(2) / near[..., every].sum(2)).prod(1)[small])
        return np.concatenate(rows), np.concatenate(weights).cumsum()


def doubled(crystal: Crystal, basis: np.ndarray, other: np.ndarray) -> Crystal:
    """The crystal in a cell twice as large, Niggli-reduced: its atoms first, then those that `other` shifts them to.

    Args:
        basis: (3, 3) whole numbers, rows of a sublattice of index 2. other: (3,) a lattice vector outside of it.
    """
    coords = np.concatenate([crystal.frac_coords, crystal.frac_coords + other]) @ np.linalg.inv(basis)
    numbers = np.tile(crystal.atomic_numbers, 2)
    return reduced([Crystal(crystal.material_id, basis @ crystal.lattice, numbers, coords)], "niggli")[0]


def _parts(numbers: np.ndarray, orbits: np.ndarray) -> list[np.ndarray]:
    """Atoms of each orbit that is not all there is of its element."""
    parts = [np.flatnonzero(orbits == orbit) for orbit in np.unique(orbits)]
    return [atoms for atoms in parts if len(atoms) < (numbers == numbers[atoms[0]]).sum()]


def _draw(cumulative: np.ndarray, rng: np.random.Generator) -> int:
    """Index drawn with the weights whose cumulative sum this is."""
    return int(np.searchsorted(cumulative, rng.uniform() * cumulative[-1], side="right"))


def _formula(numbers: np.ndarray, counts: np.ndarray) -> Formula:
    """Rising atomic numbers, and their counts without a common divisor."""
    return tuple(zip(numbers.tolist(), (counts // np.gcd.reduce(counts)).tolist(), strict=True))


def formulas_of(table: CrystalTable) -> Iterator[Formula]:
    """Reduced formula of each crystal."""
    for counts in element_counts(table):
        numbers = np.flatnonzero(counts)
        yield _formula(numbers, counts[numbers])


def _id(index: int) -> str:
    return f"discovery-{index:06d}"
