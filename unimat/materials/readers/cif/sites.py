"""The atoms that a data block lists."""

import dataclasses
import math
from collections.abc import Sequence

import gemmi
import numpy as np

from unimat.errors import CrystalRejected
from unimat.materials.readers.cif.document import Block
from unimat.materials.readers.cif.formula import formula_of
from unimat.materials.readers.cif.labels import number_of_label, number_of_type
from unimat.materials.readers.species import number_of

FULL_OCCUPANCY_WITHIN = 1e-3
_FULL = frozenset({"", "1", "1.0", "1.00", "1.000"})
_COORDS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_TYPE, _LABEL, _OCCUPANCY = "_atom_site_type_symbol", "_atom_site_label", "_atom_site_occupancy"
_CALCULATED, _HYDROGENS = "_atom_site_calc_flag", "_atom_site_attached_hydrogens"
_ASSEMBLY, _GROUP = "_atom_site_disorder_assembly", "_atom_site_disorder_group"
_MULTIPLICITY = ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")


@dataclasses.dataclass(frozen=True)
class Sites:
    """Atoms as listed, before symmetry.

    Attributes:
        labels: what to call each in a message.
        numbers: (n,) atomic numbers.
        coords: (n, 3) fractional, as the file has them.
        multiplicities: atoms in the cell that each stands for, by the file; None where it does not say.
    """

    labels: list[str]
    numbers: np.ndarray
    coords: np.ndarray
    multiplicities: tuple[int | None, ...]


def sites_of(block: Block) -> Sites:
    """Atoms of a block; dummy sites, which mark a centre or an axis, are none.

    Raises:
        CrystalRejected: if a place is missing or shared, hydrogen is without places, or a species is no element.
    """
    table = _Table(block)
    if not table.rows:
        raise CrystalRejected("no_atoms", "the list of sites is empty")
    types, labels = table.column(_TYPE), table.column(_LABEL)
    names = [label or name or f"number {row + 1}" for row, (label, name) in enumerate(zip(labels, types, strict=True))]
    _refuse_partial(names, table.column(_OCCUPANCY))
    _refuse_alternatives(names, table.column(_ASSEMBLY), table.column(_GROUP))
    _refuse_attached(names, table.column(_HYDROGENS))
    coords = np.array([_coordinates(names, table.column(tag)) for tag in _COORDS]).T
    tag = next((each for each in _MULTIPLICITY if each in block), "")
    multiplicities = tuple(int(text) if text.isdecimal() else None for text in table.column(tag))
    return Sites(names, np.array(_atomic_numbers(block, types, labels), np.int64), coords, multiplicities)


class _Table:
    """The list of sites without dummies."""

    def __init__(self, block: Block):
        self._block, self._n = block, len(block.column(_COORDS[0]))
        if not self._n and "_atom_site_cartn_x" in block:
            raise CrystalRejected("unreadable", "Cartesian coordinates alone; fractional ones are needed")
        self.rows = [row for row, flag in enumerate(self._whole(_CALCULATED)) if flag.lower() not in ("dum", "dummy")]

    def column(self, tag: str) -> list[str]:
        values = self._whole(tag)
        return values if len(self.rows) == self._n else [values[row] for row in self.rows]

    def _whole(self, tag: str) -> list[str]:
        values = self._block.column(tag)
        if values and len(values) != self._n:
            raise CrystalRejected("unreadable", f"{self._n} sites, {len(values)} values of {tag}")
        return values or [""] * self._n


def _refuse_partial(names: Sequence[str], occupancies: Sequence[str]) -> None:
    for name, occupancy in zip(names, occupancies, strict=True):
        if occupancy not in _FULL and not abs(number_in(occupancy) - 1) <= FULL_OCCUPANCY_WITHIN:
            raise CrystalRejected("partial_occupancy", f"site {name} has occupancy {occupancy}")


def _refuse_alternatives(names: Sequence[str], assemblies: Sequence[str], groups: Sequence[str]) -> None:
    """Refuse sites of which not all are there at once, whatever their occupancies say."""
    first: dict[str, tuple[str, str]] = {}
    for name, assembly, group in zip(names, assemblies, groups, strict=True):
        if group in ("", "0"):
            continue
        if group.startswith("-"):
            raise CrystalRejected("partial_occupancy", f"site {name} is disordered about a symmetry element")
        other, known = first.setdefault(assembly, (name, group))
        if known != group:
            raise CrystalRejected("partial_occupancy", f"sites {other} and {name} are alternatives (disorder groups)")


def _refuse_attached(names: Sequence[str], hydrogens: Sequence[str]) -> None:
    for name, attached in zip(names, hydrogens, strict=True):
        if attached and number_in(attached) != 0:
            raise CrystalRejected("atoms_missing", f"site {name} carries {attached} hydrogen without places")


def _coordinates(names: Sequence[str], texts: Sequence[str]) -> list[float]:
    try:
        values = list(map(float, texts))
        if all(map(math.isfinite, values)) and "_" not in "".join(texts):  # Python reads 1_000 as a number
            return values
    except ValueError:
        pass  # a standard uncertainty, 0.123(4), or no number at all
    for name, text in zip(names, texts, strict=True):
        if not text:
            raise CrystalRejected("atoms_missing", f"site {name} has no coordinates")
    return [number_in(text) for text in texts]


def number_in(text: str) -> float:
    """The number in a text, without its standard uncertainty: 5.64 for 5.64(2).

    Raises:
        CrystalRejected: if it is no finite number.
    """
    value = gemmi.cif.as_number(text) if text else math.nan
    if not math.isfinite(value):
        raise CrystalRejected("unreadable", f"expected a number, found {text!r}")
    return float(value)


def _atomic_numbers(block: Block, types: Sequence[str], labels: Sequence[str]) -> list[int]:
    elements = _elements(block)
    return [
        number_of_type(name, elements) if name else number_of_label(label, elements)
        for name, label in zip(types, labels, strict=True)
    ]


def _elements(block: Block) -> frozenset[int]:
    """Elements that the file says it holds, by its formula or its list of types; empty if it does not say."""
    formula = formula_of(block.first("_chemical_formula_sum"))
    if formula:
        return frozenset(formula.amounts)
    return frozenset(number for each in block.column("_atom_type_symbol") if (number := number_of(each)))
