"""The symmetry that a data block states: one group, or several that it may mean."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers.cif.document import Block
from unimat.materials.datasets.readers.cif.names import Candidate, Naming, named, namings_of
from unimat.materials.datasets.readers.cif.operations import IDENTITY, Operations, operations_of

_OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_operation_xyz_",
    "_symmetry_equiv_pos_as_xyz_",
)
_MAGNETIC, _CENTRING = "_space_group_symop_magn_operation_xyz", "_space_group_symop_magn_centering_xyz"
_OTHER_OPERATIONS = re.compile("(symop|equiv_pos|symmetry_op).*(xyz|algebraic|matrix)")
_AS_LISTED = Candidate("P 1", IDENTITY, to_confirm=True)


@dataclasses.dataclass(frozen=True)
class Symmetry:
    """What a block says of its symmetry.

    Attributes:
        candidates: what it may mean; one is to be told from the others by the contents of the cell.
        doubt: what is not clear, empty where nothing is.
        last: what it may mean if none of the candidates is possible.
    """

    candidates: tuple[Candidate, ...]
    doubt: str = ""
    last: Candidate | None = None


_P1 = Symmetry((Candidate("P 1", IDENTITY),))


def symmetry_of(block: Block, lattice: np.ndarray) -> Symmetry:
    """The symmetry of a block in a cell (3, 3), Å.

    Raises:
        CrystalRejected: if an operation cannot be read, or nothing that is said of the group is understood.
    """
    if any(block.column(_MAGNETIC)) or any(block.column(_CENTRING)):
        return _of_magnetic(block)
    namings = namings_of(block)
    listed = _listed(block)
    if listed:
        return _of_operations(listed, namings, lattice)
    foreign = next((tag for tag in block.tags if _OTHER_OPERATIONS.search(tag) and any(block.column(tag))), None)
    if foreign:
        raise CrystalRejected("symmetry_unclear", f"symmetry operations stand under {foreign}, which is not known")
    return _of_names(namings, lattice) if namings else _P1


def _listed(block: Block) -> Operations | None:
    lists = [
        operations_of(tuple(triplets)) for tag in _OPERATIONS if tag in block and any(triplets := block.column(tag))
    ]
    if len(lists) > 1 and any(not each.are(lists[0]) for each in lists[1:]):
        raise CrystalRejected("symmetry_unclear", "two lists of symmetry operations differ")
    return lists[0] if lists else None


def _of_magnetic(block: Block) -> Symmetry:
    """The magnetic operations without what they do to time, which moves no atom."""
    triplets, centring = (tuple(map(_without_time, block.column(tag))) for tag in (_MAGNETIC, _CENTRING))
    operations = operations_of(triplets or ("x,y,z",))
    listed = operations_of(centring).times(operations) if centring else operations
    if len(listed.completed) == len(listed):
        return Symmetry((Candidate("the magnetic operations", listed),))
    doubt = f"{len(listed)} magnetic operations are listed, of a group of {len(listed.completed)}"
    return Symmetry((Candidate("the group of the magnetic operations", listed.completed, to_confirm=True),), doubt)


def _without_time(triplet: str) -> str:
    return ",".join(triplet.split(",")[:3])


def _of_names(namings: Sequence[Naming], lattice: np.ndarray) -> Symmetry:
    said = _said(namings)
    if not any(each.number for each in namings):
        raise CrystalRejected("symmetry_unclear", f"{said} is not known, and no symmetry operations are listed")
    candidates = named(namings, lattice)
    if not candidates:
        return Symmetry((), f"{said} does not fit the cell", _AS_LISTED)
    doubt = f"{said} may be {_either(candidates)}" if len(candidates) > 1 else ""
    if candidates[0].to_confirm:
        doubt = f"{said} is not known, or names different groups"
    return Symmetry(tuple(candidates), doubt, _AS_LISTED)


def _of_operations(listed: Operations, namings: Sequence[Naming], lattice: np.ndarray) -> Symmetry:
    group, said = listed.completed, _said(namings)
    known = {each.number for each in namings if each.number}
    own = Candidate("the operations listed", group)
    if len(group) == 1 and (known == {1} or not namings):
        return Symmetry((own,))
    if len(group) > 1 and (group.group_number in known or (not known and len(group) == len(listed))):
        return Symmetry((own,))
    others = [each for each in named(namings, lattice) if not each.operations.are(group)]
    if len(group) == 1:
        unknown = "" if known else " is not known and"
        return Symmetry((*others, _AS_LISTED), f"{said}{unknown} stands beside the identity alone")
    if len(group) > len(listed):
        own = dataclasses.replace(own, to_confirm=True)
        return Symmetry((*others, own), f"{len(listed)} operations are listed, of a group of {len(group)}; {said}")
    return Symmetry(
        (own, *others), f"the operations listed are of group {group.group_number}, {said} stands beside them"
    )


def _said(namings: Sequence[Naming]) -> str:
    texts = dict.fromkeys(each.text for each in namings)
    return "space group " + ", ".join(map(repr, texts)) if texts else "no space group is named"


def _either(candidates: Sequence[Candidate]) -> str:
    return " or ".join(each.name.removeprefix("space group ") for each in candidates)
