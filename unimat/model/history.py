"""history.csv: how losses went, one row per `log_every` steps."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unimat.files import write_text
from unimat.model.diffusion import BANDS

MEANS = ("loss", "loss_coords", "loss_lattice", "grad_norm")
BAND_COLUMNS = tuple(f"loss_log_snr_{low:g}_{high:g}" for low, high in BANDS)
COLUMNS = ("step", "loss", "loss_coords", "loss_lattice", "val_loss", "grad_norm", *BAND_COLUMNS)


class History:
    """Rows of means since the row before; written to the working folder as they come.

    Args:
        upto: rows of later steps are dropped: they will be computed again from the checkpoint of this step.
    """

    def __init__(self, path: Path, upto: int):
        self._path = path
        self._rows: list[dict[str, str]] = []
        if path.exists() and upto:
            with path.open(newline="", encoding="utf-8") as stream:
                self._rows = [row for row in csv.DictReader(stream) if int(row["step"]) <= upto]

    def add(self, step: int, sums: Mapping[str, Any], val_loss: float | None) -> dict[str, str]:
        """Add a row of the sums over some steps divided by their number, and return it."""
        n = float(sums["n"])
        values = {name: float(sums[name]) / n for name in MEANS}
        count = np.asarray(sums["band_count"], float)
        bands = np.asarray(sums["band_loss"], float) / np.where(count > 0, count, math.nan)
        values |= dict(zip(BAND_COLUMNS, map(float, bands), strict=True))
        values["val_loss"] = math.nan if val_loss is None else val_loss
        row = {name: "" if math.isnan(values[name]) else f"{values[name]:.6g}" for name in COLUMNS[1:]}
        self._rows.append({"step": str(step), **row})
        self.write(self._path)
        return self._rows[-1]

    def last(self) -> dict[str, float]:
        """The last row as numbers, without what it leaves empty."""
        return {name: float(value) for name, value in self._rows[-1].items() if value} if self._rows else {}

    def write(self, path: Path) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(path, text.getvalue())
