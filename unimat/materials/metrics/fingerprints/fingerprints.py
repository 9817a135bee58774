"""Fingerprints of crystals: where the neighbours stand (CrystalNN), and what the crystal is made of (Magpie).

Both are those of CDVAE's evaluation: the mean over sites of matminer's CrystalNNFingerprint, preset "ops"
(`site_fingerprints`), and standardised Magpie statistics (`magpie`).
"""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pymatgen.core import Structure

from unimat.crystal_table import Crystal
from unimat.materials.crystals.cached_map import TIME_UP, rows_of
from unimat.materials.crystals.row_cache import RowCache
from unimat.materials.crystals.structures import to_structure
from unimat.materials.crystals.time_limit import TimeUpError, time_limit
from unimat.materials.metrics.fingerprints import magpie, site_fingerprints
from unimat.materials.metrics.fingerprints.magpie import N_COMPOSITION, standardised

log = logging.getLogger("unimat.metrics")

N_STRUCTURE = 61
# A sphere of 7 Å around an atom of a denser crystal holds thousands of neighbours: minutes per site, in matminer.
MIN_VOLUME_PER_ATOM = 0.5  # Å^3
MAX_SECONDS = 60.0  # per crystal; one of twenty atoms takes a hundredth of a second
_FAR = 100.0  # cells; the neighbour search fills memory with all the cells on the way
_STRUCTURE_FIELDS = (
    pa.field("structure", pa.list_(pa.float64())),
    pa.field("failure", pa.string()),
    pa.field("n_by_matminer", pa.int32(), nullable=False),
)
_COMPOSITION_FIELDS = (pa.field("composition", pa.list_(pa.float64())), pa.field("failure", pa.string()))


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

    The composition's is computed once for each ratio of elements, and withheld where the structure's failed, as
    CDVAE's evaluation does.

    Args:
        processes: how many to compute in; more than one are started afresh ("spawn").
        cache: folder that keeps fingerprints by content and version of library.
        description: of the progress bars.
        max_seconds: for one crystal; one that takes longer fails, and is tried again next time.

    Raises:
        UserError: if a process dies (out of memory, say).
    """
    bare = [dataclasses.replace(crystal, properties={}) for crystal in crystals]
    structures = rows_of(
        [content_key(crystal) for crystal in bare],
        bare,
        functools.partial(structure_rows, max_seconds=max_seconds),
        RowCache(cache, "fingerprints", library_versions(), _STRUCTURE_FIELDS),
        processes,
        description,
    )
    formulas = [magpie.reduced(crystal.atomic_numbers) for crystal in bare]
    compositions = rows_of(
        [magpie.key(formula) for formula in formulas],
        formulas,
        functools.partial(composition_rows, max_seconds=max_seconds),
        RowCache(cache, "magpie", {"matminer": version("matminer")}, _COMPOSITION_FIELDS),
        processes,
        f"{description}, compositions",
    )
    return _joined(structures, compositions, description)


def structure_rows(crystals: Sequence[Crystal], max_seconds: float = MAX_SECONDS) -> list[dict[str, Any]]:
    """Structure fingerprint of each crystal, or why there is none."""
    site_fingerprints.featurizer()  # an import that is cut short stays broken
    nothing = {"structure": np.full(N_STRUCTURE, np.nan), "n_by_matminer": 0}
    return [_row_of(_structure_row, crystal, nothing, max_seconds) for crystal in crystals]


def composition_rows(formulas: Sequence[magpie.Formula], max_seconds: float = MAX_SECONDS) -> list[dict[str, Any]]:
    """Magpie statistics of each composition, not standardised, or why there are none."""
    magpie.featurizer()
    nothing = {"composition": np.full(N_COMPOSITION, np.nan)}
    return [_row_of(_composition_row, formula, nothing, max_seconds) for formula in formulas]


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


def _structure_row(crystal: Crystal) -> dict[str, Any]:
    structure, n_by_matminer = site_fingerprints.mean_fingerprint(to_structure(_manageable(crystal)))
    return {"structure": structure, "n_by_matminer": n_by_matminer, "failure": None}


def _composition_row(formula: magpie.Formula) -> dict[str, Any]:
    return {"composition": magpie.composition_fingerprint(magpie.composition(formula)), "failure": None}


def _row_of(work: Any, item: Any, nothing: dict[str, Any], max_seconds: float) -> dict[str, Any]:
    try:
        with time_limit(max_seconds):
            return work(item)
    except TimeUpError:
        return {**nothing, "failure": f"{TIME_UP}: more than {max_seconds:g} s"}
    except Exception as error:  # whatever a library thinks of a wild crystal, the others go on
        return {**nothing, "failure": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}


def _joined(structures: list[dict[str, Any]], compositions: list[dict[str, Any]], description: str) -> Fingerprints:
    failures = [one["failure"] or other["failure"] for one, other in zip(structures, compositions, strict=True)]
    failed = np.array([failure is not None for failure in failures], bool)
    structure = np.array([row["structure"] for row in structures]).reshape(-1, N_STRUCTURE)
    composition = standardised(np.array([row["composition"] for row in compositions]).reshape(-1, N_COMPOSITION))
    structure[failed] = composition[failed] = np.nan
    n_by_matminer = sum(row["n_by_matminer"] for row in structures)
    log.debug("%s: %d atoms were left to matminer", description, n_by_matminer)
    return Fingerprints(structure, composition, failures, n_by_matminer)
