"""Phases of a reference as columns; pymatgen's entries are made of the few that a chemical system asks for."""

from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
import pyarrow as pa
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition, Element

from unimat.materials.crystals import formulas

TEXT = pa.dictionary(pa.int32(), pa.string())  # few values, many rows
SCHEMA = pa.schema(
    {
        "entry_id": pa.string(),
        "formula": pa.string(),  # of the cell
        "elements": pa.list_(pa.uint8()),  # atomic numbers, rising
        "amounts": pa.list_(pa.float64()),  # atoms of each in the cell
        "energy_per_atom": pa.float64(),  # eV/atom, total energy on the scale of the reference
        "source": TEXT,
        "date": TEXT,  # ISO
        "functional": TEXT,
        "run_type": TEXT,  # GGA or GGA+U
        "correction_scheme": TEXT,  # null: none of the schemes has anything for this phase
        "correction_version": TEXT,
        "correction_per_atom": pa.float64(),  # eV/atom, part of energy_per_atom; null: unknown
        "calculator": TEXT,
        "pseudopotentials": TEXT,  # whose scale the energy is on, where it matters
        "shift_per_atom": pa.float64(),  # eV/atom, part of energy_per_atom, for the pseudopotentials
    }
)
REQUIRED = ("entry_id", "formula", "elements", "amounts", "energy_per_atom")


def table_of(columns: dict[str, Any]) -> pa.Table:
    """Table with the columns of `SCHEMA`: a list or array for each row, or one value for all; missing ones are null."""
    n = len(columns["entry_id"])
    arrays = []
    for field in SCHEMA:
        values = columns.get(field.name, 0.0 if field.name == "shift_per_atom" else None)
        if values is None or isinstance(values, str | float):
            values = [values] * n
        kind = field.type.value_type if field.type == TEXT else field.type
        array = values if isinstance(values, pa.Array) else pa.array(values, kind, from_pandas=True)
        arrays.append(array.dictionary_encode().cast(TEXT) if field.type == TEXT else array.cast(kind))
    return pa.table(arrays, schema=SCHEMA)


def in_schema(table: pa.Table) -> pa.Table:
    """`table` with the columns of `SCHEMA` in their order; missing ones are null, or parsed from the formulas.

    Raises:
        KeyError: if entry_id, formula or energy_per_atom is missing.
        ValueError: if a formula has to be parsed and cannot be.
    """
    given = {name: table[name].combine_chunks() for name in SCHEMA.names if name in table.column_names}
    if "elements" not in given:
        parsed = [formulas.parsed(formula) for formula in table["formula"].to_pylist()]
        given |= {"elements": [each[0] for each in parsed], "amounts": [each[1] for each in parsed]}
    if not {*REQUIRED} <= given.keys():
        raise KeyError(", ".join(sorted({*REQUIRED} - given.keys())))
    plain = {name: array.dictionary_decode() if _encoded(array) else array for name, array in given.items()}
    return table_of(plain) if table.schema.remove_metadata() != SCHEMA else table


def _encoded(array: Any) -> bool:
    return isinstance(array, pa.Array) and pa.types.is_dictionary(array.type)


class Entries(Sequence[PDEntry]):
    """Phases, one per row of a table with the columns of `SCHEMA`; an entry is made when it is asked for.

    Attributes:
        table: the columns.
        energies: (n,) eV/atom.
    """

    def __init__(self, table: pa.Table):
        self.table = table.combine_chunks()
        self.energies = np.asarray(self._column("energy_per_atom"), float)
        self._ids = self._column("entry_id")
        elements, amounts = self._column("elements"), self._column("amounts")
        self._starts = np.asarray(elements.offsets) - elements.offsets[0].as_py() if len(elements) else np.zeros(1, int)
        self._numbers, self._amounts = np.asarray(elements.flatten()), np.asarray(amounts.flatten())
        self._low, self._high = _masks(self._numbers, self._starts)
        self._made: dict[int, PDEntry] = {}

    def _column(self, name: str) -> Any:
        column = self.table[name]
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)

    @classmethod
    def of(cls, entries: Iterable[PDEntry], **columns: Any) -> "Entries":
        """Phases of pymatgen's entries; further `columns` as in `table_of`."""
        given = list(entries)
        parsed = [formulas.of_composition(entry.composition) for entry in given]
        return cls(
            table_of(
                {
                    "entry_id": [str(entry.name) for entry in given],
                    "formula": [entry.composition.formula for entry in given],
                    "elements": [numbers for numbers, _ in parsed],
                    "amounts": [amounts for _, amounts in parsed],
                    "energy_per_atom": [float(entry.energy_per_atom) for entry in given],
                    **columns,
                }
            )
        )

    def __len__(self) -> int:
        return len(self.energies)

    @overload
    def __getitem__(self, row: int) -> PDEntry: ...

    @overload
    def __getitem__(self, row: slice) -> list[PDEntry]: ...

    def __getitem__(self, row: int | slice) -> PDEntry | list[PDEntry]:
        if isinstance(row, slice):
            return [self[each] for each in range(len(self))[row]]
        row = range(len(self))[row]  # negative rows, and IndexError
        if row not in self._made:
            part = slice(self._starts[row], self._starts[row + 1])
            amounts = zip(self._numbers[part].tolist(), self._amounts[part].tolist(), strict=True)
            composition = Composition({Element.from_Z(number): amount for number, amount in amounts})
            energy = float(self.energies[row]) * composition.num_atoms
            self._made[row] = PDEntry(composition, energy, name=self._ids[row].as_py())
        return self._made[row]

    @property
    def elements(self) -> set[Element]:
        return {Element.from_Z(int(number)) for number in np.unique(self._numbers)}

    @property
    def pure_elements(self) -> set[Element]:
        """Elements that have a phase of their own."""
        alone = np.diff(self._starts) == 1
        return {Element.from_Z(int(number)) for number in np.unique(self._numbers[self._starts[:-1][alone]])}

    def within(self, elements: Iterable[Element]) -> np.ndarray:
        """Rows of the phases that hold none but these elements."""
        numbers = np.array([element.Z for element in elements], np.uint8)
        low, high = _masks(numbers, np.array([0, len(numbers)]))
        return np.flatnonzero((self._low & ~low[0] == 0) & (self._high & ~high[0] == 0))

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """Atomic numbers (n, most elements of a phase), 0 beyond the phase's own, and atomic fractions beside them."""
        counts = np.diff(self._starts)
        rows = np.repeat(np.arange(len(self)), counts)
        places = np.arange(len(rows)) - np.repeat(self._starts[:-1], counts)
        numbers = np.zeros((len(self), counts.max(initial=1)), np.uint8)
        fractions = np.zeros(numbers.shape)
        numbers[rows, places], fractions[rows, places] = self._numbers, self._amounts
        return numbers, fractions / fractions.sum(axis=1, keepdims=True)

    def lowest(self, rows: np.ndarray) -> np.ndarray:
        """Those of `rows` that have the lowest energy of their composition, the first of equals: a hull needs no more.

        Compositions are equal when their atomic fractions are, to 1e-8.
        """
        if not len(rows):
            return rows
        fractions = self.fractions(rows).round(8) + 0.0
        order = np.lexsort((rows, self.energies[rows], *fractions.T))
        new = np.any(np.diff(fractions[order], axis=0) != 0, axis=1)
        return np.sort(rows[order[np.concatenate([[True], new])]])

    def fractions(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), n) atomic fractions over the elements that occur in `rows`, by atomic number."""
        counts = np.diff(self._starts)[rows]
        places = np.repeat(self._starts[:-1][rows] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        places = places + np.arange(counts.sum())
        numbers, column = np.unique(self._numbers[places], return_inverse=True)
        found = np.zeros((len(rows), len(numbers)))
        found[np.repeat(np.arange(len(rows)), counts), column] = self._amounts[places]
        return found / found.sum(axis=1, keepdims=True)

    def fraction_of(self, number: int) -> np.ndarray:
        """(n,) atomic fraction of one element in every phase."""
        n_atoms = _sums(self._amounts, self._starts)
        return _sums(np.where(self._numbers == number, self._amounts, 0.0), self._starts) / n_atoms


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, starts[:-1]) if len(starts) > 1 else np.zeros(0)


def _masks(numbers: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Elements of each row as bits: (n,) of atomic numbers below 64, (n,) of the others."""
    if len(starts) < 2:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    bits = np.uint64(1) << (numbers.astype(np.uint64) % np.uint64(64))
    masks = [np.where(chosen, bits, np.uint64(0)) for chosen in (numbers < 64, numbers >= 64)]
    low, high = (np.bitwise_or.reduceat(mask, starts[:-1]) for mask in masks)
    return low, high
