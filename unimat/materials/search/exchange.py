"""How readily one element takes the place of another in a crystal, as a distance learned from known crystals.

Each element has a vector. The distance of a template from a composition is the sum of the distances of its elements
from those that take their places, an element with a larger share of the atoms counting more. Templates vote for their
kind of structure with the weight exp(-distance). The vectors are those that make the kinds of known crystals, each
left out in turn, most likely; so a distance is in nats. Votes by distance are matching networks (Vinyals et al.,
arXiv:1606.04080); statistics of substitution as in Hautier et al., Inorg. Chem. 50, 656 (2011), and Glawe et al., New
J. Phys. 18, 093011 (2016).
"""

import dataclasses
import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

FILE = "element_vectors.json"


@dataclasses.dataclass(frozen=True)
class Exchange:
    """Distances of elements and what goes with them.

    Attributes:
        vectors: (119, d), by atomic number.
        share_weight: an element with the share x of the atoms counts 1 + share_weight * x times.
        units_weight: nats by which a template of the wanted number of formula units is preferred.
    """

    vectors: np.ndarray
    share_weight: float
    units_weight: float

    @functools.cached_property
    def distances(self) -> np.ndarray:
        """(119, 119) nats."""
        return np.linalg.norm(self.vectors[:, None] - self.vectors[None], axis=-1)

    def weights(self, counts: tuple[int, ...]) -> np.ndarray:
        """(k,) how much each element of a reduced formula counts."""
        return 1 + self.share_weight * np.array(counts) / sum(counts)

    def to_json(self) -> dict[str, Any]:
        vectors = {symbol: [round(float(x), 4) for x in self.vectors[z]] for symbol, z in ATOMIC_NUMBER.items()}
        return {"share_weight": self.share_weight, "units_weight": self.units_weight, "vectors": vectors}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Exchange":
        vectors = np.zeros((len(SYMBOLS) + 1, len(next(iter(values["vectors"].values())))))
        for symbol, vector in values["vectors"].items():
            vectors[ATOMIC_NUMBER[symbol]] = vector
        return cls(vectors, float(values["share_weight"]), float(values["units_weight"]))


@functools.cache
def shipped() -> Exchange:
    """The distances that ship; `element_vectors.json` says what they were learned from."""
    text = importlib.resources.files("unimat.materials").joinpath(f"data/{FILE}").read_text(encoding="utf-8")
    return Exchange.from_json(json.loads(text))
