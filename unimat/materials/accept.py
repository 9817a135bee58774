"""Records to crystals that later stages can use, or to rows of the rejected table; over processes where it pays."""

import collections
import concurrent.futures
import dataclasses
import itertools
import logging
import multiprocessing
from collections.abc import Iterable, Iterator

from tqdm import tqdm

from unimat.crystal_table import Crystal, Rejected
from unimat.errors import CrystalRejected
from unimat.materials.readers.records import Record
from unimat.materials.readers.texts import crystal_of
from unimat.materials.structures import check_crystal, niggli_reduced
from unimat.periodic_table import ATOMIC_NUMBER, SYMBOLS

log = logging.getLogger("unimat.ingest")
CHUNK = 100  # crystals handed to a worker process at a time
MIN_FOR_PROCESSES = 2000  # starting a worker process costs some seconds of imports


@dataclasses.dataclass(frozen=True)
class Checks:
    """What a crystal must pass, and what is done to it.

    Attributes:
        min_distance: Å, periodic images included.
        max_atoms: per cell; None is no limit.
        elements: symbols allowed; None allows all.
        niggli: reduce the cell.
    """

    min_distance: float = 0.0
    max_atoms: int | None = None
    elements: tuple[str, ...] | None = None
    niggli: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one record: a crystal, or a row of the rejected table."""

    split: str | None
    origin: str
    crystal: Crystal | None = None
    rejected: Rejected | None = None


def accepted_crystal(record: Record, checks: Checks) -> Crystal:
    """Crystal of `record`: read, checked, and reduced.

    Raises:
        CrystalRejected: with the reason, if it cannot be used.
    """
    crystal = crystal_of(record)
    n_atoms = len(crystal.atomic_numbers)
    if checks.max_atoms is not None and n_atoms > checks.max_atoms:
        raise CrystalRejected("too_many_atoms", f"{n_atoms} atoms, the limit is {checks.max_atoms}")
    check_crystal(crystal, checks.min_distance)
    if checks.elements is not None:
        allowed = {ATOMIC_NUMBER.get(symbol) for symbol in checks.elements}
        others = sorted({int(z) for z in crystal.atomic_numbers} - allowed)
        if others:
            names = ", ".join(SYMBOLS[z - 1] for z in others)
            raise CrystalRejected("outside_grid", f"{names} not among the allowed {', '.join(checks.elements)}")
    return niggli_reduced(crystal) if checks.niggli else crystal


def outcomes_of(records: Iterable[Record], checks: Checks, n_processes: int = 1, what: str = "read") -> list[Outcome]:
    """Outcome of each record, in order; of rows with the same id the first stays, the others are rejected.

    Args:
        what: name of the work on the progress bar.
    """
    records = iter(records)
    first = list(itertools.islice(records, MIN_FOR_PROCESSES))
    rest = itertools.chain(first, records)
    with tqdm(desc=what, unit=" crystals", disable=None) as bar:
        if n_processes == 1 or len(first) < MIN_FOR_PROCESSES:
            chunks: Iterator[list[Outcome]] = ([_outcome(record, checks)] for record in rest)
        else:
            chunks = _over_processes(rest, checks, n_processes)
        return _unique_ids(_told(chunks, bar))


def _outcome(record: Record, checks: Checks) -> Outcome:
    try:
        crystal = accepted_crystal(record, checks)
    except CrystalRejected as error:
        return Outcome(record.split, record.origin, rejected=_row(record, error.reason, error.detail))
    except (ValueError, TypeError, ArithmeticError, LookupError, MemoryError) as error:
        # A crystal so odd that a library gives up on it (an overflow in a cell of 1e300 Å, say) is one row, too.
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        log.warning("%s (%s) is rejected: %s", record.material_id, record.origin, detail)
        return Outcome(record.split, record.origin, rejected=_row(record, "unreadable", detail))
    return Outcome(record.split, record.origin, crystal)


def _row(record: Record, reason: str, detail: str) -> Rejected:
    return Rejected(record.material_id, record.origin, reason, detail)


def _outcomes_of_chunk(chunk: list[Record], checks: Checks) -> list[Outcome]:
    return [_outcome(record, checks) for record in chunk]


def _told(chunks: Iterable[list[Outcome]], bar: tqdm) -> Iterator[Outcome]:
    for chunk in chunks:
        bar.update(len(chunk))
        yield from chunk


def _over_processes(records: Iterator[Record], checks: Checks, n_processes: int) -> Iterator[list[Outcome]]:
    # Spawned, not forked: the libraries already loaded run threads. A window of chunks bounds the memory.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(n_processes, mp_context=context) as executor:
        waiting: collections.deque[concurrent.futures.Future[list[Outcome]]] = collections.deque()
        while chunk := list(itertools.islice(records, CHUNK)):
            waiting.append(executor.submit(_outcomes_of_chunk, chunk, checks))
            if len(waiting) > 4 * n_processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _unique_ids(outcomes: Iterable[Outcome]) -> list[Outcome]:
    seen: set[str] = set()
    checked = []
    for outcome in outcomes:
        if outcome.crystal is not None and outcome.crystal.material_id in seen:
            detail = "an earlier row has the same material_id"
            row = Rejected(outcome.crystal.material_id, outcome.origin, "duplicate_id", detail)
            outcome = dataclasses.replace(outcome, crystal=None, rejected=row)
        elif outcome.crystal is not None:
            seen.add(outcome.crystal.material_id)
        checked.append(outcome)
    return checked
