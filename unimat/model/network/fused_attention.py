"""Attention on TPUs as one kernel: normalisation, projections, softmax, and the sum with the input.

The tokens of a tile stay in the chip's vector memory from the first to the last of these, so the traffic is x read and
the result written; left to XLA, the logits alone are several times that. The backward pass computes a tile again and
differentiates it there. Same parameters and, to rounding, same results as `attention.GridAttention` elsewhere.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

MIN_CELLS = 64  # per slot: on coarser grids the activations are small, and tiles would hold too few tokens
MAX_CHANNELS = 256  # beyond, weights and their gradients do not fit beside a tile in 16 MiB
MAX_LOGITS = 300_000  # of all heads of a tile, likewise: 640,000 were found not to fit
CELLS_PER_TILE = 8  # rows of a register
MASKED = -1e30


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How the tokens (L, N) of a crystal are cut: rows of N = H * W cells, or tiles of all slots of some cells.

    Attributes:
        axis: along which tokens attend: 1, the slots of a cell; 2, the cells of a slot.
    """

    axis: int
    n_slots: int
    n_cells: int

    @property
    def block(self) -> tuple[int, int]:
        """Slots and cells of a tile."""
        return (self.n_slots, CELLS_PER_TILE) if self.axis == 1 else (1, self.n_cells)

    @property
    def count(self) -> int:
        """Tiles of a crystal."""
        return -(-self.n_cells // CELLS_PER_TILE) if self.axis == 1 else self.n_slots

    @property
    def tokens(self) -> int:
        """Of a tile."""
        return math.prod(self.block)

    def index(self, crystal: Any, tile: Any) -> tuple[Any, ...]:
        """Which block of (B, L, N, C) a tile is."""
        return (crystal, 0, tile, 0) if self.axis == 1 else (crystal, tile, 0, 0)

    def inside(self, tile: Any) -> jax.Array:
        """(tokens, 1) bool: the last tile reaches past the last cell."""
        cell = jax.lax.broadcasted_iota(jnp.int32, (self.tokens, 1), 0) % self.block[1]
        return (tile if self.axis == 1 else 0) * self.block[1] + cell < self.n_cells

    def together(self) -> jax.Array | None:
        """(tokens, tokens) bool: which attend to each other; None: all."""
        if self.axis == 2:
            return None
        rows, columns = (jax.lax.broadcasted_iota(jnp.int32, (self.tokens,) * 2, axis) for axis in (0, 1))
        return rows % CELLS_PER_TILE == columns % CELLS_PER_TILE


def fits(shape: tuple[int, ...], axis: int, head_dim: int) -> bool:
    """Whether the kernel takes activations (B, L, N, C)."""
    _, n_slots, n_cells, channels = shape
    logits = max(1, channels // head_dim) * Tiling(axis, n_slots, n_cells).tokens ** 2
    return n_cells >= MIN_CELLS and channels <= MAX_CHANNELS and logits <= MAX_LOGITS


@functools.partial(jax.custom_vjp, nondiff_argnums=(6,))
def attended(
    x: jax.Array, scale: jax.Array, shift: jax.Array, qkv: jax.Array, out: jax.Array, bias: jax.Array, axis: int
) -> jax.Array:
    """x plus attention between its normalised tokens, (B, L, N, C).

    Args:
        scale, shift: (B, C) float32 of the normalisation.
        qkv: (3, heads, C, head dimension). out: (heads, head dimension, C). bias: (C,).
        axis: along which tokens attend, 1 or 2.
    """
    return _over_devices(functools.partial(_forward_kernel, axis=axis), 3)(
        x, scale[:, None], shift[:, None], qkv, out, bias[None]
    )


def _forward(
    x: jax.Array, scale: jax.Array, shift: jax.Array, qkv: jax.Array, out: jax.Array, bias: jax.Array, axis: int
) -> tuple[jax.Array, Any]:
    return attended(x, scale, shift, qkv, out, bias, axis), (x, scale, shift, qkv, out, bias)


def _backward(axis: int, saved: Any, g: jax.Array) -> tuple[jax.Array, ...]:
    x, scale, shift, qkv, out, bias = saved
    found = _over_devices(functools.partial(_backward_kernel, axis=axis), 4)(
        x, g, scale[:, None], shift[:, None], qkv, out, bias[None]
    )
    dx, dscale, dshift, *weights = found
    of_qkv, of_out, of_bias = (each.sum(0) for each in weights)
    weights = of_qkv.astype(qkv.dtype), of_out.astype(out.dtype), of_bias[0].astype(bias.dtype)
    return dx, dscale[:, 0], dshift[:, 0], *weights


attended.defvjp(_forward, _backward)


def _over_devices(kernel: Any, n_batched: int) -> Any:
    """The kernel on each device's crystals, over the mesh in force; the compiler cannot cut one by itself.

    Args:
        n_batched: arguments whose first axis counts crystals, as that of each result does; the others are weights.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return kernel

    def cut(*args: jax.Array) -> Any:
        shared = len(args[0]) % mesh.size == 0
        rows, whole = PartitionSpec(mesh.axis_names if shared else None), PartitionSpec()
        specs = (rows,) * n_batched + (whole,) * (len(args) - n_batched)
        return jax.shard_map(kernel, mesh=mesh, in_specs=specs, out_specs=rows, check_vma=False)(*args)

    return cut


def _forward_kernel(x: jax.Array, *others: jax.Array, axis: int) -> jax.Array:
    from jax.experimental import pallas as pl

    tiling = Tiling(axis, *x.shape[1:3])
    compute = functools.partial(_attended_tile, tiling=tiling, dtype=x.dtype)

    def body(x_ref: Any, *refs: Any) -> None:
        *weights, out_ref = refs
        tile = _tile(x_ref, tiling, pl.program_id(1))
        result = compute(tile, *(_read(ref) for ref in weights))
        out_ref[...] = result.reshape(out_ref.shape).astype(out_ref.dtype)

    return _call(body, tiling, (x,), others, [(x.shape, x.dtype, True)], 1)[0]


def _backward_kernel(x: jax.Array, g: jax.Array, *others: jax.Array, axis: int) -> list[jax.Array]:
    from jax.experimental import pallas as pl

    tiling = Tiling(axis, *x.shape[1:3])
    compute = functools.partial(_attended_tile, tiling=tiling, dtype=x.dtype)

    def body(x_ref: Any, g_ref: Any, *refs: Any) -> None:
        weights, (dx_ref, *totals) = refs[: len(others)], refs[len(others) :]
        index = pl.program_id(1)
        tile, slope = (_tile(ref, tiling, index) for ref in (x_ref, g_ref))
        dx, *gradients = jax.vjp(compute, tile, *(_read(ref) for ref in weights))[1](slope)
        dx_ref[...] = dx.reshape(dx_ref.shape).astype(dx_ref.dtype)
        for ref, gradient in zip(totals, gradients, strict=True):
            _add(ref, gradient.astype(ref.dtype), index)

    results = [(x.shape, x.dtype, True)]
    results += [((len(x), *each.shape[-2:]), jnp.float32, False) for each in others[:2]]
    results += [((len(x), *each.shape), jnp.float32, False) for each in others[2:]]
    return _call(body, tiling, (x, g), others, results, 4)


def _call(
    body: Any, tiling: Tiling, tiled: tuple[jax.Array, ...], others: tuple[jax.Array, ...], results: Any, passes: int
) -> list[jax.Array]:
    """Run `body` on each tile: `tiled` in tiles, `others` whole or for each crystal, results likewise."""
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import tpu as pltpu

    n, channels = len(tiled[0]), tiled[0].shape[-1]

    def of_tile() -> Any:
        return pl.BlockSpec((1, *tiling.block, channels), tiling.index)

    def of_crystal(shape: tuple[int, ...]) -> Any:
        return pl.BlockSpec((1, *shape[1:]), lambda crystal, tile: (crystal, *(0,) * (len(shape) - 1)))

    def whole(shape: tuple[int, ...]) -> Any:
        return pl.BlockSpec(shape, lambda crystal, tile: (0,) * len(shape))

    specs = [of_tile() for _ in tiled]
    specs += [of_crystal(x.shape) for x in others[:2]] + [whole(x.shape) for x in others[2:]]
    return pl.pallas_call(
        body,
        grid=(n, tiling.count),
        in_specs=specs,
        out_specs=[of_tile() if is_tile else of_crystal(shape) for shape, _, is_tile in results],
        out_shape=[jax.ShapeDtypeStruct(shape, dtype) for shape, dtype, _ in results],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary")),
        cost_estimate=_cost(tiling, tiled, others, results, passes),
        name=f"attention_over_{'slots' if tiling.axis == 1 else 'cells'}",
    )(*tiled, *others)


def _cost(tiling: Tiling, tiled: Any, others: Any, results: Any, passes: int) -> Any:
    from jax.experimental import pallas as pl

    n, channels = len(tiled[0]) * tiling.count, tiled[0].shape[-1]
    _, heads, _, head_dim = others[2].shape
    products = tiling.tokens * heads * head_dim * (4 * channels + 2 * tiling.tokens)
    moved = sum(x.size * x.dtype.itemsize for x in (*tiled, *others))
    moved += sum(math.prod(shape) * jnp.dtype(dtype).itemsize for shape, dtype, _ in results)
    return pl.CostEstimate(
        flops=2 * n * products * passes, transcendentals=n * heads * tiling.tokens**2, bytes_accessed=moved
    )


def _read(ref: Any) -> jax.Array:
    return ref[...]


def _tile(ref: Any, tiling: Tiling, index: Any) -> jax.Array:
    """(tokens, C) float32, zero past the last cell, where there may be anything."""
    tile = ref[...].astype(jnp.float32).reshape(tiling.tokens, ref.shape[-1])
    return jnp.where(tiling.inside(index), tile, 0.0)


def _add(ref: Any, value: jax.Array, index: Any) -> None:
    from jax.experimental import pallas as pl

    value = value.reshape(ref.shape)

    @pl.when(index == 0)
    def _() -> None:
        ref[...] = value

    @pl.when(index > 0)
    def _() -> None:
        ref[...] += value


def _attended_tile(
    x: jax.Array,
    scale: jax.Array,
    shift: jax.Array,
    qkv: jax.Array,
    out: jax.Array,
    bias: jax.Array,
    tiling: Tiling,
    dtype: Any,
) -> jax.Array:
    """(tokens, C) float32; products of `dtype`, summed in float32."""
    y = (x * scale[0] + shift[0]).astype(dtype)
    together = tiling.together()
    total = x + bias.astype(jnp.float32)
    for head in range(out.shape[0]):
        q, k, v = (_product(y, qkv[part, head], 1, 0).astype(dtype) for part in range(3))
        logits = _product(q, k, 1, 1) * out.shape[1] ** -0.5
        if together is not None:
            logits = jnp.where(together, logits, MASKED)
        weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(1, keepdims=True)))
        weights = weights / weights.sum(1, keepdims=True)
        mixed = _product(weights.astype(dtype), v, 1, 0).astype(dtype)
        total = total + _product(mixed, out[head], 1, 0)
    return total


def _product(a: jax.Array, b: jax.Array, of_a: int, of_b: int) -> jax.Array:
    return jax.lax.dot_general(a, b, (((of_a,), (of_b,)), ((), ())), preferred_element_type=jnp.float32)
