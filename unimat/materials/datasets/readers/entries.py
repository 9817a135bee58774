"""Crystals of JSON-like entries: dicts of pymatgen, ASE, OPTIMADE and JARVIS, read as data and never as code.

pymatgen's own decoder would import whatever module an entry names; what is needed of a Structure are four keys.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers import crystalformer
from unimat.materials.datasets.readers.literals import parsed
from unimat.materials.datasets.readers.opening import MAX_TEXT, one_line, too_large
from unimat.materials.datasets.readers.ordered import check_ordered, is_ordered_name
from unimat.materials.datasets.readers.species import FULL_OCCUPANCY_WITHIN, atomic_number
from unimat.materials.datasets.readers.stated import check_stated, stated_of

OPTIMADE = ("lattice_vectors", "cartesian_site_positions", "species_at_sites")
ASE = ("numbers", "positions", "cell")
NOT_BULK = ("Molecule", "IMolecule", "Slab", "Interface")  # classes of pymatgen that are no crystals
_LATTICE_WITHIN = 0.01  # relative; lengths, angles and volume beside the matrix of a pymatgen Lattice are the same cell
_HEAVIEST_HYDROGEN = 1.5  # u; above it is deuterium
Content = str | Crystal | CrystalRejected | None


def content_of(value: Any, material_id: str) -> Content:
    """Content of a record from a cell of a table or a value of JSON.

    Text of a structure file stays as it is. A dict, its JSON, or the Python literal that `str(dict)` makes becomes a
    crystal; a list of one structure is that structure. What cannot be used comes back as a `CrystalRejected`, and is
    not raised.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return too_large(len(value))
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return _guarded(lambda: _content(parsed(value), material_id))
    if value is None or isinstance(value, str | Crystal | CrystalRejected):
        return value
    return _guarded(lambda: _content(value, material_id))


def is_crystal(value: Any) -> bool:
    """Whether `value` is an object that holds a crystal by one of the known keys."""
    return isinstance(value, Mapping) and any(value.keys() >= keys for keys in _READERS)


def _content(value: Any, material_id: str) -> str | Crystal:
    if isinstance(value, list | tuple | np.ndarray):
        if len(value) != 1:
            raise CrystalRejected("unreadable", f"a list of {len(value)} structures or values where one crystal is due")
        value = value[0]
    return value if isinstance(value, str) else _crystal_of(value, material_id)


def _crystal_of(value: Any, material_id: str) -> Crystal:
    if isinstance(value, Mapping) and value.get("@class") in NOT_BULK:
        raise CrystalRejected("not_periodic", f"@class is {value['@class']}, which is no bulk crystal")
    if not is_crystal(value):
        found = ", ".join(map(str, value))[:100] if isinstance(value, Mapping) else type(value).__name__
        raise CrystalRejected("unreadable", f"expected a structure of pymatgen, OPTIMADE or ASE, found {found}")
    stated = stated_of([value])
    check_ordered(stated)
    read = next(read for keys, read in _READERS.items() if value.keys() >= keys)
    crystal = read(value, material_id)
    check_stated(crystal, stated)
    return crystal


def _of_pymatgen(structure: Mapping[str, Any], material_id: str) -> Crystal:
    lattice = structure["lattice"]
    check_ordered({"pbc": lattice.get("pbc")})
    sites = structure["sites"]
    for properties in filter(None, (site.get("properties") for site in sites)):
        check_ordered({name: value for name, value in properties.items() if is_ordered_name(name)})
    numbers = [_full_site([(_named(each, site), each["occu"]) for each in site["species"]]) for site in sites]
    crystal = _crystal(material_id, lattice["matrix"], numbers, [site["abc"] for site in sites])
    _check_lattice(lattice, crystal.lattice)
    return crystal


def _named(species: Mapping[str, Any], site: Mapping[str, Any]) -> str:
    """Symbol of a species. pymatgen writes deuterium and tritium as H; only the label of the site may tell them."""
    label = str(site.get("label"))
    return label[0] if species["element"] == "H" and re.fullmatch(r"[DT](\d*[+-])?", label) else species["element"]


def _check_lattice(lattice: Mapping[str, Any], matrix: np.ndarray) -> None:
    """Refuse a cell whose lengths, angles or volume, where they stand beside the matrix, are another cell's."""
    with np.errstate(all="ignore"):  # a cell that is not finite is for the check that every crystal passes
        metric = (matrix @ matrix.T).tolist()
    lengths = [math.sqrt(metric[at][at]) for at in range(3)]
    if not all(0 < length < math.inf for length in lengths):
        return
    angles = [_degrees(metric[i][j] / (lengths[i] * lengths[j])) for i, j in ((1, 2), (0, 2), (0, 1))]
    read = [*lengths, *angles, abs(float(np.linalg.det(matrix)))]
    for name, found in zip(("a", "b", "c", "alpha", "beta", "gamma", "volume"), read, strict=True):
        said = lattice.get(name)
        if isinstance(said, int | float) and abs(said - found) > _LATTICE_WITHIN * max(abs(said), abs(found)):
            raise CrystalRejected("contradicts_source", f"lattice.{name} is {said:g}, and its matrix has {found:g}")


def _degrees(cosine: float) -> float:
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _of_optimade(attributes: Mapping[str, Any], material_id: str) -> Crystal:
    """OPTIMADE specification 1.2, entry type structures; positions are Cartesian, Å."""
    listed = list(attributes.get("species") or ())
    species = {each["name"]: _species_number(each) for each in listed}
    if len(species) < len(listed):
        raise CrystalRejected("unreadable", "two species of one name; OPTIMADE tells them apart by their names")
    numbers = [
        _fit(species[name]) if name in species else atomic_number(name) for name in attributes["species_at_sites"]
    ]
    lattice = np.array(attributes["lattice_vectors"], np.float64)
    listed_positions = list(attributes["cartesian_site_positions"])
    if any(position is None or None in position for position in listed_positions):
        raise CrystalRejected("atoms_missing", "cartesian_site_positions has a site without coordinates")
    positions = np.array(listed_positions, np.float64).reshape(-1, 3)
    return _crystal(material_id, lattice, numbers, _fractional(positions, lattice))


def _of_jarvis(atoms: Mapping[str, Any], material_id: str) -> Crystal:
    """The `atoms` of JARVIS's JSON files."""
    lattice = np.array(atoms["lattice_mat"], np.float64)
    coords = np.array(atoms["coords"], np.float64).reshape(-1, 3)
    numbers = [_full_site([(element.strip(), 1)]) for element in atoms["elements"]]
    return _crystal(material_id, lattice, numbers, _fractional(coords, lattice) if atoms.get("cartesian") else coords)


def _of_ase(atoms: Mapping[str, Any], material_id: str) -> Crystal:
    """ASE's Atoms as a dict, or a row of its JSON databases."""
    cell = atoms["cell"]
    lattice = np.array(_ase_array(cell["array"] if isinstance(cell, Mapping) and "array" in cell else cell), np.float64)
    check_ordered({"pbc": _ase_array(atoms.get("pbc"))})
    positions = np.array(_ase_array(atoms["positions"]), np.float64).reshape(-1, 3)
    return _crystal(material_id, lattice, _ase_array(atoms["numbers"]), _fractional(positions, lattice))


def _ase_array(value: Any) -> Any:
    if isinstance(value, Mapping) and "__ndarray__" in value:
        shape, _, flat = value["__ndarray__"]
        return np.reshape(flat, shape).tolist()
    return value


def _species_number(species: Mapping[str, Any]) -> int | CrystalRejected:
    """Atomic number of one OPTIMADE species, or why it has none: it matters only if a site holds it."""
    try:
        if species.get("attached"):
            raise CrystalRejected("atoms_missing", f"species {species['name']!r} has attached atoms without places")
        number = _full_site(list(zip(species["chemical_symbols"], species["concentration"], strict=True)))
        masses = np.ravel(species.get("mass") or 0)
        if number == 1 and (species["name"] in ("D", "T") or masses[0] > _HEAVIEST_HYDROGEN):
            raise CrystalRejected("not_an_element", f"species {species['name']!r} of mass {masses[0]:g}: no hydrogen-1")
        return number
    except CrystalRejected as rejection:
        return rejection


def _fit(number: int | CrystalRejected) -> int:
    if isinstance(number, CrystalRejected):
        raise number
    return number


def _full_site(occupants: list[tuple[str, float]]) -> int:
    """Atomic number on a site that one species fills.

    Raises:
        CrystalRejected: on several species, a share below one, or a species that is no element.
    """
    if len(occupants) != 1 or not abs(float(occupants[0][1]) - 1) <= FULL_OCCUPANCY_WITHIN:
        held = ", ".join(f"{symbol} {share:g}" for symbol, share in occupants)
        raise CrystalRejected("partial_occupancy", f"a site holds {held or 'nothing'}")
    return atomic_number(occupants[0][0])


def _fractional(positions: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    return np.linalg.solve(lattice.T, positions.T).T


def _crystal(material_id: str, lattice: Any, numbers: list[int], coords: Any) -> Crystal:
    if not numbers:
        raise CrystalRejected("no_atoms", "the list of sites is empty")
    lattice, coords = np.array(lattice, np.float64), np.array(coords, np.float64)
    if lattice.shape != (3, 3) or coords.shape != (len(numbers), 3):
        found = f"lattice {lattice.shape}, coordinates {coords.shape} of {len(numbers)} atoms"
        raise CrystalRejected("unreadable", f"shapes do not fit: {found}")
    return Crystal(material_id, lattice, np.array(numbers, np.int64), coords)


_READERS: dict[frozenset[str], Callable[[Mapping[str, Any], str], Crystal]] = {
    frozenset({"lattice", "sites"}): _of_pymatgen,
    frozenset(OPTIMADE): _of_optimade,
    frozenset({"lattice_mat", "coords"}): _of_jarvis,
    frozenset(ASE): _of_ase,
    frozenset(crystalformer.COLUMNS): crystalformer.crystal_of_row,
}


def _guarded(read: Callable[[], str | Crystal]) -> str | Crystal | CrystalRejected:
    try:
        return read()
    except CrystalRejected as rejection:
        return rejection
    except np.linalg.LinAlgError:
        return CrystalRejected("degenerate_lattice", "the lattice vectors span no volume")
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError) as error:
        return CrystalRejected("unreadable", f"{type(error).__name__}: {one_line(error)}")
