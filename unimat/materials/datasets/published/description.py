"""What is known of a published dataset: where its files are, what the columns mean, whose they are."""

import dataclasses
from collections.abc import Callable
from typing import Any

from unimat.materials.datasets.settings import PropertyColumn


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file as its publisher serves it.

    Attributes:
        key: what it is of the dataset: a split, or "table" or "structures"; `dataset.files` names files by it.
        split: which split its rows are; None if the publisher has no splits.
        blob_id: git blob id, the checksum; None if the publisher gives none.
        sha256: the same as SHA-256.
        member: path inside the archive at `url`, which is unpacked; `sha256` is the archive's. None for a plain file.
    """

    name: str
    key: str
    url: str
    split: str | None = None
    blob_id: str | None = None
    sha256: str | None = None
    member: str | None = None

    @property
    def has_checksum(self) -> bool:
        return bool(self.blob_id or self.sha256)


@dataclasses.dataclass(frozen=True)
class OtherForm:
    """A file that a local mirror may hold in place of a published one.

    Attributes:
        keys: the published files that it stands for.
        complete: whether it has every row of them.
        note: how it differs from the publisher's file; empty for a form that the publisher offers too.
    """

    name: str
    keys: tuple[str, ...]
    complete: bool
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Join:
    """Structures and their properties lie in two files.

    Attributes:
        table: key of the file of properties.
        structures: key of the file of structures.
        column_of: column of the table that names a structure, by the path of the first member of the archive.
    """

    table: str
    structures: str
    column_of: Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset that `unimat fetch` and `unimat ingest` know by name.

    Attributes:
        files: published files; none for the embedded dataset.
        other_forms: files that a mirror may hold in their place, best first.
        mirror_folders: folders below a mirror in which files may lie, as in a copy of the publisher's own tree.
        properties: property columns by the name they get in crystal tables; a file may lack some.
        energy_type: what made the energies; goes into the table's metadata.
        n_rows: number of rows of each split, as published.
        notice: what everybody who fetches it must know; said once, at the fetch.
        join: how two files are put together; None if each file has structures and properties.
        missing: values that stand for none in its property columns.
    """

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    files: tuple[PublishedFile, ...] = ()
    other_forms: tuple[OtherForm, ...] = ()
    mirror_folders: tuple[str, ...] = ()
    id_column: str = "material_id"
    structure_column: str = "cif"
    properties: dict[str, PropertyColumn] = dataclasses.field(default_factory=dict)
    energy_type: dict[str, str] | None = None
    n_rows: dict[str, int] = dataclasses.field(default_factory=dict)
    notice: str = ""
    join: Join | None = None
    missing: frozenset[Any] = frozenset()

    @property
    def embedded(self) -> bool:
        return not self.files

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of its files, as `dataset.files` of a configuration gives them."""
        return tuple(file.key for file in self.files)


def column(column: str, unit: str, description: str, kind: Any = "float") -> PropertyColumn:
    """Property column of a published table: its name there, unit and meaning."""
    return PropertyColumn(unit=unit, column=column, description=description, kind=kind)
