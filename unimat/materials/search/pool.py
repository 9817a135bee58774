"""Candidates of several sources for one composition, those that are the same crystal once."""

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

from unimat import sampled
from unimat.crystal_table import Crystal, Rejected
from unimat.errors import CrystalRejected
from unimat.materials.crystals.structures import check_crystal
from unimat.materials.matching import clusters as matching
from unimat.materials.search.asked import Asked
from unimat.materials.search.substitution import Candidate, Substitution, moves_text

SUBSTITUTION, MODEL, RANDOM = "substitution", "model", "random"
SOURCES = {
    SUBSTITUTION: "elements exchanged in known crystals",
    MODEL: "samples of a trained model",
    RANDOM: "random search",
}
WEIGHTS = {SUBSTITUTION: 2, MODEL: 1, RANDOM: 1}  # shares of the candidates
UNITS = (1, 2, 4)  # formula units of a cell where no template tells
KINDS_OF_CELL = 2  # cells of so many different formula units are sampled
SPARE = 2  # samples beyond those wanted, for those that are copies
RANDOM_ATOMS = 40  # the largest cell of a random search


@dataclasses.dataclass
class Pool:
    """Candidates of one composition.

    Attributes:
        crystals: different ones, with the properties `source`, `template`, `moves`, `distance`, `share`, `alike`,
            `chance`, `space_group` (of the template).
        rejected: copies, and what is no crystal.
        notes: what a source could not do, a line each.
    """

    asked: Asked
    crystals: list[Crystal] = dataclasses.field(default_factory=list)
    rejected: list[Rejected] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def fill(self, made: Iterable[Crystal | Rejected], source: str, most: int) -> None:
        """Add crystals until `most` different ones are there; none beyond them is made."""
        stream = iter(made)
        while batch := list(_taken(stream, most - len(self.crystals))):
            self._add([each for each in batch if isinstance(each, Crystal)], source)
            self.rejected += [each for each in batch if isinstance(each, Rejected)]

    def _add(self, made: Sequence[Crystal], source: str) -> None:
        usable = []
        for crystal in made:
            try:
                check_crystal(crystal)
                usable.append(crystal)
            except CrystalRejected as error:
                self.rejected.append(Rejected(crystal.material_id, source, error.reason, error.detail))
        everything = [*self.crystals, *usable]
        labels = matching.clusters([dataclasses.replace(each, properties={}) for each in everything])
        first: dict[int, Crystal] = {}
        for label, crystal in zip(labels, everything, strict=True):
            if (kept := first.setdefault(label, crystal)) is not crystal:
                self.rejected.append(copy_of(crystal, kept, source))
        self.crystals = list(first.values())


def copy_of(crystal: Crystal, kept: Crystal, source: str) -> Rejected:
    """Row of a crystal that is the same as one before it."""
    return Rejected(crystal.material_id, source, "duplicate", f"the same crystal as {kept.material_id}")


def quotas(sources: Sequence[str], count: int) -> dict[str, int]:
    """Candidates of each source, by its weight; the first one has what is left over."""
    total = sum(WEIGHTS[each] for each in sources)
    found = {each: count * WEIGHTS[each] // total for each in sources}
    found[sources[0]] += count - sum(found.values())
    return found


def substituted(substitution: Substitution, of: Asked, found: Sequence[Candidate]) -> Iterator[Crystal]:
    """The candidates as crystals, likeliest first."""
    library = substitution.templates
    for rank, candidate in enumerate(found):
        crystal = substitution.crystal(candidate, f"{of.name}-substitution-{rank:04d}")
        about = {
            "source": SUBSTITUTION,
            "template": library.material_ids[candidate.row],
            "space_group": int(library.space_groups[candidate.row]),
            "moves": moves_text(candidate.moves),
            "distance": candidate.distance,
            "share": candidate.share,
            "alike": candidate.alike,
            "chance": candidate.chance,
        }
        yield dataclasses.replace(crystal, properties=about)


def cells_of(pool: Pool, found: Sequence[Candidate], most: int) -> list[int]:
    """Formula units of the cells to sample, none with more than `most` atoms: as typed, or those of the templates."""
    of = pool.asked
    usual = list(dict.fromkeys([*(each.units for each in found), *UNITS]))
    wanted = [of.units] if of.units > 1 else usual
    return [units for units in wanted if units * of.n_atoms <= most][:KINDS_OF_CELL]


def requests_of(of: Asked, cells: Sequence[int], count: int) -> list[tuple[str, int]]:
    """Formula of each cell and how many to make, together `count` and some to spare."""
    counts = collections.Counter(cells[index % len(cells)] for index in range(count + SPARE))
    return [(of.of_units(units), n) for units, n in counts.items()]


def sampled_crystals(
    pools: Sequence[Pool], requests: Sequence[Sequence[tuple[str, int]]], model: str, seed: int
) -> list[list[Crystal | Rejected]]:
    """Crystals that a trained model makes for each composition, and tensors that are none."""
    everything = [request for each in requests for request in each]
    if not everything:
        return [[] for _ in pools]
    table, rejected = sampled.sample(model, everything, seed)
    by_name: dict[str, list[Crystal | Rejected]] = {pool.asked.name: [] for pool in pools}
    name_of = {formula: pool.asked.name for pool, each in zip(pools, requests, strict=True) for formula, _ in each}
    ends = [sum(n for _, n in everything[: index + 1]) for index in range(len(everything))]
    for crystal in table:
        name = name_of[crystal.properties["requested_composition"]]
        made = len(by_name[name])
        bare = dataclasses.replace(crystal, material_id=f"{name}-model-{made:04d}", properties={"source": MODEL})
        by_name[name].append(bare)
    for row in rejected:
        index = int(row.material_id.rpartition("-")[2])
        formula = everything[next(place for place, end in enumerate(ends) if index < end)][0]
        by_name[name_of[formula]].append(Rejected(row.material_id, MODEL, row.reason, row.detail))
    return [by_name[pool.asked.name] for pool in pools]


def random_crystals(of: Asked, cells: Sequence[int], count: int, seed: int) -> list[Crystal | Rejected]:
    """Random symmetric structures, and what could not be made."""
    from unimat.materials.search.random_search.airss import random_search
    from unimat.materials.search.random_search.settings import AirssSettings

    compositions = tuple(of.of_units(units) for units in cells)
    table, rejected = random_search(AirssSettings(compositions=compositions, n=count + SPARE, seed=seed))
    made: list[Crystal | Rejected] = [
        dataclasses.replace(crystal, material_id=f"{of.name}-random-{index:04d}", properties={"source": RANDOM})
        for index, crystal in enumerate(table)
    ]
    return made + [dataclasses.replace(row, source=RANDOM) for row in rejected]


def _taken(stream: Iterator, most: int) -> Iterator:
    return itertools.islice(stream, max(0, most))
