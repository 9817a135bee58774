"""How far a long piece of work is: a bar on a terminal, a line of the log now and then where there is none.

A bare image of an accelerator may lack tqdm; then there are lines on a terminal, too.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, Protocol, TypeVar

logger = logging.getLogger("unimat.progress")

Item = TypeVar("Item")
FIRST, EVERY = (10.0, 30.0, 60.0), 60.0  # s from the start to the first lines, and between the later ones


class Progress(Protocol[Item]):
    """What the work says of itself; a context that ends with the work."""

    def __iter__(self) -> Iterator[Item]: ...
    def __enter__(self) -> "Progress[Item]": ...
    def __exit__(self, *_: object) -> Any: ...
    def update(self, n: float = 1) -> Any:
        """`n` more are done."""

    def set_postfix(self, **values: Any) -> Any:
        """What else to show, by name."""

    def close(self) -> Any:
        """The work is over."""


def progress(
    iterable: Iterable[Any] | None = None,
    desc: str = "",
    total: float | None = None,
    unit: str = "",
    initial: float = 0,
    unit_scale: bool = False,
    disable: bool = False,
) -> Progress[Any]:
    """Progress over an iterable, or to be updated by hand.

    Args:
        desc: name of the work. total: how many there are, if known. unit: what is counted, in the singular.
        initial: how many are done already. unit_scale: large numbers, such as bytes. disable: say nothing.
    """
    if not disable and sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            name = unit if unit_scale else f" {unit}" if unit else "it"
            return tqdm(iterable, desc, total, unit=name, initial=initial, unit_scale=unit_scale, mininterval=1.0)
    return _Logged(iterable, desc, total, unit, initial, disable)


class _Logged:
    """Lines of the log, written by a thread, so that work that hangs at one crystal says so, too."""

    def __init__(
        self,
        iterable: Iterable[Any] | None,
        desc: str,
        total: float | None,
        unit: str,
        initial: float,
        disable: bool,
    ):
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        self._iterable, self._desc, self._total, self._unit = iterable, desc, total, unit
        self._initial = self._done = initial
        self._values: dict[str, Any] = {}
        self._started, self._said = time.monotonic(), False
        self._before = self._started, initial  # time and count at the last line
        self._over, self._disable = threading.Event(), disable

    def _start(self) -> None:
        """Let the time begin, and the lines; not before the work does, which may never come to that."""
        self._started = time.monotonic()
        self._before = self._started, self._initial
        if not self._disable:
            threading.Thread(target=self._speak, daemon=True, name=f"progress of {self._desc}").start()

    def __iter__(self) -> Iterator[Any]:
        self._start()
        try:
            for item in self._iterable or ():
                yield item
                self.update()
        finally:
            self.close()

    def __enter__(self) -> "_Logged":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, n: float = 1) -> None:
        self._done += n

    def set_postfix(self, refresh: bool = True, **values: Any) -> None:
        self._values = values

    def close(self) -> None:
        if not self._over.is_set():
            self._over.set()
            if self._said:
                logger.info("%s", self._line(over=True))

    def _speak(self) -> None:
        for wait in self._waits():
            if self._over.wait(wait):
                return
            self._said = True
            logger.info("%s", self._line())

    @staticmethod
    def _waits() -> Iterator[float]:
        earlier = 0.0
        for moment in FIRST:
            yield moment - earlier
            earlier = moment
        while True:
            yield EVERY

    def _line(self, over: bool = False) -> str:
        """For example ``relax: 120 of 300 crystals, 2.1 per second, about 1 min 26 s left, loss=0.5``."""
        now, done = time.monotonic(), self._done
        seconds = max(now - self._started, 1e-9)
        rate = (done - self._before[1]) / max(now - self._before[0], 1e-9)  # the first steps may compile for minutes
        is_first, self._before = self._before[0] == self._started, (now, done)
        parts = [self._counted()]
        if over:
            parts.append(f"ended after {duration(seconds)}")
        elif rate > 0:
            if self._unit != "B":
                parts.append(f"{rate:.3g} per second" if rate >= 1 else f"{duration(1 / rate)} each")
            if self._total is not None and not is_first:
                parts.append(f"about {duration(max(self._total - self._done, 0) / rate)} left")
        else:
            parts.append(f"begun {duration(seconds)} ago")
        parts += [f"{name}={value}" for name, value in self._values.items()]
        return f"{self._desc or 'progress'}: {', '.join(parts)}"

    def _counted(self) -> str:
        scale, unit = (1e6, "MB") if self._unit == "B" else (1, f"{self._unit}s" if self._unit else "")
        of = "" if self._total is None else f" of {self._total / scale:.0f}"
        return f"{self._done / scale:.0f}{of} {unit}".strip()


def duration(seconds: float) -> str:
    """A time in words: ``0.25 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"
