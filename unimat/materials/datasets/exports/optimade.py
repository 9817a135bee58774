"""An OPTIMADE response with structures (specification 1.2), as a provider's /structures would send it."""

import itertools
import json
import math
import re
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unimat import __version__
from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.periodic_table import SYMBOLS

API_VERSION = "1.2.0"
PREFIX = "_unimat_"  # of properties that the specification does not define


def write_optimade(table: CrystalTable, path: Path) -> list[Rejected]:
    """One JSON document, an entry a line under "data"; the table's columns are properties called `_unimat_...`."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write('{"data": [\n')
        for number, crystal in enumerate(table):
            stream.write((",\n" if number else "") + json.dumps(entry(crystal), allow_nan=False))
        stream.write(f'\n], "links": {{"next": null}}, "meta": {json.dumps(_meta(len(table)))}}}\n')
    return []


def entry(crystal: Crystal) -> dict[str, Any]:
    """Resource object of type structures."""
    symbols = [SYMBOLS[z - 1] for z in crystal.atomic_numbers.tolist()]
    counts = Counter(symbols)
    elements, n_sites = sorted(counts), len(symbols)
    divisor = math.gcd(*counts.values())
    reduced = {symbol: counts[symbol] // divisor for symbol in elements}
    formula = _formula(reduced.items())
    attributes = {
        "immutable_id": crystal.material_id,
        "last_modified": None,
        "elements": elements,
        "nelements": len(elements),
        "elements_ratios": [counts[symbol] / n_sites for symbol in elements],
        "chemical_formula_descriptive": formula,
        "chemical_formula_reduced": formula,
        "chemical_formula_anonymous": _formula(zip(_letters(), sorted(reduced.values(), reverse=True), strict=False)),
        "dimension_types": [1, 1, 1],
        "nperiodic_dimensions": 3,
        "lattice_vectors": crystal.lattice.tolist(),
        "cartesian_site_positions": (crystal.frac_coords @ crystal.lattice).tolist(),
        "nsites": n_sites,
        "species": [{"name": each, "chemical_symbols": [each], "concentration": [1.0]} for each in elements],
        "species_at_sites": symbols,
        "structure_features": [],
    }
    properties = {_name(name): _plain(value) for name, value in crystal.properties.items()}
    return {"id": crystal.material_id, "type": "structures", "attributes": attributes | properties}


def _formula(parts: Any) -> str:
    return "".join(f"{symbol}{'' if count == 1 else count}" for symbol, count in parts)


def _letters() -> Iterator[str]:
    """A to Z, then Aa to Za, Ab and so on, as the specification counts."""
    yield from string.ascii_uppercase
    yield from (upper + lower for lower, upper in itertools.product(string.ascii_lowercase, string.ascii_uppercase))


def _name(column: str) -> str:
    """Property names are lower case letters, digits and underscores."""
    return PREFIX + re.sub("[^a-z0-9_]", "_", column.lower())


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value


def _meta(n_entries: int) -> dict[str, Any]:
    return {
        "query": {"representation": "/structures"},
        "api_version": API_VERSION,
        "more_data_available": False,
        "data_returned": n_entries,
        "data_available": n_entries,
        "provider": {"name": "unimat", "description": "crystals of one set, written by unimat", "prefix": "unimat"},
        "implementation": {"name": "unimat", "version": __version__},
    }
