"""Work spread over processes that are started afresh, results in order, few tasks in memory at a time.

No process outlives the one that started it, however that one ends.
"""

import collections
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

from unimat.errors import UserError

WORTH_A_PROCESS = 300  # crystals; a fresh process spends seconds on imports alone


class Processes:
    """A pool of processes as a context; none are started where there is little to do.

    Args:
        n: how many are wanted.
        n_crystals: how many crystals there is work for.
        worth: crystals that are worth the start of a process.
    """

    def __init__(self, n: int, n_crystals: int, worth: int = WORTH_A_PROCESS):
        self._n = min(n, n_crystals // worth)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Processes":
        if self._n > 1:
            # Spawned, not forked: the libraries already loaded run threads.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._n, mp_context=context, initializer=_follow_parent)
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        if self._pool:
            # After an error or a signal nobody waits for tasks that run: their processes end with this one.
            self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def over(self, work: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """``work(task)`` of each task, in order; a task is drawn only when it is about to start.

        Raises:
            UserError: if a process dies.
        """
        if self._pool is None:
            yield from map(work, tasks)
            return
        waiting: collections.deque[Future] = collections.deque()
        try:
            for task in tasks:
                waiting.append(self._pool.submit(work, task))
                if len(waiting) > 2 * self._n:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UserError("a worker process died (out of memory?); give fewer --processes") from error


def _follow_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent has ended, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True, name="parent").start()
