"""Convolutions over the tiny grid: XLA's own on accelerators, one matrix product each on CPUs.

XLA's CPU convolutions reach 10 to 30 GFLOP/s on two cores where its matrix products reach 60 to 150. Of the three axes
L, H, W of a kernel, one is gathered at the input (neighbours side by side in the channels) and the other two are added
up at the output (all their taps side by side in the columns of the product): of all splits this one copies least.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from unimat.model.network import backend

GATHER_ORDER = (1, 2, 0)  # the first of H, W, L along which the kernel is wide
CHUNK_BYTES = 4 * 2**20  # of a product: as many crystals at once as stay in the cores' caches


def convolution(lhs: jax.Array, rhs: jax.Array, window_strides: Sequence[int], padding: Any, **options: Any) -> Any:
    """`lax.conv_general_dilated` of (B, L, H, W, C), equal to rounding; by matrix products on a CPU.

    Args:
        rhs: (l, h, w, C, features); odd widths. padding: that keeps the size of an axis of stride 1 (SAME).
    """
    if backend.by_products() and lhs.dtype == jnp.float32:
        if all(stride == 1 for stride in window_strides):
            return stencil(lhs, rhs)
        if all(_tiles(*axis) for axis in zip(lhs.shape[1:4], rhs.shape[:3], window_strides, strict=True)):
            return tiled(lhs, rhs)
    return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **options)


def _tiles(size: int, width: int, stride: int) -> bool:
    return width == stride and size % stride == 0


def tiled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution whose strides equal the kernel's widths: each output sees a tile of its own."""
    (b, *sizes, channels), widths = x.shape, kernel.shape[:3]
    counts = [size // width for size, width in zip(sizes, widths, strict=True)]
    split = [part for pair in zip(counts, widths, strict=True) for part in pair]
    tiles = jnp.transpose(x.reshape(b, *split, channels), (0, 1, 3, 5, 2, 4, 6, 7))
    return tiles.reshape(b, *counts, math.prod(widths) * channels) @ kernel.reshape(-1, kernel.shape[-1])


@jax.custom_vjp
def stencil(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution (B, L, H, W, C) -> (B, L, H, W, features) of stride 1 that keeps the size of each axis."""
    gathered, added = _split(kernel.shape)
    matrix = _matrix(kernel, gathered, added)

    def of_chunk(part: jax.Array) -> jax.Array:
        return _sum_of_taps(_neighbours(part, kernel.shape, gathered) @ matrix, kernel.shape, added)

    out = lax.map(of_chunk, _chunks(x, matrix.shape[1]))
    return out.reshape(*x.shape[:-1], kernel.shape[-1])


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return stencil(x, kernel), (x, kernel)


def _backward(saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    # Left to itself, XLA transposes the gathering into scattered additions, which take it ten times longer.
    x, kernel = saved
    gathered, added = _split(kernel.shape)
    matrix = _matrix(kernel, gathered, added)

    def of_chunk(total: jax.Array, parts: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        columns = _neighbours(parts[0], kernel.shape, gathered)
        taps = _neighbours(parts[1], kernel.shape, added, mirrored=True)
        per_column = jnp.einsum("blhwo,ko->blhwk", taps, matrix)
        dx = _sum_of_taps(per_column, kernel.shape, gathered, mirrored=True)
        return total + jnp.einsum("nk,no->ko", _rows(columns), _rows(taps)), dx

    width = max(matrix.shape)
    chunks = _chunks(x, width), _chunks(g, width)
    product, dx = lax.scan(of_chunk, jnp.zeros_like(matrix), chunks)
    return dx.reshape(x.shape), _kernel(product, kernel.shape, gathered, added)


stencil.defvjp(_forward, _backward)


def _split(shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Axes of the kernel to gather and to add, of those along which it is wide."""
    wide = [axis for axis in GATHER_ORDER if shape[axis] > 1]
    return tuple(wide[:1]), tuple(sorted(wide[1:]))


def _chunks(x: jax.Array, columns: int) -> jax.Array:
    """(chunks, crystals of each, L, H, W, C), for products of so many columns."""
    crystals = backend.chunk_of_rows(len(x), 4 * columns * math.prod(x.shape[1:4]), CHUNK_BYTES)
    return x.reshape(-1, crystals, *x.shape[1:])


def _rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


def _order(gathered: tuple[int, ...], added: tuple[int, ...]) -> tuple[int, ...]:
    narrow = tuple(axis for axis in range(3) if axis not in gathered + added)
    return (*narrow, *gathered, 3, *added, 4)


def _matrix(kernel: jax.Array, gathered: tuple[int, ...], added: tuple[int, ...]) -> jax.Array:
    """(taps gathered * C, taps added * features)."""
    rows = kernel.shape[3] * math.prod(kernel.shape[axis] for axis in gathered)
    return jnp.transpose(kernel, _order(gathered, added)).reshape(rows, -1)


def _kernel(matrix: jax.Array, shape: Sequence[int], gathered: tuple[int, ...], added: tuple[int, ...]) -> jax.Array:
    """Inverse of `_matrix`."""
    order = _order(gathered, added)
    inverse = [order.index(axis) for axis in range(5)]
    return jnp.transpose(matrix.reshape([shape[axis] for axis in order]), inverse)


def _shifts(x: jax.Array, shape: Sequence[int], axes: tuple[int, ...], mirrored: bool) -> list[jax.Array]:
    """x moved by each tap of a kernel along `axes` (the other way if mirrored), zeros moving in."""
    margins = [(shape[axis] // 2,) * 2 if axis in axes else (0, 0) for axis in range(3)]
    padded = jnp.pad(x, [(0, 0), *margins, (0, 0)])
    starts = list(itertools.product(*(range(shape[axis]) if axis in axes else (0,) for axis in range(3))))
    ends = [tuple(first + size for first, size in zip(start, x.shape[1:4], strict=True)) for start in starts]
    moved = [
        lax.slice(padded, (0, *start, 0), (len(x), *end, x.shape[-1])) for start, end in zip(starts, ends, strict=True)
    ]
    return moved[::-1] if mirrored else moved


def _neighbours(x: jax.Array, shape: Sequence[int], axes: tuple[int, ...], mirrored: bool = False) -> jax.Array:
    """(B, L, H, W, taps * C)."""
    return jnp.concatenate(_shifts(x, shape, axes, mirrored), axis=-1)


def _sum_of_taps(product: jax.Array, shape: Sequence[int], axes: tuple[int, ...], mirrored: bool = False) -> jax.Array:
    """(B, L, H, W, C) from (B, L, H, W, taps * C)."""
    moved = _shifts(product, shape, axes, mirrored)
    size = product.shape[-1] // len(moved)
    return functools.reduce(jnp.add, (tap[..., i * size : (i + 1) * size] for i, tap in enumerate(moved)))
