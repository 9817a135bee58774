"""Training, from an encoded dataset to `model.npz`, on one device or over all those of a job.

What happens at step k depends on the seed, on k and on the state alone, so a run that was interrupted and
continued ends with the same bytes as one that was not (on the same devices and packages).
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from unimat.checked_csv import FILES
from unimat.errors import UserError
from unimat.files import write_json
from unimat.model import networks
from unimat.model.checkpoints import versions, write_model
from unimat.model.compact import flow
from unimat.model.compact.names import OCCUPANCY, TEMPLATE_LAYER
from unimat.model.compact.occupancy import with_sizes
from unimat.model.machine import devices
from unimat.model.machine.distributed import barrier, is_writer
from unimat.model.machine.throughput import flops_of
from unimat.model.network import backend
from unimat.model.networks import Network, Params
from unimat.model.noise import losses
from unimat.model.noise.diffusion import prediction_of
from unimat.model.representation.augmentation import Batch, augmented, rotations
from unimat.model.representation.channels import channel_map
from unimat.model.representation.conditions import training_conditions
from unimat.model.representation.encoded import Encoding, read_encoding
from unimat.model.representation.shards import EncodedSplit
from unimat.model.representation.tensors import to_state
from unimat.model.settings import ModelSettings, TrainSettings
from unimat.model.training.fine_tuning import start_of
from unimat.model.training.history import History
from unimat.model.training.loader import Loader, Sizes
from unimat.model.training.loop import GivenUp, Trainer
from unimat.model.training.train_state import (
    VALIDATION_STREAM,
    TrainState,
    initial_state,
    make_optimizer,
    root_key,
    state_shardings,
)
from unimat.model.training.work_folder import WorkFolder, refuse_other_model, settings_of_run
from unimat.outputs import whole_folder
from unimat.settings import as_dict

STREAMS = ("augment", "rotate", "loss", "dropout")
CONDITION_STREAM = 2**31 - 1  # folded in, so that the streams above are what they are without conditions
# A loss so many times that of predicting nothing has exploded: no batch of a sound run comes near.
EXPLODED = 1e4


def refuse_larger_batch(batch_size: int, n_crystals: int) -> None:
    """Raise UserError if one step would see a crystal twice."""
    if batch_size > n_crystals:
        usual = 2 ** max(int(n_crystals // 4).bit_length() - 1, 0)
        raise UserError(
            f"train.batch_size is {batch_size} crystals, and the training split has {n_crystals}; give a batch of at"
            f" most {n_crystals}, such as {usual}"
        )


def refuse_without_templates(settings: ModelSettings, split: EncodedSplit, encoded: Path) -> None:
    """Raise UserError if a network is to learn of templates that its dataset does not have."""
    if settings.templates and not split.has_templates:
        raise UserError(
            f"model.templates is true, and the crystals of {encoded} have no templates; encode tables that have them "
            "with encode.templates true"
        )


def train(
    encoded: str | Path,
    model_settings: ModelSettings,
    settings: TrainSettings,
    work: str | Path,
    out: str | Path,
    fresh: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Train a model and write `history.csv`, `speed.csv`, `training.json` and, last, `model.npz` into `out`.

    In a job of several processes (`distributed.connect`) all call this, and process 0 writes.

    Args:
        encoded: folder of `unimat encode`. work: working folder; training continues from its last checkpoint.
        fresh: forget that checkpoint.
        force: replace what is in `out`, whoever made it.

    Returns:
        The content of `training.json`; its `speed` is the only part that differs between equal runs.

    Raises:
        UserError: on an encoded dataset that is not whole, a working folder or a finished model in `out` of other
            settings or other data, settings that cannot be shared out among the devices, a full disk, or a loss that
            is not finite or explodes.
        Interrupted: after SIGTERM, SIGINT, SIGHUP or the time limit, with a checkpoint saved.
    """
    encoded, out = Path(encoded), Path(out)
    layout = devices.layout(settings)
    start = start_of(settings, model_settings, read_encoding(encoded))
    encoding = start.encoding
    splits = {name: EncodedSplit(encoded, name) for name in ("train", "val")}
    refuse_larger_batch(settings.batch_size, len(splits["train"]))
    if start.params is None or TEMPLATE_LAYER not in start.params:  # a model that knows them may learn without
        refuse_without_templates(model_settings, splits["train"], encoded)
    data = {name: split.content for name, split in splits.items()}
    network = networks.build(model_settings, encoding)
    sizes = Sizes.of(splits["train"]) if model_settings.network == "compact" else None
    part = (jax.process_index(), jax.process_count(), layout.batch, sizes)
    loader = Loader(splits["train"], encoding.max_atoms, settings.seed, settings.batch_size, *part)
    run = settings_of_run(encoding, model_settings, settings, data)
    if not force:
        refuse_other_model(out, run)
    folder = WorkFolder(work, run, fresh)
    try:
        optimizer = make_optimizer(settings)
        state = folder.restore(start.state(initial_state(network, optimizer, settings.seed, layout)))
        history = History(folder.path, int(state.step), settings.tensorboard)
        step = make_step(network, optimizer, encoding, model_settings, settings, layout)
        trainer = Trainer(
            jax.jit(step, donate_argnums=0, out_shardings=state_shardings(state, layout)),
            make_validation(network, encoding, splits["val"], model_settings, settings, layout),
            loader,
            layout,
            settings,
            folder,
            history,
            functools.partial(flops_of_step, optimizer, encoding, model_settings, settings),
        )
        state, speed = trainer.run(state)
        folder.finish()
    finally:
        folder.close()
    report = {
        "steps": int(state.step),
        "n_parameters": sum(int(x.size) for x in jax.tree.leaves(state.params)),
        "n_train": len(splits["train"]),
        "n_val": len(splits["val"]),
        "final": history.numbers.last(),
        "settings": {"model": as_dict(model_settings), "train": as_dict(settings)},
        "versions": versions(),
        **start.about,
    }
    params = layout.gathered(state.ema_params)
    if OCCUPANCY in params:
        params = {**params, OCCUPANCY: with_sizes(params[OCCUPANCY], Sizes.of(splits["train"]).n_atoms)}
    if is_writer():
        with whole_folder(out, "train", last="model.npz", force=force) as new:
            files = history.write(new)
            write_json(new / "training.json", {**report, "speed": speed, FILES: files})
            write_model(new / "model.npz", params, {**report, "encoding": encoding.to_json(), "data": data})
    barrier("unimat: the model is written")
    return {**report, "speed": speed}


def make_loss(
    network: Network, encoding: Encoding, model_settings: ModelSettings, settings: TrainSettings
) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
    """Loss of (params, compact batch, key, train) after augmentation; see `losses.loss` and `compact.flow`."""
    if model_settings.network == "compact":
        return flow.make_loss(network, encoding, model_settings, settings)
    channels, mask = channel_map(model_settings), jnp.asarray(encoding.element_mask, jnp.float32)
    n_slots, height, width = encoding.tensor_shape
    chosen = losses.LossSettings(
        prediction_of(model_settings),
        model_settings.log_snr_min,
        model_settings.log_snr_max,
        settings.lattice_weight,
        settings.null_weight,
        settings.loss_weight,
        settings.min_snr_gamma,
        settings.noise_levels,
        settings.noise_mean,
        settings.noise_std,
    )
    rotate = settings.rotate and encoding.coordinates == "cartesian"

    def loss(params: Params, batch: Batch, key: jax.Array, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        keys = dict(zip(STREAMS, jax.random.split(key, len(STREAMS)), strict=True))
        batch = augmented(batch, settings, height * width, n_slots, key=keys["augment"])
        turn = rotations(len(batch["cell"]), key=keys["rotate"]) if rotate else None
        x0, present = to_state(batch, encoding, channels, turn)
        condition_key = jax.random.fold_in(key, CONDITION_STREAM)
        shown = training_conditions(batch, present, encoding, model_settings, settings, key=condition_key, train=train)
        predict = functools.partial(_predict, network, params, shown, train, {"dropout": keys["dropout"]})
        return losses.loss(predict, x0, present, mask, chosen, key=keys["loss"])

    return loss


def _predict(
    network: Network,
    params: Params,
    conditions: dict[str, jax.Array],
    train: bool,
    rngs: dict[str, jax.Array],
    noisy: Any,
    log_snr: jax.Array,
) -> Any:
    return network.apply(params, noisy, log_snr, conditions, train=train, rngs=rngs)


def make_step(
    network: Network,
    optimizer: optax.GradientTransformation,
    encoding: Encoding,
    model_settings: ModelSettings,
    settings: TrainSettings,
    layout: devices.Layout | None = None,
) -> Callable[[TrainState, Batch], TrainState]:
    """One optimisation step: (state, compact batch) -> state, over the devices of a layout."""
    loss = make_loss(network, encoding, model_settings, settings)
    root = root_key(settings.seed)
    limit = EXPLODED * (1 + settings.lattice_weight) * max(1.0, settings.min_snr_gamma)

    def step(state: TrainState, batch: Batch) -> TrainState:
        key = jax.random.fold_in(root, state.step)
        with contextlib.nullcontext() if layout is None else devices.within(layout.mesh):
            gradients, report = jax.grad(loss, has_aux=True)(_gathered(state.params, layout), batch, key, True)
        gradients = _scattered(gradients, layout)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        # Young averages forget their random start quickly.
        done = state.step.astype(jnp.float32)
        decay = jnp.minimum(settings.ema_decay, (1.0 + done) / (10.0 + done))
        ema = jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), state.ema_params, params)
        norms = {"grad_norm": gradients, "update_norm": updates, "param_norm": params}
        report |= {name: optax.global_norm(tree) for name, tree in norms.items()} | {"n": jnp.float32(1)}
        sums = {name: total + report[name] for name, total in state.sums.items()}
        sound = jnp.isfinite(report["loss"]) & jnp.isfinite(report["grad_norm"]) & (report["loss"] < limit)
        bad_step = jnp.where((state.bad_step < 0) & ~sound, state.step + 1, state.bad_step)
        return TrainState(state.step + 1, params, ema, opt_state, sums, bad_step)

    return step


def _gathered(params: Params, layout: devices.Layout | None) -> Params:
    """Whole parameters on each device for its crystals; the compiler would rather cut the activations."""
    return params if layout is None else jax.lax.with_sharding_constraint(params, layout.copied)


def _scattered(gradients: Params, layout: devices.Layout | None) -> Params:
    """Of the sum of gradients over devices, each the part whose parameters it keeps."""
    return gradients if layout is None else jax.lax.with_sharding_constraint(gradients, layout.sharded(gradients))


def flops_of_step(
    optimizer: optax.GradientTransformation,
    encoding: Encoding,
    model_settings: ModelSettings,
    settings: TrainSettings,
    batch: Batch,
) -> float:
    """Operations of one step, those that `remat` repeats counted once; see `throughput.flops_of`."""
    once = dataclasses.replace(model_settings, remat=False)
    network = networks.build(once, encoding)
    state = jax.eval_shape(lambda: initial_state(network, optimizer, 0))
    with backend.without_kernels():
        return flops_of(make_step(network, optimizer, encoding, once, settings), state, batch)


def make_validation(
    network: Network,
    encoding: Encoding,
    split: EncodedSplit,
    model_settings: ModelSettings,
    settings: TrainSettings,
    layout: devices.Layout,
) -> Callable[[Params, Callable[[], bool]], float | None]:
    """Mean `loss`, as training reports it, of validation crystals under noise that stays the same; None: no split."""
    loss = jax.jit(make_loss(network, encoding, model_settings, settings), static_argnums=3)
    n = min(len(split), settings.validation_crystals)
    arrays = split.batch(np.arange(n), encoding.max_atoms)
    size = min(settings.batch_size, max(n, 1))
    root = jax.random.fold_in(root_key(settings.seed), VALIDATION_STREAM)

    def validate(params: Params, give_up: Callable[[], bool]) -> float | None:
        params, total = layout.gathered(params), 0.0
        for start in range(0, n, size):
            if give_up():
                raise GivenUp
            rows = (start + np.arange(size)) % n  # the last batch wraps: every call has one shape
            batch = layout.place({name: array[rows] for name, array in arrays.items()}, size)
            with devices.within(layout.mesh):
                total += float(loss(params, batch, jax.random.fold_in(root, start), False)[1]["loss"])
        return total / -(-n // size) if n else None

    return validate
