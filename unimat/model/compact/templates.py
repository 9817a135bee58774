"""Paths with a template in view: from noise, or from the template itself, to the crystal.

A template is a known structure of the same atoms, aligned with the crystal atom by atom. It ties the origin and the
order of equal atoms: noise is paired with the template, which is there at sampling, too, and what leads from the
template to the crystal is added to the path. A path that starts from the template is a bridge to the crystal, as the
stochastic interpolants of Albergo et al., arXiv:2303.08797, with a coupled base.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from unimat.model.compact.names import TEMPLATE
from unimat.model.compact.pairing import nearest_with
from unimat.model.compact.torus import without_mean, wrapped
from unimat.model.noise.schedule import times_of_batch
from unimat.model.representation import lattice as lattice_forms
from unimat.model.representation.augmentation import Batch
from unimat.model.representation.encoded import (
    TEMPLATE_CELL,
    TEMPLATE_COORDS,
    TEMPLATE_LATTICE,
    EncodedCrystals,
    Encoding,
)
from unimat.model.representation.tensors import State
from unimat.model.settings import TrainSettings

TRIVIAL = 1 / 12
# Errors of bridges are measured in units of how far the bridge leads, and of this at least: most templates are near,
# and those of another structure, from which nothing can be learned of the others, must not outweigh them.
LEAST_COORDS = 0.02**2  # cells squared
LEAST_LATTICE = 0.15**2  # in units of the lattice vector


@dataclasses.dataclass(frozen=True)
class Bridge:
    """Which crystals of a batch are shown their templates, and how their paths start.

    Attributes:
        coords: (B, A, 3) of the templates. lattice: (B, D), standardised; zeros where there is none.
        cells: (B, A) int, those that the elements moved from.
        shown, starts: (B,) bool; a path that starts from a template is of a crystal that is shown it.
        jitter: as of `base`, standard normal. even: (B,) times, evenly spread.
    """

    coords: jax.Array
    lattice: jax.Array
    cells: jax.Array
    shown: jax.Array
    starts: jax.Array
    jitter: State
    even: jax.Array

    def times(self, t: jax.Array) -> jax.Array:
        """(B,) times, evenly spread on bridges: their sampling starts where the times `t` of noise are rare."""
        return jnp.where(self.starts, self.even, t)

    def path(
        self, start: State, end: State, cells: jax.Array, settings: TrainSettings, t: jax.Array
    ) -> tuple[State, State, dict[str, jax.Array]]:
        """State at times t (B,), its velocity, and what the network is told of templates."""
        present, shown = cells >= 0, self.shown[:, None, None]
        beyond = without_mean(wrapped(end["coords"] - self.coords), present)
        aim, rest = jnp.where(shown, self.coords, end["coords"]), jnp.where(shown, beyond, 0.0)
        moved_from = self.cells
        if settings.pairing == "nearest":  # what belongs to an atom of the template goes with it
            beside = jnp.concatenate([rest, moved_from[..., None].astype(rest.dtype)], axis=-1)
            aim, beside = nearest_with(start["coords"], aim, beside, cells)
            rest, moved_from = beside[..., :3], beside[..., 3].astype(jnp.int32)
        else:
            aim = centred(start["coords"], aim, present)
        moved = without_mean(wrapped(aim - start["coords"]), present) + rest
        near = without_mean(settings.template_jitter * self.jitter["coords"], present)
        starts = self.starts[:, None, None]
        begin = {
            "coords": jnp.where(starts, aim + near, start["coords"]),
            "lattice": jnp.where(
                self.starts[:, None],
                self.lattice + settings.template_jitter * self.jitter["lattice"],
                start["lattice"],
            ),
        }
        velocity = {"coords": jnp.where(starts, rest - near, moved), "lattice": end["lattice"] - begin["lattice"]}
        coords = begin["coords"] + t[:, None, None] * velocity["coords"]
        state = {
            "coords": coords - jnp.floor(coords),
            "lattice": begin["lattice"] + t[:, None] * velocity["lattice"],
        }
        return state, velocity, told(aim, self.lattice, moved_from, self.shown, self.starts)

    def weighted(self, squared: State, velocity: State, present: jax.Array) -> State:
        """Mean squared errors (B,), those of bridges in units of their length."""
        atoms = jnp.maximum(present.sum(1), 1)
        coords = (velocity["coords"] ** 2).sum((1, 2)) / (3 * atoms)
        lattice = (velocity["lattice"] ** 2).mean(-1)
        weights = {
            "coords": TRIVIAL / (LEAST_COORDS + coords),
            "lattice": 1 / (LEAST_LATTICE + lattice),
        }
        return {name: jnp.where(self.starts, weights[name] * squared[name], squared[name]) for name in squared}


def drawn_bridge(batch: Batch, encoding: Encoding, settings: TrainSettings, train: bool, *, key: jax.Array) -> Bridge:
    """Templates of a batch, none where it has none; in validation, too, some are not shown and some are starts."""
    shown_key, start_key, coords_key, lattice_key, time_key = jax.random.split(key, 5)
    n = len(batch["cell"])
    none = {
        TEMPLATE_COORDS: jnp.zeros_like(batch["coords"]),
        TEMPLATE_CELL: jnp.full_like(batch["cell"], -1),
        TEMPLATE_LATTICE: jnp.full((n, 6), jnp.nan),
    }
    batch = none | batch
    known = jnp.isfinite(batch[TEMPLATE_LATTICE]).all(1)
    shown = known & (jax.random.uniform(shown_key, (n,)) >= settings.template_dropout)
    starts = shown & (jax.random.uniform(start_key, (n,)) < settings.template_start)
    lattice = standardised(batch[TEMPLATE_LATTICE], known, (batch["cell"] >= 0).sum(1), encoding)
    jitter = {
        "coords": jax.random.normal(coords_key, batch["coords"].shape),
        "lattice": jax.random.normal(lattice_key, lattice.shape),
    }
    of_atoms = batch[TEMPLATE_COORDS], lattice, batch[TEMPLATE_CELL].astype(jnp.int32)
    return Bridge(*of_atoms, shown, starts, jitter, times_of_batch(n, key=time_key))


def standardised(parameters: jax.Array, known: jax.Array, n_atoms: jax.Array, encoding: Encoding) -> jax.Array:
    """(B, 6) lattice vectors of templates' lattice parameters (B, 6), zeros where none is `known` (B,)."""
    safe = jnp.where(known[:, None], parameters, jnp.array([5.0, 5.0, 5.0, 90.0, 90.0, 90.0]))
    vectors = lattice_forms.to_vector(safe, encoding.lattice_lengths, jnp, n_atoms)
    mean, std = jnp.asarray(encoding.lattice_mean, jnp.float32), jnp.asarray(encoding.lattice_std, jnp.float32)
    return jnp.where(known[:, None], (vectors - mean) / std, 0.0)


def centred(start: jax.Array, end: jax.Array, present: jax.Array) -> jax.Array:
    """`end` (B, A, 3) moved as a whole, so that its atoms lie around those of `start` in the mean."""
    towards = wrapped(end - start)
    return end - jnp.where(present[..., None], towards - without_mean(towards, present), 0.0)


def told(
    coords: jax.Array, lattice: jax.Array, cells: jax.Array, shown: jax.Array, starts: jax.Array
) -> dict[str, jax.Array]:
    """Conditions that show templates to the crystals of `shown` (B,) bool."""
    flags = jnp.stack([shown, starts], axis=-1).astype(jnp.float32)
    return {
        TEMPLATE: flags,
        TEMPLATE_COORDS: coords * flags[:, None, :1],
        TEMPLATE_CELL: jnp.where(shown[:, None], cells, -1),
        TEMPLATE_LATTICE: lattice * flags[:, :1],
    }


def atoms_by_cell(crystals: EncodedCrystals, row: int) -> np.ndarray:
    """(n,) index of the atoms of a crystal, in the order of their cells of the table."""
    first, end = crystals.offsets[row], crystals.offsets[row + 1]
    order: np.ndarray = np.argsort(crystals.cell[first:end], kind="stable")
    return first + order


def told_of_templates(
    crystals: EncodedCrystals | None, rows: np.ndarray, width: int, starts: bool, encoding: Encoding
) -> dict[str, jax.Array]:
    """Conditions that show templates `rows` (b,), atoms in the order of their cells, to crystals of `width` atoms.

    Args:
        crystals: the templates, whose own `templates.cell` say where their elements moved from, if it is known; None
            shows none.
    """
    n = len(rows)
    coords, cells = np.zeros((n, width, 3), np.float32), np.full((n, width), -1, np.int32)
    lattice, shown = jnp.zeros((n, encoding.lattice_size)), crystals is not None
    if crystals is not None:
        for place, row in enumerate(rows.tolist()):
            atoms = atoms_by_cell(crystals, row)
            coords[place, : len(atoms)] = crystals.coords[atoms]
            if crystals.templates is not None:
                cells[place, : len(atoms)] = crystals.templates.cell[atoms]
        parameters = jnp.asarray(crystals.lattice[rows], jnp.float32)
        lattice = standardised(parameters, jnp.ones(n, bool), jnp.asarray(crystals.n_atoms[rows]), encoding)
    of_atoms = jnp.asarray(coords), lattice, jnp.asarray(cells)
    return told(*of_atoms, jnp.full(n, shown), jnp.full(n, shown and starts))
