"""Crystals from a compact network: compositions given or drawn, then the flow followed from noise to data."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unimat.errors import UserError
from unimat.model.checkpoints import Model
from unimat.model.compact import flow
from unimat.model.compact.names import CELLS, OCCUPANCY, TEMPLATE
from unimat.model.compact.network import occupancy_of
from unimat.model.compact.occupancy import sampled_counts
from unimat.model.compact.pairing import nearest
from unimat.model.compact.symmetry import operations
from unimat.model.compact.templates import atoms_by_cell, told_of_templates
from unimat.model.compact.torus import without_mean
from unimat.model.machine.devices import within
from unimat.model.networks import Network, Params
from unimat.model.representation import lattice as lattice_forms
from unimat.model.representation.conditions import counts_on_grid, left_out
from unimat.model.representation.encoded import TEMPLATE_COORDS, TEMPLATE_LATTICE
from unimat.model.representation.tensors import State
from unimat.model.sampling.requests import Requests, conditions_of, requested_counts
from unimat.model.settings import SampleSettings
from unimat.progress import Progress, progress

WINDOW = 16  # batches whose crystals are sorted by size among each other, so that little is padding
WIDTHS = 4  # a batch is padded to a multiple of so many atoms: each width is compiled once
TRIES = 50  # drawings of a composition in which all elements of a chemical system shall occur
CLIP_MARGIN = 0.1  # of the range of the training lattices, by which a lattice may leave it


@dataclasses.dataclass(frozen=True)
class Course:
    """How the flow is followed; equal ones are compiled once.

    Attributes:
        steps: of Euler's method, evenly spaced in time. anti_annealing: see `SampleSettings`.
        guidance: omega of Equation 2. weakened: conditions that its second term is not told.
        jitter: of starts at a template.
    """

    network: Network
    steps: int
    anti_annealing: float
    guidance: float
    weakened: tuple[str, ...]
    mesh: jax.sharding.Mesh
    jitter: float = 0.0

    def placed(self, x: Any) -> Any:
        """Arrays with one entry per crystal, in equal parts on all devices of this process."""
        return jax.device_put(x, jax.NamedSharding(self.mesh, jax.P("data")))


class CompactDecoded:
    """Crystals of one window; the part of `tensors.Decoded` that a set is written from.

    Attributes:
        near_border, null_read_as_atoms: of the dense tensor, where atoms have to be told from null; nothing here.
    """

    near_border = np.zeros(0, bool)
    null_read_as_atoms = 0

    def __init__(self, lattice: np.ndarray, numbers: list[np.ndarray], coords: list[np.ndarray]):
        self._lattice, self._numbers, self._coords = lattice, numbers, coords

    def crystal(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lattice parameters (6,), atomic numbers (n,) and fractional coordinates (n, 3)."""
        return self._lattice[index], self._numbers[index], self._coords[index]


def decoded_windows(
    model: Model,
    settings: SampleSettings,
    requests: Requests,
    ranges: list[range],
    size: int,
    skip: Callable[[range], bool] | None = None,
) -> Iterator[tuple[range, CompactDecoded]]:
    """Indices of crystals and the crystals, range by range, computed in batches of `size`.

    Raises:
        UserError: on a sampler that is not this network's, or a number of atoms that cannot be.
    """
    if settings.sampler not in (None, "euler"):
        raise UserError(f"sample.sampler {settings.sampler!r} is for network unet; a compact network has euler")
    drawing = Drawing.of(model, settings, requests)
    wanted = [indices for indices in ranges if skip is None or not skip(indices)]
    n = len(requests)
    with progress(total=n, initial=n - sum(map(len, wanted)), desc="sample", unit="crystal") as bar:
        for indices in wanted:
            yield indices, drawing.decoded(np.array(indices), size, bar)


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A set being drawn from a model.

    Attributes:
        root: of the keys of all crystals. params: on the devices.
    """

    model: Model
    settings: SampleSettings
    requests: Requests
    course: Course
    params: Params
    root: jax.Array

    @classmethod
    def of(cls, model: Model, settings: SampleSettings, requests: Requests) -> "Drawing":
        mesh = jax.sharding.Mesh(np.array(jax.local_devices()), ("data",))
        weakened = requests.auxiliary if settings.guidance else ()
        how = (settings.steps, settings.anti_annealing, settings.guidance, weakened)
        course = Course(model.network, *how, mesh, settings.template_jitter)
        params = jax.device_put(model.params, jax.NamedSharding(mesh, jax.P()))
        return cls(model, settings, requests, course, params, jax.random.key(settings.seed))

    def decoded(self, indices: np.ndarray, size: int, bar: Progress) -> CompactDecoded:
        """Crystals `indices` (b,), those of about one size side by side."""
        cells = self.cells(indices)
        sizes = np.array([len(each) for each in cells])
        order, most = np.argsort(sizes, kind="stable"), max(self.model.encoding.max_atoms, int(sizes.max()))
        lattice, coords = np.full((len(indices), 6), np.nan), [np.zeros((0, 3))] * len(indices)
        keep = self.settings.start == "template" and self.settings.keep_symmetry
        for start in range(0, len(order), size):
            here = order[start : start + size]
            rows = np.resize(here, size)  # the last batch repeats crystals, so that all have one shape
            width = min(-(-int(sizes[here].max()) // WIDTHS) * WIDTHS, most)
            state = self._batch(indices[rows], [cells[row] for row in rows], width, most)
            found = self._parameters(state["lattice"], sizes[rows])
            for at, row in enumerate(here):
                lattice[row], coords[row] = found[at], state["coords"][at, : sizes[row]]
                if keep:
                    lattice[row], coords[row] = self._symmetric(
                        int(indices[row]), cells[row], lattice[row], coords[row]
                    )
            bar.update(len(here))
        numbers = np.array(self.model.encoding.grid.atomic_number_at)
        return CompactDecoded(lattice, [numbers[each] for each in cells], coords)

    def cells(self, indices: np.ndarray) -> list[np.ndarray]:
        """For each crystal the flat cells of its atoms (n,), sorted: those asked for, or drawn."""
        asked = requested_counts(self.requests, indices, self.model.encoding)
        counts = self._drawn(indices) if asked is None else asked
        flat = np.asarray(counts).reshape(len(indices), -1)
        return [np.repeat(np.arange(flat.shape[1]), row) for row in flat]

    def _drawn(self, indices: np.ndarray) -> np.ndarray:
        """(b, H * W) counts from the model of compositions; all elements of a chemical system occur if they can."""
        model, system = self.model, self.requests.system
        allowed: Any = model.encoding.element_mask.ravel()
        sizes: np.ndarray = np.arange(model.encoding.max_atoms + 1) > 0
        demanded = np.zeros_like(allowed)
        if system is not None:
            allowed = demanded = counts_on_grid(dict.fromkeys(system, 1), model.encoding).ravel() > 0
            sizes = sizes & (np.arange(len(sizes)) >= len(system))
        if self.settings.n_atoms is not None:
            sizes = sizes & (np.arange(len(sizes)) == self.settings.n_atoms)
        if not sizes.any():
            raise UserError(
                f"no crystal of {self.settings.n_atoms or 'so few'} atoms can be drawn; the model knows crystals of up "
                f"to {len(sizes) - 1}, of at least one atom of each element asked for"
            )
        draw = jax.jit(functools.partial(sampled_counts, occupancy_of(model.network.module)))
        counts: np.ndarray = np.zeros((len(indices), len(allowed)), np.int32)
        missing: np.ndarray = np.ones(len(indices), bool)
        for attempt in range(TRIES):
            keys = _keys(self.root, jnp.asarray(indices), attempt)
            drawn = draw(model.params[OCCUPANCY], jnp.asarray(allowed), jnp.asarray(sizes), keys)
            counts = np.where(missing[:, None], np.asarray(drawn), counts)
            missing = ((counts > 0) < demanded).any(axis=1)
            if not missing.any():
                break
        return counts

    def _batch(self, indices: np.ndarray, cells: list[np.ndarray], width: int, most: int) -> Mapping[str, np.ndarray]:
        """Final state of crystals `indices` (b,), padded to `width` atoms."""
        padded = np.full((len(cells), width), -1, np.int32)
        for row, each in zip(padded, cells, strict=True):
            row[: len(each)] = each
        conditions = {**conditions_of(self.requests, indices, self.model), CELLS: jnp.asarray(padded)}
        if TEMPLATE in conditions:
            starts = self.settings.start == "template"
            conditions |= told_of_templates(self.requests.templates, indices, width, starts, self.model.encoding)
        keys = _keys(self.root, jnp.asarray(indices), TRIES)
        keys, conditions = self.course.placed((keys, conditions))
        with within(self.course.mesh):
            state = _followed(self.course, width, most, self.params, keys, conditions)
        return {name: np.asarray(x, np.float64) for name, x in state.items()}

    def _symmetric(
        self, index: int, cells: np.ndarray, lattice: np.ndarray, coords: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lattice (6,) and coordinates (n, 3) of crystal `index` in the space group of the template it started at."""
        templates = self.requests.templates
        assert templates is not None  # settings that start at a template have some
        there, parameters = templates.coords[atoms_by_cell(templates, index)], templates.lattice[index]
        if not (np.isfinite(lattice).all() and lattice_forms.closes(lattice)):
            return lattice, coords  # refused later, with the reason
        found = operations(lattice_forms.to_matrices(parameters), there, cells)
        moved = coords - there
        moved -= np.round(moved)
        return found.parameters(lattice), there + found.displacements(moved - moved.mean(0))

    def _parameters(self, vectors: np.ndarray, n_atoms: np.ndarray) -> np.ndarray:
        """(b, 6) lattice parameters in Å and degrees of standardised vectors."""
        encoding = self.model.encoding
        low, high, mean, std = (
            np.array(getattr(encoding, f"lattice_{name}")) for name in ("low", "high", "mean", "std")
        )
        if self.settings.clip:
            margin = CLIP_MARGIN * np.maximum(high - low, 1.0)
            vectors = np.clip(vectors, low - margin, high + margin)
        return lattice_forms.from_vector(vectors * std + mean, encoding.lattice_lengths, n_atoms=n_atoms)


def _keys(root: jax.Array, indices: jax.Array, stream: int) -> jax.Array:
    """(b,) keys of crystals `indices`, another for each stream."""
    return jax.vmap(lambda index: jax.random.fold_in(jax.random.fold_in(root, index), stream))(indices)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _followed(
    course: Course, width: int, most: int, params: Params, keys: jax.Array, conditions: Mapping[str, jax.Array]
) -> State:
    """Crystals at the end of the flow; their noise is drawn for `most` atoms, whatever they are padded to."""
    n_lattice = course.network.shapes["lattice"][0]
    start = jax.vmap(lambda key: flow.base((most, 3), n_lattice, key=key))(keys)
    start = {**start, "coords": start["coords"][:, :width]}
    if TEMPLATE in conditions:
        start, conditions = _with_templates(course, start, keys, conditions)
    dt = 1.0 / course.steps

    def step(state: State, number: jax.Array) -> tuple[State, None]:
        t = number * dt
        velocity = _guided(course, params, state, jnp.full(len(keys), flow.log_snr_of(t)), conditions)
        # Late steps go further, up to where the path would end: atoms settle where they are most probable.
        gain = jnp.minimum((1.0 + course.anti_annealing * t) * dt, 1.0 - t)
        coords = state["coords"] + gain * velocity["coords"]
        return {"coords": coords - jnp.floor(coords), "lattice": state["lattice"] + dt * velocity["lattice"]}, None

    return jax.lax.scan(step, start, jnp.arange(course.steps))[0]


def _with_templates(
    course: Course, start: State, keys: jax.Array, conditions: Mapping[str, jax.Array]
) -> tuple[State, dict[str, jax.Array]]:
    """Start of each crystal, at noise or at its template, and the conditions with the template moved to it."""
    present, flags = conditions[CELLS] >= 0, conditions[TEMPLATE]
    shown, starts = flags[:, 0] > 0, flags[:, 1] > 0
    there = conditions[TEMPLATE_COORDS]
    aim = jnp.where(starts[:, None, None], there, nearest(start["coords"], there, conditions[CELLS]))
    aim = jnp.where(shown[:, None, None], aim, 0.0)
    coords, lattice = (
        course.jitter * jax.vmap(lambda key, shape=x.shape[1:]: jax.random.normal(key, shape))(_streams(keys, number))
        for number, x in enumerate((aim, start["lattice"]))
    )
    coords, lattice = aim + without_mean(coords, present), conditions[TEMPLATE_LATTICE] + lattice
    start = {
        "coords": jnp.where(starts[:, None, None], coords, start["coords"]),
        "lattice": jnp.where(starts[:, None], lattice, start["lattice"]),
    }
    return start, {**conditions, TEMPLATE_COORDS: aim}


def _streams(keys: jax.Array, number: int) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


def _guided(
    course: Course, params: Params, state: State, log_snr: jax.Array, conditions: Mapping[str, jax.Array]
) -> State:
    """Velocity, by Equation 2 if there is guidance."""
    apply, weight = course.network.apply, course.guidance
    told = apply(params, state, log_snr, conditions)
    if not weight:
        return told
    untold = apply(params, state, log_snr, left_out(conditions, course.weakened))
    return jax.tree.map(lambda a, b: (1 + weight) * a - weight * b, told, untold)
