"""Fingerprints of crystals: where the neighbours stand (CrystalNN), and what the crystal is made of (Magpie).

Both are those of CDVAE's evaluation: the mean over sites of matminer's CrystalNNFingerprint, preset "ops"
(`site_fingerprints`), and standardised Magpie statistics (`magpie`).
"""

import dataclasses
import functools
import hashlib
import itertools
import logging
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pymatgen.core import Composition, Structure
from tqdm import tqdm

from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.materials.metrics import fingerprint_cache, magpie, site_fingerprints
from unimat.materials.metrics.magpie import N_COMPOSITION, composition_fingerprint, standardised
from unimat.materials.metrics.time_limit import TimeUpError, time_limit
from unimat.materials.structures import to_structure

log = logging.getLogger("unimat.metrics")

N_STRUCTURE = 61
# A sphere of 7 Å around an atom of a denser crystal holds thousands of neighbours: minutes per site, in matminer.
MIN_VOLUME_PER_ATOM = 0.5  # Å^3
MAX_SECONDS = 60.0  # per crystal; one of twenty atoms takes a hundredth of a second
_TIME_UP = "timeout"
_FAR = 100.0  # cells; the neighbour search fills memory with all the cells on the way
_BATCH = 200
_WORTH_A_PROCESS = 300  # crystals; a fresh process spends seconds on imports alone


@dataclasses.dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of m crystals, in their order.

    Attributes:
        structure: (m, 61) float64; NaN where it failed.
        composition: (m, 132) float64, standardised; NaN where it failed.
        failures: why a crystal has none; None where it has.
        n_by_matminer: atoms, of all crystals, that were left to matminer itself (`site_fingerprints`).
    """

    structure: np.ndarray
    composition: np.ndarray
    failures: list[str | None]
    n_by_matminer: int = 0

    def __len__(self) -> int:
        return len(self.failures)

    @property
    def found(self) -> np.ndarray:
        """(m,) bool: which crystals have fingerprints."""
        return np.array([failure is None for failure in self.failures], bool)


def fingerprints(
    crystals: Iterable[Crystal],
    processes: int = 1,
    cache: str | Path | None = None,
    description: str = "fingerprints",
    max_seconds: float = MAX_SECONDS,
) -> Fingerprints:
    """Fingerprints of `crystals`; the numbers depend neither on `processes` nor on `cache`.

    Args:
        processes: how many to compute in; more than one are started afresh ("spawn").
        cache: folder that keeps fingerprints by content of crystal and version of library.
        description: of the progress bar.
        max_seconds: for one crystal; one that takes longer fails, and is tried again next time.

    Raises:
        UserError: if a process dies (out of memory, say).
    """
    crystals = list(crystals)
    keys = [content_key(crystal) for crystal in crystals]
    known = fingerprint_cache.load(cache, library_versions()) if cache else {}
    missing = {key: crystal for key, crystal in zip(keys, crystals, strict=True) if key not in known}
    computed = _computed(list(missing.values()), processes, max_seconds)
    made = tqdm(computed, description, len(missing), disable=None)
    for batch in _batches(zip(missing, made, strict=True)):
        known |= batch
        if cache:  # as they are made, so that an interruption loses one batch at most
            lasting = {key: row for key, row in batch.items() if not (row.failure or "").startswith(_TIME_UP)}
            if lasting:
                fingerprint_cache.store(cache, library_versions(), lasting)
    rows = [known[key] for key in keys]
    n_by_matminer = sum(row.n_by_matminer for row in rows)
    log.debug("%s: %d atoms were left to matminer", description, n_by_matminer)
    return Fingerprints(
        np.array([row.structure for row in rows]).reshape(-1, N_STRUCTURE),
        standardised(np.array([row.composition for row in rows]).reshape(-1, N_COMPOSITION)),
        [row.failure for row in rows],
        n_by_matminer,
    )


def fingerprint(crystal: Crystal, max_seconds: float = MAX_SECONDS) -> fingerprint_cache.Row:
    """Both fingerprints of one crystal, not standardised, or why there are none."""
    for imported in (magpie, site_fingerprints):  # an import that is cut short stays broken
        imported.featurizer()
    try:
        with time_limit(max_seconds):
            crystal = _manageable(crystal)
            numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
            composition = Composition(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
            structure, n_by_matminer = site_fingerprints.mean_fingerprint(to_structure(crystal))
            return fingerprint_cache.Row(structure, composition_fingerprint(composition), None, n_by_matminer)
    except TimeUpError:
        reason = f"{_TIME_UP}: more than {max_seconds:g} s"
    except Exception as error:  # whatever a library thinks of a wild crystal, the others go on
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return fingerprint_cache.Row(np.full(N_STRUCTURE, np.nan), np.full(N_COMPOSITION, np.nan), reason)


def structure_fingerprint(structure: Structure) -> np.ndarray:
    """(61,) mean over sites of the CrystalNN fingerprint of a pymatgen Structure."""
    return site_fingerprints.mean_fingerprint(structure)[0]


def content_key(crystal: Crystal) -> str:
    """Hash of lattice, species and coordinates; the id and the properties play no part."""
    digest = hashlib.sha256()
    for array, kind in ((crystal.lattice, "<f8"), (crystal.atomic_numbers, "<i8"), (crystal.frac_coords, "<f8")):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of what the numbers come from: two libraries, and our own way to compute them."""
    return {name: version(name) for name in ("matminer", "pymatgen")} | {"sites": str(site_fingerprints.VERSION)}


def _manageable(crystal: Crystal) -> Crystal:
    volume_per_atom = abs(np.linalg.det(crystal.lattice)) / len(crystal.atomic_numbers)
    if not volume_per_atom >= MIN_VOLUME_PER_ATOM:
        raise ValueError(f"{volume_per_atom:.3g} Å^3 per atom, the limit is {MIN_VOLUME_PER_ATOM}")
    if not np.isfinite(crystal.frac_coords).all():
        raise ValueError("coordinates that are not finite")
    if np.abs(crystal.frac_coords).max() > _FAR:
        return dataclasses.replace(crystal, frac_coords=crystal.frac_coords % 1.0)
    return crystal


def _computed(crystals: list[Crystal], processes: int, max_seconds: float) -> Iterator[fingerprint_cache.Row]:
    work = functools.partial(fingerprint, max_seconds=max_seconds)
    processes = min(processes, len(crystals) // _WORTH_A_PROCESS)
    if processes <= 1:
        yield from map(work, crystals)
        return
    bare = [dataclasses.replace(crystal, properties={}) for crystal in crystals]
    chunk = max(1, min(16, len(bare) // (4 * processes)))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            yield from pool.map(work, bare, chunksize=chunk)
        except BrokenProcessPool as error:
            raise UserError("a fingerprint process died (out of memory?); give fewer --processes") from error


def _batches(rows: Iterator[tuple[str, fingerprint_cache.Row]]) -> Iterator[dict[str, fingerprint_cache.Row]]:
    while batch := dict(itertools.islice(rows, _BATCH)):
        yield batch
