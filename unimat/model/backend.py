"""What a program that is being traced will run on; the same parameters give the same results on each."""

import jax


def by_products() -> bool:
    """Whether on a CPU, whose matrix products are several times as fast as its convolutions."""
    return jax.default_backend() == "cpu"


def by_kernels() -> bool:
    """Whether on a TPU, for which there are kernels of our own."""
    return jax.default_backend() == "tpu"
