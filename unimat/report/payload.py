"""A set as the page carries it: rows as compact JSON, geometry as 32-bit numbers, both gzipped and in base64.

Gzip keeps 10,000 crystals of 10 atoms under 6 MB; 32 bits keep coordinates to 1e-6 Å. The page unpacks either with the
browser's own DecompressionStream, rows at once and geometry when the first crystal is opened.
"""

import base64
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ase.data import covalent_radii
from pymatgen.core import Element
from pymatgen.symmetry.groups import sg_symbol_from_int_number

from unimat.crystal_table import CrystalTable
from unimat.periodic_table import SYMBOLS
from unimat.report.crystal_rows import VERDICTS
from unimat.report.crystals import element_colour
from unimat.report.moves import moves_picture
from unimat.report.origins import Origin
from unimat.report.partners import Partner
from unimat.report.quantities import spacegroup_symbol
from unimat.report.relaxed_form import is_relaxed
from unimat.report.run_files import SetFiles

FLAGS = ("valid", "unique", "novel", "converged", "valid_generated", "unique_generated", "novel_generated")
GROUPS = ("spacegroup_number", "spacegroup_number_generated")
ENERGIES = ("e_form_per_atom", "decomposition_energy", "density", "density_generated")


def packed(data: bytes) -> str:
    """Gzipped, in base64; the same text every time."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def payload(
    one: SetFiles, rows: pd.DataFrame, partners: Mapping[str, Partner], origins: Mapping[str, Origin] | None = None
) -> tuple[dict[str, Any], bytes]:
    """Rows of `crystal_rows` as JSON-ready columns, and the geometry that they number.

    Args:
        partners: crystals to draw beside those of a reduced formula, or beside one of a material_id.
        origins: where crystals come from, by material_id.

    The bytes hold, little-endian and without gaps: numbers of atoms (uint16), lattices (9 float32, Å, rows a, b, c),
    fractional coordinates (3 float32 per atom), atomic numbers (uint8 per atom).
    """
    geometry = _Geometry()
    # Where relaxation failed, the relaxed table repeats the crystal as generated.
    relaxed = [None if row.verdict == "relaxation failed" else row.material_id for row in rows.itertuples()]
    where = {"sampled": geometry.add(one.crystals, rows["material_id"]), "relaxed": geometry.add(one.relaxed, relaxed)}
    beside = [partners.get(row.material_id) or partners.get(row.formula) for row in rows.itertuples()]
    used = list({id(partner): partner for partner in beside if partner}.values())
    number_of = {id(partner): index for index, partner in enumerate(used)}
    texts = list(dict.fromkeys([*rows["reasons"], *rows["why"]]))
    columns: dict[str, list[Any]] = {
        "material_id": rows["material_id"].tolist(),
        "formula": [each or "" for each in rows["formula"]],
        "n_atoms": _whole(rows["n_atoms"]),
        "verdict": [VERDICTS.index(each) for each in rows["verdict"]],
        "why": _codes(rows["why"], texts),
        "reasons": _codes(rows["reasons"], texts),
        **{name: _whole(rows[name]) for name in (*FLAGS, *GROUPS)},
        **{name: _rounded(rows[name], 4) for name in ENERGIES},
        "products": [_products(each) for each in rows["products"]],
        "partner": [-1 if partner is None else number_of[id(partner)] for partner in beside],
        **where,
    }
    for partner in used:
        geometry.append(partner.crystal.lattice, partner.crystal.atomic_numbers, partner.crystal.frac_coords)
    numbers = {number for name in GROUPS for number in columns[name] if number}
    numbers |= {partner.spacegroup_number for partner in used if partner.spacegroup_number}
    found = {
        "state": "relaxed" if is_relaxed(one) else "sampled",  # of the crystals that flags, groups and densities are of
        "columns": columns,
        "verdicts": VERDICTS,
        "texts": texts,
        "spacegroups": {number: spacegroup_symbol(sg_symbol_from_int_number(number)) for number in sorted(numbers)},
        "elements": {z: _element(z) for z in sorted(geometry.species)},
        "partners": [_partner(each, len(geometry) - len(used) + index) for index, each in enumerate(used)],
        "geometries": len(geometry),
    }
    if origins:
        found |= _origins(origins, rows["material_id"])
    return found, geometry.bytes()


def _origins(origins: Mapping[str, Origin], material_ids: Iterable[str]) -> dict[str, Any]:
    """Facts of each crystal (null where there are none), and pictures of moves, each once."""
    told: list[dict[str, Any] | None] = []
    pictures: dict[tuple, int] = {}
    for origin in (origins.get(material_id) for material_id in material_ids):
        if origin is None:
            told.append(None)
            continue
        key = tuple(origin.moves.items())
        picture = pictures.setdefault(key, len(pictures)) if key else None
        told.append({"facts": origin.facts(), "moves": picture})
    return {"origins": told, "moves": [moves_picture(dict(key)) for key in pictures]}


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


class _Geometry:
    """Cells one after the other."""

    def __init__(self) -> None:
        self.species: set[int] = set()
        self._lattices: list[np.ndarray] = []
        self._numbers: list[np.ndarray] = []
        self._coords: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._lattices)

    def add(self, table: CrystalTable | None, wanted: Iterable[str | None]) -> list[int]:
        """Index of each wanted crystal among all geometries, -1 where the table has none."""
        if table is None:
            return [-1 for _ in wanted]
        row_of = {material_id: row for row, material_id in enumerate(table.material_ids)}
        lattices, numbers = table.lattices, table.flat_atomic_numbers
        coords, offsets = table.flat_frac_coords, table.atom_offsets
        places = []
        for material_id in wanted:
            row = None if material_id is None else row_of.get(material_id)
            places.append(-1 if row is None else len(self))
            if row is not None:
                atoms = slice(offsets[row], offsets[row + 1])
                self.append(lattices[row], numbers[atoms], coords[atoms])
        return places

    def append(self, lattice: np.ndarray, numbers: np.ndarray, coords: np.ndarray) -> None:
        self.species.update(int(z) for z in np.unique(numbers))
        self._lattices.append(lattice)
        self._numbers.append(numbers)
        self._coords.append(coords)

    def bytes(self) -> bytes:
        parts = (
            np.array([len(each) for each in self._numbers], "<u2"),
            np.array(self._lattices, "<f4").ravel(),
            np.concatenate([np.zeros((0, 3)), *self._coords]).astype("<f4").ravel(),
            np.concatenate([np.zeros(0, int), *self._numbers]).astype("u1"),
        )
        return b"".join(part.tobytes() for part in parts)


def _codes(values: Iterable[str], texts: Sequence[str]) -> list[int]:
    code_of = {text: code for code, text in enumerate(texts)}
    return [code_of[each] for each in values]


def _whole(values: pd.Series) -> list[int | None]:
    """Whole numbers and flags (1, 0), None where missing."""
    return [None if each is None or pd.isna(each) else int(each) for each in values]


def _rounded(values: Iterable[float], digits: int) -> list[float | None]:
    return [round(float(each), digits) if np.isfinite(each) else None for each in values]


def _products(found: Any) -> list[list[Any]] | None:
    """Formula, id, share of the atoms and formation energy (eV/atom) of each phase."""
    if found is None or isinstance(found, float):
        return None
    keys = ("amount", "e_form_per_atom")
    return [[each["formula"], each["entry_id"], *_rounded([each[key] for key in keys], 4)] for each in found]


def _element(z: int) -> dict[str, Any]:
    """What the drawing needs of an element; radius in Å."""
    return {
        "symbol": SYMBOLS[z - 1],
        "colour": element_colour(z),
        "radius": round(float(covalent_radii[z]), 3),
        "metal": int(Element.from_Z(z).is_metal),
    }


def _partner(one: Partner, geometry: int) -> dict[str, Any]:
    e_form, e_d = _rounded([one.e_form_per_atom, one.decomposition_energy], 4)
    return {
        "material_id": one.crystal.material_id,
        "spacegroup_number": one.spacegroup_number,
        "e_form_per_atom": e_form,
        "decomposition_energy": e_d,
        "chosen_by": one.chosen_by,
        "geometry": geometry,
    }
