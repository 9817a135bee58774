"""Which crystals are the same: clusters within a set, and matches in a table of known ones.

Two crystals match if they have the same reduced composition and pymatgen's StructureMatcher fits one onto the other in
either direction. (Its `fit` gives different answers for (a, b) and (b, a) at the border of its tolerances; asking both
makes the relation symmetric, and counts fewer crystals as unique and new.) A cluster is a connected component of the
graph of matches. So neither depends on the order of rows, nor on the number of processes.
"""

import dataclasses
import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from unimat.crystal_table import Crystal
from unimat.materials.crystals.processes import Processes
from unimat.materials.matching import cache as matching_cache
from unimat.materials.matching.blocks import Block, Found, joined, known_of, reduced
from unimat.materials.matching.comparer import MAX_SECONDS, Problems, Reduced
from unimat.materials.metrics.settings import MatcherPreset, MatcherSettings, matcher_settings
from unimat.progress import progress

_Pair = tuple[list[int], list[int]]  # rows on either side
_Formula = tuple[tuple[int, int], ...]
_BLOCK = 256  # crystals on either side
_CHUNK = 64  # crystals reduced at a time


def clusters(
    crystals: Iterable[Crystal],
    matcher: MatcherSettings | MatcherPreset | None = None,
    *,
    processes: int = 1,
    cache: str | Path | None = None,
    max_seconds: float = MAX_SECONDS,
    problems: Problems | None = None,
) -> list[int]:
    """Cluster of each crystal, numbered from 0 in the order of first appearance.

    Args:
        matcher: settings, or the name of a preset; pymatgen's defaults if not given.
        processes: how many to compute in; more than one are started afresh ("spawn").
        cache: folder that keeps answers by content of crystals, settings and version of pymatgen.
        max_seconds: for one comparison; what takes longer counts as different.
        problems: filled with what went wrong, by name.

    Raises:
        UserError: if a process dies (out of memory, say).
    """
    crystals, settings, found = list(crystals), matcher_settings(matcher), Problems()
    key = matching_cache.key("clusters", settings, crystals)
    labels = matching_cache.load(cache, key, found)
    if labels is None:
        with Processes(processes, len(crystals)) as pool:
            labels = _clusters(crystals, _Work(pool, settings, max_seconds, found))
        matching_cache.store(cache, key, labels, found)
    found.report()
    if problems is not None:
        problems.add(found)
    return labels


def matches_known(
    crystals: Iterable[Crystal],
    known: Iterable[Crystal],
    matcher: MatcherSettings | MatcherPreset | None = None,
    *,
    processes: int = 1,
    cache: str | Path | None = None,
    max_seconds: float = MAX_SECONDS,
    problems: Problems | None = None,
) -> list[str | None]:
    """material_id of the first crystal of `known` that matches each crystal; None for a novel one.

    Arguments and errors are those of `clusters`.
    """
    crystals, known, settings, found = list(crystals), list(known), matcher_settings(matcher), Problems()
    key = matching_cache.key("known", settings, crystals, known)
    rows = matching_cache.load(cache, key, found)
    if rows is None:
        with Processes(processes, len(crystals)) as pool:
            rows = _matches_known(crystals, known, _Work(pool, settings, max_seconds, found))
        matching_cache.store(cache, key, rows, found)
    found.report()
    if problems is not None:
        problems.add(found)
    return [None if row < 0 else known[row].material_id for row in rows]


class _Work:
    """What both questions share: processes, settings, and the problems that come up."""

    def __init__(self, pool: Processes, settings: MatcherSettings, max_seconds: float, problems: Problems):
        self.settings, self.problems = settings, problems
        self._pool, self._max_seconds = pool, max_seconds

    def over(self, function: Callable[..., Found], tasks: Iterable) -> Iterator:
        """Results of ``function(task, settings, max_seconds)``, in order; tasks are drawn when one can start."""
        work = functools.partial(function, settings=self.settings, max_seconds=self._max_seconds)
        for found in self._pool.over(work, tasks):
            self.problems.add(found.problems)
            yield found.value

    def reduced(self, crystals: Sequence[Crystal], rows: Iterable[int], what: str) -> dict[int, Reduced]:
        rows = list(rows)
        parts = [[crystals[row] for row in rows[at : at + _CHUNK]] for at in range(0, len(rows), _CHUNK)]
        cells = itertools.chain.from_iterable(self.over(reduced, parts))
        return dict(zip(rows, progress(cells, f"{what}: cells", len(rows)), strict=True))

    def by_sites(self, rows: Iterable[int], cells: dict[int, Reduced]) -> dict[int, list[int]]:
        """Rows by number of sites, where the matcher refuses different ones; else all together."""
        together = self.settings.attempt_supercell or self.settings.allow_subset
        groups = defaultdict(list)
        for row in rows:
            groups[0 if together else len(cells[row])].append(row)
        return groups


def _clusters(crystals: Sequence[Crystal], work: _Work) -> list[int]:
    groups = [rows for rows in _by_formula(crystals).values() if len(rows) > 1]
    cells = work.reduced(crystals, itertools.chain(*groups), "uniqueness")
    alike = [rows for group in groups for rows in work.by_sites(group, cells).values() if len(rows) > 1]
    parent = list(range(len(crystals)))

    def block(pair: _Pair) -> Block:
        first, second = pair
        roots = {row: _root(parent, row) for row in (*first, *second)}  # by now: what is joined is not compared
        return Block(first, second, _fresh(cells, first), _fresh(cells, second), roots)

    parts = list(_packed([pair for rows in alike for pair in _pairs_within(rows)]))
    with progress(total=sum(map(len, parts)), desc="uniqueness", unit="block") as bar:
        found = work.over(joined, ([block(pair) for pair in part] for part in parts))
        for part, links in zip(parts, found, strict=True):
            for one, other in links:
                parent[_root(parent, one)] = _root(parent, other)
            bar.update(len(part))
    names: dict[int, int] = {}
    return [names.setdefault(_root(parent, row), len(names)) for row in range(len(crystals))]


def _matches_known(crystals: Sequence[Crystal], known: Sequence[Crystal], work: _Work) -> list[int]:
    """Row of the first match in `known` of each crystal; -1 for none."""
    wanted = _by_formula(crystals)
    candidates = _by_formula(known, wanted)
    ours = work.reduced(crystals, itertools.chain(*(wanted[formula] for formula in candidates)), "novelty")
    theirs = work.reduced(known, itertools.chain(*candidates.values()), "novelty, known")
    pairs: list[_Pair] = []
    for formula, rows in candidates.items():
        others = work.by_sites(rows, theirs)
        for sites, group in work.by_sites(wanted[formula], ours).items():
            pairs += [(part, others[sites]) for part in _blocks(group) if sites in others]

    def block(pair: _Pair) -> Block:
        first, second = pair
        return Block(first, second, _fresh(ours, first), _fresh(theirs, second), {})

    parts = list(_packed(pairs))
    matches = [-1] * len(crystals)
    with progress(total=sum(map(len, parts)), desc="novelty", unit="block") as bar:
        found = work.over(known_of, ([block(pair) for pair in part] for part in parts))
        for part, rows_found in zip(parts, found, strict=True):
            for row, match in rows_found:
                matches[row] = match
            bar.update(len(part))
    return matches


def _fresh(cells: dict[int, Reduced], rows: list[int]) -> list[Reduced]:
    """Copies, so that the pymatgen structures that a block makes of them go when it goes."""
    return [dataclasses.replace(cells[row]) for row in rows]


def _blocks(rows: list[int]) -> list[list[int]]:
    return [rows[at : at + _BLOCK] for at in range(0, len(rows), _BLOCK)]


def _pairs_within(rows: list[int]) -> list[_Pair]:
    """Blocks that hold every pair of rows: each by itself (an empty second half), then each with every other."""
    blocks = _blocks(rows)
    return [(block, []) for block in blocks] + list(itertools.combinations(blocks, 2))


def _packed(pairs: Iterable[_Pair]) -> Iterator[list[_Pair]]:
    """Small blocks together, so that a process has something to do."""
    part: list[_Pair] = []
    for pair in pairs:
        part.append(pair)
        if sum(len(first) + len(second) for first, second in part) >= _BLOCK:
            yield part
            part = []
    if part:
        yield part


def _by_formula(crystals: Sequence[Crystal], wanted: Iterable[tuple] | None = None) -> dict[_Formula, list[int]]:
    """Rows of each reduced composition (atomic number and count), of all or of the `wanted` ones."""
    rows = defaultdict(list)
    for row, crystal in enumerate(crystals):
        numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
        counts = counts // np.gcd.reduce(counts)
        rows[tuple(zip(numbers.tolist(), counts.tolist(), strict=True))].append(row)
    return {formula: found for formula, found in rows.items() if wanted is None or formula in wanted}


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row
