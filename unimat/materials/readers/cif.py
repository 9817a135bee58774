"""CIF text to crystals: gemmi for speed, pymatgen for what gemmi does not understand.

Coordinates stay as the file has them; an orbit is what the symmetry operations make of a site, images closer than
`SAME_SITE` to one already there being the same atom on a special position.
"""

import math
import re
import warnings

import gemmi
import numpy as np
from pymatgen.io.cif import CifParser

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.lattices import lattice_matrix
from unimat.materials.structures import from_structure
from unimat.periodic_table import ATOMIC_NUMBER

SAME_SITE = 0.1  # Å; three printed digits put images of one site up to 0.05 Å apart in a 30 Å cell
FULL_OCCUPANCY_WITHIN = 1e-3
FULL = frozenset({"?", ".", "1", "1.0", "1.00", "1.000"})
_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_OPERATIONS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz", "_space_group_symop.operation_xyz")
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_HERMANN_MAUGUIN = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M", "_space_group.name_H-M_alt")
_NUMBER = ("_space_group_IT_number", "_symmetry_Int_Tables_number", "_space_group.IT_number")


class _NotUnderstood(Exception):
    """gemmi's path cannot tell what this CIF means; pymatgen may."""


def crystal_of_cif(text: str, material_id: str) -> Crystal:
    """Crystal of the only structure in CIF text, its symmetry expanded.

    Raises:
        CrystalRejected: if it cannot be read, a site is partly occupied, or a species is no element.
    """
    try:
        blocks = structure_blocks(text)
        if len(blocks) != 1:
            raise CrystalRejected("unreadable", f"{len(blocks)} structures in one CIF, expected one")
        return _expanded(blocks[0], material_id)
    except _NotUnderstood as cause:
        return _by_pymatgen(text, material_id, str(cause))


def structure_blocks(text: str) -> list[gemmi.cif.Block]:
    """The data blocks of CIF text that hold atoms.

    Raises:
        _NotUnderstood: if the text breaks the CIF syntax.
    """
    try:
        document = gemmi.cif.read_string(text)
    except (ValueError, RuntimeError) as error:  # gemmi raises both for bad syntax
        raise _NotUnderstood(" ".join(str(error).split())) from error
    return [block for block in document if block.find_loop("_atom_site_fract_x")]


def texts_of_cif(text: str) -> dict[str, str]:
    """Text of each data block that holds atoms, by its name; empty for text that gemmi cannot split."""
    try:
        return {block.name: block.as_string() for block in structure_blocks(text)}
    except _NotUnderstood:
        return {}


def _by_pymatgen(text: str, material_id: str, cause: str) -> Crystal:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of (rounding, symmetry guessed) is checked afterwards
            structure = CifParser.from_str(text).parse_structures(primitive=False)[0]
    except Exception as error:  # pymatgen's parser raises nearly every built-in exception on malformed text
        detail = f"{cause}; pymatgen: {' '.join(str(error).split())}"
        raise CrystalRejected("unreadable", detail[:300]) from error
    return from_structure(structure, material_id)


def _expanded(block: gemmi.cif.Block, material_id: str) -> Crystal:
    lattice = _lattice(block)
    numbers, sites = _sites(block)
    operations = _operations(block)
    if len(operations) > 1:
        numbers, sites = _orbits(numbers, sites, operations, lattice)
    return Crystal(material_id, lattice, numbers, sites)


def _lattice(block: gemmi.cif.Block) -> np.ndarray:
    texts = [block.find_value(f"_cell_{name}") or block.find_value(f"_cell.{name}") for name in _CELL]
    values = [_number(text) for text in texts]
    lengths, angles = values[:3], values[3:]
    if min(lengths) <= 0 or min(angles) <= 0 or max(angles) >= 180:
        raise CrystalRejected("degenerate_lattice", f"lengths {lengths} Å, angles {angles} degrees")
    return lattice_matrix(lengths, angles)


def _number(text: str | None) -> float:
    value = gemmi.cif.as_number(text) if text else float("nan")  # drops a standard uncertainty: 5.64(2)
    if not math.isfinite(value):
        raise _NotUnderstood(f"expected a number, found {text!r}")
    return float(value)


def _sites(block: gemmi.cif.Block) -> tuple[np.ndarray, np.ndarray]:
    tags = ["fract_x", "fract_y", "fract_z", "?type_symbol", "?label", "?occupancy"]
    table = block.find("_atom_site_", tags)
    x, y, z, symbols, labels, occupancies = (
        list(table.column(i)) if table.has_column(i) else ["?"] * len(table) for i in range(len(tags))
    )
    if not x:
        raise CrystalRejected("no_atoms", "the list of sites is empty")
    names, labelled = [_unquoted(text) for text in symbols], [_unquoted(text) for text in labels]
    for name, label, occupancy in zip(names, labelled, occupancies, strict=True):
        if occupancy not in FULL and abs(_number(occupancy) - 1) > FULL_OCCUPANCY_WITHIN:
            raise CrystalRejected("partial_occupancy", f"site {label or name!r} has occupancy {occupancy}")
    numbers = [
        ATOMIC_NUMBER.get(name) or _atomic_number(name or label, certain=bool(name))
        for name, label in zip(names, labelled, strict=True)
    ]
    return np.array(numbers, np.int64), np.array([_numbers(x), _numbers(y), _numbers(z)]).T


def _numbers(texts: list[str]) -> list[float]:
    try:
        values = list(map(float, texts))
        if all(map(math.isfinite, values)) and "_" not in "".join(texts):  # Python reads 1_000 as a number
            return values
    except ValueError:
        pass  # a standard uncertainty, 0.123(4), or no number at all
    return [_number(text) for text in texts]


def _unquoted(text: str | None) -> str:
    if text is None or text in ("?", "."):
        return ""
    return text if text.isalnum() else gemmi.cif.as_string(text)


def _atomic_number(name: str, certain: bool) -> int:
    """Atomic number of a type symbol (Na, Na1+, NA) or, not `certain`, of a label that begins with one (Na1)."""
    match = re.match(r"[A-Za-z]+", name)
    letters = match.group() if match else ""
    symbol = letters.capitalize()
    if symbol in ATOMIC_NUMBER and (certain or len(letters) == 1 or letters[1].islower()):
        return ATOMIC_NUMBER[symbol]
    if not certain:  # OW1, CA2: only a convention tells oxygen of water, or calcium from carbon alpha
        raise _NotUnderstood(f"label {name!r} names no element for certain")
    raise CrystalRejected("not_an_element", f"species {name!r}")


def _operations(block: gemmi.cif.Block) -> list[gemmi.Op]:
    for tag in _OPERATIONS:
        column = block.find_values(tag)
        if len(column):
            try:
                return [gemmi.Op(gemmi.cif.as_string(text)) for text in column]
            except (ValueError, RuntimeError) as error:
                raise _NotUnderstood(f"symmetry operation: {error}") from error
    group = _space_group(block)
    return list(group.operations()) if group else [gemmi.Op("x,y,z")]


def _space_group(block: gemmi.cif.Block) -> gemmi.SpaceGroup | None:
    for tags, find in (
        (_HALL, lambda name: gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(name))),
        (_HERMANN_MAUGUIN, gemmi.find_spacegroup_by_name),
        (_NUMBER, lambda number: gemmi.find_spacegroup_by_number(int(number))),
    ):
        named = next((name for tag in tags if (name := _unquoted(block.find_value(tag)))), "")
        if not named:
            continue
        try:
            group = find(named)
        except (ValueError, RuntimeError):
            group = None
        if group is None:
            raise _NotUnderstood(f"space group {named!r} is not known")
        return group
    return None


def _orbits(
    numbers: np.ndarray, sites: np.ndarray, operations: list[gemmi.Op], lattice: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rotations = np.array([operation.rot for operation in operations]) / gemmi.Op.DEN
    translations = np.array([operation.tran for operation in operations]) / gemmi.Op.DEN
    orbits = [_orbit(rotations @ site + translations, lattice) for site in sites]
    return np.repeat(numbers, [len(orbit) for orbit in orbits]), np.concatenate(orbits)


def _orbit(images: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Distinct points among the `images` (m, 3) of a site, fractional; the first of those that coincide stays."""
    kept = images[:1]
    for image in images[1:]:
        difference = image - kept
        difference -= np.round(difference)
        if np.linalg.norm(difference @ lattice, axis=1).min() > SAME_SITE:
            kept = np.vstack([kept, image - np.floor(image)])
    return kept
