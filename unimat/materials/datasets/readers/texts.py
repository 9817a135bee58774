"""The crystal of a record, whatever form it came in."""

import dataclasses
import re
from collections.abc import Callable

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers.cif import crystal_of_cif
from unimat.materials.datasets.readers.extxyz import crystal_of_extxyz, is_extxyz
from unimat.materials.datasets.readers.ordered import check_ordered
from unimat.materials.datasets.readers.poscar import crystal_of_poscar
from unimat.materials.datasets.readers.records import Record
from unimat.materials.datasets.readers.res import crystal_of_res, is_res
from unimat.materials.datasets.readers.stated import check_stated

_CIF = re.compile(r"_cell[_.]length_a|_atom_site[_.]|\A\s*data_", re.IGNORECASE)


def crystal_of(record: Record) -> Crystal:
    """Crystal of `record`, with the record's properties.

    Raises:
        CrystalRejected: if its reader says so, its text cannot be read, it is no ordered crystal of elements, or the
            source says something else of it than what was read.
    """
    content = record.content
    check_ordered(record.stated)
    if isinstance(content, CrystalRejected):
        raise content
    if content is None or (isinstance(content, str) and not content.strip()):
        raise CrystalRejected("unreadable", "the structure is missing")
    if isinstance(content, str):
        content = _parser(content)(content, record.material_id)
    if record.stated:
        check_stated(content, record.stated)
    return dataclasses.replace(content, properties=record.properties)


def _parser(text: str) -> Callable[[str, str], Crystal]:
    if is_cif(text):
        return crystal_of_cif
    if is_res(text):
        return crystal_of_res
    return crystal_of_extxyz if is_extxyz(text) else crystal_of_poscar


def is_cif(text: str) -> bool:
    return "_cell_length_a" in text or _CIF.search(text) is not None  # the first takes a tenth of the time
