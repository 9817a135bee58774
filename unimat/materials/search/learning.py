"""Vectors and volumes of the elements, learned from a library.

Each template in turn is a composition whose kind others vote for. Minimised is the mean of -log(share of the votes that
are for the right kind), over the templates whose kind any of their nearest has. The vectors begin as properties of the
elements, and are held near to them. The volumes are those by which a template and the nearest of its kind follow from
each other with the least error in log volume.
"""

import dataclasses
import functools
import logging
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize
from pymatgen.core import Element

from unimat.materials.search.exchange import Exchange
from unimat.materials.search.substitution import kinds_of, nearest_of
from unimat.materials.search.templates import Group, Templates
from unimat.periodic_table import SYMBOLS

log = logging.getLogger("unimat.search")

WIDTH = 8  # of a vector
PROPERTIES = 5
NEAREST = 100  # templates that vote for one that is left out
STEPS, BATCH, RATE = 1500, 256, 1e-2
ROUND = 0.01  # of the log of a volume
HELD = 1e-4  # weight of the squared distance from the vectors of the beginning


@dataclasses.dataclass(frozen=True)
class Left:
    """Templates left out in turn, and those that vote for each; m templates of k elements at most, n voters at most.

    Attributes:
        row: (m,) of the library. rows: (m, n) of the voters.
        wanted: (m, k) atomic numbers; 0 where there are fewer. shares: (m, k) of the atoms.
        elements: (m, n, k) of the voters, in the places of `wanted`.
        units: (m, n) bool, the same number of formula units. right: (m, n) bool, the same kind. present: (m, n) bool.
    """

    row: np.ndarray
    rows: np.ndarray
    wanted: np.ndarray
    shares: np.ndarray
    elements: np.ndarray
    units: np.ndarray
    right: np.ndarray
    present: np.ndarray

    def take(self, places: np.ndarray) -> tuple[jax.Array, ...]:
        """What `surprise` takes, of some templates."""
        arrays = self.wanted, self.shares, self.elements, self.units, self.right, self.present
        return tuple(jnp.asarray(each[places]) for each in arrays)


def properties_of_elements() -> np.ndarray:
    """(119, WIDTH) Mendeleev number, electronegativity, radius, group and period, each standardised; then zeros."""
    found = np.full((len(SYMBOLS) + 1, PROPERTIES), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that an element lacks
        for z, symbol in enumerate(SYMBOLS, start=1):
            element = Element(symbol)
            radius = element.atomic_radius_calculated or element.atomic_radius or np.nan
            found[z] = [element.mendeleev_no or np.nan, element.X, float(radius), element.group, element.row]
    standard = (found - np.nanmean(found, axis=0)) / np.nanstd(found, axis=0)
    return np.pad(np.nan_to_num(standard), ((0, 0), (0, WIDTH - PROPERTIES)))


def learn(templates: Templates, seed: int = 0, steps: int = STEPS) -> Exchange:
    """What makes the kinds of the templates likeliest, and their volumes best known, each left out in turn."""
    start = properties_of_elements()
    left = left_out(templates, Exchange(start, np.ones(len(start)), share=0.0, units=100.0, known=0.0))
    rng = np.random.default_rng(seed)
    small = 0.05 * rng.normal(size=start.shape)
    small[:, :PROPERTIES] = 0  # the other dimensions would never leave zero by themselves
    params = {
        "vectors": jnp.asarray(start + small),
        "share": jnp.zeros(()),
        "units": jnp.ones(()),
        "known": jnp.zeros(()),
    }
    held = params["vectors"]

    def loss(params: Any, batch: tuple[jax.Array, ...]) -> jax.Array:
        return surprise(params, batch) + HELD * jnp.sum((params["vectors"] - held) ** 2)

    batches = (left.take(rng.choice(len(left.wanted), BATCH)) for _ in range(steps))
    params = _minimised(loss, params, batches, steps, "surprise at the right kind, nats")
    volumes = _volumes(templates, left, rng)
    share, units, known = (float(params[name]) for name in ("share", "units", "known"))
    return Exchange(np.asarray(params["vectors"], float), volumes, share, units, known)


def _minimised(loss: Callable[..., jax.Array], params: Any, batches: Iterable[Any], steps: int, what: str) -> Any:
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))

    @jax.jit
    def step(params: Any, state: Any, batch: Any) -> tuple[Any, Any, jax.Array]:
        value, gradient = jax.value_and_grad(loss)(params, batch)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    state, values = optimizer.init(params), []
    for batch in batches:
        params, state, value = step(params, state, batch)
        values.append(value)
    log.info("%s: %.4f", what, float(np.mean(values[-100:])))
    return params


def _volumes(templates: Templates, left: Left, rng: np.random.Generator) -> np.ndarray:
    """(119,) volumes of atoms, Å^3; ratios of sums of them matter, and no more than these is known."""
    per_atom = np.abs(np.linalg.det(templates.table.lattices)) / templates.table.n_atoms
    known = np.flatnonzero(left.right.any(1))
    voters = left.right[known]
    # Beside the nearest any other of its kind: steps from neighbour to neighbour would add up their errors.
    other = np.where(voters, rng.random(voters.shape), -1).argmax(1)
    rows = np.concatenate([known, known])
    voter = np.concatenate([voters.argmax(1), other])
    ratio = np.log(per_atom[left.row[rows]] / per_atom[left.rows[rows, voter]])
    shares, new, old = left.shares[rows], left.wanted[rows], left.elements[rows, voter]
    start = np.full(len(SYMBOLS) + 1, np.log(np.median(per_atom)))

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean error of the log of a volume, rounded off below `ROUND`, and its gradient."""
        parts = [shares * np.exp(logs[each]) for each in (new, old)]
        sums = [each.sum(1, keepdims=True) for each in parts]
        error = np.log(sums[0] / sums[1])[:, 0] - ratio
        size = np.sqrt(error**2 + ROUND**2)
        slope = (error / size)[:, None] / len(error)
        gradient = np.bincount(new.ravel(), (slope * parts[0] / sums[0]).ravel(), len(logs))
        gradient -= np.bincount(old.ravel(), (slope * parts[1] / sums[1]).ravel(), len(logs))
        held = logs - start
        return size.mean() + HELD / len(logs) * (held**2).sum(), gradient + 2 * HELD / len(logs) * held

    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    log.info("error of the log of a volume: %.4f", found.fun)
    return np.exp(found.x)


def surprise(params: dict[str, jax.Array], batch: tuple[jax.Array, ...]) -> jax.Array:
    """Mean of -log(share of the votes for the right kind), in nats, of a batch of `Left`."""
    wanted, shares, elements, units, right, present = batch
    vectors = params["vectors"]
    apart = vectors[wanted][:, None] - vectors[elements]
    distance = jnp.sqrt((apart**2).sum(-1) + 1e-4) * (wanted > 0)[:, None]
    known = ((wanted[:, None] == elements) | (wanted == 0)[:, None]).all(-1)
    score = -(distance * (1 + params["share"] * shares[:, None])).sum(-1)
    score = score + params["units"] * units + params["known"] * known
    score = jnp.where(present, score, -jnp.inf)
    possible = right.any(1)
    all_votes = jax.nn.logsumexp(score, axis=1, where=present | ~possible[:, None])
    for_right = jax.nn.logsumexp(score, axis=1, where=right | ~possible[:, None])
    return jnp.where(possible, all_votes - for_right, 0.0).sum() / possible.sum()


def left_out(templates: Templates, exchange: Exchange) -> Left:
    """Each template of the library left out, with the nearest of the others by `exchange`."""
    width = max(len(group.counts) for group in templates.groups.values())
    parts = [part for group in templates.groups.values() for part in _of_group(group, exchange, width)]
    return Left(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _of_group(group: Group, exchange: Exchange, width: int) -> Any:
    if len(group.rows) < 2:
        return
    more = width - len(group.counts)
    shares = np.pad(np.array(group.counts) / sum(group.counts), (0, more))
    for place, wanted in enumerate(group.elements):
        score = -exchange.of_group(group, wanted) + exchange.units * (group.units == group.units[place])
        score[:, place] = -np.inf
        way, template = nearest_of(score, NEAREST)
        pad = functools.partial(_padded, n=NEAREST)
        elements = np.take_along_axis(group.elements[template], group.permutations[way], axis=1)
        own = kinds_of(group, np.zeros(1, int), np.array([place]))
        yield (
            group.rows[[place]],
            pad(group.rows[template]),
            np.pad(wanted, (0, more))[None],
            shares[None],
            pad(np.pad(elements, ((0, 0), (0, more)))),
            pad(group.units[template] == group.units[place]),
            pad(kinds_of(group, way, template) == own),
            pad(np.ones(len(way), bool)),
        )


def _padded(values: np.ndarray, n: int) -> np.ndarray:
    """(1, n, ...) of values (m, ...), zeros behind."""
    return np.pad(values, ((0, n - len(values)), *((0, 0) for _ in values.shape[1:])))[None]
