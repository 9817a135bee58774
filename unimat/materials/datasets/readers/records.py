"""What every reader yields: one crystal of a source, as yet unchecked."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected

ID_NAMES = ("material_id", "MaterialId", "mp_id", "id", "ID")
STRUCTURE_NAMES = ("cif", "structure", "poscar", "POSCAR", "CIF", "relaxed_cif")


@dataclasses.dataclass(frozen=True)
class Record:
    """One crystal of a source, as text or already as numbers.

    Attributes:
        material_id: id given by the source, or made of the file's name and the row.
        origin: file and row, for the rejected table.
        content: CIF or POSCAR text, a `Crystal`, None where the source has nothing, or why the reader had to reject it.
        split: the source's own split, or None.
        properties: property values by the source's column names; the cells of a CSV file are text.
        stated: what the source says of the crystal beside its structure, to compare (see `stated.check_stated`).
    """

    material_id: str
    origin: str
    content: str | Crystal | CrystalRejected | None
    split: str | None = None
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stated: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns of a table (or keys of a JSON entry, a frame, a database row) mean what; None is the usual names.

    Attributes:
        properties: columns to carry, by the source's names.
    """

    material_id: str | None = None
    structure: str | None = None
    properties: tuple[str, ...] = ()
