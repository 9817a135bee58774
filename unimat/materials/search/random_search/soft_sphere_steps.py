"""Steps of soft spheres in JAX: the energy of one crystal, FIRE, and batches of crystals; see `soft_spheres`."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

MARGIN = 1.05  # spheres are this much larger than the distances asked for: contact would be reached after endless steps
STEPS = 25  # between two looks at which crystals are done, and which periodic images count
MAX_MOVE = 0.2  # Å a step
DT, MAX_DT, GROW, SHRINK, MIX, MIX_DECAY, PATIENCE = 0.1, 0.5, 1.1, 0.5, 0.1, 0.99, 5  # FIRE's, k and masses 1


class State(NamedTuple):
    """Crystals on their way (each with a leading axis for the batch): see `_step`."""

    moves: jax.Array  # (n, 3) Å, in the frame of the lattice that the round began with
    strain: jax.Array  # (3, 3) symmetric, without trace
    velocity: jax.Array  # (n, 3)
    strain_velocity: jax.Array  # (3, 3)
    dt: jax.Array
    mix: jax.Array
    downhill: jax.Array  # steps since the power was negative


def deformation(strain: jax.Array) -> jax.Array:
    """(3, 3) symmetric, of determinant 1."""
    stretched = jnp.eye(3) + strain
    return stretched / jnp.cbrt(jnp.linalg.det(stretched))


def shear(strain: jax.Array) -> jax.Array:
    """The symmetric part without trace: what changes no volume and turns nothing."""
    symmetric = (strain + strain.T) / 2
    return symmetric - jnp.eye(3) * jnp.trace(symmetric) / 3


def _energy(
    moves: jax.Array, strain: jax.Array, lattice: jax.Array, coords: jax.Array, diameters: jax.Array, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Energy in eV of one crystal, and its smallest distance over the diameter of that pair."""
    frac = coords + moves @ jnp.linalg.inv(lattice)
    difference = frac[:, None] - frac[None]
    difference = difference - jax.lax.stop_gradient(jnp.round(difference))
    deformed = lattice @ deformation(strain)
    vectors = (difference @ deformed)[:, :, None] + images @ deformed
    squared = (vectors * vectors).sum(-1)
    itself = jnp.eye(len(coords), dtype=bool)[:, :, None] & ~images.any(-1)
    counts = ~itself & (squared > 0) & (diameters[:, :, None] > 0)
    distances = jnp.sqrt(jnp.where(counts, squared, 1.0))
    overlaps = jnp.where(counts, jnp.maximum(diameters[:, :, None] - distances, 0), 0)
    ratios = jnp.where(counts, distances / jnp.where(counts, diameters[:, :, None], 1), jnp.inf)
    return (overlaps * overlaps).sum() / 4, ratios.min()  # every pair is seen from both ends


energy_with_gradient = jax.jit(jax.value_and_grad(_energy, argnums=(0, 1), has_aux=True))


def _step(
    state: State, lattice: jax.Array, coords: jax.Array, diameters: jax.Array, images: jax.Array, relax_cell: bool
) -> tuple[State, jax.Array, jax.Array]:
    """One step of FIRE, unless the spheres are far enough apart; their closest ratio and largest force before it."""
    (_, ratio), gradients = jax.value_and_grad(_energy, argnums=(0, 1), has_aux=True)(
        state.moves, state.strain, lattice, coords, diameters, images
    )
    # A strain moves the atoms of a cell of edge l by l / sqrt(12) times itself in the mean (root of the square).
    n_atoms = (jnp.diagonal(diameters) > 0).sum()
    length = jnp.sqrt(n_atoms / 12) * jnp.cbrt(jnp.abs(jnp.linalg.det(lattice)))
    force, stress = -gradients[0], -shear(gradients[1]) / length * relax_cell
    velocity, spin = state.velocity + state.dt * force, state.strain_velocity + state.dt * stress
    power = (force * velocity).sum() + (stress * spin).sum()
    share = state.mix * _norm(velocity, spin) / jnp.maximum(_norm(force, stress), 1e-30)
    uphill = power <= 0
    velocity, spin = (
        jnp.where(uphill, 0, (1 - state.mix) * v + share * f) for v, f in ((velocity, force), (spin, stress))
    )
    patient = state.downhill > PATIENCE
    dt = jnp.where(uphill, state.dt * SHRINK, jnp.where(patient, jnp.minimum(state.dt * GROW, MAX_DT), state.dt))
    mix = jnp.where(uphill, MIX, jnp.where(patient, state.mix * MIX_DECAY, state.mix))
    largest = jnp.maximum(jnp.linalg.norm(velocity, axis=-1).max(), jnp.abs(spin).max())
    scale = dt * jnp.minimum(1, MAX_MOVE / jnp.maximum(largest * dt, 1e-30))
    strain = state.strain + scale * spin / length
    moved = State(
        state.moves + scale * velocity, strain, velocity, spin, dt, mix, jnp.where(uphill, 0, state.downhill + 1)
    )
    largest_force = jnp.maximum(jnp.linalg.norm(force, axis=-1).max(), jnp.abs(stress).max())
    done = ratio * MARGIN >= 1
    return jax.tree.map(lambda new, old: jnp.where(done, old, new), moved, state), ratio, largest_force


def _norm(*arrays: jax.Array) -> jax.Array:
    return jnp.sqrt(sum((each * each).sum() for each in arrays))


@functools.partial(jax.jit, static_argnames="relax_cell")
def run(
    state: State, lattices: jax.Array, coords: jax.Array, diameters: jax.Array, images: jax.Array, *, relax_cell: bool
) -> tuple:
    """Lattices, coordinates, state, closest ratios and largest forces of a batch after `STEPS` steps."""
    step = jax.vmap(functools.partial(_step, relax_cell=relax_cell))
    fixed = lattices, coords, diameters, images
    unknown = jnp.zeros(len(coords))
    # Ratios and forces are those before the last step, which moves nothing that is done.
    end, ratios, forces = jax.lax.fori_loop(
        0, STEPS, lambda _, carry: step(carry[0], *fixed), (state, unknown, unknown)
    )
    deformations = jax.vmap(deformation)(end.strain)
    moved = coords + end.moves @ jnp.linalg.inv(lattices)
    # The next round measures moves in the deformed cell.
    ended = end._replace(velocity=end.velocity @ deformations)
    return lattices @ deformations, moved, ended, MARGIN * ratios, forces
