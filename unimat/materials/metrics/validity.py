"""Validity: of a structure by distances and volume, of a composition by charge and electronegativity.

The rules are those of CDVAE's evaluation (Xie et al., ICLR 2022; scripts/eval_utils.py), which every later
model is quoted by, a stricter reading of the first, and charge balance with mixed valences.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pymatgen.core import Composition, Element, Lattice

from unimat.crystal_table import Crystal
from unimat.materials.metrics.fingerprints.magpie import Formula
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

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
    through all combinations, whose number explodes with the number of elements; ``smact_default`` is what
    `smact_validity` takes when no list is named.

    Args:
        composition: whole numbers of atoms.
        oxidation_states: name of smact's list, see `MetricsSettings.oxidation_states`.
    """
    counts = {element.Z: int(n) for element, n in composition.items()}
    divisor = math.gcd(*counts.values())
    return formula_failure(tuple(sorted((z, n // divisor) for z, n in counts.items())), oxidation_states)


def charge_failure(atomic_numbers: np.ndarray) -> str | None:
    """Why the charges of a cell's atoms cannot balance; None if they can.

    Each atom takes one of its element's usual oxidation states, atoms of one element also different ones (mixed
    valence, as in magnetite). One element alone and a mixture of metals pass. The verdict is whether pymatgen's
    ``Composition.oxi_state_guesses()`` finds anything, which tries the combinations one by one; sums are enough to
    know.

    Args:
        atomic_numbers: (n,) of the cell; its counts matter, not just their ratios (silver(I, III) oxide, AgO, balances
            in a cell of two formula units alone).
    """
    numbers, counts = np.unique(atomic_numbers, return_counts=True)
    return _charge_failure_of(tuple(zip(numbers.tolist(), counts.tolist(), strict=True)))


@functools.cache
def _charge_failure_of(counts: tuple[tuple[int, int], ...]) -> str | None:
    if len(counts) == 1 or all(z in _metals() for z, _ in counts):
        return None
    charges = []
    for z, n in counts:
        element = Element.from_Z(z)
        states = _usual_states(element)
        if not states:
            return f"pymatgen lists no oxidation state of {element.symbol}"
        charges.append((sorted(_sums(states, n)), 1))
    return None if _can_cancel(charges) else "no usual oxidation states balance its charges, mixed valences included"


def _usual_states(element: Element) -> tuple[int, ...]:
    return tuple(element.icsd_oxidation_states or element.common_oxidation_states)


@functools.cache
def _sums(states: tuple[int, ...], n: int) -> frozenset[int]:
    """All sums of `n` numbers out of `states`."""
    if n == 1:
        return frozenset(states)
    half = _sums(states, n // 2)
    doubled = frozenset(one + other for one in half for other in half)
    return frozenset(total + state for total in doubled for state in states) if n % 2 else doubled


@functools.cache
def formula_failure(formula: Formula, oxidation_states: str = "smact14") -> str | None:
    """`composition_failure` of atomic numbers and counts, which come without a common divisor and rising."""
    if len(formula) == 1 or all(z in _metals() for z, _ in formula):
        return None
    elements = [_element(z, oxidation_states) for z, _ in formula]
    for element in elements:
        if not element.states:
            return f"smact lists no oxidation state of {element.symbol}"
        if element.electronegativity is None:
            return f"smact lists no electronegativity of {element.symbol}"
    charged = [(element, n) for element, (_, n) in zip(elements, formula, strict=True)]
    # Cations below anions: there is a border that no cation lies above and no anion below or on.
    for border in {element.electronegativity for element in elements}:
        allowed = [(each.cations if each.electronegativity <= border else each.anions, n) for each, n in charged]
        if _can_cancel(allowed):
            return None
    if _can_cancel([(element.states, n) for element, n in charged]):
        return "each neutral combination has a cation at least as electronegative as an anion"
    return "no oxidation states make it charge neutral"


def _can_cancel(charges: Sequence[tuple[Sequence[int], int]]) -> bool:
    """Whether one number of each group, taken so many times, can add up to zero.

    Bit k of `reached` says that the sum ``lowest + k`` can be had: sums merge, where combinations would multiply.
    """
    reached, lowest = 1, 0
    for each, n in charges:
        if not each:
            return False
        least = each[0]
        before, reached = reached, 0
        for charge in each:
            reached |= before << n * (charge - least)
        lowest += n * least
    return lowest <= 0 and bool(reached >> -lowest & 1)


@dataclasses.dataclass(frozen=True, slots=True)
class _Element:
    """What smact lists of an element; states are rising."""

    symbol: str
    states: tuple[int, ...]
    cations: tuple[int, ...]
    anions: tuple[int, ...]
    electronegativity: Any


@functools.cache
def _metals() -> frozenset[int]:
    import smact

    return frozenset(ATOMIC_NUMBER[symbol] for symbol in smact.metals)


@functools.cache
def _element(number: int, oxidation_states: str) -> _Element:
    """Oxidation states and Pauling electronegativity of an element; none of either beyond lawrencium."""
    import smact

    symbol = SYMBOLS[number - 1]
    try:
        element = smact.Element(symbol)
    except KeyError:
        return _Element(symbol, (), (), (), None)
    if oxidation_states == "smact_default":
        listed = _smacts_own().get(symbol)
    else:
        name = {"pymatgen_sp": "sp"}.get(oxidation_states, oxidation_states)
        listed = getattr(element, f"oxidation_states_{name}")
    states = tuple(sorted(set(listed or ())))
    cations, anions = (tuple(state for state in states if sign * state >= 0) for sign in (1, -1))
    return _Element(symbol, states, cations, anions, element.pauling_eneg)


@functools.cache
def _smacts_own() -> dict[str, list[int]]:
    """The oxidation states by which the installed smact judges when no list is named: ICSD's of 2024, filtered."""
    from smact.utils.oxidation import ICSD24OxStatesFilter

    frame = ICSD24OxStatesFilter().filter()
    states = zip(frame["element"], frame["oxidation_state"], strict=True)
    return {symbol: [int(state) for state in str(each).split()] for symbol, each in states}
