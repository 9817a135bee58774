"""What the verdicts need of each crystal's geometry: shortest distances, volume and space group; kept by content."""

import functools
import os
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import spglib

from unimat.crystal_table import Crystal
from unimat.materials.crystals.cached_map import TIME_UP, rows_of
from unimat.materials.crystals.row_cache import RowCache
from unimat.materials.crystals.time_limit import TimeUpError, time_limit
from unimat.materials.metrics import validity
from unimat.materials.metrics.fingerprints.fingerprints import MAX_SECONDS, content_key

_FIELDS = (
    pa.field("between_atoms", pa.float64()),
    pa.field("own_image", pa.float64()),
    pa.field("volume", pa.float64()),
    pa.field("spacegroup_number", pa.int64()),
    pa.field("failure", pa.string()),
)
_UNKNOWN = {"between_atoms": np.nan, "own_image": np.nan, "volume": np.nan, "spacegroup_number": None}
_VERSION = "1"  # of our own way to compute them


def geometry(
    crystals: Sequence[Crystal],
    symprec: float | None,
    processes: int = 1,
    cache: str | Path | None = None,
    max_seconds: float = MAX_SECONDS,
    description: str = "validity",
) -> list[dict[str, Any]]:
    """A row for each crystal: the three numbers of `validity.Distances`, `spacegroup_number`, and `failure`.

    Args:
        symprec: tolerance of the space group, Å; None leaves it out.
        max_seconds: for one crystal; one that takes longer fails, and is tried again next time.
    """
    versions = {name: version(name) for name in ("pymatgen", "spglib")} | {"rows": _VERSION, "symprec": f"{symprec}"}
    return rows_of(
        [content_key(crystal) for crystal in crystals],
        [Crystal("", crystal.lattice, crystal.atomic_numbers, crystal.frac_coords) for crystal in crystals],
        functools.partial(geometry_rows, symprec=symprec, max_seconds=max_seconds),
        RowCache(cache, "geometry", versions, _FIELDS),
        processes,
        description,
    )


def geometry_rows(crystals: Sequence[Crystal], symprec: float | None, max_seconds: float) -> list[dict[str, Any]]:
    """Row of each of some crystals."""
    return [_row(crystal, symprec, max_seconds) for crystal in crystals]


def _row(crystal: Crystal, symprec: float | None, max_seconds: float) -> dict[str, Any]:
    try:
        with time_limit(max_seconds):
            found = validity.distances(crystal)
            number = None if symprec is None else spacegroup_number(crystal, symprec)
    except TimeUpError:
        return {**_UNKNOWN, "failure": f"{TIME_UP}: more than {max_seconds:g} s"}
    except Exception as error:  # a cell that a library cannot reduce, say: one crystal's failure
        return {**_UNKNOWN, "failure": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    distances = {"between_atoms": found.between_atoms, "own_image": found.own_image, "volume": found.volume}
    return {**distances, "spacegroup_number": number, "failure": None}


def spacegroup_number(crystal: Crystal, symprec: float) -> int | None:
    """International number of the space group that spglib finds within `symprec` (Å); None if it finds none."""
    cell: Any = (crystal.lattice, crystal.frac_coords, crystal.atomic_numbers)
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # else its C code prints to stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of spglib's own error handling
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
        except spglib.error.SpglibError:
            return None
    return None if dataset is None else int(dataset.number)
