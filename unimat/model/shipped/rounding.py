"""What storing parameters as float16 does to crystals: the same draws, with the parameters of both files."""

from pathlib import Path
from typing import Any

import numpy as np

from unimat.crystal_table import CrystalTable
from unimat.model.checkpoints import read_model
from unimat.model.sampling.sampled_sets import sample
from unimat.model.settings import SampleSettings


def agreement(whole: str | Path, half: str | Path, settings: SampleSettings) -> dict[str, Any]:
    """How far crystals of two model.npz lie apart, made with one seed.

    Returns:
        `same_atoms`: count of the crystals that both make of the same atoms, of all that were asked for, those that
        neither makes a crystal of among them; of these crystals `displacement`: median and max of the largest
        displacement of an atom (Å), and `lattice`: of the largest change of a number of the lattice matrix (Å);
        null without such crystals.
    """
    ours, theirs = (sample(read_model(path), settings)[0] for path in (whole, half))
    rows = {name: row for row, name in enumerate(theirs.material_ids)}
    pairs = [(row, rows.pop(name)) for row, name in enumerate(ours.material_ids) if name in rows]
    lost = len(rows) + len(ours) - len(pairs)  # crystals of one alone
    found = [moved for one, other in pairs if (moved := _moved(ours, theirs, one, other)) is not None]
    n, named = len(pairs) + lost, ("displacement", "lattice")
    return {
        "same_atoms": {"count": settings.n - n + len(found), "of": settings.n},
        **{name: _spread([each[column] for each in found]) for column, name in enumerate(named)},
        "settings": {"n": settings.n, "steps": settings.steps, "seed": settings.seed},
    }


def _moved(ours: CrystalTable, theirs: CrystalTable, one: int, other: int) -> tuple[float, float] | None:
    """Å by which atoms and lattice differ; None where the atoms are others."""
    a, b = ours[one], theirs[other]
    if not np.array_equal(a.atomic_numbers, b.atomic_numbers):
        return None
    apart = a.frac_coords - b.frac_coords
    distances = np.linalg.norm((apart - np.round(apart)) @ a.lattice, axis=1)
    return float(distances.max()), float(np.abs(a.lattice - b.lattice).max())


def _spread(values: list[float]) -> dict[str, Any] | None:
    return {"median": float(np.median(values)), "max": float(np.max(values)), "unit": "Å"} if values else None
