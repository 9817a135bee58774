"""What the members of a JSON file mean."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.entries import ASE, NOT_BULK, content_of, is_crystal
from unimat.materials.datasets.readers.records import ID_NAMES, STRUCTURE_NAMES, Columns, Record
from unimat.materials.datasets.readers.stated import stated_of
from unimat.materials.datasets.settings import SPLITS

log = logging.getLogger("unimat.readers")
_IDS = (*ID_NAMES, "mat_id", "entry_id", "jid", "immutable_id")
_STRUCTURES = (*STRUCTURE_NAMES, "atoms", "computed_structure_entry", "attributes")
_LISTS = ("entries", "structures", "data")  # keys of a list of entries, or of one entry
_ABOUT = ("meta", "links", "included", "jsonapi", "response_message", "x-optimade")  # keys of what is no entry

_ASE = ("ids", "nextid")  # keys beside the rows of ASE's JSON databases


class Entries:
    """Records of a JSON file's members (the pairs of `json_stream.members`), by any of these forms.

    A list of entries, alone or under "entries", "structures", "data"; id to entry; split to these; what pandas writes
    (orient split, which is matbench's form, columns or records). An entry is CIF or POSCAR text, in which "\\n" may
    stand as two characters; a pymatgen Structure; an OPTIMADE structure; or an object that holds one of these as
    "structure" (or another usual name) beside its properties, or with these under "data".
    """

    def __init__(self, path: Path, columns: Columns):
        self._path, self._columns = path, columns
        self._n = 0
        self._header: dict[str, list[Any]] = {}  # pandas, orient split: columns and index
        self._table: dict[str, Mapping[str, Any]] = {}  # pandas, orient columns
        self._next_page: Any = None

    def records(self, key: str | None, value: Any) -> Iterator[Record]:
        if key == "errors":
            raise UserError(f"{self._path} is the error message of a server ({str(value)[:200]}); ask it again")
        if key in SPLITS and isinstance(value, Mapping) and not _is_entry(value):
            for material_id, entry in value.items():
                yield self._record(material_id, entry, key)
        elif key in SPLITS:
            yield self._record(None, value, key)
        elif key in _ABOUT and not isinstance(value, str) and not _is_entry(value):
            self._next_page = self._next_page or (key == "links" and isinstance(value, Mapping) and value.get("next"))
        elif key in _ASE and isinstance(value, int):
            return
        elif key in ("columns", "index") and not isinstance(value, Mapping):
            self._header.setdefault(key, []).append(value)
        elif key is not None and self._is_column(key, value):
            self._table[key] = value
        else:
            yield from self._entry(None if key in _LISTS else key, value)

    def held_back(self) -> Iterator[Record]:
        """Records of a file that came column by column."""
        rows = dict.fromkeys(row for column in self._table.values() for row in column)
        for row in rows:
            yield self._record(None, {name: column.get(row) for name, column in self._table.items()})

    def warn_of_further_pages(self) -> None:
        if self._next_page:
            log.warning("%s is one page of several: its links.next leads to more", self._path.name)

    def _entry(self, key: str | None, value: Any) -> Iterator[Record]:
        if isinstance(value, list) and "columns" in self._header:
            index = self._header.get("index", [])
            key = str(index[self._n]) if self._n < len(index) and isinstance(index[self._n], str) else None
            value = dict(zip(map(str, self._header["columns"]), value, strict=False))
        if isinstance(value, Mapping) and (value.keys() & {"x-optimade"} or value.get("type", "structures") in _OTHERS):
            return
        yield self._record(key, value)

    def _is_column(self, key: str, value: Any) -> bool:
        """Whether `value` is a column of a table that pandas wrote: row label to cell."""
        if not isinstance(value, Mapping) or not value or _is_entry(value):
            return False
        names = (*_IDS, *_STRUCTURES, *self._columns.properties, self._columns.material_id, self._columns.structure)
        return key in names or bool(self._table) or next(iter(value)) == "0"

    def _record(self, key: str | None, value: Any, split: str | None = None) -> Record:
        number, self._n = self._n, self._n + 1
        structure, parts = _parts(value, self._columns.structure)
        if key and isinstance(value, Mapping) and value.keys() >= set(ASE):  # of an ASE database: the row's number
            key = _first(parts, ID_NAMES) or f"{self._path.name.split('.')[0]}-{key}"
        material_id = _first(parts, (self._columns.material_id,)) or key or _first(parts, _IDS)
        material_id = f"{self._path.name.split('.')[0]}-{number}" if material_id is None else str(material_id)
        given = split or _first(parts, ("split",))
        place = f"{self._path.name}:{split}" if split else self._path.name
        return Record(
            material_id,
            f"{place}:{key if key is not None else number}",
            content_of(_with_line_ends(structure), material_id),
            given if given in SPLITS else None,
            {name: _first(parts, (name,)) for name in self._columns.properties},
            stated_of(part for part in parts if not is_crystal(part)),
        )


_OTHERS = ("info", "references", "links", "files", "calculations", "trajectories")  # OPTIMADE's other entry types


def _is_entry(value: Any) -> bool:
    return is_crystal(value) or (
        isinstance(value, Mapping)
        and any(isinstance(value.get(name), str) or is_crystal(value.get(name)) for name in _STRUCTURES)
    )


def _parts(value: Any, name: str | None = None) -> tuple[Any, list[Mapping[str, Any]]]:
    """The structure of an entry, and the objects that may hold its properties, the outermost first."""
    if not isinstance(value, Mapping):
        return value, []
    if is_crystal(value) or value.get("@class") in NOT_BULK:
        return value, [value, *_inner(value)]
    name = name or next((each for each in _STRUCTURES if each in value), None)
    if name not in value:
        keys = ", ".join(map(str, value))[:200]
        wanted = f"no {name!r}" if name else "no structure"
        return CrystalRejected("unreadable", f"{wanted} in this entry; its keys: {keys}"), [value]
    structure, inner = _parts(value[name]) if isinstance(value[name], Mapping) else (value[name], [])
    return structure, [value, *_inner(value), *inner]


def _inner(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = [value[name] for name in ("data", "key_value_pairs") if isinstance(value.get(name), Mapping)]
    return [*found, *(part["info"] for part in found if isinstance(part.get("info"), Mapping))]


def _first(parts: list[Mapping[str, Any]], names: tuple[str | None, ...]) -> Any:
    """The first value that is not null under any of `names`."""
    return next((part[name] for part in parts for name in names if name and part.get(name) is not None), None)


def _with_line_ends(structure: Any) -> Any:
    literal = isinstance(structure, str) and "\n" not in structure and structure.lstrip()[:1] not in ("{", "[")
    return structure.replace("\\n", "\n") if literal else structure
