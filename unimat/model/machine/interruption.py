"""Stopping a long run in good order: on a signal (SIGTERM of a cluster, Ctrl-C, SIGHUP) or after a time limit."""

import logging
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

from unimat.signals import ENDING, patience

logger = logging.getLogger("unimat.train")

EXIT_CODE = 75  # sysexits.h EX_TEMPFAIL: try again later, and the run goes on
IMPATIENT = 1.0  # s between two SIGINT of one person; a terminal and a launcher send theirs at once


class Interrupted(Exception):
    """The run was asked to stop and has saved its state; running the same command again continues it."""


class Interruption:
    """Within its block, remembers the signals that end a process instead of dying of them.

    A second Ctrl-C raises KeyboardInterrupt. A signal that is ignored (nohup) stays ignored.

    Args:
        time_limit_minutes: counts as a request to stop once it is over; None: no limit.
    """

    def __init__(self, time_limit_minutes: float | None = None):
        self._deadline = None if time_limit_minutes is None else time.monotonic() + 60 * time_limit_minutes
        self._signal: signal.Signals | None = None
        self._when = 0.0

    def __enter__(self) -> "Interruption":
        self._handlers = {}
        if threading.current_thread() is threading.main_thread():  # only it may set handlers
            handled = [each for each in ENDING if signal.getsignal(each) != signal.SIG_IGN]
            self._handlers = {each: signal.signal(each, self._remember) for each in handled}
        self._patience = patience()
        self._patience.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patience.__exit__(None, None, None)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGINT and self._signal == signal.SIGINT and now - self._when > IMPATIENT:
            raise KeyboardInterrupt
        if self._signal is None:
            again = "; Ctrl-C once more ends it without" if number == signal.SIGINT else ""
            logger.warning("%s: the run saves after this step and ends%s", signal.Signals(number).name, again)
            self._signal, self._when = signal.Signals(number), now

    @property
    def signalled(self) -> bool:
        """Whether a signal asks to stop; the time limit may have passed as well."""
        return self._signal is not None

    @property
    def asked(self) -> bool:
        return self.signalled or (self._deadline is not None and time.monotonic() > self._deadline)

    def stop(self, step: int, folder: Path) -> NoReturn:
        why = "the time limit" if self._signal is None else self._signal.name
        raise Interrupted(f"stopped by {why} after step {step}, saved in {folder}; the same command continues")
