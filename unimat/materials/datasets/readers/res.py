"""SHELX .res files as AIRSS and CASTEP write them, one structure or many in a file.

pymatgen reads them, too, but neither the occupancies nor LATT and SYMM, and of several structures the last alone; so
they are read here. What else a refinement by SHELXL writes is refused: its CIF tells it better.
"""

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Mapping
from typing import Any

import gemmi
import numpy as np

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.crystals.lattices import lattice_matrix
from unimat.materials.crystals.structures import MAX_LENGTH
from unimat.materials.datasets.readers.cif.operations import Operations, operations_of
from unimat.materials.datasets.readers.species import FULL_OCCUPANCY_WITHIN, atomic_number, number_of

VOLUME_WITHIN = 0.01  # relative; the title has four digits or more
_FIXED = 10  # SHELX adds it to a parameter that is not refined: an occupancy of 11 is 1
_CENTRINGS = {
    1: (),
    2: (("1/2", "1/2", "1/2"),),
    3: (("2/3", "1/3", "1/3"), ("1/3", "2/3", "2/3")),
    4: (("0", "1/2", "1/2"), ("1/2", "0", "1/2"), ("1/2", "1/2", "0")),
    5: (("0", "1/2", "1/2"),),
    6: (("1/2", "0", "1/2"),),
    7: (("1/2", "1/2", "0"),),
}  # by the number behind LATT: P, I, R (obverse, hexagonal axes), F, A, B, C
_SAYS_NOTHING = ("REM", "ZERR", "TITL", "TIME")
_TITLE = re.compile(r"^[ \t]*TITL\b", re.MULTILINE | re.IGNORECASE)
_CELL = re.compile(r"^[ \t]*CELL[ \t]+[\d.]", re.MULTILINE | re.IGNORECASE)
_SFAC = re.compile(r"^[ \t]*SFAC[ \t]", re.MULTILINE | re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Title:
    """What AIRSS writes behind TITL; None where it says nothing, or a zero that stands for nothing.

    Attributes:
        pressure: GPa.
        volume: Å^3, of the cell.
        enthalpy: eV, of the cell.
        spin: integrated spin density, and abs_spin its absolute value, in electrons.
        appearances: how often the search found the structure.
    """

    name: str = ""
    pressure: float | None = None
    volume: float | None = None
    enthalpy: float | None = None
    spin: float | None = None
    abs_spin: float | None = None
    n_atoms: int | None = None
    space_group: str | None = None
    appearances: int | None = None


def is_res(text: str) -> bool:
    return bool(_TITLE.match(text) or (_CELL.search(text) and _SFAC.search(text)))


def texts_of_res(text: str) -> dict[str, str]:
    """Text of each structure of a .res file by the name in its title, with a number where several share a name."""
    starts = [match.start() for match in _TITLE.finditer(text)] or [0]
    parts = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    texts: dict[str, str] = {}
    for part in parts:
        name = title_of(part).name or "structure"
        texts[name if name not in texts else f"{name}-{len(texts)}"] = part
    return texts


def title_of(text: str) -> Title:
    """What the first line of a structure says: name, pressure, volume, enthalpy, spins, atoms, (group), n - found."""
    words = text.lstrip().split("\n", 1)[0].split()
    if len(words) < 2 or words[0].upper() != "TITL":
        return Title()
    try:
        pressure, volume, enthalpy, spin, abs_spin = map(float, words[2:7])
    except ValueError:  # not AIRSS's
        return Title(words[1])
    rest = " ".join(words[7:])
    atoms, group, found = (
        re.search(rule, rest) for rule in (r"^\(?(\d+)\b", r"\(([^()\s]*[A-Za-z][^()]*)\)", r"n\s*-\s*(\d+)")
    )
    return Title(
        words[1],
        pressure,
        volume or None,
        enthalpy or None,
        spin,
        abs_spin,
        int(atoms[1]) or None if atoms else None,
        group[1] if group else None,
        int(found[1]) if found else None,
    )


def properties_of_res(text: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Values of those `names` that the title gives: the fields of `Title`, and enthalpy_per_atom in eV/atom."""
    title = title_of(text)
    found = dataclasses.asdict(title)
    if title.enthalpy is not None and "enthalpy_per_atom" in names:
        with contextlib.suppress(CrystalRejected):  # told when the crystal is read
            found["enthalpy_per_atom"] = title.enthalpy / (
                title.n_atoms or len(crystal_of_res(text, "").atomic_numbers)
            )
    return {name: found.get(name) for name in names}


def crystal_of_res(text: str, material_id: str) -> Crystal:
    """Crystal of the only structure in .res text.

    Raises:
        CrystalRejected: if it cannot be read, a site is partly occupied, a species is no element, or TITL or UNIT has
            another number of atoms or volume than what was read.
    """
    if len(_TITLE.findall(text)) > 1:
        raise CrystalRejected("unreadable", f"{len(texts_of_res(text))} structures in one .res text, expected one")
    try:
        return _crystal(text, material_id)
    except (ValueError, IndexError) as error:
        raise CrystalRejected("unreadable", f".res: {' '.join(str(error).split())}"[:300]) from error


def _crystal(text: str, material_id: str) -> Crystal:
    instructions, atoms = _split(text)
    cell = [float(word) for word in instructions["CELL"]]
    if len(cell) != 7:
        raise ValueError(f"CELL has {len(cell)} numbers, expected a wavelength, three lengths and three angles")
    lattice = lattice_matrix(cell[1:4], cell[4:7])
    if not np.abs(lattice).max() < MAX_LENGTH:
        raise CrystalRejected("degenerate_lattice", f"a cell vector is not finite, or longer than {MAX_LENGTH:g} Å")
    title = title_of(text)
    if "LATT" not in instructions and title.n_atoms != len(atoms):  # SHELX would take LATT 1, other readers LATT -1
        raise CrystalRejected("symmetry_unclear", "LATT is missing, and no number of atoms in TITL tells its meaning")
    operations = _operations(instructions.get("LATT", ["-1"]), instructions.get("SYMM", []))
    if not operations.fit(lattice):
        raise CrystalRejected("symmetry_unclear", "the operations of LATT and SYMM do not fit the cell")
    sites = np.array([[float(word) for word in atom[2:5]] for atom in atoms]).reshape(-1, 3)
    if not np.isfinite(sites).all():
        raise ValueError("a coordinate is not finite")
    orbits = [operations.orbit(site, lattice) for site in sites]
    for atom, orbit in zip(atoms, orbits, strict=True):
        _refuse_partial(atom, len(orbit) / len(operations))
    numbers = np.repeat([_number(atom, instructions["SFAC"]) for atom in atoms], [len(orbit) for orbit in orbits])
    if not orbits:
        raise CrystalRejected("no_atoms", "SFAC is followed by no atom")
    crystal = Crystal(material_id, lattice, numbers.astype(np.int64), np.concatenate(orbits))
    _check_contents(title, instructions, crystal)
    return crystal


def _operations(latt: list[str], symm: list[str]) -> Operations:
    """All operations of SHELX's LATT (centring; inverted too, if positive) and SYMM (the others but the identity)."""
    number = int(latt[0]) if len(latt) == 1 else 0
    if abs(number) not in _CENTRINGS:
        raise CrystalRejected("symmetry_unclear", f"LATT {' '.join(latt)} is not known to SHELX")
    centrings = [gemmi.Op(f"x+{x},y+{y},z+{z}") for x, y, z in ((0, 0, 0), *_CENTRINGS[abs(number)])]
    inversions = [gemmi.Op(each) for each in ("x,y,z", "-x,-y,-z")[: 1 + (number > 0)]]
    try:
        listed = [gemmi.Op("x,y,z"), *(gemmi.Op(each) for each in symm)]
    except (ValueError, RuntimeError) as error:
        raise CrystalRejected("unreadable", f"SYMM: {error}") from error
    products = itertools.product(centrings, inversions, listed)
    operations = operations_of(tuple((first * second * third).triplet() for first, second, third in products))
    if len(operations.completed) != len(operations):
        raise CrystalRejected("symmetry_unclear", "the operations of LATT and SYMM form no group")
    return operations


def _split(text: str) -> tuple[dict[str, list[str]], list[list[str]]]:
    """Words of the instructions by name, and of the lines of atoms."""
    instructions: dict[str, list[str]] = {}
    atoms: list[list[str]] = []
    for line in re.sub(r"=[ \t]*\r?\n", " ", text).splitlines():
        words = line.split("!")[0].split()
        if not words or words[0].upper() in _SAYS_NOTHING:
            continue
        name = words[0].upper()
        if name == "END":
            break
        if name == "SYMM":
            instructions.setdefault(name, []).append("".join(words[1:]))
        elif name in ("CELL", "LATT", "SFAC", "UNIT"):
            instructions[name] = [*(instructions.get(name, []) if name == "SFAC" else []), *words[1:]]
        elif "SFAC" in instructions and len(words) >= 5 and words[1].isdigit():
            atoms.append(words)
        else:
            raise ValueError(f"the line {line.strip()[:40]!r} is none that AIRSS or CASTEP writes; bring a CIF")
    else:
        raise ValueError("no END (truncated?)")
    missing = [name for name in ("CELL", "SFAC") if name not in instructions]
    if missing:
        raise ValueError(f"no {missing[0]}")
    return instructions, atoms


def _number(atom: list[str], species: list[str]) -> int:
    """Atomic number of an atom by its place in SFAC, which its name must not contradict."""
    place = int(atom[1])
    if not 1 <= place <= len(species):
        raise ValueError(f"atom {atom[0]} is of species {place}, and SFAC has {len(species)}")
    number = atomic_number(species[place - 1])
    if number_of(atom[0]) not in (None, number):
        raise CrystalRejected(
            "contradicts_source", f"atom {atom[0]} is of species {place}, which is {species[place - 1]}"
        )
    return number


def _refuse_partial(atom: list[str], share: float) -> None:
    """Refuse an occupancy other than 1, or than SHELX's: the `share` of all operations that move the site elsewhere."""
    occupancy = float(atom[5]) if len(atom) > 5 else 1.0
    occupancy -= _FIXED * (occupancy > _FIXED / 2)
    if min(abs(occupancy - 1), abs(occupancy - share)) > FULL_OCCUPANCY_WITHIN:
        raise CrystalRejected("partial_occupancy", f"atom {atom[0]} has occupancy {atom[5]}")


def _check_contents(title: Title, instructions: Mapping[str, list[str]], crystal: Crystal) -> None:
    """Hold what was read against TITL, and against UNIT: atoms in the cell, in the order of SFAC."""
    counts = [float(word) for word in instructions.get("UNIT", [])]
    if any(counts):
        read = [int((crystal.atomic_numbers == atomic_number(name)).sum()) for name in instructions["SFAC"]]
        if counts != read:
            said, found = (" ".join(f"{each:g}" for each in listed) for listed in (counts, read))
            raise CrystalRejected("contradicts_source", f"UNIT is {said}; what was read is {found}")
    n_atoms, volume = len(crystal.atomic_numbers), float(abs(np.linalg.det(crystal.lattice)))
    if title.n_atoms not in (None, n_atoms):
        raise CrystalRejected("contradicts_source", f"TITL has {title.n_atoms} atoms; what was read is {n_atoms} atoms")
    if title.volume and abs(title.volume - volume) > VOLUME_WITHIN * volume:
        raise CrystalRejected("contradicts_source", f"TITL has {title.volume:g} Å^3; what was read is {volume:.4f} Å^3")
