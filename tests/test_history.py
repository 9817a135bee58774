import csv
import struct

import numpy as np

from unimat.model.events import Events, crc32c
from unimat.model.history import COLUMNS, History
from unimat.model.train_state import no_sums

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
    with (tmp_path / "history.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["loss"], row["grad_norm"], row["learning_rate"], row["val_loss"]) == ("0.75", "0.5", "0.001", "")
    assert (row["loss_log_snr_-20_-10"], row["loss_log_snr_0_10"]) == ("1.5", "")
    assert tuple(row) == COLUMNS
    assert (tmp_path / "speed.csv").read_text() == "step,steps_per_s,crystals_per_s,mfu\n2,2,16,\n"
    assert not (tmp_path / "tensorboard").exists()


def test_a_continued_history_forgets_what_will_come_again(tmp_path):
    history = History(tmp_path, 0)
    for step in (2, 4, 6):
        history.add(step, sums_of(step), 1e-3, None, SPEED)
    history = History(tmp_path, 4)
    assert history.numbers.last()["step"] == 4
    history.add(6, sums_of(6), 1e-3, 0.5, SPEED)
    assert [line.split(",")[0] for line in (tmp_path / "speed.csv").read_text().splitlines()] == ["step", "2", "4", "6"]


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
