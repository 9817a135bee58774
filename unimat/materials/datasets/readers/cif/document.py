"""CIF text to data blocks: gemmi reads the syntax, and pymatgen's tolerant reader what gemmi refuses."""

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import gemmi
from pymatgen.io.cif import CifBlock

from unimat.errors import CrystalRejected

_SITES = ("_atom_site_fract_x", "_atom_site_cartn_x", "_atom_site_label")  # a block with one lists atoms
_CELL = "_cell_length_a"

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
        self._values: dict[str, _Source] = {}
        self._again: dict[str, list[_Source]] = {}  # of tags that stand twice

    def add(self, tag: str, source: "_Source") -> None:
        tag = _plain(tag)
        if self._values.setdefault(tag, source) is not source:
            self._again.setdefault(tag, []).append(source)

    @property
    def text(self) -> str:
        return self._text()

    @property
    def tags(self) -> Iterable[str]:
        return self._values.keys()

    def __contains__(self, tag: str) -> bool:
        return tag in self._values

    def raw(self, tag: str) -> list[str]:
        """Values as written, for those who know what quotes and `?` mean; no values where the tag is missing."""
        if tag in self._again:
            return self.column(tag)
        return _values_of(self._values[tag]) if tag in self._values else []

    def column(self, tag: str) -> list[str]:
        """Values without quotes, empty texts for `?` and `.`; no values where the tag is missing.

        Raises:
            CrystalRejected: if the tag stands twice with different values.
        """
        if tag not in self._values:
            return []
        if tag not in self._again:
            return [unquoted(value) for value in _values_of(self._values[tag])]
        sources = (self._values[tag], *self._again[tag])
        columns = [[unquoted(value) for value in _values_of(source)] for source in sources]
        stated = [values for values in columns if any(values)] or columns
        if any(values != stated[0] for values in stated):
            raise CrystalRejected("unreadable", f"{tag} stands twice, with different values")
        return stated[0]

    def first(self, *tags: str) -> str:
        """The first value that one of the tags states, an empty text if none does."""
        for tag in tags:
            if tag in self._values and (values := self.column(tag)) and values[0]:
                return values[0]
        return ""


class _Loop:
    """The values of one loop, taken from gemmi once and only if some are asked for."""

    def __init__(self, loop: gemmi.cif.Loop, width: int):
        self._loop, self._width = loop, width

    @functools.cached_property
    def _values(self) -> list[str]:
        return list(self._loop.values)

    def column(self, at: int) -> list[str]:
        return self._values[at :: self._width]


_Source = str | list[str] | tuple[_Loop, int]


def _values_of(source: _Source) -> list[str]:
    if isinstance(source, str):
        return [source] if source else []
    return source if isinstance(source, list) else source[0].column(source[1])


@functools.lru_cache(maxsize=4096)
def _plain(tag: str) -> str:
    return tag.lower().replace(".", "_")


def unquoted(value: str) -> str:
    """A value as it is meant, an empty text for `?` and `.`."""
    if value in _NOT_STATED:
        return ""
    if value[0] not in _QUOTES:
        return value
    text = " ".join(gemmi.cif.as_string(value).split())
    return "" if text in _NOT_STATED else text


def structure_blocks(text: str) -> list[Block]:
    """The data blocks of CIF text that hold atoms.

    Raises:
        CrystalRejected: if the text breaks the CIF syntax beyond repair.
    """
    return [block for block in _blocks(text) if _lists_atoms(block)]


def _lists_atoms(block: Block) -> bool:
    return any(tag in block for tag in _SITES)


def texts_of_cif(text: str) -> dict[str, str]:
    """Text of each data block that holds atoms, by its name; a number tells blocks of one name apart.

    Among several of them a block with a cell alone counts, too: a crystal without its sites, to be rejected.

    Raises:
        CrystalRejected: if the text breaks the CIF syntax beyond repair.
    """
    found: dict[str, str] = {}
    blocks = _blocks(text)
    several = sum(map(_lists_atoms, blocks)) > 1
    for block in (each for each in blocks if _lists_atoms(each) or (several and _CELL in each)):
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
            block.add(*pair)
        elif (found := item.loop) is not None:
            tags = found.tags
            loop = _Loop(found, len(tags))
            for at, tag in enumerate(tags):
                block.add(tag, (loop, at))
    return block


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
    plain = text.encode("ascii", "replace").decode()  # pymatgen would drop a minus sign of Unicode and read on
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # words that belong to nothing; what is missed then is checked by content
            data = CifBlock.from_str(plain).data
    except (ValueError, LookupError, ArithmeticError) as error:
        raise CrystalRejected("unreadable", f"{cause}; pymatgen: {' '.join(str(error).split())}"[:300]) from error
    block = Block(name, functools.partial(str, text))
    for tag, values in data.items():
        block.add(tag, values)
    return block
