"""Generating crystals with a trained model."""

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from unimat.crystal_table import CrystalTable, Rejected, from_crystals
from unimat.errors import CrystalRejected
from unimat.model import diffusion
from unimat.model.channels import ChannelMap, channel_map
from unimat.model.checkpoints import Model, versions
from unimat.model.encoding import checked_crystal
from unimat.model.networks import Network, Params
from unimat.model.schedule import cosine_log_snr
from unimat.model.settings import ModelSettings, SampleSettings
from unimat.model.tensors import Decoded, State
from unimat.periodic_table import SYMBOLS
from unimat.settings import as_dict

logger = logging.getLogger("unimat.sample")

CHUNK = 32  # denoising steps between two movements of the progress bar
CLIP_MARGIN = 0.1  # of the range of the training lattices, by which a predicted lattice may leave it

Denoise = Callable[[Params, State, jax.Array, jax.Array], State]


def sample(model: Model, settings: SampleSettings) -> tuple[CrystalTable, list[Rejected], dict[str, Any]]:
    """Table of generated crystals, those whose tensor is no crystal, and a report of counts.

    Crystal i is called gen-00000i and depends on the seed and on i alone.
    """
    channels = channel_map(model.settings)
    crystals, rejected = [], []
    near_border = slots = 0
    for indices, state in denoised_batches(model, settings):
        decoded = Decoded(state, model.encoding, channels)
        for row, index in enumerate(indices):
            material_id = f"gen-{index:06d}"
            near_border += int(decoded.near_border[row].sum())
            slots += model.encoding.slots * int(model.encoding.element_mask.sum())
            try:
                crystals.append(checked_crystal(material_id, *decoded.crystal(row)))
            except CrystalRejected as error:
                rejected.append(Rejected(material_id, "sample", error.reason, error.detail))
    report = {
        "n_requested": settings.n,
        "n_crystals": len(crystals),
        "n_rejected": len(rejected),
        "rejections": _counts([each.reason for each in rejected]),
        "near_null_border": {"count": near_border, "of": slots, "rate": near_border / slots},
        "n_atoms": _counts([len(crystal.atomic_numbers) for crystal in crystals]),
        "elements": _counts([SYMBOLS[z - 1] for crystal in crystals for z in crystal.atomic_numbers]),
        "settings": as_dict(settings),
        "versions": versions(),
    }
    table = from_crystals(crystals, name="generated", n_requested=settings.n, seed=settings.seed)
    return table, rejected, report


def denoised_batches(model: Model, settings: SampleSettings) -> Iterator[tuple[range, State]]:
    """Indices of crystals and their final states, batch by batch; every batch has one shape."""
    size = min(settings.batch_size, settings.n)
    denoise = make_denoiser(model, settings)
    steps = np.arange(settings.steps)
    chunks = np.array_split(steps, max(1, -(-settings.steps // CHUNK)))
    mask = jnp.asarray(model.encoding.element_mask, jnp.float32)
    root = jax.random.key(settings.seed)
    params = jax.device_put(model.params)
    with tqdm(total=settings.n, desc="sample", unit="crystal", mininterval=1.0) as bar:
        for start in range(0, settings.n, size):
            keys = jax.vmap(functools.partial(jax.random.fold_in, root))(jnp.arange(start, start + size))
            state = _pure_noise(keys, model.network, mask)
            indices = range(start, min(start + size, settings.n))
            for chunk in chunks:
                state = denoise(params, state, keys, jnp.asarray(chunk))
                jax.block_until_ready(state)
                bar.update(len(indices) * len(chunk) / settings.steps)
            yield indices, {name: x[: len(indices)] for name, x in state.items()}


def make_denoiser(model: Model, settings: SampleSettings) -> Denoise:
    """Jitted (params, state, keys, steps) -> state after those denoising steps of `settings.steps`."""
    s, network = model.settings, model.network
    bounds = _bounds(model, channel_map(s), settings)
    times = 1.0 - jnp.arange(settings.steps + 1) / settings.steps
    log_snrs = cosine_log_snr(times, s.log_snr_min, s.log_snr_max)

    def denoise(params: Params, state: State, keys: jax.Array, steps: jax.Array) -> State:
        def body(noisy: State, step: jax.Array) -> tuple[State, None]:
            now, after = log_snrs[step], log_snrs[step + 1]
            x0 = predicted_x0(network, params, noisy, now, s, bounds)
            noise = _noise(keys, step + 1, network)
            drawn = diffusion.ancestral_step(noisy, x0, noise, now, after, settings.gamma)
            last = step == settings.steps - 1  # the prediction itself, without noise on top
            return jax.tree.map(lambda a, b: jnp.where(last, a, b), x0, drawn), None

        return jax.lax.scan(body, state, steps)[0]

    return jax.jit(denoise)


def predicted_x0(
    network: Network, params: Params, noisy: State, log_snr: jax.Array, settings: ModelSettings, bounds: Any
) -> State:
    """The network's crystal for a noisy batch at one log-SNR (scalar), kept within `bounds` (None: as it is).

    Early on, an error of the predicted noise is multiplied by sigma / alpha, up to e^10; no crystal of the data lies
    outside the bounds, so nothing is lost by staying inside.
    """
    per_crystal = jnp.full(len(noisy["lattice"]), log_snr)
    predicted = network.apply(params, noisy, per_crystal, {})
    x0 = diffusion.to_x0(predicted, noisy, per_crystal, settings.prediction)
    return x0 if bounds is None else {name: jnp.clip(x, *bounds[name]) for name, x in x0.items()}


def _bounds(model: Model, channels: ChannelMap, settings: SampleSettings) -> Any:
    if not settings.clip:
        return None
    low, high = (np.array(x, np.float32) for x in (model.encoding.lattice_low, model.encoding.lattice_high))
    margin = CLIP_MARGIN * np.maximum(high - low, 1.0)
    return {"coords": (-channels.bound, channels.bound), "lattice": (low - margin, high + margin)}


def _noise(keys: jax.Array, stream: jax.Array | int, network: Network) -> State:
    """Independent draws for each crystal: stream 0 starts it, stream k + 1 belongs to step k."""

    def one(key: jax.Array) -> State:
        parts = jax.random.split(jax.random.fold_in(key, stream), len(network.shapes))
        return {
            name: jax.random.normal(part, network.shapes[name])
            for part, name in zip(parts, sorted(network.shapes), strict=True)
        }

    return jax.vmap(one)(keys)


def _pure_noise(keys: jax.Array, network: Network, mask: jax.Array) -> State:
    state = _noise(keys, 0, network)
    return {**state, "coords": state["coords"] * mask[:, :, None]}


def _counts(values: list[Any]) -> dict[str, int]:
    return {str(value): values.count(value) for value in sorted(set(values))}
