"""The atoms that a data block lists."""

import dataclasses
import math
from collections.abc import Sequence

import gemmi
import numpy as np

from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers.cif.document import Block, unquoted
from unimat.materials.datasets.readers.cif.formula import stated_formula
from unimat.materials.datasets.readers.cif.labels import number_of_label, number_of_type
from unimat.materials.datasets.readers.species import FULL_OCCUPANCY_WITHIN, number_of
from unimat.periodic_table import ATOMIC_NUMBER

_FULL = frozenset({"", "?", ".", "1", "1.0", "1.00", "1.000"})
_COORDS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_TYPE, _LABEL, _OCCUPANCY = "_atom_site_type_symbol", "_atom_site_label", "_atom_site_occupancy"
_CALCULATED, _HYDROGENS = "_atom_site_calc_flag", "_atom_site_attached_hydrogens"
_ASSEMBLY, _GROUP = "_atom_site_disorder_assembly", "_atom_site_disorder_group"
_ALTERNATIVE = "_atom_site_label_alt_id"
_MULTIPLICITY = ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")


@dataclasses.dataclass(frozen=True)
class Sites:
    """Atoms as listed, before symmetry.

    Attributes:
        numbers: (n,) atomic numbers.
        coords: (n, 3) fractional, as the file has them.
        labels: what to call each in a message.
        multiplicities: atoms in the cell that each stands for, by the file; an empty text where it does not say.
    """

    numbers: np.ndarray
    coords: np.ndarray
    labels: list[str]
    multiplicities: list[str]


def sites_of(block: Block) -> Sites:
    """Atoms of a block; dummy sites, which mark a centre or an axis, are none.

    Raises:
        CrystalRejected: if a place is missing or shared, hydrogen is without places, or a species is no element.
    """
    table = _Table(block)
    if not table.rows:
        raise CrystalRejected("no_atoms", "the list of sites is empty")
    labels = table.labels()
    for tag, refuse in _REFUSED.items():
        if tag in block:
            refuse(labels, table.raw(tag))
    if _GROUP in block:
        _refuse_alternatives(labels, table.column(_GROUP), table.column(_ASSEMBLY))
    written = [table.raw(tag) for tag in _COORDS]
    coords = np.array([_coordinates(labels, texts) for texts in written]).T
    _refuse_one_place(labels, list(zip(*written, strict=True)))
    numbers = _known_numbers(table.raw(_TYPE)) or _atomic_numbers(block, table.column(_TYPE), table.column(_LABEL))
    tag = next((each for each in _MULTIPLICITY if each in block), "")
    return Sites(np.array(numbers, np.int64), coords, labels, table.raw(tag))


class _Table:
    """The list of sites without dummies; a tag that is not there has empty texts."""

    def __init__(self, block: Block):
        self._block, self._n = block, len(block.raw(_COORDS[0]))
        if not self._n and "_atom_site_cartn_x" in block:
            raise CrystalRejected("unreadable", "Cartesian coordinates alone; fractional ones are needed")
        self.rows: Sequence[int] = range(self._n)
        if _CALCULATED in block:
            flags = self._of_all(block.column(_CALCULATED), _CALCULATED)
            self.rows = [row for row, flag in enumerate(flags) if flag.lower() not in ("dum", "dummy")]

    def column(self, tag: str) -> list[str]:
        return self._kept(self._of_all(self._block.column(tag), tag))

    def raw(self, tag: str) -> list[str]:
        return self._kept(self._of_all(self._block.raw(tag), tag))

    def labels(self) -> list[str]:
        given = self.raw(_LABEL if _LABEL in self._block else _TYPE)
        return given if all(given) else [f"number {row + 1}" for row in self.rows]

    def _kept(self, values: list[str]) -> list[str]:
        return values if len(self.rows) == self._n else [values[row] for row in self.rows]

    def _of_all(self, values: list[str], tag: str) -> list[str]:
        if values and len(values) != self._n:
            raise CrystalRejected("unreadable", f"{self._n} sites, {len(values)} values of {tag}")
        return values or [""] * self._n


def _refuse_partial(labels: Sequence[str], occupancies: Sequence[str]) -> None:
    if _FULL.issuperset(occupancies):
        return
    for label, occupancy in zip(labels, occupancies, strict=True):
        text = unquoted(occupancy)
        if text not in _FULL and not abs(number_in(text) - 1) <= FULL_OCCUPANCY_WITHIN:
            raise CrystalRejected("partial_occupancy", f"site {label} has occupancy {occupancy}")


def _refuse_alternatives(labels: Sequence[str], groups: Sequence[str], assemblies: Sequence[str] = ()) -> None:
    """Refuse sites of which not all are there at once, whatever their occupancies say."""
    first: dict[str, tuple[str, str]] = {}
    for label, group, assembly in zip(labels, groups, assemblies or [""] * len(labels), strict=True):
        if group in ("", "?", ".", "0"):
            continue
        if group.startswith("-"):
            raise CrystalRejected("partial_occupancy", f"site {label} is disordered about a symmetry element")
        other, known = first.setdefault(assembly, (label, group))
        if known != group:
            raise CrystalRejected("partial_occupancy", f"sites {other} and {label} are alternatives of disorder")


def _refuse_attached(labels: Sequence[str], hydrogens: Sequence[str]) -> None:
    for label, attached in zip(labels, hydrogens, strict=True):
        if attached not in ("", "?", ".") and number_in(unquoted(attached)) != 0:
            raise CrystalRejected("atoms_missing", f"site {label} carries {attached} hydrogen without places")


def _refuse_one_place(labels: Sequence[str], places: Sequence[tuple[str, ...]]) -> None:
    """Refuse a place that is written twice; atoms that come close to each other are looked for later."""
    if len(set(places)) == len(places):
        return
    second = next(row for row, place in enumerate(places) if place in places[:row])
    first = labels[places.index(places[second])]
    raise CrystalRejected("overlapping_atoms", f"sites {first} and {labels[second]} have one place")


_REFUSED = {_OCCUPANCY: _refuse_partial, _HYDROGENS: _refuse_attached, _ALTERNATIVE: _refuse_alternatives}


def _coordinates(labels: Sequence[str], texts: Sequence[str]) -> list[float]:
    try:
        values = list(map(float, texts))
        if all(map(math.isfinite, values)) and "_" not in "".join(texts):  # Python reads 1_000 as a number
            return values
    except ValueError:
        pass  # a standard uncertainty, 0.123(4), or no number at all
    plain = list(map(unquoted, texts))
    if "" in plain:
        raise CrystalRejected("atoms_missing", f"site {labels[plain.index('')]} has no coordinates")
    return [number_in(text) for text in plain]


def number_in(text: str) -> float:
    """The number in a text, without its standard uncertainty: 5.64 for 5.64(2).

    Raises:
        CrystalRejected: if it is no finite number.
    """
    value = gemmi.cif.as_number(text) if text else math.nan
    if not math.isfinite(value):
        raise CrystalRejected("unreadable", f"expected a number, found {text!r}")
    return float(value)


def _known_numbers(types: Sequence[str]) -> list[int] | None:
    """Atomic numbers of types that are symbols and nothing else, None if one is more."""
    numbers = [ATOMIC_NUMBER.get(name, 0) for name in types]
    return numbers if all(numbers) else None


def _atomic_numbers(block: Block, types: Sequence[str], labels: Sequence[str]) -> list[int]:
    elements = _elements(block)
    return [
        number_of_type(name, elements) if name else number_of_label(label, elements)
        for name, label in zip(types, labels, strict=True)
    ]


def _elements(block: Block) -> frozenset[int]:
    """Elements that the file says it holds, by its formula or its list of types; empty if it does not say."""
    formula = stated_formula(block)
    if formula:
        return frozenset(formula.amounts)
    return frozenset(number for each in block.column("_atom_type_symbol") if (number := number_of(each)))
