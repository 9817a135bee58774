"""Training, from an encoded dataset to `model.npz`: one loop, interruptible at any step.

What happens at step k depends on the seed, on k and on the state alone, so a run that was interrupted and
continued ends with the same bytes as one that was not (on the same CPU and packages).
"""

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from unimat.errors import UserError
from unimat.files import write_json
from unimat.model import diffusion, networks
from unimat.model.augmentation import Batch, augmented, rotations
from unimat.model.channels import channel_map
from unimat.model.checkpoints import WorkFolder, settings_of_run, versions, write_model
from unimat.model.encoded import Encoding, read_encoding
from unimat.model.history import History
from unimat.model.interruption import Interruption
from unimat.model.loader import Loader
from unimat.model.networks import Network, Params
from unimat.model.settings import ModelSettings, TrainSettings
from unimat.model.shards import EncodedSplit
from unimat.model.tensors import to_state
from unimat.settings import as_dict

logger = logging.getLogger("unimat.train")

STREAMS = ("augment", "rotate", "loss", "dropout")
VALIDATION_STREAM = 2**31 - 1  # folded into the run's key in place of a step, which never gets there


@flax.struct.dataclass
class TrainState:
    """All that changes from step to step.

    Attributes:
        step: steps done.
        ema_params: exponential moving average of `params`.
        sums: metrics added up since the last row of the history, by name; `n` counts the steps.
        bad_step: the first step whose loss was not finite; -1 before.
    """

    step: jax.Array
    params: Params
    ema_params: Params
    opt_state: Any
    sums: dict[str, jax.Array]
    bad_step: jax.Array


def train(
    encoded: str | Path,
    model_settings: ModelSettings,
    settings: TrainSettings,
    work: str | Path,
    out: str | Path,
    fresh: bool = False,
) -> dict[str, Any]:
    """Train a model and write `history.csv`, `training.json` and, last, `model.npz` into `out`.

    Args:
        encoded: folder of `unimat encode`. work: working folder; training continues from its last checkpoint.
        fresh: forget that checkpoint.

    Returns:
        The content of `training.json`; its `speed` is the only part that differs between equal runs.

    Raises:
        UserError: on an encoded dataset that is not whole, a working folder of other settings or other data, or a
            loss that is not finite.
        Interrupted: after SIGTERM or the time limit, with a checkpoint saved.
    """
    encoded, out = Path(encoded), Path(out)
    encoding = read_encoding(encoded)
    splits = {name: EncodedSplit(encoded, name) for name in ("train", "val")}
    data = {name: split.content for name, split in splits.items()}
    network = networks.build(model_settings, encoding)
    folder = WorkFolder(work, settings_of_run(encoding, model_settings, settings, data), fresh)
    try:
        optimizer = make_optimizer(settings)
        state = folder.restore(initial_state(network, optimizer, settings.seed))
        history = History(folder.path / "history.csv", upto=int(state.step))
        step_function = jax.jit(make_step(network, optimizer, encoding, model_settings, settings), donate_argnums=0)
        validate = make_validation(network, encoding, splits["val"], model_settings, settings)
        loader = Loader(splits["train"], encoding.max_atoms, settings.seed, settings.batch_size)
        state, speed = _loop(state, step_function, validate, loader, settings, folder, history)
    finally:
        folder.close()
    report = {
        "steps": int(state.step),
        "n_parameters": sum(int(x.size) for x in jax.tree.leaves(state.params)),
        "n_train": len(splits["train"]),
        "n_val": len(splits["val"]),
        "final": history.last(),
        "settings": {"model": as_dict(model_settings), "train": as_dict(settings)},
        "versions": versions(),
    }
    history.write(out / "history.csv")
    write_json(out / "training.json", {**report, "speed": speed})
    write_model(out / "model.npz", state.ema_params, {**report, "encoding": encoding.to_json(), "data": data})
    return {**report, "speed": speed}


def root_key(seed: int) -> jax.Array:
    """Key of a run, of XLA's own generator: JAX's default one takes XLA many times longer to compile."""
    return jax.random.key(seed, impl="rbg")


def make_optimizer(settings: TrainSettings) -> optax.GradientTransformation:
    """Adam with linear warm-up (Table 4 gives the rates), then constant or falling along a cosine."""
    warmup = optax.linear_schedule(0.0, settings.learning_rate, max(1, settings.warmup_steps))
    rest: optax.Schedule = optax.constant_schedule(settings.learning_rate)
    if settings.learning_rate_decay == "cosine":
        rest = optax.cosine_decay_schedule(settings.learning_rate, max(1, settings.steps - settings.warmup_steps))
    schedule = optax.join_schedules([warmup, rest], [settings.warmup_steps])
    adam = optax.adamw(schedule, settings.beta1, settings.beta2, weight_decay=settings.weight_decay)
    if settings.gradient_clip is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(settings.gradient_clip), adam)


def initial_state(network: Network, optimizer: optax.GradientTransformation, seed: int) -> TrainState:
    params = network.init(key=jax.random.fold_in(root_key(seed), VALIDATION_STREAM - 1))
    copy = jax.tree.map(jnp.copy, params)  # donated buffers must not be shared
    return TrainState(jnp.int32(0), params, copy, optimizer.init(params), _no_sums(), jnp.int32(-1))


def _no_sums() -> dict[str, jax.Array]:
    scalars = {name: jnp.float32(0) for name in ("n", "loss", "loss_coords", "loss_lattice", "grad_norm")}
    bands = {name: jnp.zeros(len(diffusion.BANDS)) for name in ("band_loss", "band_count")}
    return {**scalars, **bands}


def make_loss(
    network: Network, encoding: Encoding, model_settings: ModelSettings, settings: TrainSettings
) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
    """Loss of (params, compact batch, key, train) after augmentation; see `diffusion.loss`."""
    channels, mask = channel_map(model_settings), jnp.asarray(encoding.element_mask, jnp.float32)
    n_slots, height, width = encoding.tensor_shape
    chosen = diffusion.LossSettings(
        model_settings.prediction,
        model_settings.log_snr_min,
        model_settings.log_snr_max,
        settings.lattice_weight,
        settings.null_weight,
    )
    rotate = settings.rotate and encoding.coordinates == "cartesian"

    def loss(params: Params, batch: Batch, key: jax.Array, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        keys = dict(zip(STREAMS, jax.random.split(key, len(STREAMS)), strict=True))
        batch = augmented(batch, settings, height * width, n_slots, key=keys["augment"])
        turn = rotations(len(batch["cell"]), key=keys["rotate"]) if rotate else None
        x0, present = to_state(batch, encoding, channels, turn)
        predict = functools.partial(_predict, network, params, train, {"dropout": keys["dropout"]})
        return diffusion.loss(predict, x0, present, mask, chosen, key=keys["loss"])

    return loss


def _predict(
    network: Network, params: Params, train: bool, rngs: dict[str, jax.Array], noisy: Any, log_snr: jax.Array
) -> Any:
    return network.apply(params, noisy, log_snr, {}, train=train, rngs=rngs)


def make_step(
    network: Network,
    optimizer: optax.GradientTransformation,
    encoding: Encoding,
    model_settings: ModelSettings,
    settings: TrainSettings,
) -> Callable[[TrainState, Batch], TrainState]:
    """One optimisation step: (state, compact batch) -> state."""
    loss = make_loss(network, encoding, model_settings, settings)
    root = root_key(settings.seed)

    def step(state: TrainState, batch: Batch) -> TrainState:
        key = jax.random.fold_in(root, state.step)
        gradients, report = jax.grad(loss, has_aux=True)(state.params, batch, key, True)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        # Young averages forget their random start quickly.
        done = state.step.astype(jnp.float32)
        decay = jnp.minimum(settings.ema_decay, (1.0 + done) / (10.0 + done))
        ema = jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), state.ema_params, params)
        report = {**report, "grad_norm": optax.global_norm(gradients), "n": jnp.float32(1)}
        sums = {name: total + report[name] for name, total in state.sums.items()}
        broken = (state.bad_step < 0) & ~(jnp.isfinite(report["loss"]) & jnp.isfinite(report["grad_norm"]))
        bad_step = jnp.where(broken, state.step + 1, state.bad_step)
        return TrainState(state.step + 1, params, ema, opt_state, sums, bad_step)

    return step


def make_validation(
    network: Network, encoding: Encoding, split: EncodedSplit, model_settings: ModelSettings, settings: TrainSettings
) -> Callable[[Params], float | None]:
    """Mean loss on validation crystals under noise that is the same at every call; None for an empty split."""
    loss = jax.jit(make_loss(network, encoding, model_settings, settings), static_argnums=3)
    n = min(len(split), settings.validation_crystals)
    arrays = jax.device_put(split.batch(np.arange(n), encoding.max_atoms))
    size = min(settings.batch_size, max(n, 1))
    root = jax.random.fold_in(root_key(settings.seed), VALIDATION_STREAM)

    def validate(params: Params) -> float | None:
        total = 0.0
        for start in range(0, n, size):
            rows = (start + np.arange(size)) % n  # the last batch wraps: every call has one shape
            batch = {name: array[rows] for name, array in arrays.items()}
            total += float(loss(params, batch, jax.random.fold_in(root, start), False)[0])
        return total / -(-n // size) if n else None

    return validate


def _loop(
    state: TrainState,
    step_function: Callable[[TrainState, Batch], TrainState],
    validate: Callable[[Params], float | None],
    loader: Loader,
    settings: TrainSettings,
    folder: WorkFolder,
    history: History,
) -> tuple[TrainState, dict[str, float]]:
    first = int(state.step)
    started, compiled = time.monotonic(), None
    with (
        contextlib.closing(loader.batches(range(first, settings.steps))) as batches,
        Interruption(settings.time_limit_minutes) as interruption,
        tqdm(total=settings.steps, initial=first, desc="train", unit="step", mininterval=1.0) as bar,
    ):
        for step, batch in enumerate(batches, first + 1):
            state = step_function(state, batch)
            if compiled is None:
                jax.block_until_ready(state.step)
                compiled = time.monotonic()
            last = step == settings.steps
            validation_due = last or step % settings.validate_every == 0
            save_due = last or step % settings.checkpoint_every == 0 or interruption.asked
            if validation_due or save_due or step % settings.log_every == 0:
                _refuse_nan(state, folder)
            if validation_due or step % settings.log_every == 0:
                row = history.add(step, state.sums, validate(state.ema_params) if validation_due else None)
                state = dataclasses.replace(state, sums=_no_sums())
                bar.set_postfix(loss=row["loss"], refresh=False)
            if save_due:
                folder.save(step, state)
            bar.update()
            if interruption.asked and not last:
                interruption.stop(step, folder.path)
    seconds = time.monotonic() - (compiled or started)
    done = max(settings.steps - first - 1, 0)
    speed = {
        "compile_seconds": round((compiled or started) - started, 2),
        "seconds": round(seconds, 2),
        "samples_per_second": round(done * settings.batch_size / seconds, 1) if done else 0.0,
        "steps_in_this_process": settings.steps - first,
    }
    return state, speed


def _refuse_nan(state: TrainState, folder: WorkFolder) -> None:
    bad_step = int(state.bad_step)
    if bad_step >= 0:
        kept = folder.latest_step
        good = f"the last good checkpoint is of step {kept} in {folder.path}" if kept else "no checkpoint was saved yet"
        raise UserError(
            f"the loss is not finite at step {bad_step}; {good}; lower train.learning_rate or set train.gradient_clip"
        )
