"""From noise to denoised states of crystals, in batches over all devices of this process."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unimat.errors import UserError
from unimat.model.checkpoints import Model
from unimat.model.machine.devices import within
from unimat.model.networks import Network, Params
from unimat.model.noise import diffusion
from unimat.model.noise.samplers import SAMPLERS, Interval, SamplerSettings
from unimat.model.representation.channels import channel_map
from unimat.model.representation.conditions import left_out
from unimat.model.representation.tensors import State
from unimat.model.sampling.requests import Requests, conditions_of, requested_slots, requests_of
from unimat.model.settings import SampleSettings
from unimat.progress import progress

CHUNK = 32  # most denoising steps between two movements of the progress bar
CLIP_MARGIN = 0.1  # of the range of the training lattices, by which a predicted lattice may leave it

Denoise = Callable[..., State]


@dataclasses.dataclass(frozen=True)
class Program:
    """What a compiled denoiser is made for, beside the shapes of its arrays; equal ones are compiled once.

    Attributes:
        guidance: omega of Equation 2. weakened: conditions that the second term of Equation 2 is not told.
        devices: of the batch, in equal parts.
    """

    network: Network
    prediction: diffusion.Prediction
    settings: SamplerSettings
    guidance: float
    weakened: tuple[str, ...]
    devices: tuple[jax.Device, ...]

    @property
    def sharding(self) -> jax.sharding.NamedSharding:
        """Of arrays with one entry per crystal of a batch."""
        return jax.NamedSharding(self.mesh, jax.P("data"))

    @property
    def mesh(self) -> jax.sharding.Mesh:
        return jax.sharding.Mesh(np.array(self.devices), ("data",))


def denoised_batches(
    model: Model,
    settings: SampleSettings,
    requests: Requests | None = None,
    skip: Callable[[range], bool] | None = None,
) -> Iterator[tuple[range, dict[str, np.ndarray]]]:
    """Indices of crystals and their final states, batch by batch; every batch has one shape.

    Args:
        requests: what they are asked to be; None: what the settings say.
        skip: says of the indices of a batch whether it need not be made.
    """
    requests = requests_of(settings, model) if requests is None else requests
    program, n = program_of(model, settings, requests), len(requests)
    size = batch_size(settings.batch_size, n, len(program.devices))
    on_all = jax.NamedSharding(program.mesh, jax.P())
    params, limits = jax.device_put((model.params, limits_of(model, settings)), on_all)
    grid, root = _log_snrs(model, program), jax.random.key(settings.seed)
    mask = jnp.asarray(model.encoding.element_mask, jnp.float32)
    wanted = [indices for indices in batches_of(n, size) if skip is None or not skip(indices)]
    with progress(total=n, initial=n - sum(map(len, wanted)), desc="sample", unit="crystal") as bar:
        for indices in wanted:
            padded = np.arange(indices.start, indices.start + size)
            given = given_to(model, settings, requests, padded)
            placed = jax.device_put((jnp.asarray(padded, jnp.int32), given), program.sharding)
            keys, carry = _start(program, mask, root, placed[0])
            for steps in np.arange(settings.steps, dtype=np.int32).reshape(-1, chunk_of(settings.steps)):
                carry = _denoised(program, grid, limits, params, carry, keys, steps, *placed[1])
                jax.block_until_ready(carry)
                bar.update(len(indices) * len(steps) / settings.steps)
            yield indices, {name: np.asarray(x)[: len(indices)] for name, x in carry[0].items()}


def batches_of(n: int, size: int) -> list[range]:
    """Indices of each batch of n crystals; the last may be shorter."""
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def batch_size(asked: int, n: int, n_devices: int) -> int:
    """Crystals at once: a multiple of the devices that a set of n does not make much larger than n.

    Up to a quarter above n, sizes are rounded, so that sets of almost one size share a compiled program.
    """
    step = 2 ** max(n.bit_length() - 3, 0)
    size = asked if n >= asked else min(asked, -(-n // step) * step)
    return -(-size // n_devices) * n_devices


def chunk_of(steps: int) -> int:
    """Steps of one call, so that all calls are alike."""
    return max(size for size in range(1, CHUNK + 1) if steps % size == 0)


def program_of(model: Model, settings: SampleSettings, requests: Requests) -> Program:
    """What is to be compiled for these settings, on the devices of this process."""
    chosen = SamplerSettings(sampler_of(settings), settings.steps, settings.gamma, settings.churn, settings.churn_noise)
    weakened = requests.auxiliary if settings.guidance else ()
    prediction, devices = diffusion.prediction_of(model.settings), tuple(jax.local_devices())
    return Program(model.network, prediction, chosen, settings.guidance, weakened, devices)


def sampler_of(settings: SampleSettings) -> str:
    """The sampler of a U-Net that the settings ask for; UserError on that of another network."""
    if settings.sampler == "euler" or settings.n_atoms is not None:
        raise UserError("sample.sampler euler and sample.n_atoms are for network compact; this model is a unet")
    return settings.sampler or "ancestral"


def given_to(model: Model, settings: SampleSettings, requests: Requests, indices: np.ndarray) -> tuple[Any, Any]:
    """Conditions of crystals `indices` (b,), and the slots (b, L, H, W) that are held null but for the requested ones.

    The latter is None without `mask_slots`.
    """
    held = requested_slots(requests, indices, model.encoding) if settings.mask_slots else None
    return conditions_of(requests, indices, model), held


def make_denoiser(model: Model, settings: SampleSettings) -> Denoise:
    """Jitted (params, state, keys, steps) -> state after those denoising steps, nothing being asked of the crystals.

    Args:
        state: pure noise. keys: (B,), one per crystal. steps: numbers of steps of `settings.steps`, from 0 on.
    """
    program = dataclasses.replace(
        program_of(model, settings, Requests(((None, 1),))), devices=tuple(jax.local_devices()[:1])
    )
    grid, limits = _log_snrs(model, program), limits_of(model, settings)

    def denoise(params: Params, state: State, keys: jax.Array, steps: jax.Array) -> State:
        carry = state, SAMPLERS[program.settings.sampler].memory(state)
        conditions = program.network.no_conditions(len(keys))
        return _denoised(program, grid, limits, params, carry, keys, steps, conditions, None)[0]

    return denoise


def _log_snrs(model: Model, program: Program) -> jax.Array:
    log_snrs = SAMPLERS[program.settings.sampler].log_snrs
    return log_snrs(program.settings.steps, model.settings.log_snr_min, model.settings.log_snr_max)


def limits_of(model: Model, settings: SampleSettings) -> dict[str, Any]:
    """What a predicted crystal is kept to: `bounds`, lowest and highest value of each part, and `null`, of a held slot.

    Early on, an error of the predicted noise is multiplied by sigma / alpha, up to e^10; no crystal of the data lies
    outside the bounds, so nothing is lost by staying inside.
    """
    channels = channel_map(model.settings)
    if not settings.clip:
        return {"null": channels.null}
    low, high = (np.array(x, np.float32) for x in (model.encoding.lattice_low, model.encoding.lattice_high))
    margin = CLIP_MARGIN * np.maximum(high - low, 1.0)
    bound = np.float32(channels.bound)
    return {"null": channels.null, "bounds": {"coords": (-bound, bound), "lattice": (low - margin, high + margin)}}


@functools.partial(jax.jit, static_argnums=0)
def _start(program: Program, mask: jax.Array, root: jax.Array, indices: jax.Array) -> tuple[jax.Array, Any]:
    """Keys of crystals `indices` (b,), and the noise and memory that they start from."""
    keys = jax.vmap(functools.partial(jax.random.fold_in, root))(indices)
    state = _noise(keys, 0, program.network)
    state = {**state, "coords": state["coords"] * mask[:, :, None]}
    carry = state, SAMPLERS[program.settings.sampler].memory(state)
    return jax.lax.with_sharding_constraint((keys, carry), program.sharding)


@functools.partial(jax.jit, static_argnums=0)
def _denoised(
    program: Program,
    grid: jax.Array,
    limits: Mapping[str, Any],
    params: Params,
    carry: tuple[State, Any],
    keys: jax.Array,
    steps: jax.Array,
    conditions: Mapping[str, jax.Array],
    held: jax.Array | None,
) -> tuple[State, Any]:
    """State and memory of the sampler after `steps`."""
    chosen, sampler = program.settings, SAMPLERS[program.settings.sampler]

    def predict(noisy: State, log_snr: jax.Array) -> State:
        per_crystal = jnp.full(len(noisy["lattice"]), log_snr)
        predicted = guided(program, params, noisy, per_crystal, conditions)
        return _kept(diffusion.to_x0(predicted, noisy, per_crystal, program.prediction), limits, held)

    def body(carry: tuple[State, Any], step: jax.Array) -> tuple[tuple[State, Any], None]:
        at = Interval(grid[jnp.maximum(step - 1, 0)], grid[step], grid[step + 1], step == 0)
        draw = functools.partial(_noise, keys, step + 1, program.network)
        x0, moved, memory = sampler.step(predict, carry[0], carry[1], at, draw, chosen)
        last = step == chosen.steps - 1  # the prediction itself, without noise on top
        return (jax.tree.map(lambda a, b: jnp.where(last, a, b), x0, moved), memory), None

    with within(program.mesh):
        return jax.lax.with_sharding_constraint(jax.lax.scan(body, carry, steps)[0], program.sharding)


def guided(
    program: Program, params: Params, noisy: State, log_snr: jax.Array, conditions: Mapping[str, jax.Array]
) -> State:
    """What the network predicts, by Equation 2 if there is guidance; x0, v and epsilon are linear in each other."""
    apply, weight = program.network.apply, program.guidance
    if not weight:
        return apply(params, noisy, log_snr, conditions)

    def twice(a: jax.Array, b: jax.Array) -> jax.Array:  # side by side, so that no device needs another's crystals
        return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])

    told = jax.tree.map(twice, dict(conditions), left_out(conditions, program.weakened))
    both = apply(params, jax.tree.map(twice, noisy, noisy), twice(log_snr, log_snr), told)
    pairs = jax.tree.map(lambda x: x.reshape(-1, 2, *x.shape[1:]), both)
    return jax.tree.map(lambda x: (1 + weight) * x[:, 0] - weight * x[:, 1], pairs)


def _kept(x0: State, limits: Mapping[str, Any], held: jax.Array | None) -> State:
    """The predicted crystals within the bounds, slots outside `held` (B, L, H, W) null."""
    if "bounds" in limits:
        x0 = {name: jnp.clip(x, *limits["bounds"][name]) for name, x in x0.items()}
    if held is not None:
        x0 = {**x0, "coords": jnp.where(held[..., None], x0["coords"], limits["null"])}
    return x0


def _noise(keys: jax.Array, stream: jax.Array | int, network: Network) -> State:
    """Independent draws for each crystal: stream 0 starts it, stream k + 1 belongs to step k."""

    def one(key: jax.Array) -> State:
        parts = jax.random.split(jax.random.fold_in(key, stream), len(network.shapes))
        return {
            name: jax.random.normal(part, network.shapes[name])
            for part, name in zip(parts, sorted(network.shapes), strict=True)
        }

    return jax.vmap(one)(keys)
