"""Work on many crystals: only what the cache lacks, over processes, with a progress bar, kept as it is made."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from unimat.materials.crystals.processes import Processes
from unimat.materials.crystals.row_cache import RowCache
from unimat.progress import progress

Item = TypeVar("Item")
Row = dict[str, Any]

TIME_UP = "timeout"  # how the failure of an item that took too long begins; it is tried again next time
_BATCH = 200  # rows of a file in the cache
_TOGETHER = 16  # items handed to a process, or to a model, at a time


def rows_of(
    keys: Sequence[str],
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], list[Row]],
    cache: RowCache,
    processes: int = 1,
    description: str = "",
) -> list[Row]:
    """Row of each item, from the cache or computed; equal keys are computed once.

    Args:
        keys: (m,) of the items' content.
        work: rows of some items; a function of a module, so that a fresh process finds it. A column ``failure`` that
            begins with `TIME_UP` keeps a row out of the cache.
        processes: how many to compute in; more than one are started afresh ("spawn").
        description: of the progress bar.

    Raises:
        UserError: if a process dies (out of memory, say).
    """
    known = cache.load(keys)
    missing = {key: item for key, item in zip(keys, items, strict=True) if key not in known}
    made = progress(_computed(list(missing.values()), work, processes), description, len(missing))
    for batch in _batches(zip(missing, made, strict=True)):
        known |= batch  # kept as they are made, so that an interruption loses one batch at most
        cache.store({key: row for key, row in batch.items() if not str(row.get("failure")).startswith(TIME_UP)})
    return [known[key] for key in keys]


def _computed(items: Sequence[Item], work: Callable[[Sequence[Item]], list[Row]], processes: int) -> Iterator[Row]:
    """What `work` makes of `items`, in their order."""
    chunks = (items[start : start + _TOGETHER] for start in range(0, len(items), _TOGETHER))
    with Processes(processes, len(items)) as pool:
        yield from itertools.chain.from_iterable(pool.over(work, chunks))


def _batches(rows: Iterable[tuple[str, Row]]) -> Iterator[dict[str, Row]]:
    rows = iter(rows)
    while batch := dict(itertools.islice(rows, _BATCH)):
        yield batch
