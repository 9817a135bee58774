"""Where there is no terminal, a long piece of work writes a line into the log now and then."""

import logging
import time

import pytest

from unimat import progress as module
from unimat.progress import duration, progress


@pytest.fixture
def quick(monkeypatch, caplog):
    monkeypatch.setattr(module, "FIRST", (0.05,))
    monkeypatch.setattr(module, "EVERY", 0.1)
    caplog.set_level(logging.INFO, "unimat.progress")
    return caplog


def until_said(log, lines):
    deadline = time.monotonic() + 10
    while len(log.messages) < lines and time.monotonic() < deadline:
        time.sleep(0.01)


def test_lines_have_count_rate_and_time_left(quick):
    with progress(total=300, initial=100, desc="relax", unit="crystal") as bar:
        bar.update(50)
        until_said(quick, 1)
        bar.update(50)
        bar.set_postfix(loss=0.5)
        until_said(quick, 2)
    first, second = quick.messages[:2]
    assert first.startswith("relax: 150 of 300 crystals, ")
    assert first.endswith(" per second")  # the first steps may have compiled: they tell nothing of the rest
    assert second.startswith("relax: 200 of 300 crystals, ")
    assert " per second, about 0." in second  # 100 more take twice a tenth of a second
    assert second.endswith(" s left, loss=0.5")
    assert quick.messages[-1].startswith("relax: 200 of 300 crystals, ended after 0.")


def test_work_that_hangs_says_so(quick):
    with progress(total=3, desc="md", unit="crystal"):
        until_said(quick, 2)
    assert quick.messages[0].startswith("md: 0 of 3 crystals, begun 0.")


def test_an_iterable_counts_itself_and_short_work_is_silent(quick):
    assert list(progress([1, 2, 3], "read", unit="crystal")) == [1, 2, 3]
    assert quick.messages == []
    for _ in progress(iter(range(2)), "read", unit="crystal"):
        until_said(quick, 1)
    assert quick.messages[0].startswith("read: 0 crystals, begun ")


def test_downloads_are_counted_in_megabytes(quick):
    with progress(total=40_000_000, desc="train.csv", unit="B", unit_scale=True) as bar:
        bar.update(10_000_000)
        until_said(quick, 1)
        bar.update(10_000_000)
        until_said(quick, 2)
    assert quick.messages[0] == "train.csv: 10 of 40 MB"
    assert quick.messages[1].startswith("train.csv: 20 of 40 MB, about 0.")


def test_work_that_never_begins_says_nothing(quick):
    waiting = progress([1, 2, 3], "read", unit="crystal")
    time.sleep(0.2)
    assert quick.messages == []
    assert list(waiting) == [1, 2, 3]


def test_disabled_says_nothing(quick):
    with progress(total=3, disable=True) as bar:
        bar.update()
        time.sleep(0.2)
    assert quick.messages == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (42.4, "42 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text
