"""Batches for training: which crystals a step sees, read ahead of it from the shards on disk.

The order of an epoch is one permutation of all crystals, drawn from the seed and the epoch's number. The number of
the step is therefore the whole position of the loader: who continues at step k gets what an uninterrupted run got.

A network that computes only where atoms are gains from batches of crystals of about one size (`Sizes`): of MP-20, half
the atoms of padded batches are padding.
"""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import jax
import numpy as np

from unimat.errors import UserError
from unimat.model.representation.augmentation import Batch
from unimat.model.representation.shards import EncodedSplit

T = TypeVar("T")

AHEAD = 3  # batches that wait while the accelerator works
WINDOW = 32  # batches whose crystals are sorted by size among each other
WIDTHS = 4  # widths of batches are multiples of it: each is compiled for


@dataclasses.dataclass(frozen=True, eq=False)
class Sizes:
    """Atoms (n,) of each crystal of a split, by which batches are put together."""

    n_atoms: np.ndarray

    @classmethod
    def of(cls, split: EncodedSplit) -> "Sizes":
        return cls(np.concatenate([shard.n_atoms for shard in split.shards] or [np.zeros(0, int)]))


@dataclasses.dataclass(frozen=True)
class Loader:
    """The batches of a training split, each a function of the seed and of its step.

    Attributes:
        width: A, atoms that crystals are padded to.
        batch_size: crystals of a step, over all processes.
        process_index, process_count: which of the job's processes this is; it reads its own part of each batch.
        sharding: of the global batch over devices; None: on this process's first device.
        sizes: put crystals of about one size together, and pad them no further than the largest; None: to `width`.
    """

    split: EncodedSplit
    width: int
    seed: int
    batch_size: int
    process_index: int = 0
    process_count: int = 1
    sharding: jax.sharding.Sharding | None = None
    sizes: Sizes | None = None

    def __post_init__(self) -> None:
        if self.batch_size % self.process_count:
            raise UserError(
                f"train.batch_size {self.batch_size} cannot be shared out among {self.process_count} processes; "
                f"give a multiple of {self.process_count}"
            )

    def batches(self, steps: Iterable[int]) -> Generator[Batch, None, None]:
        """Batches of `steps` on the device, read by a thread that ends when the iterator is closed."""
        return read_ahead(self.batch, steps)

    def batch(self, step: int) -> Batch:
        """Batch of one step on the device, this process's part of it."""
        part = self.split.batch(self.rows(step), self.width_of(step))
        if self.sharding is None:
            return jax.device_put(part)
        place = functools.partial(jax.make_array_from_process_local_data, self.sharding)
        return {name: place(array, (self.batch_size, *array.shape[1:])) for name, array in part.items()}

    def rows(self, step: int) -> np.ndarray:
        """Rows of the split that this process reads for `step`."""
        share = self.batch_size // self.process_count
        return self.all_rows(step)[self.process_index * share :][:share]

    def all_rows(self, step: int) -> np.ndarray:
        """Rows of the split that all processes read for `step`."""
        return batch_rows(self.seed, step, self.batch_size, len(self.split), self.sizes)

    def width_of(self, step: int) -> int:
        """Atoms that the crystals of `step` are padded to, in all processes."""
        if self.sizes is None:
            return self.width
        largest = int(self.sizes.n_atoms[self.all_rows(step)].max())
        return min(-(-largest // WIDTHS) * WIDTHS, self.width)


def batch_rows(seed: int, step: int, batch_size: int, n: int, sizes: Sizes | None = None) -> np.ndarray:
    """(batch_size,) rows of a step: epochs are permutations of all n rows, and batches run across their ends.

    With `sizes`, epochs end with their last whole batch, so that none mixes the sizes of two.
    """
    if sizes is not None and n >= batch_size:
        per_epoch = n // batch_size
        return _batches_by_size(seed, step // per_epoch, batch_size, sizes)[step % per_epoch]
    position = step * batch_size + np.arange(batch_size)
    epochs = range(position[0] // n, position[-1] // n + 1)
    orders = np.concatenate([_epoch_order(seed, epoch, n)[_span(epoch, position, n)] for epoch in epochs])
    return orders.astype(np.int32)


def _span(epoch: int, position: np.ndarray, n: int) -> slice:
    """Which of an epoch's crystals stand at consecutive positions of the stream."""
    return slice(max(position[0] - epoch * n, 0), position[-1] + 1 - epoch * n)


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(n)


@functools.lru_cache(maxsize=2)
def _batches_by_size(seed: int, epoch: int, batch_size: int, sizes: Sizes) -> np.ndarray:
    """(batches, batch_size) rows of an epoch, sorted by size within windows of batches that are then shuffled."""
    n = len(sizes.n_atoms) // batch_size * batch_size
    order = _epoch_order(seed, epoch, len(sizes.n_atoms))[:n]
    windows = np.split(order, range(WINDOW * batch_size, n, WINDOW * batch_size))
    by_size = [window[np.argsort(sizes.n_atoms[window], kind="stable")] for window in windows]
    batches = np.concatenate(by_size).reshape(-1, batch_size)
    return np.random.default_rng([seed, epoch, 1]).permutation(batches).astype(np.int32)


def read_ahead(make: Callable[[int], T], steps: Iterable[int], ahead: int = AHEAD) -> Generator[T, None, None]:
    """`make` of each step in order, up to `ahead` of them made before they are asked for, by one thread.

    An error of `make` is raised where its value is due. Closing the iterator ends the thread.
    """
    remaining = iter(steps)
    with ThreadPoolExecutor(1, thread_name_prefix="loader") as thread:
        waiting: collections.deque[Future[T]] = collections.deque()
        try:
            waiting.extend(thread.submit(make, step) for step in itertools.islice(remaining, ahead))
            while waiting:
                value = waiting.popleft().result()
                waiting.extend(thread.submit(make, step) for step in itertools.islice(remaining, 1))
                yield value
        finally:
            thread.shutdown(cancel_futures=True)
