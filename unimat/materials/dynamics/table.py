"""Dynamics of a set's best crystals: a row for each, and a summary with the curves of the figures."""

import dataclasses
import json
import logging
import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.materials.crystals.structures import reduced_formula
from unimat.materials.dynamics.assess import Dynamics, assess, curves
from unimat.materials.dynamics.choose import RANKED_BY
from unimat.materials.dynamics.engine import Exploded, Impossible, MdEngine
from unimat.materials.dynamics.run import TRAJECTORY, content_key, move
from unimat.materials.dynamics.settings import MdSettings
from unimat.progress import progress
from unimat.settings import as_dict

log = logging.getLogger("unimat.md")

COLUMNS = {  # name: type, unit, meaning
    "n_atoms": (pa.int64(), "", "atoms of the supercell"),
    "time_step": (pa.float64(), "fs", "between two steps"),
    "duration": (pa.float64(), "ps", "time that was run, equilibration included"),
    "n_frames": (pa.int64(), "", "frames after equilibration, of which all means are taken"),
    "mean_temperature": (pa.float64(), "K", "of 3n - 3 degrees of freedom, mean over time"),
    "temperature_std": (pa.float64(), "K", "standard deviation over time; sqrt(2 / (3n - 3)) of the mean is canonical"),
    "conserved_drift": (
        pa.float64(),
        "meV/atom/ps",
        "slope of the energy that the Nosé-Hoover equations conserve: potential, kinetic and the thermostat's; null"
        " where the engine writes none",
    ),
    "potential_drift": (
        pa.float64(),
        "meV/atom/ps",
        "slope of the potential energy alone, which a thermostat does not conserve: the crystal is still changing",
    ),
    "potential_energy": (pa.float64(), "eV/atom", "mean over time, of the engine named in the table's metadata"),
    "displacements": (
        pa.string(),
        "",
        "JSON, by element: msd (Å^2) at lag (ps), diffusion and diffusion_error (Å^2/ps; null if it does not diffuse)",
    ),
    "max_msd": (pa.float64(), "Å^2", "largest mean-square displacement of an element, at half the frames' time"),
    "lindemann": (pa.float64(), "", "root mean square vibration over the distance of nearest neighbours"),
    "largest_shift": (pa.float64(), "Å", "largest distance of an atom's mean place from its site at the start"),
    "kept": (pa.bool_(), "", "every mean place is that of a site, within 0.3 of the cube root of the volume per atom"),
    "mended": (pa.string(), "", "JSON: error, count, and what was changed, of each error that custodian mended"),
    "trajectory": (pa.string(), "", "file of all frames (extended XYZ, gzipped), from the folder of this table"),
    "failure": (pa.string(), "", "why there is no run, or why it ended early"),
}


def dynamics(
    table: CrystalTable, engine: MdEngine, settings: MdSettings, work: Path, folder: Path
) -> tuple[CrystalTable, dict[str, Any]]:
    """A row for each crystal, and the summary; a crystal that fails is a row with its reason.

    Args:
        work: folder of restart points and trajectories, by content: crystal and settings.
        folder: of the table to be, from which paths of trajectories are given.
    """
    outcomes, drawn = [], []
    for crystal in progress(table, total=len(table), desc="md", unit="crystal"):
        outcome, points = one(crystal, engine, settings, work, folder)
        outcomes.append(outcome)
        drawn.append({"material_id": crystal.material_id, "formula": reduced_formula(crystal.atomic_numbers), **points})
    moved = dynamics_table(table, outcomes).with_metadata(energy_type=engine.energy_type, md=as_dict(settings))
    return moved, summary(table, outcomes, drawn, engine, settings)


def one(
    crystal: Crystal, engine: MdEngine, settings: MdSettings, work: Path, folder: Path
) -> tuple[Dynamics, dict[str, Any]]:
    """Outcome of one crystal, and the points of its curves (none if it failed)."""
    place = work / content_key(crystal, settings, engine.energy_type)[:16]
    try:
        structure, frames = move(crystal, engine, settings, place)
    except (Exploded, Impossible) as error:
        log.warning("%s: %s", crystal.material_id, error)
        return Dynamics(failure=str(error), mended=engine.mended(place) or None), {}
    time_step = settings.step_of(crystal.atomic_numbers)
    found = assess(structure, frames, time_step, settings)
    path = os.path.relpath(place / TRAJECTORY, folder)
    found = dataclasses.replace(found, trajectory=path, mended=engine.mended(place) or None)
    return found, curves(structure, frames, time_step, settings)


def summary(
    table: CrystalTable, outcomes: list[Dynamics], drawn: list[dict[str, Any]], engine: MdEngine, settings: MdSettings
) -> dict[str, Any]:
    """Counts with their denominators, what was run, and the curves."""
    ran = [each for each in outcomes if each.failure is None]
    return {
        "n": len(table),
        "ran": {"count": len(ran), "of": len(table)},
        "kept": {"count": sum(bool(each.kept) for each in ran), "of": len(table)},
        "failures": {
            row["material_id"]: each.failure for row, each in zip(drawn, outcomes, strict=True) if each.failure
        },
        "energy_type": engine.energy_type,
        "settings": as_dict(settings),
        "crystals": drawn,
    }


def dynamics_table(table: CrystalTable, outcomes: list[Dynamics]) -> CrystalTable:
    """The crystals as they were before their runs, with the columns of `COLUMNS`."""
    kept = from_crystals([dataclasses.replace(crystal, properties={}) for crystal in table])
    if RANKED_BY in table.property_names:
        kept = kept.with_column(RANKED_BY, table.arrow.column(RANKED_BY), "eV/atom", "what the crystals were chosen by")
    for name, (kind, unit, meaning) in COLUMNS.items():
        values = [getattr(each, name) for each in outcomes]
        if name in ("displacements", "mended"):
            values = [json.dumps(value) if value is not None else None for value in values]
        kept = kept.with_column(name, pa.array(values, kind), unit, meaning)
    return kept
