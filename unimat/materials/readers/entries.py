"""Crystals of JSON-like entries: pymatgen's dicts and OPTIMADE's attributes, read as data and never as code.

pymatgen's own decoder would import whatever module an entry names; what is needed of a Structure are four keys.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.readers.cif import FULL_OCCUPANCY_WITHIN
from unimat.materials.readers.opening import MAX_TEXT, one_line, too_large
from unimat.periodic_table import ATOMIC_NUMBER

OPTIMADE = ("lattice_vectors", "cartesian_site_positions", "species_at_sites")
Content = str | Crystal | CrystalRejected | None


def content_of(value: Any, material_id: str) -> Content:
    """Content of a record from a cell of a table or a value of JSON: text as it is, a dict or its JSON as a crystal.

    What cannot be used comes back as a `CrystalRejected`, not raised.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return too_large(len(value))
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return _guarded(lambda: _crystal_of(json.loads(value), material_id))
    if value is None or isinstance(value, str | Crystal | CrystalRejected):
        return value
    return _guarded(lambda: _crystal_of(value, material_id))


def is_crystal(value: Any) -> bool:
    """Whether `value` is an object that holds a crystal by one of the known keys."""
    return isinstance(value, Mapping) and (
        {"lattice", "sites"} <= set(value) or set(OPTIMADE) <= set(value) or {"lattice_mat", "coords"} <= set(value)
    )


def _crystal_of(value: Any, material_id: str) -> Crystal:
    if not is_crystal(value):
        found = ", ".join(map(str, value))[:100] if isinstance(value, Mapping) else type(value).__name__
        raise CrystalRejected("unreadable", f"expected a pymatgen Structure or an OPTIMADE structure, found {found}")
    if "sites" in value:
        return _of_pymatgen(value, material_id)
    return _of_optimade(value, material_id) if "lattice_vectors" in value else _of_jarvis(value, material_id)


def _of_pymatgen(structure: Mapping[str, Any], material_id: str) -> Crystal:
    numbers = [_full_site([(each["element"], each["occu"]) for each in site["species"]]) for site in structure["sites"]]
    return _crystal(material_id, structure["lattice"]["matrix"], numbers, [site["abc"] for site in structure["sites"]])


def _of_optimade(attributes: Mapping[str, Any], material_id: str) -> Crystal:
    """OPTIMADE specification 1.2, entry type structures; positions are Cartesian, Å."""
    features = [each for each in attributes.get("structure_features") or () if each in ("assemblies", "implicit_atoms")]
    if features:
        raise CrystalRejected("partial_occupancy", f"structure_features {features[0]!r}")
    species = {each["name"]: _species_number(each) for each in attributes.get("species") or ()}
    numbers = [_fit(species[name]) if name in species else _number(name) for name in attributes["species_at_sites"]]
    lattice = np.array(attributes["lattice_vectors"], np.float64)
    positions = np.array(attributes["cartesian_site_positions"], np.float64).reshape(-1, 3)
    return _crystal(material_id, lattice, numbers, _fractional(positions, lattice))


def _of_jarvis(atoms: Mapping[str, Any], material_id: str) -> Crystal:
    """The `atoms` of JARVIS's JSON files."""
    lattice = np.array(atoms["lattice_mat"], np.float64)
    coords = np.array(atoms["coords"], np.float64).reshape(-1, 3)
    numbers = [_full_site([(element.strip(), 1)]) for element in atoms["elements"]]
    return _crystal(material_id, lattice, numbers, _fractional(coords, lattice) if atoms.get("cartesian") else coords)


def _species_number(species: Mapping[str, Any]) -> int | CrystalRejected:
    """Atomic number of one OPTIMADE species, or why it has none: it matters only if a site holds it."""
    try:
        if species.get("attached"):
            raise CrystalRejected("partial_occupancy", f"species {species['name']!r} has attached atoms without places")
        return _full_site(list(zip(species["chemical_symbols"], species["concentration"], strict=True)))
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
    return _number(occupants[0][0])


def _number(symbol: str) -> int:
    if symbol not in ATOMIC_NUMBER:  # deuterium, X, "vacancy"
        raise CrystalRejected("not_an_element", f"species {symbol!r}")
    return ATOMIC_NUMBER[symbol]


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


def _guarded(read: Callable[[], Crystal]) -> Crystal | CrystalRejected:
    try:
        return read()
    except CrystalRejected as rejection:
        return rejection
    except np.linalg.LinAlgError:
        return CrystalRejected("degenerate_lattice", "the lattice vectors span no volume")
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        return CrystalRejected("unreadable", f"{type(error).__name__}: {one_line(error)}")
