"""Records to crystals that later stages can use, or to rows of the rejected table; over processes where it pays."""

import collections
import dataclasses
import functools
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from unimat import crystal_table
from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.errors import CrystalRejected
from unimat.materials.crystals.lattices import come_closer_than
from unimat.materials.crystals.processes import Processes
from unimat.materials.crystals.reduction import reduced
from unimat.materials.crystals.structures import check_crystal
from unimat.materials.datasets.readers.records import Record
from unimat.materials.datasets.readers.texts import crystal_of
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS
from unimat.progress import progress

log = logging.getLogger("unimat.ingest")
CHUNK = 250  # crystals handed to a worker process at a time
MIN_FOR_PROCESSES = 4000  # starting a worker process costs some seconds of imports
# A crystal so odd that a library gives up on it (an overflow in a cell of 1e300 Å, say) is one rejected row, too.
GIVES_UP = (ValueError, TypeError, ArithmeticError, LookupError, MemoryError)
MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>"})  # texts that stand for no value


@dataclasses.dataclass(frozen=True)
class Checks:
    """What a crystal must pass, and what is done to it.

    Attributes:
        min_distance: Å, periodic images included.
        max_atoms: per cell; None is no limit.
        elements: symbols allowed; None allows all.
        reduction: see `unimat.materials.crystals.reduction.reduced`.
        symmetry_tolerance: Å, for reductions that look for symmetry.
        fields: property columns of the tables to make, by the source's column name.
    """

    min_distance: float = 0.0
    max_atoms: int | None = None
    elements: tuple[str, ...] | None = None
    reduction: str = "none"
    symmetry_tolerance: float = 0.01
    fields: Mapping[str, pa.Field] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What became of some records.

    Attributes:
        table: the crystals that can be used, with their property columns.
        splits: the source's own split of each crystal of the table, or None.
        origins: file and row of each crystal of the table.
        rejected: the others.
        n_read: records by their source's split; the key "" holds those without one.
    """

    table: CrystalTable
    splits: list[str | None]
    origins: list[str]
    rejected: list[Rejected]
    n_read: collections.Counter[str]


def accepted(records: Sequence[Record], checks: Checks) -> list[Crystal | CrystalRejected]:
    """Crystal of each record: read, checked, and reduced, with the properties of `checks.fields`; or why there is none.

    Distances and cells are looked at for all crystals together, which costs a fraction of one by one.
    """
    found = [_tried(_readable, record, checks) for record in records]
    for look in (_not_overlapping, _reduced):
        sound = [(index, crystal) for index, crystal in enumerate(found) if isinstance(crystal, Crystal)]
        results = _looked_at(look, [crystal for _, crystal in sound], checks)
        for (index, _), result in zip(sound, results, strict=True):
            found[index] = result
    return found


def _looked_at(
    look: Callable[[Sequence[Crystal], Checks], Sequence[Crystal]], crystals: Sequence[Crystal], checks: Checks
) -> Sequence[Crystal | CrystalRejected]:
    try:
        return look(crystals, checks) if crystals else []
    except (CrystalRejected, *GIVES_UP):  # one spoils the work on all: find out which
        return [_tried(lambda crystal, checks: look([crystal], checks)[0], crystal, checks) for crystal in crystals]


def _tried(work: Callable[[Any, Checks], Crystal], what: Any, checks: Checks) -> Crystal | CrystalRejected:
    try:
        return work(what, checks)
    except CrystalRejected as error:
        return error
    except GIVES_UP as error:
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        log.warning("%s is rejected: %s", what.material_id, detail)
        return CrystalRejected("unreadable", detail)


def _readable(record: Record, checks: Checks) -> Crystal:
    crystal = crystal_of(record)
    n_atoms = len(crystal.atomic_numbers)
    if checks.max_atoms is not None and n_atoms > checks.max_atoms:
        raise CrystalRejected("too_many_atoms", f"{n_atoms} atoms, the limit is {checks.max_atoms}")
    check_crystal(crystal, min_distance=0)
    if checks.elements is not None:
        allowed = {ATOMIC_NUMBER.get(symbol) for symbol in checks.elements}
        others = sorted({int(z) for z in crystal.atomic_numbers} - allowed)
        if others:
            names = ", ".join(SYMBOLS[z - 1] for z in others)
            raise CrystalRejected("outside_grid", f"{names} not among the allowed {', '.join(checks.elements)}")
    given = crystal.properties
    properties = {field.name: _value(given.get(name), name, field.type) for name, field in checks.fields.items()}
    return dataclasses.replace(crystal, properties=properties)


def _not_overlapping(crystals: Sequence[Crystal], checks: Checks) -> Sequence[Crystal]:
    lattices, coords = [each.lattice for each in crystals], [each.frac_coords for each in crystals]
    if checks.min_distance:
        for index in np.flatnonzero(come_closer_than(checks.min_distance, lattices, coords)).tolist():
            check_crystal(crystals[index], checks.min_distance)
    return crystals


def _reduced(crystals: Sequence[Crystal], checks: Checks) -> Sequence[Crystal]:
    return reduced(crystals, checks.reduction, checks.symmetry_tolerance)


def _value(value: Any, name: str, kind: pa.DataType) -> Any:
    """`value` as a column of type `kind` takes it; None where it is missing."""
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if value is None or (isinstance(value, str) and number and value.strip().lower() in MISSING):
        return None
    if not number:
        return str(value) if pa.types.is_string(kind) else value
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise CrystalRejected("bad_value", f"{name} is {str(value)[:60]!r}, expected a number") from error
    if math.isnan(found):
        return None
    if math.isinf(found):
        raise CrystalRejected("bad_value", f"{name} is {value!r}, expected a finite number")
    if pa.types.is_floating(kind):
        return found
    if not found.is_integer():
        raise CrystalRejected("bad_value", f"{name} is {value!r}, expected a whole number")
    return int(found)


def chunks_of(records: Iterable[Record], checks: Checks, n_processes: int = 1, what: str = "read") -> Iterator[Chunk]:
    """What becomes of the records, in order, some hundred at a time.

    Of crystals with the same id the first stays, the others are rejected.

    Args:
        what: name of the work on the progress bar.
    """
    parts, seen = _parts(records), set[str]()
    first = list(itertools.islice(parts, MIN_FOR_PROCESSES // CHUNK))
    enough = len(first) >= MIN_FOR_PROCESSES // CHUNK
    with (
        Processes(n_processes if enough else 1, n_processes, worth=1) as pool,
        progress(desc=what, unit="crystal") as bar,
    ):
        for chunk in pool.over(functools.partial(_chunk, checks=checks), itertools.chain(first, parts)):
            bar.update(chunk.n_read.total())
            yield _without_known_ids(chunk, seen)


def _parts(records: Iterable[Record]) -> Iterator[list[Record]]:
    records = iter(records)
    while part := list(itertools.islice(records, CHUNK)):
        yield part


def _chunk(records: list[Record], checks: Checks) -> Chunk:
    pairs = list(zip(records, accepted(records, checks), strict=True))
    kept = [(record, crystal) for record, crystal in pairs if isinstance(crystal, Crystal)]
    return Chunk(
        crystal_table.from_crystals(
            [crystal for _, crystal in kept], fields=list(checks.fields.values()), unique=False
        ),
        [record.split for record, _ in kept],
        [record.origin for record, _ in kept],
        [
            Rejected(record.material_id, record.origin, error.reason, error.detail)
            for record, error in pairs
            if isinstance(error, CrystalRejected)
        ],
        collections.Counter(record.split or "" for record in records),
    )


def _without_known_ids(chunk: Chunk, seen: set[str]) -> Chunk:
    ids = chunk.table.material_ids
    new = [material_id not in seen and not seen.add(material_id) for material_id in ids]  # type: ignore[func-returns-value]
    if all(new):
        return chunk
    detail = "an earlier row has the same material_id"
    repeated = [
        Rejected(material_id, origin, "duplicate_id", detail)
        for material_id, origin, is_new in zip(ids, chunk.origins, new, strict=True)
        if not is_new
    ]
    return dataclasses.replace(
        chunk,
        table=chunk.table.take(np.array(new)),
        splits=list(itertools.compress(chunk.splits, new)),
        origins=list(itertools.compress(chunk.origins, new)),
        rejected=chunk.rejected + repeated,
    )
