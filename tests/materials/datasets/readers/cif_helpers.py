"""CIF texts of a few lines, and what is read of them."""

import collections

from unimat.crystal_table import Crystal
from unimat.errors import REJECTION_REASONS, CrystalRejected
from unimat.materials.datasets.readers.cif import crystal_of_cif
from unimat.periodic_table import SYMBOLS

CELL = "length_a length_b length_c angle_alpha angle_beta angle_gamma"
SITE = "label type_symbol fract_x fract_y fract_z"


def cif(cell: str, sites: str, *extra: str, columns: str = SITE) -> str:
    """CIF text.

    Args:
        cell: six numbers.
        sites: a site a line.
        extra: lines of the block, each a tag and its value, or a loop.
        columns: what the words of a site are.
    """
    edges = [f"_cell_{name} {value}" for name, value in zip(CELL.split(), cell.split(), strict=True)]
    tags = [f"_atom_site_{name}" for name in columns.split()]
    return "\n".join(["data_x", *edges, *extra, "loop_", *tags, *sites.split("\n")]) + "\n"


def operations(*triplets: str, tag: str = "_symmetry_equiv_pos_as_xyz") -> str:
    return "\n".join(["loop_", tag, *(f"'{each}'" for each in triplets)])


def read(text: str) -> str:
    """What a CIF is read as: `Cl4 Na4`, or the reason of its rejection."""
    found = _tried(text)
    if isinstance(found, CrystalRejected):
        return found.reason
    counts = collections.Counter(SYMBOLS[number - 1] for number in found.atomic_numbers)
    return " ".join(f"{symbol}{count}" for symbol, count in sorted(counts.items()))


def why(text: str) -> str:
    """The detail of a rejection, of one line."""
    found = _tried(text)
    assert isinstance(found, CrystalRejected), f"read as {found}"
    assert found.reason in REJECTION_REASONS
    assert "\n" not in found.detail
    return found.detail


def _tried(text: str) -> Crystal | CrystalRejected:
    try:
        return crystal_of_cif(text, "x")
    except CrystalRejected as rejection:
        return rejection
