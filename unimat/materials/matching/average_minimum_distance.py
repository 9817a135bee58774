"""A continuous distance between crystals: average minimum distances (AMD), compared by their largest difference.

The k-th average minimum distance of a crystal is the distance from an atom to its k-th nearest neighbour, averaged
over the atoms of a cell (Widdowson, Mosca, Pulido, Cooper and Kurlin, MATCH 87, 529 (2022), arXiv 2009.02488). It does
not depend on the choice of the cell, and moving each atom by at most e changes it by at most 2 e. Two crystals are as
far apart as the largest difference of their first 100 (the paper's L-infinity metric), in Å. Elements play no part, so
that crystals are compared with those of the same reduced composition unless the frame alone is asked for.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from unimat.crystal_table import Crystal
from unimat.materials.crystals.cached_map import rows_of
from unimat.materials.crystals.lattices import lengths_of
from unimat.materials.crystals.row_cache import RowCache
from unimat.materials.metrics.fingerprints.fingerprints import content_key

K = 100  # neighbours; the number that the paper compares crystals by
_ROWS = 1024  # crystals of each side that are compared at a time: 8 MiB
_FORM = 1  # of the kept numbers; another way to compute them is another form
_MAX_ATOMS = 2_000_000  # around a cell; more are looked at only in cells that no crystal has


def nearest_distances(
    crystals: Iterable[Crystal],
    known: Iterable[Crystal] | None = None,
    processes: int = 1,
    cache: str | Path | None = None,
) -> dict[str, np.ndarray]:
    """Columns ``amd_nearest_in_set`` and, with known crystals, ``amd_nearest_known``: (m,) Å, of one composition.

    Arguments and errors are those of `average_minimum_distances`.
    """
    crystals = list(crystals)
    amds = average_minimum_distances(crystals, processes=processes, cache=cache)
    columns = {"amd_nearest_in_set": nearest_in_set(crystals, amds)}
    if known is not None:
        known = list(known)
        known_amds = average_minimum_distances(known, processes=processes, cache=cache, description="AMD, known")
        columns["amd_nearest_known"] = nearest(crystals, amds, known, known_amds)
    return columns


def average_minimum_distances(
    crystals: Iterable[Crystal],
    k: int = K,
    processes: int = 1,
    cache: str | Path | None = None,
    description: str = "AMD",
) -> np.ndarray:
    """(m, k) Å; NaN for a crystal whose cell has no volume or whose neighbours cannot be found.

    Args:
        processes: how many to compute in.
        cache: folder that keeps them by content of crystal.

    Raises:
        UserError: if a process dies (out of memory, say).
    """
    crystals = list(crystals)
    keys = [content_key(crystal) for crystal in crystals]
    kept = RowCache(cache, "amd", {"form": str(_FORM), "k": str(k)}, (pa.field("amd", pa.list_(pa.float64())),))
    rows = rows_of(keys, crystals, functools.partial(_rows, k=k), kept, processes, description)
    return np.array([row["amd"] for row in rows]).reshape(-1, k)


def average_minimum_distance(crystal: Crystal, k: int = K) -> np.ndarray:
    """(k,) Å: distance to the first, second ... k-th neighbour, averaged over the atoms of the cell.

    Raises:
        ValueError: on a cell without volume, or so flat that too many images of it are needed.
    """
    lattice, volume = crystal.lattice, abs(float(np.linalg.det(crystal.lattice)))
    n = len(crystal.frac_coords)
    if not (n and volume > 0 and np.isfinite(lattice).all() and np.isfinite(crystal.frac_coords).all()):
        raise ValueError("no atoms, no volume, or numbers that are not finite")
    points = crystal.frac_coords % 1.0 @ lattice
    # A sphere of this volume holds k + 1 atoms on average; it grows until it does around each.
    reach = 1.2 * (3 * (k + 1) * volume / (4 * np.pi * n)) ** (1 / 3)
    while True:
        distances, _ = cKDTree(_within(points, lattice, reach)).query(points, k + 1)
        if distances[:, -1].max() <= reach:
            return distances[:, 1:].mean(0)
        reach *= 1.3


def nearest(
    crystals: Sequence[Crystal],
    amds: np.ndarray,
    known: Sequence[Crystal],
    known_amds: np.ndarray,
    same_composition: bool = True,
) -> np.ndarray:
    """(m,) smallest AMD distance of each crystal to a known one, Å; NaN without any.

    Args:
        amds, known_amds: (m, k) and (n, k), of `average_minimum_distances`.
        same_composition: compare crystals of one reduced composition only; else frames alone, whatever the elements.
    """
    groups, others = (_groups(each, same_composition) for each in (crystals, known))
    return _nearest(groups, amds, others, known_amds, own=False)


def nearest_in_set(crystals: Sequence[Crystal], amds: np.ndarray, same_composition: bool = True) -> np.ndarray:
    """(m,) smallest AMD distance of each crystal to another of the set, Å; NaN without any."""
    groups = _groups(crystals, same_composition)
    return _nearest(groups, amds, groups, amds, own=True)


def _nearest(
    groups: dict[bytes, np.ndarray], amds: np.ndarray, others: dict[bytes, np.ndarray], theirs: np.ndarray, *, own: bool
) -> np.ndarray:
    found = np.full(len(amds), np.inf)
    have, they_have = np.isfinite(amds).all(1), np.isfinite(theirs).all(1)
    for composition, rows in groups.items():
        candidates = others.get(composition, np.zeros(0, int))
        rows, candidates = rows[have[rows]], candidates[they_have[candidates]]
        for part in (rows[at : at + _ROWS] for at in range(0, len(rows), _ROWS)):
            for at in range(0, len(candidates), _ROWS):
                columns = candidates[at : at + _ROWS]
                distances = cdist(amds[part], theirs[columns], "chebyshev")
                if own:
                    distances[part[:, None] == columns] = np.inf
                found[part] = np.minimum(found[part], distances.min(1))
    return np.where(np.isinf(found), np.nan, found)


def _rows(crystals: Sequence[Crystal], k: int) -> list[dict[str, list[float]]]:
    return [{"amd": _or_nan(crystal, k).tolist()} for crystal in crystals]


def _or_nan(crystal: Crystal, k: int) -> np.ndarray:
    try:
        return average_minimum_distance(crystal, k)
    except ValueError:
        return np.full(k, np.nan)


def _within(points: np.ndarray, lattice: np.ndarray, reach: float) -> np.ndarray:
    """All atoms up to `reach` from the cell's own `points`, and some more."""
    spacings = 1 / lengths_of(np.linalg.inv(lattice).T)  # of the planes along a, b and c
    counts = np.ceil(reach / spacings) + 1
    if not len(points) * np.prod(2 * counts + 1) <= _MAX_ATOMS:
        raise ValueError(f"{counts} images of the cell along a, b and c would be needed")
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in counts), indexing="ij"), -1).reshape(-1, 3)
    images = (points[:, None] + shifts @ lattice).reshape(-1, 3)
    low, high = points.min(0) - reach, points.max(0) + reach
    return images[((images >= low) & (images <= high)).all(1)]


def _groups(crystals: Sequence[Crystal], same_composition: bool) -> dict[bytes, np.ndarray]:
    rows = defaultdict(list)
    for row, crystal in enumerate(crystals):
        numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
        composition = np.stack([numbers, counts // np.gcd.reduce(counts)]).tobytes()
        rows[composition if same_composition else b""].append(row)
    return {composition: np.array(found) for composition, found in rows.items()}
