"""Formation and decomposition energies of phases against one reference."""

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pymatgen.analysis.phase_diagram import PhaseDiagram
from pymatgen.core import Composition, Element

from unimat.errors import UserError
from unimat.materials.crystals.formulas import of_composition
from unimat.materials.stability.hull_programs import lowest_mixtures
from unimat.materials.stability.references.compounds import Compounds
from unimat.materials.stability.references.reference import Reference
from unimat.periodic_table import SYMBOLS

_AT_ONCE = 2_000_000  # numbers in the largest array of a batch
_BATCH = 512  # candidates of a batch

Verdict = dict[str, Any]
Atoms = tuple[Sequence[int], Sequence[float]]  # atomic numbers, rising, and atoms of each


class Hulls:
    """The hull of a reference at any composition."""

    def __init__(self, reference: Reference):
        self.reference = reference
        self._pure = {element.Z for element in reference.pure_elements}
        self._names: dict[int, tuple[str, str]] = {}

    @functools.cached_property
    def compounds(self) -> Compounds:
        return Compounds(self.reference.entries)

    def missing(self, numbers: Iterable[int]) -> list[str]:
        """Symbols of the elements (atomic numbers) that the reference has no elemental phase of."""
        return sorted(SYMBOLS[number - 1] for number in numbers if number not in self._pure)

    def missing_elements(self, elements: Iterable[Element]) -> list[str]:
        """As `missing`, of pymatgen's elements."""
        return self.missing(element.Z for element in elements)

    def diagram(self, elements: Iterable[Element]) -> PhaseDiagram:
        """pymatgen's phase diagram of the reference's phases within `elements`, the lowest of each composition.

        Raises:
            UserError: if the reference has no phase of one of the elements.
        """
        elements = list(elements)
        self._refuse_missing(element.Z for element in elements)
        entries = self.reference.entries
        rows = entries.lowest(entries.within(elements))
        return PhaseDiagram([entries[row] for row in rows.tolist()])

    def judge(self, composition: Composition, energy_per_atom: float) -> Verdict:
        """As `verdicts`, of one pymatgen Composition."""
        return self.verdicts([of_composition(composition)], [energy_per_atom])[0]

    def verdicts(self, atoms: Sequence[Atoms], energies: Sequence[float]) -> list[Verdict]:
        """Formation and decomposition energy (eV/atom) of some phases, and what they decompose into.

        Args:
            atoms: elements of each (atomic numbers, rising) and how many atoms of them.
            energies: eV/atom, on the scale of the reference.

        Returns:
            Of each, e_form_per_atom, decomposition_energy, e_above_hull, decomposition (text) and products: entry_id,
            formula, amount (share of the atoms) and e_form_per_atom, by id.

        Raises:
            UserError: if the reference has no phase of one of the elements.
        """
        self._refuse_missing({number for numbers, _ in atoms for number in numbers})
        found: list[Verdict] = [{}] * len(atoms)
        by_size = defaultdict(list)
        for row, (numbers, _) in enumerate(atoms):
            by_size[len(numbers)].append(row)
        for rows in by_size.values():
            elements = np.array([atoms[row][0] for row in rows], np.uint8)
            amounts = np.array([atoms[row][1] for row in rows], float)
            judged = self._of_one_size(elements, amounts, np.array([energies[row] for row in rows], float))
            for row, verdict in zip(rows, judged, strict=True):
                found[row] = verdict
        return found

    def phase_at(self, formula: str) -> tuple[str, float] | None:
        """Id and formation energy (eV/atom) of the lowest phase of a composition; None if the reference has none."""
        numbers, amounts = of_composition(Composition(formula))
        if self.missing(numbers):
            return None
        entries = self.reference.entries
        rows = entries.lowest(entries.within(Element.from_Z(number) for number in numbers))
        wanted = np.array(amounts) / sum(amounts)
        (same,) = np.nonzero(np.abs(entries.fractions(rows) - wanted).max(axis=1) < 1e-8)
        if not len(same):
            return None
        row = int(rows[same[0]])
        return self._name(row)[0], float(entries.energies[row] - wanted @ self.compounds.elemental[list(numbers)])

    def _of_one_size(self, numbers: np.ndarray, amounts: np.ndarray, energies: np.ndarray) -> list[Verdict]:
        """Verdicts on phases of n elements each: numbers and amounts (c, n), energies (c,)."""
        wanted = amounts / amounts.sum(axis=1, keepdims=True)
        e_form = energies - (wanted * self.compounds.elemental[numbers]).sum(axis=1)
        places, lengths = self.compounds.within(numbers)
        order, at = np.argsort(lengths, kind="stable"), 0
        found: list[Verdict] = [{} for _ in wanted]
        while at < len(order):
            most = lengths[order[min(at + _BATCH, len(order)) - 1]] + numbers.shape[1]
            batch = order[at : at + max(1, min(_BATCH, _AT_ONCE // int(most * numbers.shape[1])))]
            at += len(batch)
            judged = self._batch(
                numbers[batch], wanted[batch], e_form[batch], places[batch, : lengths[batch[-1]]], lengths[batch]
            )
            for row, verdict in zip(batch, judged, strict=True):
                found[row] = verdict
        return found

    def _batch(
        self, numbers: np.ndarray, wanted: np.ndarray, e_form: np.ndarray, places: np.ndarray, lengths: np.ndarray
    ) -> Iterable[Verdict]:
        compounds, (count, n) = self.compounds, numbers.shape
        real = np.arange(places.shape[1]) < lengths[:, None]
        theirs = compounds.numbers[places, :n]  # (c, m, p)
        shares = np.where(real[..., None], compounds.fractions[places, :n], 0.0)
        columns = [(shares * (theirs == numbers[:, None, None, i])).sum(axis=-1) for i in range(n)]
        fractions = np.concatenate([np.tile(np.eye(n), (count, 1, 1)), np.stack(columns, axis=-1)], axis=1)
        prices = np.concatenate([np.zeros((count, n)), np.where(real, compounds.e_form[places], 1.0)], axis=1)
        phases, shares = lowest_mixtures(fractions, prices, wanted)
        chosen = np.take_along_axis(prices, phases, axis=1)
        rows = np.take_along_axis(
            np.concatenate([compounds.elemental_rows[numbers], compounds.rows[places]], axis=1), phases, axis=1
        )
        decomposition_energies = e_form - (shares * chosen).sum(axis=1)
        for each in zip(e_form.tolist(), decomposition_energies.tolist(), rows.tolist(), shares.tolist(),
                        chosen.tolist(), strict=True):  # fmt: skip
            yield self._verdict(*each)

    def _verdict(
        self, e_form: float, decomposition_energy: float, rows: list[int], shares: list[float], e_forms: list[float]
    ) -> Verdict:
        products = [
            (*self._name(row), share, energy) for row, share, energy in zip(rows, shares, e_forms, strict=True) if share
        ]
        products.sort()
        names = ("entry_id", "formula", "amount", "e_form_per_atom")
        return {
            "e_form_per_atom": e_form,
            "decomposition_energy": decomposition_energy,
            "e_above_hull": max(decomposition_energy, 0.0),
            "decomposition": " + ".join(f"{share:.3g} {formula} ({name})" for name, formula, share, _ in products),
            "products": [dict(zip(names, product, strict=True)) for product in products],
        }

    def _name(self, row: int) -> tuple[str, str]:
        """Id and reduced formula of an entry."""
        if row not in self._names:
            entry = self.reference.entries[row]
            self._names[row] = str(entry.name), entry.composition.reduced_formula
        return self._names[row]

    def _refuse_missing(self, numbers: Iterable[int]) -> None:
        if missing := self.missing(numbers):
            raise UserError(
                f"hull reference {self.reference.name!r} has no elemental phase of {', '.join(missing)};"
                " choose one that has"
            )


def elements_of(composition: Composition) -> frozenset[Element]:
    return frozenset(Element(symbol) for symbol in composition.get_el_amt_dict())
