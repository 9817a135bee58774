"""Flow matching of a crystal of given composition: coordinates on the torus, the lattice in its own vector space.

At time t a crystal lies on the way from noise (t = 0: atoms anywhere, the lattice vector standard normal) to data
(t = 1), along the shortest path on the torus. The network predicts the velocity. Since the origin of a cell means
nothing, the mean displacement of the atoms is taken out of the path. Source: flow matching as in Lipman et al.,
arXiv:2210.02747, on tori as in Miller et al. (FlowMM), arXiv:2406.04713, with another base for the lattice.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from unimat.model.compact.names import CELLS, OCCUPANCY
from unimat.model.compact.network import occupancy_of
from unimat.model.compact.occupancy import negative_log_likelihood
from unimat.model.compact.pairing import nearest
from unimat.model.compact.templates import Bridge, drawn_bridge
from unimat.model.compact.torus import without_mean, wrapped
from unimat.model.networks import Network, Params
from unimat.model.noise.diffusion import BANDS
from unimat.model.noise.schedule import log_normal_log_snr, times_of_batch
from unimat.model.representation.augmentation import Batch, permuted_axes
from unimat.model.representation.conditions import training_conditions
from unimat.model.representation.encoded import Encoding
from unimat.model.representation.tensors import State, coordinates_of
from unimat.model.settings import ModelSettings, TrainSettings

STREAMS = ("augment", "path", "occupancy", "conditions", "dropout")
# Mean square of a coordinate's path if nothing is known: its loss is measured in units of it.
TRIVIAL = 1 / 12
# The model of compositions has parameters of its own, which Adam moves alike whatever this is; small, so that its
# gradient has little part in the norm that is clipped.
OCCUPANCY_WEIGHT = 0.1
TEMPLATE_STREAM = 2**31 - 2  # folded in, so that the streams above are what they are without templates


def log_snr_of(t: jax.Array) -> jax.Array:
    """2 log(t / (1 - t)), what a time is called wherever networks are told of noise."""
    t = jnp.clip(t, 1e-4, 1 - 1e-4)
    return 2.0 * (jnp.log(t) - jnp.log1p(-t))


def times(n: int, settings: TrainSettings, *, key: jax.Array) -> jax.Array:
    """(n,) times of a batch, together evenly spread: in time, or such that ln((1 - t) / t) is normally distributed."""
    t = times_of_batch(n, key=key)
    if settings.noise_levels == "log_normal":
        t = jax.nn.sigmoid(log_normal_log_snr(t, settings.noise_mean, settings.noise_std) / 2)
    return t


def base(shape: tuple[int, ...], n_lattice: int, *, key: jax.Array) -> State:
    """Noise to start from: coords of `shape` (..., A, 3) anywhere in the cell, lattice (..., D) standard normal."""
    coords_key, lattice_key = jax.random.split(key)
    lattice = jax.random.normal(lattice_key, (*shape[:-2], n_lattice))
    return {"coords": jax.random.uniform(coords_key, shape), "lattice": lattice}


def path(start: State, end: State, present: jax.Array, t: jax.Array) -> tuple[State, State]:
    """State at times t (B,) between noise and data, and its velocity."""
    moved = without_mean(wrapped(end["coords"] - start["coords"]), present)
    velocity = {"coords": moved, "lattice": end["lattice"] - start["lattice"]}
    coords = start["coords"] + t[:, None, None] * moved
    lattice = start["lattice"] + t[:, None] * velocity["lattice"]
    return {"coords": coords - jnp.floor(coords), "lattice": lattice}, velocity


def make_loss(
    network: Network, encoding: Encoding, model_settings: ModelSettings, settings: TrainSettings
) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
    """Loss of (params, compact batch, key, train); reports what `losses.loss` does, and `loss_occupancy` in nats."""
    occupancy = occupancy_of(network.module)

    def loss(params: Params, batch: Batch, key: jax.Array, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        keys = dict(zip(STREAMS, jax.random.split(key, len(STREAMS)), strict=True))
        if settings.permute_axes:
            batch = permuted_axes(batch, key=keys["augment"])
        cells = batch["cell"].astype(jnp.int32)
        no_slots = jnp.zeros((len(cells), 1, 1, 1), bool)  # conditions on the composition are refused: it is given
        shown = training_conditions(
            batch, no_slots, encoding, model_settings, settings, key=keys["conditions"], train=train
        )
        rngs = {"dropout": keys["dropout"]}
        bridge = None
        if model_settings.templates:
            own = jax.random.fold_in(key, TEMPLATE_STREAM)
            bridge = drawn_bridge(batch, encoding, settings, train, key=own)
        squared, t = squared_errors(
            network, params, batch, encoding, {**shown, CELLS: cells}, train, rngs, settings, bridge, key=keys["path"]
        )
        ordered = jnp.tile(cells, (settings.occupancy_orders, 1))  # each row draws an order of its own
        nll = negative_log_likelihood(occupancy, params[OCCUPANCY], ordered, train, keys["occupancy"]).mean()
        return reported(squared, t, nll, settings)

    return loss


def squared_errors(
    network: Network,
    params: Params,
    batch: Batch,
    encoding: Encoding,
    conditions: dict[str, jax.Array],
    train: bool,
    rngs: dict[str, jax.Array],
    settings: TrainSettings,
    bridge: Bridge | None = None,
    *,
    key: jax.Array,
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Mean squared errors (B,) of velocities, `coords` in units of `TRIVIAL` and `lattice`, and the times (B,).

    Args:
        bridge: what a network that can be shown templates is shown of them; see `unimat.model.compact.templates`.
    """
    time_key, base_key = jax.random.split(key)
    present = conditions[CELLS] >= 0
    coords, lattice = coordinates_of(batch, encoding, None)
    t = times(len(coords), settings, key=time_key)
    start = base(coords.shape, lattice.shape[-1], key=base_key)
    if bridge is not None:
        t = bridge.times(t)
        noisy, velocity, told = bridge.path(
            start, {"coords": coords, "lattice": lattice}, conditions[CELLS], settings, t
        )
        conditions = {**conditions, **told}
    else:
        if settings.pairing == "nearest":
            coords = nearest(start["coords"], coords, conditions[CELLS])
        noisy, velocity = path(start, {"coords": coords, "lattice": lattice}, present, t)
    predicted = network.apply(params, noisy, log_snr_of(t), conditions, train=train, rngs=rngs)
    error = jax.tree.map(lambda p, v: (p - v) ** 2, predicted, velocity)
    atoms = jnp.maximum(present.sum(1), 1)
    in_coords = (error["coords"] * present[..., None]).sum((1, 2)) / (3 * atoms * TRIVIAL)
    squared = {"coords": in_coords, "lattice": error["lattice"].mean(-1)}
    if bridge is not None:
        squared = bridge.weighted(squared, velocity, present)
    return squared, t


def reported(
    squared: dict[str, jax.Array], t: jax.Array, nll: jax.Array, settings: TrainSettings
) -> tuple[jax.Array, dict[str, Any]]:
    total = squared["coords"] + settings.lattice_weight * squared["lattice"]
    log_snr = log_snr_of(t)
    in_band = jnp.stack([(log_snr >= low) & (log_snr < high) for low, high in BANDS]).astype(jnp.float32)
    flow = total.mean()
    report = {
        "loss": flow,
        "loss_coords": squared["coords"].mean(),
        "loss_lattice": squared["lattice"].mean(),
        "loss_occupancy": nll,
        "band_loss": in_band @ total,
        "band_count": in_band.sum(1),
    }
    return flow + OCCUPANCY_WEIGHT * nll, report
