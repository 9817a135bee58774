"""Crystals of given compositions by a trained model, made by `unimat sample` in a process of its own.

So a caller that has loaded pymatgen or torch need not load JAX. Imports neither half.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unimat import crystal_table, csv_cells
from unimat.crystal_table import CrystalTable, Rejected
from unimat.errors import UserError


def max_atoms(model: str) -> int:
    """Atoms of the largest crystal that a model was trained on.

    Args:
        model: name of a shipped model.

    Raises:
        UserError: if there is no such model, with the names that there are.
    """
    from unimat.model.shipped.pretrained import card_of  # imports no JAX

    return int(card_of(model)["settings"]["encode"]["max_atoms"])


def sample(
    model: str, requests: Sequence[tuple[str, int]], seed: int = 0, settings: dict[str, Any] | None = None
) -> tuple[CrystalTable, list[Rejected]]:
    """Table of crystals with the column `requested_composition`, and what decodes to no crystal.

    Args:
        model: name of a shipped model.
        requests: formula of the cell and number of crystals, in turn.
        settings: further keys of the section `sample`.

    Raises:
        UserError: the line in which `unimat sample` says what is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="unimat-") as folder:
        wanted, out = Path(folder, "compositions.csv"), Path(folder, "set")
        with wanted.open("w", newline="", encoding="utf-8") as stream:
            csv_cells.write_rows(stream, ["formula", "count"], requests)
        words = ["sample", "--pretrained", model, "--compositions", str(wanted), "--out", str(out)]
        words += ["--settings", json.dumps({"seed": seed, **(settings or {})})]
        done = subprocess.run([sys.executable, "-m", "unimat", *words], capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
            raise UserError(f"the model {model!r} made nothing: {said[-1].removeprefix('unimat sample: error: ')}")
        return crystal_table.read(out / "crystals.parquet"), crystal_table.read_rejected(out / "rejected.parquet")
