"""The dense UniMat tensor: scattered from compact arrays on the accelerator, and read back after sampling.

The diffused state is a pair: `coords` (B, L, H, W, C), the channels of every slot, and `lattice` (B, 6), one
standardised vector per crystal with noise of its own. (Six channels that repeat the lattice in every slot, each
with independent noise, would tell it by averaging at any noise level.) Cartesian coordinates carry the lattice
matrix, (B, 9), since lengths and angles do not turn with the atoms.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from unimat.model.representation import lattice as lattice_forms
from unimat.model.representation.augmentation import Batch
from unimat.model.representation.channels import NEAR_BORDER, NULL_BORDER, ChannelMap
from unimat.model.representation.encoded import Encoding

State = dict[str, jax.Array]


def to_state(
    batch: Batch, encoding: Encoding, channels: ChannelMap, rotation: jax.Array | None = None
) -> tuple[State, jax.Array]:
    """Dense state of a batch of compact arrays, and which slots hold an atom (B, L, H, W) bool.

    Args:
        rotation: (B, 3, 3), applied to Cartesian coordinates only.
    """
    n_slots, height, width = encoding.tensor_shape
    cell = batch["cell"].astype(jnp.int32)
    b = jnp.arange(len(cell))[:, None]
    flat = jnp.where(cell < 0, height * width, cell)  # out of bounds: scattering drops it
    slot = batch["slot"].astype(jnp.int32)
    coords, lattice = coordinates_of(batch, encoding, rotation)
    shape = (len(cell), n_slots, height * width)
    dense = jnp.broadcast_to(jnp.asarray(channels.null), (*shape, channels.n_channels))
    dense = dense.at[b, slot, flat].set(channels.to_channels(coords), mode="drop")
    present = jnp.zeros(shape, bool).at[b, slot, flat].set(True, mode="drop")
    grid = (len(cell), n_slots, height, width)
    return {"coords": dense.reshape(*grid, channels.n_channels), "lattice": lattice}, present.reshape(grid)


def coordinates_of(batch: Batch, encoding: Encoding, rotation: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Coordinates (B, A, 3) in [0, 1] and standardised lattice vectors (B, D)."""
    if encoding.coordinates == "cartesian":
        matrices = lattice_forms.to_matrices(batch["lattice"], jnp)
        if rotation is not None:
            matrices = matrices @ rotation
        positions = (batch["coords"] - 0.5) @ matrices
        coords, vectors = 0.5 + positions / (2 * encoding.cartesian_radius), matrices.reshape(-1, 9)
    else:
        coords = batch["coords"]
        n_atoms = (batch["cell"] >= 0).sum(1)
        vectors = lattice_forms.to_vector(batch["lattice"], encoding.lattice_lengths, jnp, n_atoms)
    mean, std = jnp.asarray(encoding.lattice_mean, jnp.float32), jnp.asarray(encoding.lattice_std, jnp.float32)
    return coords, (vectors - mean) / std


class Decoded:
    """What a batch of dense states says, one entry per crystal.

    Attributes:
        present: (B, L, H, W) bool.
        near_border: (B, L, H, W) bool, slots of elements whose presence was hard to tell.
        null_read_as_atoms: slots that only `held` makes atoms.
        coords: (B, L, H, W, 3) float64, fractional.
        lattice: (B, 6) float64, Å and degrees; NaN where a Cartesian cell has no volume.
    """

    def __init__(
        self,
        state: Mapping[str, jax.Array | np.ndarray],
        encoding: Encoding,
        channels: ChannelMap,
        held: np.ndarray | None = None,
    ):
        """Read a batch of states; the slots of `held` (B, L, H, W), and no others, are read as atoms if it is given."""
        mask = encoding.element_mask
        coords, presence = channels.from_channels(np.asarray(state["coords"], np.float64))
        self.present = (presence >= NULL_BORDER) & mask
        self.null_read_as_atoms = 0 if held is None else int((held & ~self.present).sum())
        if held is not None:
            self.present = held & mask
        self.near_border = (np.abs(presence - NULL_BORDER) < NEAR_BORDER) & mask
        std, mean = np.array(encoding.lattice_std), np.array(encoding.lattice_mean)
        vectors = np.asarray(state["lattice"], np.float64) * std + mean
        if encoding.coordinates == "cartesian":
            coords, self.lattice = _from_cartesian(coords, vectors, encoding)
        else:
            n_atoms = self.present.sum((1, 2, 3))
            self.lattice = lattice_forms.from_vector(vectors, encoding.lattice_lengths, n_atoms=n_atoms)
        self.coords = np.mod(coords, 1.0)
        self._numbers = np.broadcast_to(
            np.array(encoding.grid.atomic_number_at).reshape(mask.shape), self.present.shape[1:]
        )

    def crystal(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lattice parameters (6,), atomic numbers (n,) and fractional coordinates (n, 3), cell by cell."""
        here = np.moveaxis(self.present[index], 0, -1)  # (H, W, L): atoms of an element stay together
        numbers = np.moveaxis(self._numbers, 0, -1)[here]
        return self.lattice[index], numbers, np.moveaxis(self.coords[index], 0, 2)[here]


def _from_cartesian(coords: np.ndarray, vectors: np.ndarray, encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    matrices = vectors.reshape(-1, 3, 3)
    sound = np.isfinite(matrices).all((1, 2))
    volumes = np.linalg.det(np.where(sound[:, None, None], matrices, 0.0))
    sound &= np.abs(volumes) > 1e-6
    safe = np.where(sound[:, None, None], matrices, np.eye(3))
    positions = (coords - 0.5) * 2 * encoding.cartesian_radius
    frac = np.einsum("blhwi,bij->blhwj", positions, np.linalg.inv(safe)) + 0.5
    frac *= np.where(volumes < 0, -1.0, 1.0)[:, None, None, None, None]  # see encoding.encode_table
    return frac, np.where(sound[:, None], lattice_forms.to_parameters(safe), np.nan)
