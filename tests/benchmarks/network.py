"""Training steps of the U-Net on a CPU, against the same network on XLA's convolutions and a textbook GroupNorm.

Both have the same parameters and attention, and losses and gradients are compared. Crystals are random; the loss is
the mean square of the prediction, and the step is one of Adam.
"""

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from harness import Figure, best_of, finish, peak_memory_mib, say
from jax import lax

from unimat.model.network import attention, blocks, unet
from unimat.model.network.normalization import EPSILON, n_groups
from unimat.model.settings import ModelSettings

TARGET_RATIO = 2.5
TARGET_DIFFERENCE = 1e-5
TARGET_LINEAR = 1.15  # of the time per slot at L = 3
SHAPES = ((3, 9, 18), (20, 9, 18))


class GroupNorm(nn.Module):
    """As `GroupNorm` of `unimat.model.network`, one operation after the other; Flax names parameters by the class."""

    dtype: Any = jnp.float32
    swish: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, film: jax.Array | None = None, train: bool = False) -> jax.Array:
        gain = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        offset = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        grouped = x.reshape(len(x), -1, n_groups(x.shape[-1]), x.shape[-1] // n_groups(x.shape[-1]))
        mean = grouped.mean((1, 3), keepdims=True)
        variance = ((grouped - mean) ** 2).mean((1, 3), keepdims=True)
        y = ((grouped - mean) / jnp.sqrt(variance + EPSILON)).reshape(x.shape) * gain + offset
        if film is not None:
            factor, term = jnp.split(film[:, None, None, None], 2, axis=-1)
            y = y * (1 + factor) + term
        y = nn.swish(y) if self.swish else y
        return nn.Dropout(self.dropout, deterministic=not train)(y)


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """While this holds, networks are traced with XLA's convolutions and the textbook's normalisation."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(blocks, "convolution", lax.conv_general_dilated))
        for module in (attention, blocks, unet):
            stack.enter_context(patch.object(module, "GroupNorm", GroupNorm))
        yield


class Steps:
    """Training steps of one network on one random batch."""

    def __init__(self, settings: ModelSettings, shape: tuple[int, int, int], batch: int):
        self.module = unet.UNet(settings, ((True,) * shape[2],) * shape[1])
        rng = np.random.default_rng(0)
        self.noisy = {
            "coords": jnp.asarray(rng.normal(size=(batch, *shape, 6)), jnp.float32),
            "lattice": jnp.asarray(rng.normal(size=(batch, 6)), jnp.float32),
        }
        self.log_snr = jnp.linspace(-5.0, 5.0, batch)
        shapes = jax.eval_shape(self.module.init, jax.random.key(0), self.noisy, self.log_snr, {})["params"]
        self.params = jax.tree.map(lambda p: jnp.asarray(rng.normal(0, 0.05, p.shape), jnp.float32), shapes)
        self.optimizer = optax.adam(1e-4)
        self.opt_state = self.optimizer.init(self.params)

    def loss(self, params: Any, key: jax.Array, train: bool) -> jax.Array:
        predicted = self.module.apply(
            {"params": params}, self.noisy, self.log_snr, {}, train=train, rngs={"dropout": key}
        )
        return sum((jnp.mean(x**2) for x in jax.tree.leaves(predicted)), jnp.float32(0))

    def step(self, params: Any, opt_state: Any, key: jax.Array) -> tuple[Any, Any]:
        gradients = jax.grad(self.loss)(params, key, True)
        updates, opt_state = self.optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    def compiled(self) -> tuple[Any, Any]:
        """The step without arguments, and loss and gradients without dropout."""
        key = jax.random.key(0, impl="rbg")
        step = jax.jit(self.step).lower(self.params, self.opt_state, key).compile()
        gradients = jax.jit(lambda p: jax.value_and_grad(self.loss)(p, key, False))(self.params)
        return lambda: jax.block_until_ready(step(self.params, self.opt_state, key)), gradients


def largest_difference(ours: Any, theirs: Any) -> float:
    """Of all loss and gradient arrays, relative to the largest gradient of its array."""
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return max(float(jnp.abs(a - b).max() / (jnp.abs(b).max() + 1e-6)) for a, b in pairs)


def alternating(first: Any, second: Any, repeats: int) -> tuple[float, float]:
    """Best times of two calls, in turns, so that what else the machine does meets both."""
    times = [(best_of(first, 1)[0], best_of(second, 1)[0]) for _ in range(repeats)]
    return min(ours for ours, _ in times), min(theirs for _, theirs in times)


def measured(
    settings: ModelSettings, shape: tuple[int, int, int], batch: int, repeats: int
) -> tuple[float, list[Figure]]:
    """Seconds of one step, and figures."""
    label = f"{shape[0]} x {shape[1]} x {shape[2]}, {settings.channels} channels, batch {batch}"
    say(f"compiling for {label}")
    steps = Steps(settings, shape, batch)
    ours, gradients = steps.compiled()
    with plain():
        theirs, expected = steps.compiled()
    seconds, plain_seconds = alternating(ours, theirs, repeats)
    difference = largest_difference(gradients, expected)
    say(f"{label}: {seconds:.3f} s, plain {plain_seconds:.3f} s")
    return seconds, [
        Figure(
            f"{label}: training steps", 1 / seconds, "1/s", TARGET_RATIO / plain_seconds, 1 / plain_seconds, "higher"
        ),
        Figure(f"{label}: relative difference of gradients", difference, "1", TARGET_DIFFERENCE),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=32, help="of the first resolution (default: 32)")
    parser.add_argument("--blocks", type=int, default=1, help="per resolution (default: 1)")
    parser.add_argument("--batch", type=int, default=16, help="crystals per step (default: 16)")
    parser.add_argument("--slots", type=int, nargs="+", default=[3, 20], help="L to measure (default: 3 20)")
    parser.add_argument("--repeats", type=int, default=5, help="the shortest time counts (default: 5)")
    args = parser.parse_args()

    settings = ModelSettings(channels=args.channels, blocks=args.blocks)
    figures, per_slot = [], []
    for n_slots in args.slots:
        seconds, found = measured(settings, (n_slots, 9, 18), args.batch, args.repeats)
        figures += found
        per_slot.append(seconds / n_slots)
    if len(per_slot) > 1:
        name = f"time per slot at L = {args.slots[-1]}, of that at L = {args.slots[0]}"
        figures.append(Figure(name, per_slot[-1] / per_slot[0], "1", TARGET_LINEAR))
    finish("network", [*figures, Figure("peak memory", peak_memory_mib(), "MiB")])


if __name__ == "__main__":
    main()
