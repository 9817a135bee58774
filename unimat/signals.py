"""How a command ends when it is told to: Ctrl-C (SIGINT), a cluster's notice (SIGTERM), a closed terminal (SIGHUP).

A signal becomes an exception in the main thread, so that scratch files go away and finished work stays. Three things
would keep the exception from ending the process, and each has its remedy here: a callback of Python's garbage
collection swallows it (JAX has one), compiled code runs on for minutes before Python sees the signal, and child
processes outlive their parent.
"""

import _thread
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

GRACE = 5.0  # s from the signal until the main thread must have heard of it, whatever it computes
LEAVING = 15.0  # s more for a main thread that has, and is on its way out
CHILDREN_GRACE = 3.0  # s from SIGTERM to SIGKILL for child processes
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

_patient = 0  # blocks that end in good order by themselves
_leaving = False
_arrived: list[int] = []  # signals since the command began


class Terminated(BaseException):
    """The process was told to end by a signal other than SIGINT.

    It is no `Exception`, so that a library's `except Exception` does not take it for its own.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Within its block, SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP raise Terminated.

    `GRACE` seconds after the signal, the process ends even if the exception was lost or compiled code runs on; the
    exit code is 128 + the signal's number. A block of `patience` may take longer, until a second SIGINT. A signal
    that the caller has set to be ignored (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _arrived.clear()
    previous = {each: signal.signal(each, _raise) for each in ENDING if signal.getsignal(each) != signal.SIG_IGN}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    old_descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    hook, sys.unraisablehook = sys.unraisablehook, _asking_again(sys.unraisablehook)
    done = threading.Event()
    threading.Thread(target=_watch, args=(reading, done), daemon=True, name="signals").start()
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        raise  # the process is to end, which may hang, too: the watch goes on
    except BaseException:
        done.set()
        raise
    else:
        done.set()
    finally:
        if done.is_set():
            sys.unraisablehook = hook
            signal.set_wakeup_fd(old_descriptor)
            os.close(writing)  # ends the thread, which closes the other end
            for each, handler in previous.items():
                signal.signal(each, handler)


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """A block that ends in good order by itself after a signal, so that nobody ends it after `GRACE` seconds."""
    global _patient
    _patient += 1
    try:
        yield
    finally:
        _patient -= 1


def leave(number: int) -> NoReturn:
    """End the process with the exit code of a signal, its children first."""
    global _leaving
    _leaving = True
    end_children()
    if "jax" not in sys.modules:
        sys.exit(128 + number)
    _leave_at_once(number)  # taking Python down while JAX's threads compute is a segmentation fault now and then


def _leave_at_once(number: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    logging.shutdown()
    os._exit(128 + number)


def end_children() -> None:
    """End the processes that this one started, and theirs: SIGTERM, and SIGKILL for those that stay."""
    try:
        import psutil
    except ModuleNotFoundError:  # a bare image of an accelerator: there, nothing starts processes
        return
    children = [each for each in psutil.Process().children(recursive=True) if not _cleans_up(each)]
    for ask in ("terminate", "kill"):
        for child in children:
            with contextlib.suppress(psutil.Error):
                getattr(child, ask)()
        deadline = time.monotonic() + CHILDREN_GRACE
        while (children := [each for each in children if _computes(each)]) and time.monotonic() < deadline:
            time.sleep(0.02)


def _computes(process: Any) -> bool:
    """Whether it is no zombie; zombies are left to who started them and waits for them."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _cleans_up(process: Any) -> bool:
    """Whether it is the process of `multiprocessing` that removes what others leave, and ends by itself."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return any("resource_tracker" in word for word in process.cmdline())
    return False


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(number)


def _asking_again(hook: Any) -> Any:
    """`sys.unraisablehook` that hands a signal's exception to the main thread once more where a callback lost it."""

    def ask(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt | Terminated):
            hook(lost)
            return
        number = getattr(lost.exc_value, "number", signal.SIGINT)
        again = threading.Timer(0.05, _thread.interrupt_main, (number,))
        again.daemon = True
        again.start()

    return ask


def _watch(descriptor: int, done: threading.Event) -> None:
    """Read the numbers of the signals as they arrive, also while the main thread is in compiled code."""
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        while numbers := stream.read(1):
            number = numbers[0]
            if number not in ENDING or signal.getsignal(number) == signal.SIG_IGN:
                continue
            _arrived.append(number)
            again = number == signal.SIGINT and _arrived.count(number) > 1
            if done.wait(GRACE) or (_patient and not again) or (_leaving and done.wait(LEAVING)):
                continue
            end_children()
            _leave_at_once(number)
