"""Libraries of templates by name: AFLOW's prototypes, published datasets, and tables of one's own."""

from collections.abc import Sequence
from pathlib import Path

from unimat.errors import UserError
from unimat.materials.datasets import DATASETS, dataset_named
from unimat.materials.search import aflow, libraries
from unimat.materials.search.libraries import AFLOW
from unimat.materials.search.templates import Templates

# Those whose files are read without another one beside them.
OF_TABLES = tuple(name for name, dataset in DATASETS.items() if not dataset.join and not dataset.embedded)


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
    sources = [source for name in names for source in _sources(name)]
    tables = [libraries.library(source, processes) for source in sources]
    return Templates(libraries.joined(tables), ", ".join(names))


def _sources(name: str) -> list[str | Path]:
    if name == AFLOW or Path(name).exists():
        return [name]
    if name not in DATASETS:
        known = ", ".join((AFLOW, *OF_TABLES))
        raise UserError(f"templates {name!r}: no such file, and no library of that name; there are {known}")
    if name not in OF_TABLES:
        raise UserError(f"templates {name!r}: make a table of this dataset with `unimat ingest`, and name that")
    return [*_fetched(name)]


def _fetched(name: str) -> list[Path]:
    """Files of a published dataset, brought into the user's cache."""
    from unimat.materials.fetch import fetch_dataset

    folder = libraries.cache_folder() / "datasets" / name
    manifest = fetch_dataset(dataset_named(name), folder)
    return [folder / entry["name"] for entry in manifest["files"]]
