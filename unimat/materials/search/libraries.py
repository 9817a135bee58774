"""Libraries of templates that a search names: of `unimat templates`, or of crystals in any form, indexed once.

What was indexed is kept in the user's cache folder, by the content of the crystals and what made the index of them. A
file there that is broken is made anew.
"""

import collections
import hashlib
import json
import logging
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from unimat import crystal_table
from unimat.crystal_table import STRUCTURE_COLUMNS, CrystalTable
from unimat.errors import UserError
from unimat.materials.datasets.sets import crystals_of
from unimat.materials.search.settings import AFLOW
from unimat.materials.search.templates import FIELDS, TOLERANCE, VERSION, Templates, elements_of, index

log = logging.getLogger("unimat.templates")

FOLDER = "UNIMAT_CACHE_DIR"  # environment variable
COLUMNS = [*STRUCTURE_COLUMNS, *(field.name for field in FIELDS)]
ABOUT = ("name", "source", "licence", "citation")  # metadata of crystals that hold for templates made of them


def cache_folder() -> Path:
    """Where the user's caches of unimat lie: $UNIMAT_CACHE_DIR, or the place that the system has for them."""
    import platformdirs

    return Path(os.environ.get(FOLDER) or platformdirs.user_cache_dir("unimat", appauthor=False)).expanduser()


def read(
    sources: Sequence[str | Path], processes: int = 1, cache: Path | None = None, name: str | None = None
) -> Templates:
    """Templates of several tables in one library: one of each kind, that of the first table that has it.

    Args:
        sources: libraries, crystals in any readable form, or the word aflow.
        processes: that index what is no library yet.
        cache: folder for indexes; None: the user's.
        name: of the library in messages; None: the sources.

    Raises:
        UserError: if nothing can be read, or no crystal can be used.
    """
    if not sources:
        raise UserError("no templates are named; give known crystals, or the word aflow for the AFLOW prototypes")
    tables = [library(source, processes, cache) for source in dict.fromkeys(map(str, sources))]
    return Templates(joined(tables), name or ", ".join(map(str, sources)))


def library(source: str | Path, processes: int = 1, cache: Path | None = None) -> CrystalTable:
    """The library at a place, or that of the crystals there, or a named one."""
    if str(source) == AFLOW:
        from unimat.materials.search import aflow

        return aflow.library().table.with_metadata(templates=[*_about(aflow.library().table, AFLOW)])
    table = crystals_of(source, processes)
    names = set(table.property_names)
    if {field.name for field in FIELDS} <= names and table.metadata.get("index_version") == VERSION:
        return table.with_metadata(templates=[*_about(table, source)])
    return _indexed(table, source, processes, cache or cache_folder())


def joined(tables: Sequence[CrystalTable]) -> CrystalTable:
    """One table of all that is not of the kind of a row before it."""
    about = [each for table in tables for each in table.metadata["templates"]]
    arrow = pa.concat_tables([table.arrow.select(COLUMNS).replace_schema_metadata() for table in tables])
    table = CrystalTable(arrow.combine_chunks())
    if len(tables) > 1:
        kept = _first_of_each_kind(table)
        ends = np.cumsum([len(each) for each in tables])
        counts = np.bincount(np.searchsorted(ends, kept, side="right"), minlength=len(tables))
        about = [{**each, "n_templates": n} for each, n in zip(about, counts.tolist(), strict=True)]
        table = table.take(kept)
    return table.with_metadata(templates=about)


def _first_of_each_kind(table: CrystalTable) -> np.ndarray:
    row, element, counts, sites = elements_of(table)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    parts = np.split(np.stack([element, counts, sites], axis=1), starts[1:])
    seen: dict[tuple[int, bytes], int] = {}
    for at, (group, part) in enumerate(zip(table.column("space_group").tolist(), parts, strict=True)):
        seen.setdefault((group, part.tobytes()), at)
    return np.array(list(seen.values()))


def _indexed(table: CrystalTable, source: str | Path, processes: int, folder: Path) -> CrystalTable:
    """The library of crystals, from the cache if it is there."""
    path = folder / f"templates-{content_key(table)[:32]}.parquet"
    found = _kept(path)
    if found is None:
        found, _ = index(table, processes)
        _keep(found, path)
    if rejected := found.metadata.get("rejected"):
        log.warning("%s: %s", source, told(rejected, found.metadata["n_crystals"]))
    if not len(found):
        raise UserError(f"{source} holds no usable crystal; give another table of templates")
    about = {key: table.metadata[key] for key in ABOUT if key in table.metadata}
    return found.with_metadata(templates=[*_about(found.with_metadata(**about), source)])


def _kept(path: Path) -> CrystalTable | None:
    """What the cache has; None if there is nothing that can be read."""
    try:
        found = crystal_table.read(path) if path.exists() else None
    except (UserError, OSError):  # torn, or foreign
        return None
    return found if found is not None and found.metadata.get("index_version") == VERSION else None


def _keep(found: CrystalTable, path: Path) -> None:
    try:
        crystal_table.write(found, path)
    except (UserError, OSError) as error:
        log.warning("the index of the templates is not kept (%s); %s names another folder for it", error, FOLDER)


def content_key(table: CrystalTable) -> str:
    """SHA-256 of crystals with their ids, and of all else that an index depends on."""
    about = [VERSION, TOLERANCE, version("moyopy"), version("spglib"), version("pymatgen"), table.material_ids]
    digest = hashlib.sha256(json.dumps(about).encode())
    arrays = (table.n_atoms, "<i8"), (table.flat_atomic_numbers, "<i2"), (table.lattices, "<f8")
    for array, kind in (*arrays, (table.flat_frac_coords, "<f8")):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()


def told(rejected: dict[str, int], n_crystals: int) -> str:
    """Crystals that are no templates, in words."""
    reasons = collections.Counter(rejected).most_common()
    words = ", ".join(f"{reason} {count}" for reason, count in reasons)
    return f"{sum(rejected.values())} of {n_crystals} crystals are no templates ({words})"


def _about(table: CrystalTable, source: str | Path) -> list[dict]:
    known = {key: table.metadata[key] for key in ABOUT if table.metadata.get(key)}
    return [{"name": str(source), **known, "n_templates": len(table)}]
