"""What a training run carries from step to step, and the optimizer that moves it."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from unimat.model.compact.names import OCCUPANCY
from unimat.model.machine.devices import Layout
from unimat.model.networks import Network, Params
from unimat.model.noise.losses import BANDS
from unimat.model.settings import TrainSettings

VALIDATION_STREAM = 2**31 - 1  # folded into the run's key in place of a step, which never gets there
SCALARS = ("n", "loss", "loss_coords", "loss_lattice", "loss_occupancy", "grad_norm", "update_norm", "param_norm")


@flax.struct.dataclass
class TrainState:
    """All that changes from step to step.

    Attributes:
        step: steps done.
        ema_params: exponential moving average of `params`.
        sums: metrics added up since the last row of the history, by name; `n` counts the steps.
        bad_step: the first step whose loss was not finite or exploded; -1 before.
    """

    step: jax.Array
    params: Params
    ema_params: Params
    opt_state: Any
    sums: dict[str, jax.Array]
    bad_step: jax.Array


def root_key(seed: int) -> jax.Array:
    """Key of a run, of XLA's own generator: JAX's default one takes XLA many times longer to compile."""
    return jax.random.key(seed, impl="rbg")


def make_schedule(settings: TrainSettings) -> optax.Schedule:
    """Learning rate of an update, counted from 0: linear warm-up, then constant or falling along a cosine."""
    warmup = optax.linear_schedule(0.0, settings.learning_rate, max(1, settings.warmup_steps))
    rest: optax.Schedule = optax.constant_schedule(settings.learning_rate)
    if settings.learning_rate_decay == "cosine":
        rest = optax.cosine_decay_schedule(settings.learning_rate, max(1, settings.steps - settings.warmup_steps))
    return optax.join_schedules([warmup, rest], [settings.warmup_steps])


def make_optimizer(settings: TrainSettings) -> optax.GradientTransformation:
    """Adam at the rates of Table 4 under `make_schedule`, gradients clipped if asked.

    What a compact network has of a model of compositions learns at `occupancy_rate` of that, and rests after
    `occupancy_steps`.
    """
    adam = optax.adamw(make_schedule(settings), settings.beta1, settings.beta2, weight_decay=settings.weight_decay)
    parts = [adam] if settings.gradient_clip is None else [optax.clip_by_global_norm(settings.gradient_clip), adam]
    if settings.occupancy_steps is not None or settings.occupancy_rate != 1.0:
        parts.append(_of_occupancy(settings))
    return optax.chain(*parts) if len(parts) > 1 else adam


def _of_occupancy(settings: TrainSettings) -> optax.GradientTransformation:
    """Updates of the model of compositions, times its rate and fading along a cosine to none at its last step."""
    rate, steps = settings.occupancy_rate, settings.occupancy_steps
    schedule = optax.constant_schedule(rate) if steps is None else optax.cosine_decay_schedule(rate, steps)
    scaled = optax.scale_by_schedule(schedule)
    return optax.masked(scaled, lambda updates: {name: name == OCCUPANCY for name in updates})


def initial_state(
    network: Network, optimizer: optax.GradientTransformation, seed: int, layout: Layout | None = None
) -> TrainState:
    """State before the first step; on the first device, or where the layout says."""
    key = jax.random.fold_in(root_key(seed), VALIDATION_STREAM - 1)
    if layout is None:
        return _state_of(network.init(key=key), optimizer)
    shapes = jax.eval_shape(lambda: _state_of(network.init(key=key), optimizer))
    init = jax.jit(lambda: network.init(key=key), out_shardings=layout.sharded(shapes.params))
    # Two programs: with the network's in it, one would compile twice as long.
    return jax.jit(lambda params: _state_of(params, optimizer), out_shardings=state_shardings(shapes, layout))(init())


def _state_of(params: Params, optimizer: optax.GradientTransformation) -> TrainState:
    copy = jax.tree.map(jnp.copy, params)  # donated buffers must not be shared
    return TrainState(jnp.int32(0), params, copy, optimizer.init(params), no_sums(), jnp.int32(-1))


def no_sums() -> dict[str, jax.Array]:
    bands = {name: jnp.zeros(len(BANDS)) for name in ("band_loss", "band_count")}
    return {**{name: jnp.float32(0) for name in SCALARS}, **bands}


def state_shardings(state: TrainState, layout: Layout) -> TrainState:
    """Shardings of a state: parameters, their average and the optimizer's state cut along fsdp, the rest copied."""
    copied = jax.tree.map(lambda _: layout.copied, state)
    cut = {name: layout.sharded(getattr(state, name)) for name in ("params", "ema_params", "opt_state")}
    return copied.replace(**cut)  # type: ignore[attr-defined]
