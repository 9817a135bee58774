"""Atoms as soft spheres that push each other apart, many crystals at once in JAX; arrays in, arrays out.

Two atoms, periodic images included, at a distance r below the sum of their radii s repel each other with the energy
1/2 k (s - r)^2, k = 1 eV/Å^2, and are unaware of each other beyond. FIRE (Bitzek et al., Phys. Rev. Lett. 97, 170201,
2006) moves the atoms and, if asked, changes the shape of the cell at constant volume, in float64. Forces, strains and
the step, one number for all atoms of a crystal, are turned by a symmetry as the crystal is, so what is symmetric stays
so up to rounding.

With `soft_sphere_steps` the only module of the materials half that imports JAX: import it inside functions.
"""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from unimat.materials.search.random_search.soft_sphere_steps import (
    DT,
    MARGIN,
    MIX,
    STEPS,
    State,
    energy_with_gradient,
    run,
    shear,
)
from unimat.progress import progress

# Few shapes, because each is compiled, which takes longer than the arithmetic of the padding.
ATOMS = (2, 4, 8, 16, 32, 64)  # crystals are padded to one of these, larger ones to a multiple of the last
IMAGES = 27  # of a cell and its neighbours; lists of images are padded to this times a power of four
MAX_IMAGES = 27 * 512
BATCH = 64  # crystals; fewer where they are large
PAIRS = 1 << 18  # pairs of atoms and images in one batch: 2 MB for each array of distances, to stay near the cores
FAR = 1e6  # lattice vectors; an image that pads a list
JAMMED = 1e-4  # eV/Å; spheres that still overlap and no longer move


@dataclasses.dataclass(frozen=True)
class Spheres:
    """One crystal of spheres.

    Attributes:
        lattice: (3, 3), Å, rows a, b, c; a reduced one needs the fewest images.
        frac_coords: (n, 3).
        distances: (n, n), Å, the smallest distance that is wanted between two atoms.
    """

    lattice: np.ndarray
    frac_coords: np.ndarray
    distances: np.ndarray


@dataclasses.dataclass(frozen=True)
class Pushed:
    """What became of one crystal.

    Attributes:
        lattice: (3, 3), Å; of the same volume.
        frac_coords: (n, 3).
        closest: smallest distance over the one that is wanted, over all pairs; 1 and more is what was asked for.
        n_steps: steps of FIRE, counted in `STEPS`.
    """

    lattice: np.ndarray
    frac_coords: np.ndarray
    closest: float
    n_steps: int


def push_apart(crystals: Sequence[Spheres], relax_cell: bool = True, max_steps: int = 500) -> list[Pushed]:
    """Each crystal pushed until no two atoms are closer than wanted, they are jammed, or `max_steps` are over.

    What becomes of a crystal depends on the crystal, not on those beside it: the padded shape of its arrays, and with
    it the number of crystals in a batch, follows from its own atoms and cell.

    Args:
        relax_cell: change the shape of the cell, too, at constant volume.
    """
    # Scoped: what else runs in this process keeps its own precision.
    with jax.enable_x64(True):
        running = {index: _Running.of(crystal) for index, crystal in enumerate(crystals)}
        with progress(total=len(crystals), desc="soft spheres", unit="crystal") as bar:
            while left := [index for index, each in running.items() if not each.ended(max_steps)]:
                for shape, members in _by_shape([running[index] for index in left]).items():
                    _round(members, shape, relax_cell)
                bar.update(sum(running[index].ended(max_steps) for index in left))
    return [Pushed(each.lattice, each.frac_coords, each.closest, each.n_steps) for each in running.values()]


def energy_and_gradient(crystal: Spheres) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy in eV of spheres with diameters `distances`; its gradients for positions (n, 3), eV/Å, and strain (3, 3).

    The strain keeps the volume: its gradient is symmetric and without trace.
    """
    with jax.enable_x64(True):
        running = _Running.of(crystal)
        images = _images(running, diameter=float(crystal.distances.max()))
        nothing = jnp.zeros((len(crystal.frac_coords), 3)), jnp.zeros((3, 3))
        (value, _), (moves, strain) = energy_with_gradient(
            *nothing, crystal.lattice, crystal.frac_coords, crystal.distances, images
        )
        return float(value), np.asarray(moves), np.asarray(shear(strain))


@dataclasses.dataclass
class _Running:
    """One crystal between two rounds, on the host; changed in place."""

    lattice: np.ndarray
    frac_coords: np.ndarray
    distances: np.ndarray
    velocity: np.ndarray
    strain_velocity: np.ndarray
    fire: tuple[float, float, int]  # dt, mix, downhill
    closest: float
    force: float
    n_steps: int

    @classmethod
    def of(cls, crystal: Spheres) -> "_Running":
        lattice, coords, distances = (
            np.asarray(each, np.float64) for each in (crystal.lattice, crystal.frac_coords, crystal.distances)
        )
        return cls(lattice, coords, distances, np.zeros_like(coords), np.zeros((3, 3)), (DT, MIX, 0), 0.0, np.inf, 0)

    def ended(self, max_steps: int) -> bool:
        return self.closest >= 1 or self.force < JAMMED or self.n_steps >= max_steps


def _by_shape(crystals: Sequence[_Running]) -> dict[tuple[int, int], list[tuple[_Running, np.ndarray]]]:
    """Crystals with the images that count, by padded numbers of atoms and images, which each has of itself alone."""
    groups = defaultdict(list)
    for crystal in crystals:
        images = _images(crystal, MARGIN * float(crystal.distances.max()))
        n_atoms, n_images = len(crystal.frac_coords), IMAGES
        atoms = next((size for size in ATOMS if size >= n_atoms), -(-n_atoms // ATOMS[-1]) * ATOMS[-1])
        while n_images < len(images):
            n_images *= 4
        groups[atoms, n_images].append((crystal, images))
    return groups


def _images(crystal: _Running, diameter: float) -> np.ndarray:
    """(m, 3) lattice vectors T such that a pair closer than `diameter` is found at d + T, d within [-1/2, 1/2].

    A vector shorter than r has components below r over the spacing of the lattice planes. A tenth more than that is
    looked at, because atoms and cell move until the next look.
    """
    spacings = 1 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    reach = np.floor(1.1 * diameter / spacings + 0.5).astype(int)
    if np.prod(2 * reach + 1) > MAX_IMAGES:  # a needle or a sheet; what is missed is seen at the end
        reach = np.minimum(reach, 11)
    return np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))), np.float64)


def _round(members: list[tuple[_Running, np.ndarray]], shape: tuple[int, int], relax_cell: bool) -> None:
    """`STEPS` steps of all crystals of one padded shape, batch by batch."""
    size = 1 << max(0, min(BATCH, PAIRS // (shape[0] ** 2 * shape[1])).bit_length() - 1)
    for start in range(0, len(members), size):
        batch = members[start : start + size]
        padded = batch + [batch[-1]] * (size - len(batch))
        state, fixed = _stacked(padded, shape)
        lattices, coords, ends, closest, forces = jax.device_get(run(state, *fixed, relax_cell=relax_cell))
        for row, (crystal, _) in enumerate(batch):
            n = len(crystal.frac_coords)
            crystal.lattice, crystal.frac_coords = lattices[row], coords[row, :n] % 1
            crystal.velocity, crystal.strain_velocity = ends.velocity[row, :n], ends.strain_velocity[row]
            crystal.fire = float(ends.dt[row]), float(ends.mix[row]), int(ends.downhill[row])
            crystal.closest, crystal.force = float(closest[row]), float(forces[row])
            crystal.n_steps += STEPS


def _stacked(members: list[tuple[_Running, np.ndarray]], shape: tuple[int, int]) -> tuple[State, tuple]:
    """State of a batch, and what a round leaves as it is: lattices, coordinates, diameters, images."""
    b, n, m = len(members), *shape
    coords, velocity = np.zeros((b, n, 3)), np.zeros((b, n, 3))
    diameters, images = np.zeros((b, n, n)), np.full((b, m, 3), FAR)
    for row, (crystal, near) in enumerate(members):
        k = len(crystal.frac_coords)
        coords[row, :k], velocity[row, :k] = crystal.frac_coords, crystal.velocity
        diameters[row, :k, :k], images[row, : len(near)] = MARGIN * crystal.distances, near
    crystals = [crystal for crystal, _ in members]
    lattices, strain_velocity = (
        np.array([getattr(each, name) for each in crystals]) for name in ("lattice", "strain_velocity")
    )
    dt, mix, downhill = (np.array(values) for values in zip(*(each.fire for each in crystals), strict=True))
    arrays = np.zeros_like(coords), np.zeros((b, 3, 3)), velocity, strain_velocity, dt, mix, downhill
    return State(*map(jnp.asarray, arrays)), (lattices, coords, diameters, images)
