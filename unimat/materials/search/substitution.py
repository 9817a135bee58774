"""Candidates for a composition: templates of its anonymous formula, their elements exchanged, their volume scaled.

On UniMat's table a substitution is a move: all atoms in the cell of one element go to the cell of another.
"""

import dataclasses
from collections.abc import Collection

import numpy as np

from unimat.crystal_table import Crystal
from unimat.materials.search.exchange import Exchange, shipped
from unimat.materials.search.templates import Group, Templates, reduced_counts
from unimat.periodic_table import SYMBOLS

VOTERS = 400  # nearest templates that vote
# Odd random multipliers: a sum of small numbers times these, modulo 2^64, is the same for two different rows of them
# with a probability near 2^-64.
_MULTIPLIERS = np.random.default_rng(20261201).integers(1, 2**63, 32, dtype=np.uint64) | np.uint64(1)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A template with its elements exchanged.

    Attributes:
        row: of the template in its library.
        moves: atomic number in the template -> atomic number in the candidate.
        distance: of the template from the composition, nats; 0 for a crystal of the same elements.
        share: of the votes of all templates that are for its kind.
        alike: templates among the voters that are of its kind.
        units: formula units in the cell.
        among: templates that have the anonymous formula of the composition.
        chance: that it matches the crystal that is looked for, from 0 to 1; None if it was not measured, and for a
            crystal that is known.
    """

    row: int
    moves: dict[int, int]
    distance: float
    share: float
    alike: int
    units: int
    among: int
    chance: float | None = None


class Substitution:
    """Candidates from a library.

    Args:
        exchange: distances of elements; None: those that ship.
    """

    def __init__(self, templates: Templates, exchange: Exchange | None = None):
        self.templates, self.exchange = templates, exchange or shipped()

    def candidates(
        self, counts: dict[int, int], n: int, any_units: bool = False, without: Collection[str] = ()
    ) -> list[Candidate]:
        """Up to `n` candidates of different kinds, the likeliest first; then further templates of these kinds.

        Args:
            counts: atoms by atomic number, of the cell that is wanted.
            any_units: take cells of any number of formula units alike; else those of `counts` come first.
            without: ids of templates to leave out.
        """
        key, wanted, units = reduced_counts(counts)
        group = self.templates.groups.get(key)
        if group is None:
            return []
        distance = self.exchange.of_group(group, wanted)
        score = self.exchange.known * (distance == 0) - distance
        if not any_units:
            score = score + self.exchange.units * (group.units == units)
        if without:
            score[:, np.isin(group.rows, self.templates.rows_of(without))] = -np.inf
        way, template = nearest_of(score, VOTERS)
        score, distance = score[way, template], distance[way, template]
        kinds = kinds_of(group, way, template)
        weight = np.exp(score - score.max()) if len(score) else score
        _, place = np.unique(kinds, return_inverse=True)
        votes, alike = np.bincount(place, weight), np.bincount(place)
        shares = votes / votes.sum()
        order = _ordered(place, votes)[:n]
        among = len(group.rows)
        first = self._chance(shares[place[order[0]]], distance[order[0]], among, None) if order else None
        return [
            Candidate(
                row=int(group.rows[template[at]]),
                moves=_moves(group, template[at], way[at], wanted),
                distance=float(distance[at]),
                share=float(shares[place[at]]),
                alike=int(alike[place[at]]),
                units=int(group.units[template[at]]),
                among=among,
                chance=self._chance(shares[place[at]], distance[at], among, first if rank else None),
            )
            for rank, at in enumerate(order)
        ]

    def _chance(self, share: float, distance: float, among: int, first: float | None) -> float | None:
        """Of a candidate; no later one has more than the first, where that is given."""
        measured = self.exchange.chance if first is None else self.exchange.later_chance
        if measured is None or distance == 0:
            return None
        chance = measured.of(float(share), float(distance), among)
        return chance if first is None else min(chance, first)

    def crystal(self, candidate: Candidate, material_id: str, **properties: object) -> Crystal:
        """The candidate as a crystal, its lattice stretched alike in all directions to the volume of its elements.

        Volumes of atoms are learned (`unimat.materials.search.learning`).
        """
        template = self.templates.table[candidate.row]
        old = template.atomic_numbers
        new = np.array([candidate.moves[int(z)] for z in old])
        volumes = self.exchange.volumes
        factor = np.cbrt(volumes[new].sum() / volumes[old].sum())
        return Crystal(material_id, template.lattice * factor, new, template.frac_coords, properties)


def formula_of(counts: dict[int, int]) -> str:
    """Formula of a cell, such as Li4Fe4P4O16, in the order given."""
    return "".join(f"{SYMBOLS[z - 1]}{n}" for z, n in counts.items())


def moves_text(moves: dict[int, int]) -> str:
    """What takes the place of what, such as ``Na->Li P->P``."""
    return " ".join(f"{SYMBOLS[old - 1]}->{SYMBOLS[new - 1]}" for old, new in moves.items())


def nearest_of(score: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Ways and templates of the `n` highest scores (p, templates), highest first; none of those left out (-inf)."""
    flat = score.ravel()
    nearest: np.ndarray = np.arange(len(flat))
    if len(flat) > n:
        nearest = np.sort(np.argpartition(-flat, n)[:n])
    nearest = nearest[np.argsort(-flat[nearest], kind="stable")]
    nearest = nearest[np.isfinite(flat[nearest])]
    way, template = np.unravel_index(nearest, score.shape)
    return way, template


def kinds_of(group: Group, way: np.ndarray, template: np.ndarray) -> np.ndarray:
    """(m,) uint64, equal where candidates are of one kind."""
    kinds = np.take_along_axis(group.kinds[template], group.permutations[way], axis=1).astype(np.uint64)
    return (kinds * _MULTIPLIERS[: kinds.shape[1]]).sum(1, dtype=np.uint64)


def _moves(group: Group, template: int, way: int, wanted: np.ndarray) -> dict[int, int]:
    places = group.permutations[way]
    return {int(group.elements[template, place]): int(z) for place, z in zip(places, wanted, strict=True)}


def _ordered(kind: np.ndarray, votes: np.ndarray) -> list[int]:
    """Candidates in the order to give them: the nearest of each kind by falling votes, then the second of each, ..."""
    rank, seen = [], np.zeros(len(votes), int)
    for each in kind.tolist():
        rank.append(seen[each])
        seen[each] += 1
    return sorted(range(len(kind)), key=lambda at: (rank[at], -votes[kind[at]], at))
