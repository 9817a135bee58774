"""How much of a dataset encoding leaves out, by reason: told loudly, and refused where it is most of it."""

import collections
import logging

import numpy as np

from unimat.crystal_table import CrystalTable, Rejected
from unimat.errors import UserError
from unimat.model.settings import EncodeSettings

logger = logging.getLogger("unimat.encode")

KEPT_BY_THE_ADVICE = 0.99  # of the crystals are kept by the number of slots that is advised
KEY_OF_REASON = {"too_many_of_element": "slots", "too_many_atoms": "max_atoms", "outside_grid": "elements"}


class Rejections:
    """Crystals of the training split that were read, and why some of them were rejected."""

    def __init__(self) -> None:
        self.n_read = 0
        self.reasons: collections.Counter[str] = collections.Counter()
        self._most_of_an_element: collections.Counter[int] = collections.Counter()

    def add(self, table: CrystalTable, rejected: list[Rejected]) -> None:
        """Count the crystals of one part of the split."""
        self.n_read += len(table)
        self.reasons.update(row.reason for row in rejected)
        self._most_of_an_element.update(most_of_an_element(table).tolist())

    def check(self, settings: EncodeSettings) -> None:
        """Warn of rejected crystals.

        Raises:
            UserError: if their share is above `settings.max_rejected`, which is a mistake more often than not.
        """
        n_rejected = self.reasons.total()
        if not n_rejected or n_rejected == self.n_read:  # of which another line tells
            return
        share, listed = n_rejected / self.n_read, ", ".join(f"{n} {reason}" for reason, n in self.reasons.most_common())
        said = f"{n_rejected} of {self.n_read} crystals of the train split are rejected ({share:.0%}): {listed}"
        if share > settings.max_rejected:
            kept = f"encode: this leaves {1 - share:.0%} of the train split: {said}"
            remedy = f"if that is meant, set encode.max_rejected to {self._allowed(share)}"
            raise UserError(f"{kept}; {self._advice(settings)}{remedy}")
        logger.warning("%s; see rejected.parquet", said)

    def _advice(self, settings: EncodeSettings) -> str:
        key = KEY_OF_REASON.get(self.reasons.most_common(1)[0][0])
        if key == "slots":
            enough = self._slots_for(KEPT_BY_THE_ADVICE)
            return f"encode.slots is {settings.slots}, and {enough} would hold {KEPT_BY_THE_ADVICE:.0%} of them; "
        if key == "max_atoms":
            return f"encode.max_atoms is {settings.max_atoms}; raise it, or "
        return "name more elements (encode.elements, rows, columns), or " if key == "elements" else ""

    def _slots_for(self, share: float) -> int:
        """The fewest slots that hold this share of the crystals."""
        counts = sorted(self._most_of_an_element.items())
        reached = np.cumsum([n for _, n in counts]) >= share * self.n_read
        return counts[int(np.argmax(reached))][0]

    @staticmethod
    def _allowed(share: float) -> float:
        return min(np.ceil(share * 100) / 100, 1.0)


def most_of_an_element(table: CrystalTable) -> np.ndarray:
    """(m,) atoms of the most frequent element of each crystal; 0 of one without atoms."""
    crystal = np.repeat(np.arange(len(table)), table.n_atoms)
    found = np.zeros(len(table), int)
    if len(crystal):
        pairs, counts = np.unique(np.stack([crystal, table.flat_atomic_numbers]), axis=1, return_counts=True)
        np.maximum.at(found, pairs[0], counts)
    return found
