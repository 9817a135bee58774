"""The space group that a data block names, as candidates that fit its cell."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Sequence

import numpy as np

from unimat.materials.datasets.readers.cif.document import Block
from unimat.materials.datasets.readers.cif.groups import Settings, group_of_hall, settings_of_number, settings_of_symbol
from unimat.materials.datasets.readers.cif.operations import Operations, operations_of_group

_NAMES = (
    ("hall", "_space_group_name_hall"),
    ("hall", "_symmetry_space_group_name_hall"),
    ("symbol", "_space_group_name_h-m_alt"),
    ("symbol", "_symmetry_space_group_name_h-m"),
    ("symbol", "_space_group_name_h-m"),
    ("symbol", "_space_group_name_h-m_full"),
    ("symbol", "_space_group_name_h-m_ref"),
    ("symbol", "_symmetry_space_group_name_h-m_full"),
    ("symbol", "_symmetry_space_group_name"),
    ("number", "_space_group_it_number"),
    ("number", "_symmetry_int_tables_number"),
)
_CODE = "_space_group_it_coordinate_system_code"
# Names of the magnetic group, of the group that a magnetic one comes from, and of no setting.
_FOREIGN = (
    "_space_group_magn_n",
    "_magnetic_space_group",
    "_parent_space_group_",
    "_space_group_name_schoenflies",
)
_MISSPELT = re.compile(r"_(symmetry_)?(space_?group)?(_?(name|symbol|number|it|int_tables|h-?m|alt))+")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Symmetry operations that a block may mean.

    Attributes:
        name: what to call them in a message.
        to_confirm: whether they are no reading unless the file's other statements confirm the contents.
    """

    name: str
    operations: Operations
    to_confirm: bool = False


@dataclasses.dataclass(frozen=True)
class Naming:
    """One statement that names a group.

    Attributes:
        text: as the file has it.
        number: of the group, None if the name is not known.
        options: settings that it may mean, in the order of convention; those of one option it does not tell apart.
        sets_axes: whether it tells the setting at all; a number does not.
    """

    text: str
    number: int | None = None
    options: tuple[tuple[Candidate, ...], ...] = ()
    sets_axes: bool = True

    def fitting(self, lattice: np.ndarray) -> list[Candidate]:
        """The settings of the first option that map the lattice (3, 3), Å, onto itself; none if no option does."""
        fitting = ([each for each in option if each.operations.fit(lattice)] for option in self.options)
        return next((each for each in fitting if each), [])


def namings_of(block: Block) -> Sequence[Naming]:
    """What a block says that names its group, the most exact first; empty if it says nothing."""
    said = tuple((kind, text) for kind, tag in _NAMES if tag in block and (text := block.first(tag)))
    return _namings(said, block.first(_CODE)) if said else _of_other_tags(block)


@functools.lru_cache(maxsize=1024)
def _namings(said: tuple[tuple[str, str], ...], code: str) -> tuple[Naming, ...]:
    read = {"hall": _of_hall, "symbol": _of_symbol, "number": _of_number}
    return tuple(read[kind](text, code) for kind, text in dict.fromkeys(said))


def _of_other_tags(block: Block) -> list[Naming]:
    """What is said under tags that no dictionary has (`_space_group_name_HM`), or of a group that is not looked up."""
    for tag in block.tags:
        text = block.first(tag) if tag.startswith(_FOREIGN) else ""
        if text:
            return [Naming(f"{tag} {text}")]
        text = block.first(tag) if _MISSPELT.fullmatch(tag) else ""
        if text:
            return [_of_symbol(text, "")]
    return []


def named(namings: Sequence[Naming], lattice: np.ndarray) -> list[Candidate]:
    """Settings that fit the cell and that the names agree on; where they disagree, those of each.

    They are to be confirmed if the names are of different groups, or a number stands beside a symbol that is not known.
    """
    known = [each for each in namings if each.number]
    exact = [each for each in known if each.sets_axes]
    contradictory = len({each.number for each in known}) > 1
    if exact and not contradictory:
        known = exact
    lists = [each.fitting(lattice) for each in known]
    common = [each for each in lists[0] if all(_among(each, others) for others in lists[1:])] if lists else []
    found = common or _different(itertools.chain(*lists))
    to_confirm = contradictory or (not exact and len(known) < len(namings))
    return [dataclasses.replace(each, to_confirm=to_confirm) for each in found]


def _among(candidate: Candidate, others: Sequence[Candidate]) -> bool:
    return any(candidate.operations.are(each.operations) for each in others)


def _different(candidates: Iterable[Candidate]) -> list[Candidate]:
    found: list[Candidate] = []
    for each in candidates:
        if not _among(each, found):
            found.append(each)
    return found


def _of_hall(text: str, _code: str) -> Naming:
    group = group_of_hall(text)
    if group is None:
        return Naming(text)
    operations = operations_of_group(group)
    return Naming(text, operations.group_number, ((Candidate(f"Hall symbol {text}", operations),),))


def _of_symbol(text: str, code: str) -> Naming:
    options = (settings_of_symbol(f"{text}:{code}") if code else ()) or settings_of_symbol(text)
    return _of_settings(text, options, sets_axes=True)


def _of_number(text: str, code: str) -> Naming:
    options = settings_of_number(text)
    if code and options:
        options = settings_of_symbol(f"{options[0][0].hm}:{code}") or options
    return _of_settings(text, options, sets_axes=False)


def _of_settings(text: str, options: Sequence[Settings], sets_axes: bool) -> Naming:
    if not options:
        return Naming(text, sets_axes=sets_axes)
    candidates = (
        tuple(Candidate(f"space group {each.xhm()}", operations_of_group(each.operations())) for each in settings)
        for settings in options
    )
    return Naming(text, options[0][0].number, tuple(candidates), sets_axes)
