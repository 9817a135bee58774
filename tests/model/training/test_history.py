import logging
import struct

import numpy as np
import pytest

from unimat.checked_csv import rows_of, text_of
from unimat.errors import UserError
from unimat.model.training.events import Events, crc32c
from unimat.model.training.history import COLUMNS, History
from unimat.model.training.train_state import no_sums

SPEED = {"steps_per_s": 2.0, "crystals_per_s": 16.0, "mfu": None}


def sums_of(value):
    return {**no_sums(), "n": 2.0, **dict.fromkeys(("loss", "loss_coords", "loss_lattice"), 2.0 * value)} | {
        "grad_norm": 1.0,
        "update_norm": 1.0,
        "param_norm": 1.0,
        "band_loss": np.array([3.0, 0, 0, 0]),
        "band_count": np.array([2, 0, 0, 0]),
    }


def test_rows_are_means_and_the_clock_stands_apart(tmp_path):
    history = History(tmp_path, 0)
    history.add(2, sums_of(0.75), 1e-3, None, SPEED)
    _, (row,) = rows_of(tmp_path / "history.csv")
    assert (row["loss"], row["grad_norm"], row["learning_rate"], row["val_loss"]) == ("0.75", "0.5", "0.001", "")
    assert (row["loss_log_snr_-20_-10"], row["loss_log_snr_0_10"]) == ("1.5", "")
    assert tuple(row) == COLUMNS
    assert text_of(tmp_path / "speed.csv") == "step,steps_per_s,crystals_per_s,mfu\n2,2,16,\n"
    assert not (tmp_path / "tensorboard").exists()


def test_a_continued_history_forgets_what_will_come_again(tmp_path):
    history = History(tmp_path, 0)
    for step in (2, 4, 6):
        history.add(step, sums_of(step), 1e-3, None, SPEED)
    history = History(tmp_path, 4)
    assert history.numbers.last()["step"] == 4
    history.add(6, sums_of(6), 1e-3, 0.5, SPEED)
    assert [line.split(",")[0] for line in text_of(tmp_path / "speed.csv").splitlines()] == ["step", "2", "4", "6"]


@pytest.mark.parametrize("name", ["history.csv", "speed.csv"])
def test_a_history_that_was_cut_or_changed_is_not_continued(tmp_path, caplog, name):
    history = History(tmp_path, 0)
    for step in (2, 4, 6):
        history.add(step, sums_of(step), 1e-3, None, SPEED)
    text = (tmp_path / name).read_text()
    for other in (text[: len(text) // 2], text.rsplit("\n", 2)[0] + "\n", text.replace("\n4,", "\n5,"), ""):
        (tmp_path / name).write_text(other)
        with pytest.raises(UserError, match=rf"{name} .*delete it"):
            History(tmp_path, 4)
    (tmp_path / name).unlink()
    with caplog.at_level(logging.WARNING):
        History(tmp_path, 4).add(6, sums_of(6), 1e-3, None, SPEED)
    assert f"{name} is missing: its rows before step 4 are lost" in caplog.text
    assert [row["step"] for row in rows_of(tmp_path / name)[1]] == ["6"]


def test_a_history_of_an_older_version_is_continued(tmp_path):
    (tmp_path / "history.csv").write_text("step,loss\n2,0.5\n4,0.25\n")
    assert History(tmp_path, 2).numbers.last() == {"step": 2, "loss": 0.5}


def test_crc32c_is_that_of_rfc_3720():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def records(content):
    """Data of each record, with its checks undone by hand."""
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield content[12 : 12 + length]
        content = content[16 + length :]


def test_events_are_the_protocol_buffers_that_tensorboard_reads(tmp_path):
    events = Events(tmp_path, 0)
    events.add(300, {"loss": 1.5})
    (path,) = tmp_path.iterdir()
    version, scalar = records(path.read_bytes())
    assert version.endswith(b"\x1a\x0dbrain.Event:2")
    # step 300 as a varint; summary > value > tag "loss", simple_value 1.5
    assert scalar[9:] == b"\x10\xac\x02" + b"\x2a\x0d\x0a\x0b\x0a\x04loss\x15" + struct.pack("<f", 1.5)
