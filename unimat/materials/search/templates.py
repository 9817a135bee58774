"""Known crystals as templates: primitive cells with their symmetry, one of each kind, found by anonymous formula.

The kind of a crystal is its reduced formula, its space group, and for each element how many atoms of a primitive cell
lie on orbits of which site symmetry. Letters of Wyckoff positions depend on the choice of the origin; site symmetries
and multiplicities do not. Two crystals of one kind may still differ in lengths and free coordinates.
"""

import collections
import dataclasses
import functools
import itertools
import logging
import math
from collections.abc import Collection, Iterator, Sequence

import moyopy
import numpy as np
import pyarrow as pa

from unimat.crystal_table import STRUCTURE_COLUMNS, Crystal, CrystalTable, Rejected, from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.processes import Processes
from unimat.materials.crystals.reduction import reduced
from unimat.materials.crystals.structures import CrystalRejected, check_crystal
from unimat.progress import progress

# MP-20's crystals come in coordinates of four to eight digits, relaxed to 0.05 eV/Å or so; at 0.01 Å alike structures
# fall into different space groups.
TOLERANCE = 0.1  # Å
VERSION = 1  # of what `index` makes of a crystal; a library of another is made anew
FINER = (0.01, 0.001)  # where moyo finds nothing
WITHOUT_SYMMETRY = 1  # P1
# It tells of each cell that is not primitive.
logging.getLogger("moyo").setLevel(logging.ERROR)
FIELDS = (
    pa.field("space_group", pa.int16(), metadata={"description": f"International number, within {TOLERANCE} Å"}),
    pa.field(
        "sites",
        pa.list_(pa.string()),
        metadata={"description": "for each element, by rising atomic number: orbits of the primitive cell, as 2:m-3m"},
    ),
)
CHUNK = 200  # crystals that a process works on at a time


@dataclasses.dataclass(frozen=True)
class Group:
    """Templates of one reduced anonymous formula, such as (1, 1, 3) for ABC3.

    Attributes:
        counts: rising; atoms of each element in the reduced formula.
        rows: (n,) of the table.
        elements: (n, k) atomic numbers, of rising counts, and rising among equal counts.
        units: (n,) formula units in the primitive cell.
        kinds: (n, k) int64; equal where space group and orbits of an element are.
        permutations: (p, k) ways to assign k elements to elements of the same count.
    """

    counts: tuple[int, ...]
    rows: np.ndarray
    elements: np.ndarray
    units: np.ndarray
    kinds: np.ndarray

    @functools.cached_property
    def permutations(self) -> np.ndarray:
        return permutations_of(self.counts)


class Templates:
    """A library of templates: a table made by `index`, found by anonymous formula.

    Args:
        table: of `index`. name: of the library, for messages.
    """

    def __init__(self, table: CrystalTable, name: str = "the templates"):
        missing = [field.name for field in FIELDS if field.name not in table.property_names]
        if missing:
            raise UserError(
                f"{name}: no column {missing[0]!r}; `unimat templates` makes a library of any crystal table"
            )
        if not len(table):
            raise UserError(f"{name} holds no usable crystal; give another table of templates")
        self.table, self.name = table, name
        self.groups = _groups(table, name)

    def __len__(self) -> int:
        return len(self.table)

    @functools.cached_property
    def elements(self) -> frozenset[int]:
        """Atomic numbers that occur."""
        return frozenset(np.unique(self.table.flat_atomic_numbers).tolist())

    @functools.cached_property
    def material_ids(self) -> list[str]:
        return self.table.material_ids

    def rows_of(self, material_ids: Collection[str]) -> list[int]:
        """Rows of templates by id; none of one that is not there."""
        return [row for name in material_ids for row in self._rows.get(name, ())]

    @functools.cached_property
    def _rows(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = collections.defaultdict(list)
        for row, name in enumerate(self.material_ids):
            found[name].append(row)
        return dict(found)

    @functools.cached_property
    def space_groups(self) -> np.ndarray:
        return self.table.column("space_group")


def index(table: CrystalTable, processes: int = 1) -> tuple[CrystalTable, list[Rejected]]:
    """Library of the crystals of a table: primitive cells with the columns of `FIELDS`, one of each kind.

    Of crystals of one kind the first stays. Other columns go.

    Returns:
        The library, and crystals that cannot be used, with the reason.
    """
    parts = [range(start, min(start + CHUNK, len(table))) for start in range(0, len(table), CHUNK)]
    kept: list[Crystal] = []
    rejected: list[Rejected] = []
    seen: set[tuple] = set()
    bare = CrystalTable(table.arrow.select(list(STRUCTURE_COLUMNS)))
    with Processes(processes, len(table)) as pool, progress(total=len(table), desc="templates", unit="crystal") as bar:
        for found in pool.over(_analysed, ([bare[i] for i in part] for part in parts)):
            for each in found:
                if isinstance(each, Rejected):
                    rejected.append(each)
                elif (kind := _kind_of(each)) not in seen:
                    seen.add(kind)
                    kept.append(each)
            bar.update(len(found))
    about = {key: table.metadata[key] for key in ("name", "source", "licence", "citation") if key in table.metadata}
    counts = dict(collections.Counter(each.reason for each in rejected))
    library = from_crystals(
        kept, fields=FIELDS, unique=False, index_version=VERSION, n_crystals=len(table), rejected=counts, **about
    )
    return library, rejected


def _analysed(crystals: Sequence[Crystal]) -> list[Crystal | Rejected]:
    """Primitive cell of each with its symmetry."""
    found: list[Crystal | Rejected] = []
    for crystal in crystals:
        try:
            check_crystal(crystal)
            found.append(_primitive(crystal))
        except CrystalRejected as error:
            found.append(Rejected(crystal.material_id, "templates", error.reason, error.detail))
    return found


def _primitive(crystal: Crystal) -> Crystal:
    """Niggli-reduced primitive cell, with `space_group` and `sites` as properties."""
    symmetry = symmetry_of(crystal)
    if symmetry.n_primitive == len(crystal.atomic_numbers):
        cell = reduced([crystal], "niggli")[0]
    else:
        cell = reduced([crystal], "primitive", TOLERANCE)[0]
        symmetry = symmetry_of(cell)
    return dataclasses.replace(cell, properties={"space_group": symmetry.space_group, "sites": symmetry.sites})


@dataclasses.dataclass(frozen=True)
class Symmetry:
    """Symmetry of a crystal.

    Attributes:
        space_group: International number.
        sites: for each element, by rising atomic number, orbits of the primitive cell, as `2:m-3m`.
        n_primitive: atoms of a primitive cell.
    """

    space_group: int
    sites: list[str]
    n_primitive: int


def symmetry_of(crystal: Crystal) -> Symmetry:
    """Symmetry within `TOLERANCE`, or less where nothing is found; a crystal that has none is of space group 1."""
    numbers = crystal.atomic_numbers.tolist()
    n, found = len(numbers), _dataset(crystal)
    group, n_primitive = WITHOUT_SYMMETRY, n
    orbits, symbols = list(range(n)), ["1"] * n
    if found is not None:
        group, n_primitive = found.number, len(found.prim_std_cell.numbers)
        orbits, symbols = list(found.orbits), list(found.site_symmetry_symbols)
    of_element: dict[int, list[str]] = collections.defaultdict(list)
    for atom, size in collections.Counter(orbits).items():
        of_element[numbers[atom]].append(f"{size * n_primitive // n}:{symbols[atom]}")
    return Symmetry(group, [" ".join(sorted(of_element[z])) for z in sorted(of_element)], n_primitive)


def orbits_of(crystal: Crystal) -> np.ndarray:
    """(n,) index of the first atom of each atom's orbit, within the same tolerance as `symmetry_of`."""
    found = _dataset(crystal)
    return np.arange(len(crystal.atomic_numbers)) if found is None else np.array(found.orbits)


def _dataset(crystal: Crystal) -> moyopy.MoyoDataset | None:
    cell = moyopy.Cell(crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.atomic_numbers.tolist())
    for tolerance in (TOLERANCE, *FINER):
        try:
            return moyopy.MoyoDataset(cell, symprec=tolerance)
        except ValueError:
            continue
    return None


def _kind_of(crystal: Crystal) -> tuple:
    numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
    about = crystal.properties
    return (*numbers.tolist(), *counts.tolist(), about["space_group"], *about["sites"])


def reduced_counts(counts: dict[int, int]) -> tuple[tuple[int, ...], np.ndarray, int]:
    """Rising counts of the reduced formula, atomic numbers (k,) in that order, and formula units."""
    units = math.gcd(*counts.values())
    ordered = sorted((n // units, z) for z, n in counts.items())
    return tuple(n for n, _ in ordered), np.array([z for _, z in ordered], np.int64), units


def permutations_of(counts: tuple[int, ...]) -> np.ndarray:
    """(p, k): places of elements exchanged among equal counts, the unchanged order first."""
    blocks = [list(block) for _, block in itertools.groupby(range(len(counts)), key=lambda place: counts[place])]
    ways: Iterator[tuple] = itertools.product(*(itertools.permutations(block) for block in blocks))
    return np.array([list(itertools.chain(*way)) for way in ways], np.int64)


def _groups(table: CrystalTable, name: str) -> dict[tuple[int, ...], Group]:
    row, element, counts, sites = elements_of(table)
    if len(sites) != len(row):
        raise UserError(f"{name}: 'sites' are not one text for each element; make the library anew: `unimat templates`")
    _, kinds = np.unique(table.column("space_group")[row].astype(np.int64) << 32 | sites, return_inverse=True)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    units = np.gcd.reduceat(counts, starts)
    amounts = counts // units[row]
    order = np.lexsort((element, amounts, row))
    widths, groups = np.diff(starts, append=len(row)), {}
    for width in np.unique(widths).tolist():
        rows = np.flatnonzero(widths == width)
        at = order[starts[rows][:, None] + np.arange(width)]  # (n, width)
        keys, which = np.unique(amounts[at], axis=0, return_inverse=True)
        for number, key in enumerate(map(tuple, keys.tolist())):
            of_key = np.flatnonzero(which.ravel() == number)
            places = at[of_key]
            groups[key] = Group(key, rows[of_key], element[places], units[rows[of_key]], kinds[places])
    return groups


def elements_of(table: CrystalTable) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, element and atoms of every element of every crystal, by rising row and atomic number; codes of `sites`."""
    rows = np.repeat(np.arange(len(table)), table.n_atoms)
    codes, counts = np.unique(rows << 8 | table.flat_atomic_numbers, return_counts=True)
    sites = table.arrow.column("sites").combine_chunks().flatten().dictionary_encode().indices.to_numpy()
    return codes >> 8, codes & 255, counts, sites
