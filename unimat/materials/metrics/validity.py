"""Validity: of a structure by distances and volume, of a composition by charge and electronegativity.

The rules are those of CDVAE's evaluation (Xie et al., ICLR 2022; scripts/eval_utils.py), which every later
model is quoted by, and one stricter reading of the first.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from importlib.metadata import version

import numpy as np
from pymatgen.core import Composition, Lattice

from unimat.crystal_table import Crystal

# Of a basis that is LLL-reduced, no shortest lattice vector needs a coefficient beyond 3 in three dimensions.
_COEFFICIENTS = np.array([c for c in itertools.product(range(-3, 4), repeat=3) if any(c)])


@dataclasses.dataclass(frozen=True)
class Distances:
    """Shortest distances in a crystal, and its volume.

    Attributes:
        between_atoms: between two different atoms, periodic images included, Å; infinite for one atom.
        own_image: between an atom and its own nearest periodic image, Å: the shortest lattice vector.
        volume: of the cell, Å^3.
    """

    between_atoms: float
    own_image: float
    volume: float


def distances(crystal: Crystal) -> Distances:
    """Shortest distances in `crystal` and its volume."""
    lattice = Lattice(crystal.lattice)
    volume = abs(float(np.linalg.det(crystal.lattice)))
    if volume == 0.0:  # nothing to reduce
        return Distances(0.0, 0.0, 0.0)
    between = np.inf
    if len(crystal.frac_coords) > 1:
        matrix = lattice.get_all_distances(crystal.frac_coords, crystal.frac_coords)
        between = matrix[np.triu_indices(len(matrix), k=1)].min()
    reduced = lattice.get_lll_reduced_lattice().matrix
    return Distances(float(between), float(np.linalg.norm(_COEFFICIENTS @ reduced, axis=1).min()), volume)


def structure_failure(found: Distances, min_distance: float, min_volume: float, *, images: bool) -> str | None:
    """Why a structure is not valid; None if it is.

    Args:
        found: what `distances` measured.
        min_distance: smallest distance allowed, Å.
        min_volume: smallest cell allowed, Å^3.
        images: whether an atom's own periodic images count too. CDVAE never looks at them (it pads the
            diagonal of the distance matrix), so that one atom in a cell 0.3 Å long passes its rule.
    """
    if not found.volume >= min_volume:
        return f"volume {found.volume:.3g} Å^3, the limit is {min_volume} Å^3"
    if not found.between_atoms >= min_distance:
        return f"two atoms {found.between_atoms:.3f} Å apart, the limit is {min_distance} Å"
    if images and not found.own_image >= min_distance:
        return f"an atom {found.own_image:.3f} Å from its own image, the limit is {min_distance} Å"
    return None


def composition_failure(composition: Composition, oxidation_states: str = "smact14") -> str | None:
    """Why a composition is not valid by CDVAE's rule (SMACT); None if it is.

    One element alone and a mixture of metals are valid. Anything else needs one oxidation state per element such
    that the charges cancel at the composition's exact ratios and every cation is less electronegative than every
    anion (an element without an electronegativity fails). The verdict is that of
    ``smact.screening.smact_validity(composition, oxidation_states_set=oxidation_states)``, found without walking
    through all combinations, whose number explodes with the number of elements.

    Args:
        composition: whole numbers of atoms.
        oxidation_states: name of smact's list, see `MetricsSettings.oxidation_states`.
    """
    counts = {element.symbol: int(n) for element, n in composition.items()}
    divisor = math.gcd(*counts.values())
    return _failure_of(tuple(sorted((symbol, n // divisor) for symbol, n in counts.items())), oxidation_states)


def versions() -> dict[str, str]:
    """Versions of what the verdicts depend on."""
    return {name: version(name) for name in ("smact", "pymatgen")}


@functools.cache
def _failure_of(counts: tuple[tuple[str, int], ...], oxidation_states: str) -> str | None:
    symbols = [symbol for symbol, _ in counts]
    if len(symbols) == 1 or all(symbol in _metals() for symbol in symbols):
        return None
    elements = [_element(symbol, oxidation_states) for symbol in symbols]
    for symbol, (states, electronegativity) in zip(symbols, elements, strict=True):
        if not states:
            return f"smact lists no oxidation state of {symbol}"
        if electronegativity is None:
            return f"smact lists no electronegativity of {symbol}"
    charges = [[n * state for state in states] for (_, n), (states, _) in zip(counts, elements, strict=True)]
    if not _can_cancel(charges):
        return "no oxidation states make it charge neutral"
    # Cations below anions: there is a border that no cation lies above and no anion below or on.
    electronegativities = [value for _, value in elements if value is not None]
    for border in set(electronegativities):
        allowed = [
            [charge for charge in each if (charge >= 0 if value <= border else charge <= 0)]
            for each, value in zip(charges, electronegativities, strict=True)
        ]
        if _can_cancel(allowed):
            return None
    return "each neutral combination has a cation at least as electronegative as an anion"


def _can_cancel(charges: Sequence[Iterable[int]]) -> bool:
    """Whether one number of each group can be taken such that all add up to zero."""
    sums = {0}
    for each in charges:
        sums = {total + charge for total in sums for charge in each}
    return 0 in sums


@functools.cache
def _metals() -> frozenset[str]:
    import smact

    return frozenset(smact.metals)


@functools.cache
def _element(symbol: str, oxidation_states: str) -> tuple[tuple[int, ...], float | None]:
    """Oxidation states and Pauling electronegativity of an element; none of either beyond lawrencium."""
    import smact

    try:
        element = smact.Element(symbol)
    except KeyError:
        return (), None
    attribute = {"pymatgen_sp": "oxidation_states_sp"}.get(oxidation_states, f"oxidation_states_{oxidation_states}")
    return tuple(getattr(element, attribute) or ()), element.pauling_eneg
