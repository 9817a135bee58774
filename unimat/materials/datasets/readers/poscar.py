"""POSCAR text to crystals."""

import math
import re
from collections.abc import Sequence

import numpy as np

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers.species import atomic_number, number_of
from unimat.periodic_table import ATOMIC_NUMBER

_POTCAR = re.compile(r"([^/_]+)(?:_\w+)?(?:/[0-9a-f]{6,})?")  # Mg_pv/f474ac0d, as VASP 6 writes a species
Words = list[list[str]]


def crystal_of_poscar(text: str, material_id: str) -> Crystal:
    """Crystal of POSCAR or CONTCAR text; what follows the coordinates (velocities, say) is left out.

    The elements stand in a line of their own (VASP 5 and newer) or behind each coordinate.

    Raises:
        CrystalRejected: if it cannot be read, names no elements or two for one atom, counts fewer than it holds, or
            a species is no element.
    """
    words = [re.split("[#!]", line, maxsplit=1)[0].split() for line in text.splitlines()]
    try:
        return _crystal(words, material_id)
    except (ValueError, IndexError) as error:
        raise CrystalRejected("unreadable", f"POSCAR: {' '.join(str(error).split())}"[:300]) from error


def _crystal(words: Words, material_id: str) -> Crystal:
    lattice = np.array([_numbers(line) for line in words[2:5]])
    scale = _scale(words[1], lattice)
    names, counts, at = _named(words)
    selective = words[at][0][0] in "sS"
    at += selective
    mode = words[at][0][0].lower()
    if mode not in "dfck":
        raise ValueError(f"expected Direct or Cartesian, found {' '.join(words[at])[:50]!r}")
    sites, rest = words[at + 1 : at + 1 + sum(counts)], words[at + 1 + sum(counts) :]
    if not sites:
        raise CrystalRejected("no_atoms", "POSCAR: the list of sites is empty")
    if len(sites) != sum(counts):
        raise ValueError(f"{len(sites)} lines of coordinates, expected {sum(counts)}")
    coords = np.array([_numbers(line) for line in sites])
    _refuse_what_follows(rest, len(sites))
    numbers = _atomic_numbers(names, counts, [line[6 if selective else 3 :] for line in sites])
    cell = lattice * scale
    if mode in "ck":
        coords = np.linalg.solve(cell.T, (coords * scale).T).T
    return Crystal(material_id, cell, np.array(numbers, np.int64), coords)


def _numbers(line: Sequence[str]) -> list[float]:
    """The three numbers at the head of a line."""
    values = [float(word) for word in line[:3]]
    if len(values) != 3 or not all(map(math.isfinite, values)) or "_" in "".join(line[:3]):
        raise ValueError(f"expected three numbers, found {' '.join(line)[:50]!r}")
    return values


def _scale(line: Sequence[str], lattice: np.ndarray) -> np.ndarray:
    """(1,) or (3,) factor of Cartesian components; a negative one states the volume, Å^3."""
    factors = np.array([float(word) for word in line])
    if not np.linalg.det(lattice):
        raise CrystalRejected("degenerate_lattice", "the lattice vectors span no volume")
    if len(factors) == 1 and factors[0] < 0:
        return np.cbrt(-factors / abs(np.linalg.det(lattice)))
    if len(factors) not in (1, 3) or not (factors > 0).all():
        raise ValueError(f"the scale is {' '.join(line)[:50]!r}, expected one number or three above zero")
    return factors


def _named(words: Words) -> tuple[list[str], list[int], int]:
    """Names and numbers of the atoms of each kind, and the place of the next line; no names in the form of VASP 4."""
    at, names, counts = 5, list[str](), list[int]()
    while not _are_counts(words[at]):  # VASP breaks both lists into lines of twenty
        names += words[at]
        at += 1
    while _are_counts(words[at]) and (not counts or len(counts) < len(names)):
        counts += map(int, words[at])
        at += 1
    if names and len(names) != len(counts):
        raise ValueError(f"{len(names)} names of species, {len(counts)} numbers of atoms")
    return names, counts, at


def _are_counts(line: Sequence[str]) -> bool:
    return bool(line) and all(word.isdecimal() for word in line)


def _atomic_numbers(names: Sequence[str], counts: Sequence[int], behind: Words) -> list[int]:
    if not names:
        kinds = [number_of(words[0]) if words and set(words[:3]) - {"T", "F"} else None for words in behind]
        groups = np.split(np.array(kinds), np.cumsum(counts)[:-1])
        if None in kinds or any(len(set(group)) > 1 for group in groups):
            raise ValueError("no line names the elements (the form of VASP 4); write their symbols above their numbers")
        return [number for number in kinds if number]
    numbers = [number for name, n in zip(names, counts, strict=True) for number in [_of_potcar(name)] * n]
    for number, words in zip(numbers, behind, strict=False):
        symbol = words[0].rstrip("0123456789") if words else ""
        if symbol not in ("T", "F") and ATOMIC_NUMBER.get(symbol, number) != number:
            raise ValueError(f"a line of coordinates ends with {words[0]!r}, another element than the list of species")
    return numbers


def _of_potcar(name: str) -> int:
    match = _POTCAR.fullmatch(name)
    return atomic_number(match[1] if match else name)


def _refuse_what_follows(rest: Words, n_atoms: int) -> None:
    """Refuse atoms beyond those counted, and a second crystal."""
    if rest and len(rest[0]) >= 3 and all(_is_number(word) for word in rest[0][:3]):
        raise ValueError(f"more lines of coordinates than the {n_atoms} atoms counted")
    for at in range(len(rest) - 5):
        names, lattice = rest[at + 5], rest[at + 2 : at + 5]
        kinds = [number_of(name) for name in names]
        if names and None not in kinds and all(len(line) >= 3 and all(map(_is_number, line[:3])) for line in lattice):
            raise ValueError("more than one structure in one POSCAR")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
