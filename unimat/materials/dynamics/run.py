"""One crystal's run, taken up at its last restart point, and its trajectory as a file."""

import gzip
import hashlib
import json
import logging
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from pymatgen.core import Structure

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected
from unimat.files import read_json, whole_file, write_json
from unimat.materials.crystals.structures import check_crystal, to_structure
from unimat.materials.dynamics.engine import Exploded, Impossible, MdEngine
from unimat.materials.dynamics.frames import Frames, State, joined, read_parts, start, write_part
from unimat.materials.dynamics.settings import MdSettings
from unimat.materials.dynamics.supercell import supercell
from unimat.materials.relax.force_fields.settings import WITHOUT_EFFECT as FORCE_FIELD_WITHOUT_EFFECT
from unimat.materials.relax.settings import VASP_WITHOUT_EFFECT
from unimat.settings import as_dict

log = logging.getLogger("unimat.md")

TRAJECTORY = "trajectory.extxyz.gz"
FAILURE = "failure.json"
# What bears on no step of a run: a longer one goes on from a shorter one's end.
WITHOUT_EFFECT = ("take", "duration", "equilibration", "threads")


def move(crystal: Crystal, engine: MdEngine, settings: MdSettings, folder: Path) -> tuple[Structure, Frames]:
    """Supercell of a crystal, and its frames up to the configured duration; what `folder` holds is not computed again.

    Raises:
        Exploded: if the motion became unphysical; remembered in `folder`.
        Impossible: if the crystal cannot be computed; remembered, unless it is the machine's fault.
    """
    structure = large_enough(crystal, settings)
    parts, state = read_parts(folder)
    n_steps, time_step = settings.n_steps_of(crystal.atomic_numbers), settings.step_of(crystal.atomic_numbers)
    if state and state.step < n_steps:
        log.info("%s: goes on from step %d of %d", crystal.material_id, state.step, n_steps)
    try:
        if state is None or state.step < n_steps:
            refuse_again(folder)
            engine.check(structure)
        state = state or first_state(structure, settings)
        while state.step < n_steps:
            frames, state = engine.advance(
                structure, state, min(settings.restart_every, n_steps - state.step), time_step, folder
            )
            write_part(folder, frames, state)
            parts.append(frames)
    except (Exploded, Impossible) as error:
        if not getattr(error, "transient", False):
            write_json(folder / FAILURE, {"failure": str(error)})
        raise
    frames = joined(parts)
    frames = frames[frames.step <= n_steps]
    write_trajectory(structure, frames, time_step, folder / TRAJECTORY)
    return structure, frames


def large_enough(crystal: Crystal, settings: MdSettings) -> Structure:
    """Supercell of a crystal; Impossible for one that no code could move."""
    try:
        check_crystal(crystal)
    except CrystalRejected as error:
        raise Impossible(f"not run, {error}") from error
    structure = supercell(to_structure(crystal), settings.min_length, settings.max_atoms)
    if len(structure) < 2:
        raise Impossible("not run, one atom alone in its cell has no motion; raise md.max_atoms or md.min_length")
    return structure


def first_state(structure: Structure, settings: MdSettings) -> State:
    return start(np.array(structure.cart_coords), masses_of(structure), settings.temperature, settings.seed)


def masses_of(structure: Structure) -> np.ndarray:
    """(n,) atomic mass units."""
    return np.array([float(site.specie.atomic_mass) for site in structure])


def refuse_again(folder: Path) -> None:
    """Raise what an earlier run of the same crystal with the same settings ended with."""
    if (folder / FAILURE).is_file():
        raise Impossible(read_json(folder / FAILURE)["failure"])


def content_key(crystal: Crystal, settings: MdSettings, energy_type: dict[str, str]) -> str:
    """SHA-256 of the crystal's structure, of the calculator and of all settings that bear on its motion."""
    relevant = {key: value for key, value in as_dict(settings).items() if key not in WITHOUT_EFFECT}
    others = {"force_field": FORCE_FIELD_WITHOUT_EFFECT, "vasp": VASP_WITHOUT_EFFECT}
    own = "vasp" if settings.engine == "vasp" else "force_field"
    idle: tuple[str, ...] = others.pop(own)
    relevant |= {own: {key: value for key, value in relevant[own].items() if key not in idle}, "of": energy_type}
    relevant = {key: value for key, value in relevant.items() if key not in others}
    digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode())
    for array, kind in ((crystal.lattice, "f8"), (crystal.atomic_numbers, "i8"), (crystal.frac_coords, "f8")):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()


def write_trajectory(structure: Structure, frames: Frames, time_step: float, path: Path) -> None:
    """Gzipped extended XYZ of all frames, positions not wrapped into the cell; time in ps, energies in eV.

    Left alone if it is there and no restart point is newer.
    """
    newest = max((part.stat().st_mtime for part in path.parent.glob("part_*.npz")), default=0.0)
    if path.exists() and path.stat().st_mtime >= newest:
        return
    numbers, temperature = [site.specie.Z for site in structure], frames.temperature()
    images = []
    for index in range(len(frames)):
        info = {
            "time_ps": frames.step[index] * time_step / 1000,
            "potential_energy_eV": frames.potential[index],
            "conserved_energy_eV": frames.conserved[index],
            "temperature_K": temperature[index],
        }
        images.append(
            Atoms(numbers, positions=frames.positions[index], cell=structure.lattice.matrix, pbc=True, info=info)
        )
    with whole_file(path) as unfinished, gzip.open(unfinished, "wt", encoding="utf-8", compresslevel=6) as stream:
        ase.io.write(stream, images, format="extxyz")
