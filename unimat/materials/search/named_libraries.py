"""Libraries of templates by name: AFLOW's prototypes, published datasets, and tables of one's own."""

from collections.abc import Sequence
from pathlib import Path

from unimat.crystal_table import CrystalTable
from unimat.errors import UserError
from unimat.materials.datasets.known import DATASETS, dataset_named
from unimat.materials.datasets.sets import crystals_of
from unimat.materials.search import aflow, libraries
from unimat.materials.search.settings import AFLOW, LIBRARIES
from unimat.materials.search.templates import Templates


def library_named(names: Sequence[str], processes: int = 1) -> Templates:
    """Templates of all that is named, one of each kind.

    Args:
        names: `aflow`, published datasets, which are fetched once, or files and folders of crystals.
        processes: that index what is no library yet.

    Raises:
        UserError: if nothing of that name is there, or no crystal of it can be used.
    """
    names = list(dict.fromkeys(names))
    if names == [AFLOW]:
        return aflow.library()
    sources = [source for name in names for source in _sources(name, "templates")]
    return libraries.read(sources, processes, name=", ".join(names))


def crystals_named(names: Sequence[str], processes: int = 1) -> list[CrystalTable]:
    """Tables of the crystals that are named as in `library_named`, none left out."""
    sources = [source for name in dict.fromkeys(names) for source in _sources(name, "known crystals")]
    return [aflow.library().table if source == AFLOW else crystals_of(source, processes) for source in sources]


def _sources(name: str, what: str) -> list[str | Path]:
    path = Path(name)
    if name == AFLOW or path.exists():
        return [name]
    if name not in DATASETS:
        known = ", ".join(LIBRARIES)
        if path.suffix or path.name != name:
            raise UserError(f"{what} {name!r}: the file does not exist; give one that does, or name one of {known}")
        raise UserError(f"{what} {name!r}: no such file, and no library of that name; there are {known}")
    if name not in LIBRARIES:
        raise UserError(f"{what} {name!r}: make a table of this dataset with `unimat ingest`, and name that")
    return [*_fetched(name)]


def _fetched(name: str) -> list[Path]:
    """Files of a published dataset, brought into the user's cache."""
    from unimat.materials.datasets.fetching.fetch import fetch_dataset

    folder = libraries.cache_folder() / "datasets" / name
    manifest = fetch_dataset(dataset_named(name), folder)
    return [folder / entry["name"] for entry in manifest["files"]]
