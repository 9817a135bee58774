"""Energies that no code can have computed, and entries that share no scale or unit with their neighbours.

Codes differ in what they call zero. VASP's energies lie between -15 and 0 eV/atom; those of norm-conserving potentials
(CASTEP, Quantum ESPRESSO, ABINIT) go to some thousands below, and all-electron energies (FHI-aims, WIEN2k) to -525,000
for gold. So no fixed number is the limit of a total energy; that of all electrons is, which no potential can undercut.
"""

from collections.abc import Sequence

import numpy as np

from unimat.errors import UserError
from unimat.materials.stability.references.entries import Entries
from unimat.periodic_table import SYMBOLS

HARTREE = 27.211386  # eV
FINE_STRUCTURE = 1 / 137.036
MARGIN = 1.1  # of the largest binding energy: approximate relativity (ZORA) overbinds gold by 3 %
BONDS = 10.0  # eV/atom, more than any solid gains by bonding (tungsten: 8.9)
HIGHEST = 100.0  # eV/atom above free atoms, beyond atoms pressed into each other
# The deepest compounds known, fluorides and oxides of rare earths and thorium, form at -4.6 eV/atom.
DEEPEST_FORMATION = 10.0  # eV/atom
NAMED = 3


def refuse_impossible(energy: float, numbers: Sequence[int], amounts: Sequence[float]) -> None:
    """ValueError if no electronic-structure code gives such an energy (eV/atom) for this composition."""
    z, shares = np.array(numbers, float), np.array(amounts) / sum(amounts)
    lowest = -float(shares @ all_electron_energy(z)) * MARGIN - BONDS
    if not lowest <= energy <= HIGHEST:
        side = (
            f"below {lowest:.6g}, the energy of all electrons of its atoms"
            if energy < lowest
            else f"above {HIGHEST:g}, beyond any repulsion"
        )
        raise ValueError(f"an energy of {energy:.6g} eV/atom, {side}")


def all_electron_energy(z: np.ndarray) -> np.ndarray:
    """Binding energy of all electrons of free atoms, eV, within some per cent.

    Thomas and Fermi's with Scott's and Schwinger's terms (Englert and Schwinger, Phys. Rev. A 32, 26, 1985), and
    relativity as a quarter of (Z/137)^2, which meets gold (0.07) and exceeds uranium (0.09).
    """
    binding = 0.768745 * z ** (7 / 3) - 0.5 * z**2 + 0.269900 * z ** (5 / 3)
    return np.asarray(HARTREE * binding * (1 + 0.25 * (FINE_STRUCTURE * z) ** 2))


def refuse_two_scales(entries: Entries, name: str) -> None:
    """UserError if the energies of compounds and of their elements cannot be of one scale and unit.

    A compound far below its elements is what energies per cell read as energies per atom look like, or hartree beside
    eV, or energies of two codes; compounds that all lie far above one of their elements are the same of the element.
    """
    e_form, numbers = _formation(entries)
    deep = np.flatnonzero(e_form < -DEEPEST_FORMATION)
    if len(deep):
        some = ", ".join(
            f"{entries[row].name} ({entries[row].composition.reduced_formula}, {e_form[row]:.4g} eV/atom)"
            for row in deep[:NAMED].tolist()
        )
        raise UserError(
            f"hull reference {name!r}: {len(deep)} compounds lie more than {DEEPEST_FORMATION:g} eV/atom below their"
            f" elements, such as {some}, and no compound does: energies of one unit (eV, not hartree), all per cell or"
            " all per atom, and by one code and one set of potentials are needed"
        )
    for number in np.unique(numbers[(numbers > 0) & np.isfinite(e_form)[:, None]]).tolist():
        of_element = e_form[(numbers == number).any(axis=1) & np.isfinite(e_form)]
        if len(of_element) and of_element.min() > DEEPEST_FORMATION:
            raise UserError(
                f"hull reference {name!r}: all {len(of_element)} compounds of {SYMBOLS[number - 1]} lie more than"
                f" {DEEPEST_FORMATION:g} eV/atom above their elements; the energy of the elemental phase of"
                f" {SYMBOLS[number - 1]}, or of an element that it always meets, is of another unit or scale"
            )


def _formation(entries: Entries) -> tuple[np.ndarray, np.ndarray]:
    """(n,) formation energies, eV/atom, NaN of elements and without an elemental phase; (n, p) atomic numbers."""
    numbers, fractions = entries.padded()
    elemental = np.full(256, np.nan)
    alone = np.flatnonzero((numbers > 0).sum(axis=1) == 1)
    for row in alone[np.argsort(-entries.energies[alone])]:
        elemental[numbers[row, 0]] = entries.energies[row]
    e_form = entries.energies - (fractions * np.where(numbers > 0, elemental[numbers], 0.0)).sum(axis=1)
    e_form[alone] = np.nan
    return e_form, numbers
