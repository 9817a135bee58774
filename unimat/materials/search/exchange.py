"""How readily one element takes the place of another in a crystal, and at which volume, learned from known crystals.

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
import math
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from unimat.materials.search.templates import Group
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

FILE = "element_vectors.json"
WEIGHTS = ("share", "units", "known")
CHANCES = ("chance", "later_chance")
LEAST_SHARE = 1e-4


@dataclasses.dataclass(frozen=True)
class Chance:
    """The chance that a candidate is right: logistic in its votes, its distance and the number of templates.

    Attributes:
        constant, odds, nearness, templates, odds_templates: weights of `terms`, in turn.
    """

    constant: float
    odds: float
    nearness: float
    templates: float = 0.0
    odds_templates: float = 0.0

    def of(self, share: float, distance: float, among: int) -> float:
        terms = self.terms(share, distance, among)
        return 1 / (1 + math.exp(-sum(map(operator.mul, dataclasses.astuple(self), terms))))

    @staticmethod
    def terms(share: float, distance: float, among: int) -> tuple[float, ...]:
        """1, the log odds of the share, minus the distance, the log of the number of templates, and its product.

        The product is that with the log odds: of two templates, half of the votes says little.

        Args:
            share: of the votes. Shares of nearly none and nearly all are bounded.
            among: templates of the composition's anonymous formula.
        """
        share = min(max(share, LEAST_SHARE), 1 - LEAST_SHARE)
        odds, n = math.log(share / (1 - share)), math.log(among)
        return 1.0, odds, -distance, n, n * odds


@dataclasses.dataclass(frozen=True)
class Exchange:
    """Distances of elements and what goes with them.

    Attributes:
        vectors: (119, d), by atomic number.
        volumes: (119,) Å^3 of an atom; only their ratios matter.
        share: an element with the share x of the atoms counts 1 + share * x times.
        units: nats by which a template of the wanted number of formula units is preferred.
        known: nats by which a template of the same composition is. It is negative where crystals that are looked for
            are other ones than those that are known.
        chance, later_chance: that the first candidate is right, and any later one; None if it was not measured.
    """

    vectors: np.ndarray
    volumes: np.ndarray
    share: float
    units: float
    known: float
    chance: Chance | None = None
    later_chance: Chance | None = None

    @functools.cached_property
    def distances(self) -> np.ndarray:
        """(119, 119) nats."""
        return np.linalg.norm(self.vectors[:, None] - self.vectors[None], axis=-1)

    def weights(self, counts: tuple[int, ...]) -> np.ndarray:
        """(k,) how much each element of a reduced formula counts."""
        return 1 + self.share * np.array(counts) / sum(counts)

    def of_group(self, group: Group, wanted: np.ndarray) -> np.ndarray:
        """(p, n) distance of each template from a composition, in each way to assign its elements.

        Args:
            wanted: (k,) atomic numbers, in the order of the group's counts.
        """
        between = self.distances[wanted] * self.weights(group.counts)[:, None]  # (k, 119)
        # (k, k, n): element i of the composition in place of element j of the template
        each = between[:, group.elements].transpose(0, 2, 1)
        places = np.arange(len(wanted))
        return np.stack([each[places, way].sum(0) for way in group.permutations])

    def to_json(self) -> dict[str, Any]:
        vectors = {symbol: np.round(self.vectors[z], 4).tolist() for symbol, z in ATOMIC_NUMBER.items()}
        volumes = {symbol: round(float(self.volumes[z]), 3) for symbol, z in ATOMIC_NUMBER.items()}
        weights: dict[str, Any] = {name: round(getattr(self, name), 4) for name in WEIGHTS}
        for name in CHANCES:
            if (chance := getattr(self, name)) is not None:
                weights[name] = {key: round(value, 4) for key, value in dataclasses.asdict(chance).items()}
        return {**weights, "volumes": volumes, "vectors": vectors}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Exchange":
        width = len(next(iter(values["vectors"].values())))
        vectors, volumes = np.zeros((len(SYMBOLS) + 1, width)), np.ones(len(SYMBOLS) + 1)
        for symbol, z in ATOMIC_NUMBER.items():
            vectors[z], volumes[z] = values["vectors"][symbol], values["volumes"][symbol]
        share, units, known = (float(values[name]) for name in WEIGHTS)
        chances = (Chance(**values[name]) if name in values else None for name in CHANCES)
        return cls(vectors, volumes, share, units, known, *chances)


@functools.cache
def shipped() -> Exchange:
    """The distances that ship; `element_vectors.json` says what they were learned from."""
    text = importlib.resources.files("unimat.materials.search").joinpath(FILE).read_text(encoding="utf-8")
    return Exchange.from_json(json.loads(text))
