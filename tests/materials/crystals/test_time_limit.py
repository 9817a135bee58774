"""Work that takes too long is left: in this process and in others, and nothing stays behind."""

import multiprocessing
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from unimat.materials.crystals.time_limit import TimeUpError, time_limit


def slept(seconds):
    """Whether `seconds` went by before the limit."""
    try:
        with time_limit(0.05):
            time.sleep(seconds)
    except TimeUpError:
        return False
    return True


def test_time_runs_out():
    assert slept(0)
    assert not slept(5)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_time_runs_out_in_processes_too():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(slept, [0, 5, 0])) == [True, False, True]


def test_no_except_on_the_way_takes_it_for_its_own():
    def deaf():
        with time_limit(0.05):
            try:
                time.sleep(5)
            except Exception:
                pytest.fail("caught")

    with pytest.raises(TimeUpError):
        deaf()


def test_other_threads_have_no_limit():
    done = []
    thread = threading.Thread(target=lambda: done.append(slept(0.2)))
    thread.start()
    thread.join()
    assert done == [True]
