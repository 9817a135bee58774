"""An end to work that takes too long, from within the process that does it."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_AGAIN = 1.0  # s; should something on the way have swallowed the first


class TimeUpError(BaseException):
    """No `Exception`, so that a library's `except Exception` does not take it for its own."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Work that is left with `TimeUpError` after so many seconds of wall time.

    Signals reach the main thread alone, and Windows has none for this: elsewhere there is no limit. A call into
    compiled code ends first.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGALRM, _time_up)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def _time_up(number: int, frame: FrameType | None) -> None:
    raise TimeUpError
