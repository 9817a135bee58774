"""Blocks of pairs of crystals, each the work of one process: which match, after a filter on their lattices."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from unimat.crystal_table import Crystal
from unimat.materials.matching.comparer import Comparer, Problems, Reduced
from unimat.materials.matching.lattice_filter import Lattices
from unimat.materials.metrics.settings import MatcherSettings

_AT_A_TIME = 256  # of the known


@dataclasses.dataclass(frozen=True)
class Block:
    """Crystals whose pairs are to be compared: all within the first if there is no second, else first with second.

    Attributes:
        first, second: rows.
        cells, others: reduced crystals of the rows.
        roots: a row that stands for all that a row is known to be joined with.
    """

    first: list[int]
    second: list[int]
    cells: list[Reduced]
    others: list[Reduced]
    roots: dict[int, int]


@dataclasses.dataclass(frozen=True)
class Found:
    """What a process found, and what went wrong."""

    value: Any
    problems: Problems


def reduced(crystals: Sequence[Crystal], settings: MatcherSettings, max_seconds: float) -> Found:
    """Reduced cell of each crystal."""
    comparer = Comparer(settings, max_seconds)
    return Found([comparer.reduce(crystal) for crystal in crystals], comparer.problems)


def joined(blocks: Sequence[Block], settings: MatcherSettings, max_seconds: float) -> Found:
    """Pairs of rows that match; of those that are joined already, through others too, none is asked for."""
    comparer = Comparer(settings, max_seconds)
    links: list[tuple[int, int]] = []
    for block in blocks:
        links += _links(block, comparer)
    return Found(links, comparer.problems)


def known_of(blocks: Sequence[Block], settings: MatcherSettings, max_seconds: float) -> Found:
    """Pairs of a row of the first and the first row of the second that it matches."""
    comparer = Comparer(settings, max_seconds)
    matches: list[tuple[int, int]] = []
    for block in blocks:
        matches += _first_matches(block, comparer)
    return Found(matches, comparer.problems)


def _links(block: Block, comparer: Comparer) -> list[tuple[int, int]]:
    within = not block.second
    rows, others = (block.first, block.cells) if within else (block.second, block.others)
    forward, backward = _directions(block.cells, others, comparer)
    candidates = np.argwhere(forward | backward)
    name = dict(block.roots)  # of the cluster, by row
    links = []
    for i, j in candidates[candidates[:, 0] > candidates[:, 1]] if within else candidates:
        one, other = block.first[i], rows[j]
        if name[one] == name[other]:
            continue
        pair = block.cells[i], others[j]
        if (forward[i, j] and comparer.fits(*pair)) or (backward[i, j] and comparer.fits(*pair[::-1])):
            links.append((one, other))
            old, new = name[one], name[other]
            name = {row: new if cluster == old else cluster for row, cluster in name.items()}
    return links


def _first_matches(block: Block, comparer: Comparer) -> list[tuple[int, int]]:
    left, matches = list(range(len(block.first))), []
    for start in range(0, len(block.second), _AT_A_TIME):
        others = block.others[start : start + _AT_A_TIME]
        forward, backward = _directions([block.cells[i] for i in left], others, comparer)
        found = {}
        for at, i in enumerate(left):
            for j in np.flatnonzero(forward[at] | backward[at]):
                pair = block.cells[i], others[j]
                if (forward[at, j] and comparer.fits(*pair)) or (backward[at, j] and comparer.fits(*pair[::-1])):
                    found[i] = start + int(j)
                    break
        matches += [(block.first[i], block.second[j]) for i, j in found.items()]
        left = [i for i in left if i not in found]
    return matches


def _directions(
    cells: Sequence[Reduced], others: Sequence[Reduced], comparer: Comparer
) -> tuple[np.ndarray, np.ndarray]:
    """Two (m, n) bool: whether a cell may fit onto another, and the other onto it."""
    sizes, other_sizes = (np.array([len(cell) for cell in each], int) for each in (cells, others))
    alike = sizes[:, None] == other_sizes[None, :]
    settings = comparer.settings
    forward = _may_fit(cells, others, settings) | ~alike
    backward = forward.T if cells is others else _may_fit(others, cells, settings).T | ~alike
    possible = alike | (settings.attempt_supercell or settings.allow_subset)
    return forward & possible, backward & possible


def _may_fit(cells: Sequence[Reduced], onto: Sequence[Reduced], settings: MatcherSettings) -> np.ndarray:
    """(m, n) bool: False where no basis of a cell's lattice is near the other cell."""
    found = np.ones((len(cells), len(onto)), bool)
    ours, theirs = ([at for at, cell in enumerate(each) if cell.reducible] for each in (cells, onto))
    if not (ours and theirs):
        return found
    lattices = Lattices(np.array([cells[i].compared_lattice for i in ours]))
    targets = Lattices(np.array([onto[j].compared_lattice for j in theirs]))
    for j, lengths, angles in zip(theirs, targets.lengths, targets.angles, strict=True):
        found[ours, j] = lattices.have_basis_like(lengths, angles, settings.ltol, settings.angle_tol)
    return found
