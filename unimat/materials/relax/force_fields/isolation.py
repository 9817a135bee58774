"""Atoms that a force field does not feel, since every other atom lies beyond its cutoff.

Nothing moves them, so that a relaxation "converges" at whatever distance they had, at an energy that is no crystal's.
A small displacement tells them from atoms whose forces vanish by symmetry, whatever the force field and its cutoff.
Molecules, chains and layers in vacuum are felt: what they relax to, and its energy, do not depend on the box.
"""

from collections import Counter
from typing import Any

import numpy as np
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

NOTHING = 1e-6  # eV/Å; of smooth cutoffs at their very edge, too
NEAR = 2.5  # Å; no force field's cutoff is shorter
REACH = 10.0  # Å; no force field's cutoff is longer
WIDE = 4.5  # Å; nearer atoms are no edge of a cutoff, and few solids have their nearest further (caesium: 5.3)
APART = 15.0  # Å
BINDING = 1e-3  # eV/atom; solid neon has 0.02
DISPLACEMENT = 0.005  # Å, of each atom along each axis, in the mean square; larger ones bring atoms into reach


def unfelt(structure: Structure, forces: np.ndarray, calculator: Any) -> str | None:
    """Which atoms feel nothing, in words; None if all feel something.

    Args:
        forces: on each atom, eV/Å; where none vanishes, nothing is computed.
        calculator: of ASE; asked for the forces of the displaced crystal, and of its double where that is not enough.
    """
    suspects = np.flatnonzero(np.linalg.norm(forces, axis=1) < NOTHING)
    suspects = suspects[_nearest(structure)[suspects] > NEAR] if len(suspects) else suspects
    if not len(suspects):
        return None
    alone = suspects[_pulls(structure, calculator, 1)[suspects] < NOTHING] if len(structure) > 1 else suspects
    if len(alone) and _own_image(structure) < REACH:  # an atom among its own images feels them once they move apart
        alone = alone[_pulls(structure, calculator, 2)[alone] < NOTHING]
    if not len(alone):
        return _unbound(structure, calculator) if len(suspects) == len(structure) else None
    symbols = Counter(structure[int(index)].specie.symbol for index in alone)
    named = " ".join(f"{symbol}{count}" for symbol, count in symbols.items())
    return (
        f"{len(alone)} of {len(structure)} atoms feel no other ({named}): the nearest is"
        f" {_nearest(structure)[alone].min():.3g} Å away, beyond the force field's cutoff, so that nothing moves them"
    )


def _pulls(structure: Structure, calculator: Any, times: int) -> np.ndarray:
    """(n,) force on each atom, eV/Å, once all are displaced by chance in a cell of so many along each axis."""
    atoms: Any = AseAtomsAdaptor.get_atoms(structure, msonable=False).repeat(times)
    atoms.positions += np.random.default_rng(0).normal(scale=DISPLACEMENT, size=atoms.positions.shape)
    atoms.calc = calculator
    return np.asarray(np.linalg.norm(atoms.get_forces()[: len(structure)], axis=1))


def _unbound(structure: Structure, calculator: Any) -> str | None:
    """That atoms at the very edge of the cutoff gain nothing by being together, if so."""
    nearest = float(_nearest(structure).min())
    if nearest < WIDE:
        return None
    apart = structure.copy()
    apart.scale_lattice(structure.volume * (APART / nearest) ** 3)
    try:
        energies = [_energy(each, calculator) / len(structure) for each in (structure, apart)]
    except Exception:  # some calculators cannot do without neighbours; then nothing is known
        return None
    binding = energies[1] - energies[0]
    if abs(binding) > BINDING:
        return None
    return (
        f"its atoms are bound by {1000 * binding:.2g} meV/atom: the nearest are {nearest:.3g} Å apart, at the edge of"
        " the force field's cutoff, so that nothing moves them"
    )


def _energy(structure: Structure, calculator: Any) -> float:
    atoms: Any = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    atoms.calc = calculator
    return float(atoms.get_potential_energy())


def _nearest(structure: Structure) -> np.ndarray:
    """(n,) distance from each atom to its nearest neighbour, its own images included, Å."""
    distances = structure.distance_matrix
    np.fill_diagonal(distances, np.inf)
    return np.minimum(distances.min(axis=1), _own_image(structure))


def _own_image(structure: Structure) -> float:
    """Distance between an atom and its nearest image, Å."""
    reduced = structure.lattice.get_lll_reduced_lattice()
    return float(min(np.linalg.norm(vector) for vector in _shortest(reduced.matrix)))


def _shortest(matrix: np.ndarray) -> np.ndarray:
    """Vectors of a reduced lattice among which its shortest is."""
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    return steps[np.any(steps != 0, axis=1)] @ matrix
