"""What the crystals of a set are asked to be, and how many of them are."""

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa

from unimat import crystal_table
from unimat.checked_csv import rows_of
from unimat.crystal_table import CrystalTable
from unimat.errors import UserError
from unimat.model.checkpoints import Model
from unimat.model.representation.conditions import (
    Conditions,
    composition_condition,
    counts_on_grid,
    elements_condition,
    first_slots,
    property_condition,
)
from unimat.model.representation.encoded import EncodedCrystals, Encoding, Templates
from unimat.model.representation.encoding import cells_of, encode_table
from unimat.model.sampling.formula import Counts, chemical_system, parsed, system_name
from unimat.model.settings import CRYSTAL_CONDITIONS, SampleSettings
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

logger = logging.getLogger("unimat.sample")

TEMPLATE_ID = "template_id"  # column of a set: the row of `sample.templates` that a crystal was made from
UNUSUAL = 4.0  # standard deviations of the training split beyond which a value is told to be unusual


@dataclasses.dataclass(frozen=True)
class Requests:
    """What is asked of each crystal of a set.

    Attributes:
        formulas: of each crystal in turn, as (formula, crystals); one (None, n) without compositions.
        system: atomic numbers that should occur; None: not asked for.
        properties: (k,) value by name, in the unit of the dataset.
        templates: of each crystal in turn; None: of none. template_ids: their names.
    """

    formulas: tuple[tuple[str | None, int], ...]
    system: tuple[int, ...] | None = None
    properties: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    templates: EncodedCrystals | None = None
    template_ids: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(count for _, count in self.formulas)

    def formula(self, index: int) -> str | None:
        """Formula asked of crystal `index`; the last one's beyond the end, where batches are padded."""
        return self.formulas[int(np.searchsorted(self._ends, index, side="right").clip(max=len(self.formulas) - 1))][0]

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([count for _, count in self.formulas])

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions that are asked for."""
        composition = ("composition",) if self.formulas[0][0] is not None else ()
        return (*(("elements",) if self.system is not None else ()), *composition, *self.properties)

    @property
    def auxiliary(self) -> tuple[str, ...]:
        """What guidance strengthens: the properties if there are any (Equation 2), otherwise all conditions."""
        return tuple(self.properties) or tuple(name for name in CRYSTAL_CONDITIONS if name in self.conditions)

    @property
    def fields(self) -> list[pa.Field]:
        """Columns of a crystal table that say what was asked of each crystal."""
        described = {"description": "what the crystal was asked to be"}
        texts = {"composition": "requested_composition", "elements": "requested_chemical_system"}
        names = [pa.field(texts[name], pa.string(), metadata=described) for name in texts if name in self.conditions]
        if self.templates is not None:
            names.append(pa.field(TEMPLATE_ID, pa.string(), metadata={"description": "the template's material_id"}))
        kinds = {name: pa.float64() if len(v) == 1 else pa.list_(pa.float64()) for name, v in self.properties.items()}
        return names + [pa.field(f"requested_{name}", kind, metadata=described) for name, kind in kinds.items()]

    def row(self, index: int) -> dict[str, Any]:
        """Values of `fields` for crystal `index`."""
        asked: dict[str, Any] = {f"requested_{k}": v[0] if len(v) == 1 else list(v) for k, v in self.properties.items()}
        if self.templates is not None:
            asked[TEMPLATE_ID] = self.template_ids[index]
        if self.system is not None:
            asked["requested_chemical_system"] = system_name(self.system)
        return asked | {"requested_composition": self.formula(index)}


def requests_of(settings: SampleSettings, model: Model) -> Requests:
    """What the settings ask for.

    Raises:
        UserError: on a condition that the model was not trained with, an element outside its grid, more atoms of
            one element than it has slots, a CSV that cannot be read, or settings that do not fit together.
    """
    system = None if settings.chemical_system is None else chemical_system(settings.chemical_system)
    values = {name: v if isinstance(v, tuple) else (v,) for name, v in settings.properties.items()}
    if settings.templates is None:
        requests = Requests(tuple(_formulas(settings)), system, values)
    else:
        requests = _of_templates(settings.templates, model, system, values)
    for name in requests.conditions:
        _demand_condition(name, model)
    for formula, _ in requests.formulas if "composition" in requests.conditions else ():
        _demand_fit(f"composition {formula!r}", parsed(str(formula)), model)
        if system is not None and set(parsed(str(formula))) != set(system):
            raise UserError(f"composition {formula!r} is not of the chemical_system {settings.chemical_system!r}")
    _demand_fit(f"chemical_system {settings.chemical_system!r}", dict.fromkeys(system or (), 1), model)
    for name, value in values.items():
        _check_value(name, value, model.encoding)
    _check_settings(settings, requests, model)
    return requests


def _of_templates(path: str, model: Model, system: tuple[int, ...] | None, values: Any) -> Requests:
    """Requests of the compositions of the crystals of a table, which are their templates."""
    if not model.settings.templates:
        raise UserError("templates: the model knows none; give one that was trained with model.templates true")
    table = crystal_table.read(path)
    if not len(table):
        raise UserError(f"templates: {path} holds no crystal")
    crystals, rejected = encode_table(table, model.encoding.grid, source=path)
    if rejected:
        first = rejected[0]
        raise UserError(
            f"templates: {len(rejected)} of {path} cannot be used, the first {first.material_id}: {first.detail}"
        )
    ends = table.atom_offsets[1:-1]
    formulas = tuple((_formula(numbers), 1) for numbers in np.split(table.flat_atomic_numbers, ends))
    cells = cells_of(elements_before(table), model.encoding.grid).astype(np.int16)
    crystals = dataclasses.replace(crystals, templates=Templates(crystals.coords, crystals.lattice, cells))
    return Requests(formulas, system, values, crystals, tuple(table.material_ids))


def elements_before(table: CrystalTable) -> np.ndarray:
    """(n,) atomic numbers that the atoms of a table had before the exchange that its column `moves` tells of.

    The column is that of `unimat substitute`, such as ``Na->K Cl->Br``. Elements of which it says nothing stay as they
    are, and so does the whole crystal where only a part of an element was exchanged.
    """
    numbers = table.flat_atomic_numbers.copy()
    if "moves" not in table.property_names:
        return numbers
    for text, start, end in zip(table.column("moves"), table.atom_offsets, table.atom_offsets[1:], strict=False):
        words = [word.split("->") for word in (text or "").split() if "->" in word]
        if not text or "(" in text or any(len(word) != 2 or not set(word) <= ATOMIC_NUMBER.keys() for word in words):
            continue
        before = {ATOMIC_NUMBER[new]: ATOMIC_NUMBER[old] for old, new in words}
        numbers[start:end] = [before.get(z, z) for z in numbers[start:end].tolist()]
    return numbers


def _formula(atomic_numbers: np.ndarray) -> str:
    numbers, counts = np.unique(atomic_numbers, return_counts=True)
    return "".join(f"{SYMBOLS[z - 1]}{n}" for z, n in zip(numbers.tolist(), counts.tolist(), strict=True))


def _formulas(settings: SampleSettings) -> list[tuple[str | None, int]]:
    if settings.compositions is None:
        return [(settings.composition, settings.n)]
    _, rows = rows_of(settings.compositions)
    if not rows or "formula" not in rows[0]:
        raise UserError(f"compositions: {settings.compositions} needs a header with the column formula, and rows")
    return [(row["formula"], _count(row, settings)) for row in rows]


def _count(row: Mapping[str, Any], settings: SampleSettings) -> int:
    text = (row.get("count") or "").strip()
    if text and not (text.isdecimal() and int(text) > 0):
        raise UserError(
            f"compositions: {settings.compositions}: count {text!r} of {row['formula']} is no whole number from 1"
        )
    return int(text or settings.n)


def _demand_condition(name: str, model: Model) -> None:
    known_to = model.settings.conditions
    if model.settings.network == "compact":
        known_to = (*CRYSTAL_CONDITIONS, *known_to)
    if name not in known_to:
        known = ", ".join(known_to) or "none"
        raise UserError(
            f"the model was not trained with the condition {name!r} (its conditions: {known}); leave it out, or train "
            f"with {name} among model.conditions"
        )


def _demand_fit(what: str, counts: Counts, model: Model) -> None:
    encoding = model.encoding
    for number, count in counts.items():
        symbol = SYMBOLS[number - 1]
        if number not in encoding.grid.cell_of:
            known = ", ".join(SYMBOLS[z - 1] for z in sorted(encoding.grid.cell_of))
            raise UserError(f"{what}: {symbol} has no cell in the model's grid, which has {known}")
        if count > encoding.slots and model.settings.network != "compact":  # which has no slots
            raise UserError(f"{what}: {count} atoms of {symbol}, and the model has L = {encoding.slots} slots of each")
    if (total := sum(counts.values())) > encoding.max_atoms:
        logger.warning("%s: %d atoms; no crystal of the dataset has more than %d", what, total, encoding.max_atoms)


def _check_value(name: str, value: Sequence[float], encoding: Encoding) -> None:
    of = encoding.properties[name]
    if len(value) != of["size"]:
        raise UserError(f"property {name}: {len(value)} numbers, and the model was trained with {of['size']}")
    if not np.isfinite(value).all():
        raise UserError(f"property {name}: {value[0]} is not finite; give a number in the unit of the dataset")
    if np.abs((np.array(value) - of["mean"]) / of["std"]).max() > UNUSUAL:
        logger.warning(
            "property %s = %s lies far from what the model saw (mean %.4g, standard deviation %.4g)",
            name,
            ", ".join(f"{each:g}" for each in value),
            of["mean"],
            of["std"],
        )


def _check_settings(settings: SampleSettings, requests: Requests, model: Model) -> None:
    if settings.guidance and not requests.conditions:
        raise UserError("guidance needs something to strengthen: a composition, chemical_system or property")
    if model.settings.network == "compact":
        return  # no slot is empty
    if settings.mask_slots and "composition" not in requests.conditions:
        raise UserError("mask_slots needs a composition or compositions: the slots are theirs")
    trained = model.description.get("settings", {}).get("train", {})
    if settings.mask_slots and trained.get("shuffle_slots", "all") == "all":
        raise UserError(
            "mask_slots holds atoms to the first slots, and the model learned to put them on any (train.shuffle_slots "
            "all); sample without it, or train with shuffle_slots occupied"
        )


def conditions_of(requests: Requests, indices: np.ndarray, model: Model) -> Conditions:
    """All conditions that the model knows, for crystals `indices` (b,); what was not asked for is left out."""
    encoding, n = model.encoding, len(indices)
    conditions, given = model.network.no_conditions(n), jnp.ones(n, bool)
    compact = model.settings.network == "compact"  # it knows the composition by its cells
    counts = None if compact else requested_counts(requests, indices, encoding)
    if counts is not None:
        conditions["composition"] = composition_condition(counts, given, encoding.slots)
    occurs = None if counts is None else counts > 0
    if requests.system is not None and not compact:
        occurs = jnp.asarray(np.stack([counts_on_grid(dict.fromkeys(requests.system, 1), encoding) > 0] * n))
    if occurs is not None and "elements" in conditions:  # a composition says which elements there are
        conditions["elements"] = elements_condition(occurs, given, encoding.slots)
    for name, value in requests.properties.items():
        values = jnp.broadcast_to(jnp.asarray(value, jnp.float32), (n, len(value)))
        conditions[name] = property_condition(values, given, encoding.properties[name])
    return conditions


def requested_counts(requests: Requests, indices: np.ndarray, encoding: Encoding) -> jax.Array | None:
    """(b, H, W) int32 atoms of each element asked of crystals `indices`; None without compositions."""
    if "composition" not in requests.conditions:
        return None
    formulas = [str(requests.formula(int(index))) for index in indices]
    return jnp.asarray(np.stack([counts_on_grid(parsed(formula), encoding) for formula in formulas]))


def requested_slots(requests: Requests, indices: np.ndarray, encoding: Encoding) -> jax.Array:
    """(b, L, H, W) bool: the slots that the atoms asked for fill."""
    counts = requested_counts(requests, indices, encoding)
    assert counts is not None, "mask_slots without compositions is refused before"
    return first_slots(counts, encoding.slots)
