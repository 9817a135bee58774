"""An end in time for what knows of none."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from unimat.model.machine.interruption import Interrupted


@contextlib.contextmanager
def interrupting(seconds: float | None, nearly_done: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Raise Interrupted in the block at SIGTERM, or after so many seconds.

    What handles SIGTERM itself within the block gets one when the time is over. Only the main thread can do this;
    elsewhere the block takes its time.

    Args:
        seconds: None: no limit. nearly_done: the end of the time is let pass if it says so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    deadline = None if seconds is None else time.monotonic() + seconds

    def stop(number: int, frame: FrameType | None) -> None:
        over = deadline is not None and time.monotonic() >= deadline
        raise Interrupted(f"stopped by {'the time limit' if over else 'SIGTERM'}")

    def over(number: int, frame: FrameType | None) -> None:
        if not nearly_done():
            signal.raise_signal(signal.SIGTERM)

    previous = {each: signal.signal(each, to) for each, to in ((signal.SIGTERM, stop), (signal.SIGALRM, over))}
    signal.setitimer(signal.ITIMER_REAL, 0 if seconds is None else max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each, handler in previous.items():
            signal.signal(each, handler)
