"""Fingerprints of crystals: where the neighbours stand (CrystalNN), and what the crystal is made of (Magpie).

Both are those of CDVAE's evaluation: the mean over sites of matminer's CrystalNNFingerprint, preset "ops"
(Zimmermann and Jain, RSC Adv. 2020), and the Magpie statistics of 22 elemental properties (Ward et al., npj
Comput. Mater. 2016), standardised by the means and deviations that CDVAE ships (`magpie_scaler.json`).
"""

import dataclasses
import functools
import hashlib
import importlib.resources
import itertools
import json
import multiprocessing
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Composition, Structure
from tqdm import tqdm

from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.materials.metrics import fingerprint_cache
from unimat.materials.structures import to_structure

N_STRUCTURE, N_COMPOSITION = 61, 132
# A sphere of CrystalNN's 10 Å around an atom of a denser crystal holds ten thousands of neighbours: minutes per site.
MIN_VOLUME_PER_ATOM = 0.5  # Å^3
_BATCH = 200
_WORTH_A_PROCESS = 10  # crystals; a fresh process spends seconds on imports alone


@dataclasses.dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of m crystals, in their order.

    Attributes:
        structure: (m, 61) float64; NaN where it failed.
        composition: (m, 132) float64, standardised; NaN where it failed.
        failures: why a crystal has none; None where it has.
    """

    structure: np.ndarray
    composition: np.ndarray
    failures: list[str | None]

    def __len__(self) -> int:
        return len(self.failures)

    @property
    def found(self) -> np.ndarray:
        """(m,) bool: which crystals have fingerprints."""
        return np.array([failure is None for failure in self.failures], bool)


def fingerprints(
    crystals: Iterable[Crystal], processes: int = 1, cache: str | Path | None = None, description: str = "fingerprints"
) -> Fingerprints:
    """Fingerprints of `crystals`; the numbers depend neither on `processes` nor on `cache`.

    Args:
        processes: how many to compute in; more than one are started afresh ("spawn").
        cache: folder that keeps fingerprints by content of crystal and version of library.
        description: of the progress bar.

    Raises:
        UserError: if a process dies (out of memory, say).
    """
    crystals = list(crystals)
    keys = [content_key(crystal) for crystal in crystals]
    known = fingerprint_cache.load(cache, library_versions()) if cache else {}
    missing = {key: crystal for key, crystal in zip(keys, crystals, strict=True) if key not in known}
    made = tqdm(_computed(list(missing.values()), processes), description, len(missing), disable=None)
    for batch in _batches(zip(missing, made, strict=True)):
        known |= batch
        if cache:  # as they are made, so that an interruption loses one batch at most
            fingerprint_cache.store(cache, library_versions(), batch)
    rows = [known[key] for key in keys]
    return Fingerprints(
        np.array([row.structure for row in rows]).reshape(-1, N_STRUCTURE),
        standardised(np.array([row.composition for row in rows]).reshape(-1, N_COMPOSITION)),
        [row.failure for row in rows],
    )


def fingerprint(crystal: Crystal) -> fingerprint_cache.Row:
    """Both fingerprints of one crystal, not standardised, or why there are none."""
    try:
        volume_per_atom = abs(np.linalg.det(crystal.lattice)) / len(crystal.atomic_numbers)
        if not volume_per_atom >= MIN_VOLUME_PER_ATOM:
            raise ValueError(f"{volume_per_atom:.3g} Å^3 per atom, the limit is {MIN_VOLUME_PER_ATOM}")
        numbers, counts = np.unique(crystal.atomic_numbers, return_counts=True)
        composition = Composition(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        return fingerprint_cache.Row(structure_fingerprint(to_structure(crystal)), composition_fingerprint(composition))
    except Exception as error:  # whatever a library thinks of a wild crystal, the others go on
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return fingerprint_cache.Row(np.full(N_STRUCTURE, np.nan), np.full(N_COMPOSITION, np.nan), reason)


def structure_fingerprint(structure: Structure) -> np.ndarray:
    """(61,) mean over sites of the CrystalNN fingerprint of a pymatgen Structure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CrystalNN warns at each site without oxidation states or radii
        return np.mean([_crystal_nn().featurize(structure, i) for i in range(len(structure))], axis=0)


def composition_fingerprint(composition: Composition) -> np.ndarray:
    """(132,) Magpie statistics of a pymatgen Composition, not standardised; NaN where an element has no value."""
    return np.array(_magpie().featurize(composition), np.float64)


def standardised(composition: np.ndarray) -> np.ndarray:
    """(m, 132) Magpie statistics in CDVAE's units; a value that an element lacks becomes 0, the mean.

    Rows that are NaN throughout stay so: their crystal has no fingerprint.
    """
    scaler = magpie_scaler()
    scaled = (composition - np.array(scaler["means"])) / np.array(scaler["stds"])
    failed = np.isnan(composition).all(axis=1, keepdims=True)
    return np.where(np.isnan(scaled) & ~failed, 0.0, scaled)


@functools.cache
def magpie_scaler() -> dict:
    """CDVAE's means and standard deviations of the 132 Magpie statistics, with their source and licence."""
    text = importlib.resources.files("unimat.materials.metrics").joinpath("magpie_scaler.json").read_text("utf-8")
    return json.loads(text)


def content_key(crystal: Crystal) -> str:
    """Hash of lattice, species and coordinates; the id and the properties play no part."""
    digest = hashlib.sha256()
    for array, kind in ((crystal.lattice, "<f8"), (crystal.atomic_numbers, "<i8"), (crystal.frac_coords, "<f8")):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of the libraries that the numbers come from."""
    return {name: version(name) for name in ("matminer", "pymatgen")}


def _computed(crystals: list[Crystal], processes: int) -> Iterator[fingerprint_cache.Row]:
    processes = min(processes, len(crystals) // _WORTH_A_PROCESS)
    if processes <= 1:
        yield from map(fingerprint, crystals)
        return
    bare = [dataclasses.replace(crystal, properties={}) for crystal in crystals]
    chunk = max(1, min(16, len(bare) // (4 * processes)))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            yield from pool.map(fingerprint, bare, chunksize=chunk)
        except BrokenProcessPool as error:
            raise UserError("a fingerprint process died (out of memory?); give fewer --processes") from error


def _batches(rows: Iterator[tuple[str, fingerprint_cache.Row]]) -> Iterator[dict[str, fingerprint_cache.Row]]:
    while batch := dict(itertools.islice(rows, _BATCH)):
        yield batch


@functools.cache
def _crystal_nn() -> Any:  # matminer has no types
    from matminer.featurizers.site.fingerprint import CrystalNNFingerprint

    return CrystalNNFingerprint.from_preset("ops")


@functools.cache
def _magpie() -> Any:
    from matminer.featurizers.composition.composite import ElementProperty

    # CDVAE's matminer knew no imputation: a missing value becomes the mean, after standardisation.
    return ElementProperty.from_preset("magpie", impute_nan=False)
