"""Stopping a long run in good order: on SIGTERM (a cluster's notice) or after a time limit."""

import logging
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType

logger = logging.getLogger("unimat.train")

EXIT_CODE = 75  # sysexits.h EX_TEMPFAIL: try again later, and the run goes on


class Interrupted(Exception):
    """The run was asked to stop and has saved its state; running the same command again continues it."""


class Interruption:
    """Within its block, remembers SIGTERM instead of dying of it.

    Args:
        time_limit_minutes: counts as a request to stop once it is over; None: no limit.
    """

    def __init__(self, time_limit_minutes: float | None = None):
        self._deadline = None if time_limit_minutes is None else time.monotonic() + 60 * time_limit_minutes
        self._signalled = False

    def __enter__(self) -> "Interruption":
        self._main = threading.current_thread() is threading.main_thread()  # only it may set handlers
        if self._main:
            self._previous = signal.signal(signal.SIGTERM, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._main:
            signal.signal(signal.SIGTERM, self._previous)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True

    @property
    def asked(self) -> bool:
        return self._signalled or (self._deadline is not None and time.monotonic() > self._deadline)

    def stop(self, step: int, folder: Path) -> None:
        why = "SIGTERM" if self._signalled else "the time limit"
        raise Interrupted(f"stopped by {why} after step {step}, saved in {folder}; the same command continues")
