"""How a training went: history.csv (the numbers), speed.csv (the clock), and both for TensorBoard if asked.

Two files, since the first is the same for any two runs of the same settings, interrupted or not, and the second never.
"""

import csv
import io
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unimat import checked_csv
from unimat.errors import UserError
from unimat.files import sha256, write_text
from unimat.model.machine.distributed import is_writer
from unimat.model.noise.losses import BANDS
from unimat.model.training.events import Events

logger = logging.getLogger("unimat.train")

MEANS = ("loss", "loss_coords", "loss_lattice", "loss_occupancy", "grad_norm", "update_norm", "param_norm")
BAND_COLUMNS = tuple(f"loss_log_snr_{low:g}_{high:g}" for low, high in BANDS)
OTHERS = ("grad_norm", "update_norm", "param_norm", "learning_rate")
COLUMNS = ("step", "loss", "loss_coords", "loss_lattice", "loss_occupancy", "val_loss", *OTHERS, *BAND_COLUMNS)
SPEED_COLUMNS = ("step", "steps_per_s", "crystals_per_s", "mfu")


class Rows:
    """Rows of numbers in a CSV file, written whole each time that one is added.

    Args:
        upto: rows of later steps are dropped: they will be computed again from the checkpoint of this step.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], upto: int):
        self._path, self._columns = path, columns
        self._rows: list[dict[str, str]] = []
        if upto and not path.exists():
            logger.warning("%s is missing: its rows before step %d are lost", path, upto)
        elif upto:
            self._rows = self._rows_of(path, upto)

    def _rows_of(self, path: Path, upto: int) -> list[dict[str, str]]:
        header, rows = checked_csv.rows_of(path)
        if "step" not in header or not all((row["step"] or "").isdecimal() for row in rows):
            raise UserError(f"{path} is no history of a training; delete it to go on without the rows before {upto}")
        return [row for row in rows if int(row["step"]) <= upto]

    def add(self, step: int, values: Mapping[str, float]) -> dict[str, str]:
        row = {name: "" if math.isnan(values[name]) else f"{values[name]:.6g}" for name in self._columns[1:]}
        if self._rows and int(self._rows[-1]["step"]) == step:  # of an attempt that ended before its next checkpoint
            self._rows.pop()
        self._rows.append({"step": str(step), **row})
        if is_writer():
            write_text(self._path, checked_csv.sealed(self.text()))
        return self._rows[-1]

    def last(self) -> dict[str, float]:
        """The last row as numbers, without what it leaves empty."""
        return {name: float(value) for name, value in self._rows[-1].items() if value} if self._rows else {}

    def text(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        return text.getvalue()


class History:
    """The files of a run in its working folder, from step `upto` on.

    Attributes:
        numbers: rows of means since the row before. speed: rows of what the clock says.
    """

    def __init__(self, folder: Path, upto: int, tensorboard: bool = False):
        self.numbers = Rows(folder / "history.csv", COLUMNS, upto)
        self.speed = Rows(folder / "speed.csv", SPEED_COLUMNS, upto)
        self._events = Events(folder / "tensorboard", upto) if tensorboard and is_writer() else None

    def add(
        self,
        step: int,
        sums: Mapping[str, Any],
        learning_rate: float,
        val_loss: float | None,
        speed: Mapping[str, float | None],
    ) -> dict[str, str]:
        """Add a row of the sums over some steps divided by their number, and return it."""
        known = {name: math.nan if value is None else value for name, value in speed.items()}
        values = means(sums) | {
            "learning_rate": learning_rate,
            "val_loss": math.nan if val_loss is None else val_loss,
        }
        row = self.numbers.add(step, values)
        self.speed.add(step, known)
        if self._events:
            self._events.add(step, {name: value for name, value in (values | known).items() if not math.isnan(value)})
        return row

    def write(self, folder: Path) -> dict[str, str]:
        """Write both files into the folder of the model; SHA-256 of each."""
        texts = {"history.csv": self.numbers.text(), "speed.csv": self.speed.text()}
        for name, text in texts.items():
            write_text(folder / name, text)
        return {name: sha256(folder / name) for name in texts}


def means(sums: Mapping[str, Any]) -> dict[str, float]:
    """Mean of each metric over the steps that were added up, and over the crystals of each band (NaN: none)."""
    n = float(sums["n"])
    values = {name: float(sums[name]) / n for name in MEANS}
    count = np.asarray(sums["band_count"], float)
    bands = np.asarray(sums["band_loss"], float) / np.where(count > 0, count, math.nan)
    return values | dict(zip(BAND_COLUMNS, map(float, bands), strict=True))
