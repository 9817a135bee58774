"""The phases of a reference that can lie on a hull, sorted so that those within some elements are found at once."""

import numpy as np

from unimat.materials.stability.references.entries import Entries

_AT_ONCE = 1_000_000  # subsets of elements looked up at a time
_MOST_SUBSETS = 12  # elements; beyond, subsets outnumber what a look at every phase costs


class Compounds:
    """Elements, and compounds with a formation energy below zero: no other phase can lower a hull.

    A chemical system of n elements has 2^n - 1 subsystems. Phases are sorted by the set of their elements, so that
    those of a subsystem are one slice, found by bisection.

    Attributes:
        elemental: (256,) eV/atom, lowest energy of each element by atomic number; NaN without elemental phase.
        elemental_rows: (256,) their rows in the entries; -1 without.
        rows: (k,) rows of the compounds in the entries.
        numbers: (k, p) atomic numbers, rising; 0 beyond a phase's own.
        fractions: (k, p) atomic fractions.
        e_form: (k,) eV/atom.
    """

    def __init__(self, entries: Entries):
        numbers, fractions = entries.padded()
        n_elements = (numbers > 0).sum(axis=1)
        self.elemental, self.elemental_rows = np.full(256, np.nan), np.full(256, -1)
        alone = np.flatnonzero(n_elements == 1)
        for row in alone[np.lexsort((-alone, -entries.energies[alone]))]:  # the lowest and first is written last
            self.elemental[numbers[row, 0]], self.elemental_rows[numbers[row, 0]] = entries.energies[row], row
        e_form = entries.energies - (fractions * np.where(numbers > 0, self.elemental[numbers], 0.0)).sum(axis=1)
        kept = np.flatnonzero((n_elements > 1) & (e_form < 0))  # without one element's energy it is NaN
        masks = masks_of(numbers[kept])
        self._halves = [np.unique(masks[:, half]) for half in (0, 1)]
        keys = self._keys_of(masks)
        order = np.lexsort((e_form[kept], keys))
        self._keys = keys[order]
        self.rows = kept[order]
        self.numbers, self.fractions, self.e_form = numbers[self.rows], fractions[self.rows], e_form[self.rows]

    def within(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the compounds within each of some chemical systems of n elements.

        Args:
            numbers: (c, n) atomic numbers.

        Returns:
            (c, most) places along k, 0 beyond a system's own, and (c,) how many it has.
        """
        count, n = numbers.shape
        if n > _MOST_SUBSETS:
            found = [np.flatnonzero(np.isin(self.numbers, [0, *row]).all(axis=1)) for row in numbers]
            lengths = np.array([len(each) for each in found])
            flat = np.concatenate(found)
        else:
            step = max(1, _AT_ONCE >> n)
            parts = [self._ranges(numbers[at : at + step]) for at in range(0, count, step)]
            starts, spans = (np.concatenate(each) for each in zip(*parts, strict=True))
            lengths = spans.sum(axis=1)
            spans = spans.ravel()
            flat = np.repeat(starts.ravel() - np.concatenate([[0], np.cumsum(spans)[:-1]]), spans)
            flat = flat + np.arange(len(flat))
        places = np.zeros((count, lengths.max(initial=0)), np.int64)
        places[np.arange(places.shape[1]) < lengths[:, None]] = flat
        return places, lengths

    def _ranges(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First place and number of places of each of the 2^n subsets of elements, (c, 2^n) each."""
        subsets = np.zeros((len(numbers), 1, 2), np.uint64)
        for column in numbers.T:
            subsets = np.concatenate([subsets, subsets | masks_of(column[:, None])[:, None]], axis=1)
        keys = self._keys_of(subsets)
        starts = np.searchsorted(self._keys, keys)
        return starts, np.searchsorted(self._keys, keys, side="right") - starts

    def _keys_of(self, masks: np.ndarray) -> np.ndarray:
        """One number for each set of elements (..., 2); -1 for one whose halves do not occur."""
        places, found = [], np.ones(masks.shape[:-1], bool)
        for half, known in enumerate(self._halves):
            place = np.minimum(np.searchsorted(known, masks[..., half]), max(len(known) - 1, 0))
            found &= (known[place] == masks[..., half]) if len(known) else False
            places.append(place)
        return np.where(found, places[0] * len(self._halves[1]) + places[1], -1)


def masks_of(numbers: np.ndarray) -> np.ndarray:
    """(c, 2) uint64 of (c, p) atomic numbers: those from 1 to 63 and the others as bits; 0 is none."""
    bits = np.uint64(1) << (numbers.astype(np.uint64) % np.uint64(64))
    halves = [np.where(chosen, bits, np.uint64(0)) for chosen in ((numbers > 0) & (numbers < 64), numbers >= 64)]
    return np.stack([np.bitwise_or.reduce(half, axis=1) for half in halves], axis=1)
