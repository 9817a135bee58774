"""Crystals inside a JSON of entries, as little of them as tells an oxide from a peroxide."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pymatgen.core import Lattice, Structure

from unimat.formulas import atoms

Site = tuple[dict[str, float], list[float]]  # share of each element, fractional coordinates


@dataclasses.dataclass(frozen=True)
class Sites:
    """Lattice matrix (Å, rows a, b, c) and sites of a crystal."""

    matrix: list[list[float]]
    sites: list[Site]

    def structure(self) -> Structure:
        """pymatgen Structure, without oxidation states."""
        species, coords = zip(*self.sites, strict=True)
        return Structure(Lattice(self.matrix), list(species), list(coords))


def compact(value: dict[str, Any]) -> Any:
    """For `json.load(object_hook=...)`: pymatgen's structures as `Sites`, all else as it is."""
    if "abc" in value and isinstance(value.get("species"), list):
        return _site(value)
    if "sites" in value and isinstance(value.get("lattice"), Mapping):
        matrix, sites = value["lattice"].get("matrix"), value["sites"]
        return Sites(matrix, sites) if matrix and sites and all(sites) else None
    return value


def _site(value: dict[str, Any]) -> Site | None:
    """None of a site that holds no elements, such as a dummy species: its crystal then tells nothing."""
    shares: dict[str, float] = {}
    try:
        for each in value["species"]:
            [symbol] = atoms({each["element"]: 1.0})  # without the oxidation state
            shares[symbol] = shares.get(symbol, 0.0) + float(each.get("occu", 1.0))
    except (ValueError, KeyError, TypeError):
        return None
    return shares, value["abc"]


def of_structure(structure: Structure) -> Sites:
    """The same of a pymatgen Structure."""
    sites = [(site.species.get_el_amt_dict(), site.frac_coords.tolist()) for site in structure]
    return Sites(structure.lattice.matrix.tolist(), sites)
