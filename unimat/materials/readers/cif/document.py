"""CIF text to data blocks: gemmi reads the syntax, and pymatgen's tolerant reader what gemmi refuses."""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gemmi
from pymatgen.io.cif import CifBlock

from unimat.errors import CrystalRejected

_PLACES = ("_atom_site_fract_x", "_atom_site_cartn_x")  # a block that gives either means to describe a structure

_NOT_STATED = frozenset({"?", ".", ""})
_QUOTES = frozenset("'\";")


class Block:
    """Values of one data block by tag.

    Tags are in small letters with underscores only, so that the names of both dictionaries are one: `_cell.length_a` of
    CIF 2 and `_cell_length_a` of CIF 1.

    Attributes:
        text: CIF text of this block alone.
    """

    def __init__(self, name: str, text: Callable[[], str]):
        self.name, self._text = name, text
        self._columns: dict[str, list[Callable[[], Sequence[str]]]] = {}

    def add(self, tag: str, values: Callable[[], Sequence[str]]) -> None:
        self._columns.setdefault(tag.lower().replace(".", "_"), []).append(values)

    @property
    def text(self) -> str:
        return self._text()

    @property
    def tags(self) -> list[str]:
        return list(self._columns)

    def __contains__(self, tag: str) -> bool:
        return tag in self._columns

    def column(self, tag: str) -> list[str]:
        """Values without quotes, empty texts for `?` and `.`; no values where the tag is missing.

        Raises:
            CrystalRejected: if the tag stands twice with different values.
        """
        if tag not in self._columns:
            return []
        columns = [[_unquoted(value) for value in read()] for read in self._columns[tag]]
        if len(columns) == 1:
            return columns[0]
        stated = [values for values in columns if any(values)] or columns
        if any(values != stated[0] for values in stated):
            raise CrystalRejected("unreadable", f"{tag} stands twice, with different values")
        return stated[0]

    def first(self, *tags: str) -> str:
        """The first value that one of the tags states, an empty text if none does."""
        for tag in tags:
            if tag in self._columns and (values := self.column(tag)) and values[0]:
                return values[0]
        return ""


def _unquoted(value: str) -> str:
    if value in _NOT_STATED:
        return ""
    return " ".join(gemmi.cif.as_string(value).split()) if value[0] in _QUOTES else value


def structure_blocks(text: str) -> list[Block]:
    """The data blocks of CIF text that hold atoms.

    Raises:
        CrystalRejected: if the text breaks the CIF syntax beyond repair.
    """
    return [block for block in _blocks(text) if any(place in block for place in _PLACES)]


def texts_of_cif(text: str) -> dict[str, str]:
    """Text of each data block that holds atoms, by its name; a number tells blocks of one name apart.

    Raises:
        CrystalRejected: if the text breaks the CIF syntax beyond repair.
    """
    found: dict[str, str] = {}
    for block in structure_blocks(text):
        found[block.name if block.name not in found else f"{block.name}-{len(found)}"] = block.text
    return found


def _blocks(text: str) -> list[Block]:
    try:
        # Level 0 lets a tag without value or a tag given twice pass; `Block.column` looks at those that matter.
        document = gemmi.cif.read_string(text, check_level=0)
    except (ValueError, RuntimeError) as error:  # gemmi raises both for bad syntax
        return [_tolerated(part, " ".join(str(error).split())) for part in _parts(text)]
    return [_of_gemmi(block) for block in document]


def _of_gemmi(source: gemmi.cif.Block) -> Block:
    block = Block(source.name, source.as_string)
    for item in source:
        pair: Any = item.pair  # gemmi's stubs call it an object
        if pair is not None:
            block.add(pair[0], functools.partial(list, pair[1:]))
        elif item.loop is not None:
            loop = _Loop(item.loop)
            for at, tag in enumerate(loop.tags):
                block.add(tag, functools.partial(loop.column, at))
    return block


class _Loop:
    """The columns of one loop, taken from gemmi once and only if one is asked for."""

    def __init__(self, loop: gemmi.cif.Loop):
        self._loop, self.tags = loop, list(loop.tags)

    @functools.cached_property
    def _values(self) -> list[str]:
        return list(self._loop.values)

    def column(self, at: int) -> list[str]:
        return self._values[at :: len(self.tags)]


def _parts(text: str) -> list[str]:
    """Text of each data block, by the lines that begin one outside of fields between semicolons."""
    parts, within_field = list[list[str]](), False
    for line in text.splitlines(keepends=True):
        within_field ^= line.startswith(";")
        if not within_field and line.lstrip().lower().startswith("data_"):
            parts.append([])
        if parts:
            parts[-1].append(line)
    return ["".join(part) for part in parts]


def _tolerated(text: str, cause: str) -> Block:
    """A block whose syntax gemmi refuses because of `cause`, as pymatgen splits it into values."""
    name = text.split(maxsplit=1)[0][len("data_") :]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # words that belong to nothing; what is missed then is checked by content
            data = CifBlock.from_str(text).data
    except (ValueError, LookupError, ArithmeticError) as error:
        raise CrystalRejected("unreadable", f"{cause}; pymatgen: {' '.join(str(error).split())}"[:300]) from error
    block = Block(name, functools.partial(str, text))
    for tag, values in data.items():
        block.add(tag, functools.partial(list, [values] if isinstance(values, str) else values))
    return block
