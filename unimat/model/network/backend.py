"""What a program that is being traced will run on; the same parameters give the same results on each."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_kernels = contextvars.ContextVar("kernels", default=True)


def by_products() -> bool:
    """Whether on a CPU, whose matrix products are several times as fast as its convolutions."""
    return jax.default_backend() == "cpu"


def by_kernels() -> bool:
    """Whether on a TPU, for which there are kernels of our own."""
    return _kernels.get() and jax.default_backend() == "tpu"


@contextlib.contextmanager
def without_kernels() -> Iterator[None]:
    """While this holds, programs are traced as if there were none, so that their operations can be counted."""
    token = _kernels.set(False)
    try:
        yield
    finally:
        _kernels.reset(token)


def chunk_of_rows(n: int, bytes_of_row: int, fitting: int) -> int:
    """Rows of n to work on at once, in equal chunks, so that they fit into so many bytes of a core's caches.

    All of them where several devices share the rows, since each would gather every chunk.
    """
    if jax.device_count() > 1:
        return n
    largest = min(n, max(1, fitting // bytes_of_row))
    return next(size for size in range(largest, 0, -1) if n % size == 0)
