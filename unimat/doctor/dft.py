"""What would go wrong if DFT were started with a configuration: VASP's program and potentials, room on the disk."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unimat.configuration.configuration import Configuration
from unimat.configuration.plan import Plan
from unimat.errors import UserError
from unimat.findings import Finding, problem

GIB = 2**30
# Bytes on disk. While a crystal is computed, the wave functions and densities of its three stages stay: coefficients of
# 4000 plane waves (520 eV, 150 Å^3) x 30 bands x 2 spins x 100 k-points x 8 bytes are 0.2 GiB, up to 1 GiB for larger
# cells.
RUNNING = 3 * GIB
KEPT = {"keep": 3 * GIB, "compress": 2 * GIB, "slim": 5 * 2**20, "remove": 0}
STARTS_ONE = re.compile(r"^srun\b(?!.*\s(-n|--ntasks))")


def dft_findings(configuration: Configuration, plan: Plan, work: Path, at_once: int | None = None) -> Iterator[Finding]:
    """Findings on every set that is relaxed by DFT; none if there is no such set.

    Args:
        plan: of the run, which says how many jobs there are.
        work: where the workflow runs.
        at_once: the most jobs that run at a time, as a profile says; None: all of them.
    """
    for name in plan.sets_of("relax_crystal"):
        settings = configuration.relaxation(name)
        jobs = sum(job[:2] == ("relax_crystal", name) for job in plan.jobs)
        yield Finding(f"DFT of {name}", f"{jobs} jobs of {settings.engine}, cores of each: {settings.threads}")
        if settings.engine == "vasp":
            yield command_finding(name, settings.vasp)
            yield potentials_finding(name, settings.vasp, elements_of(configuration.run, name, work))
            yield disk_finding(name, settings.vasp, min(jobs, at_once or jobs), work)


def command_finding(name: str, settings: Any) -> Finding:
    """Whether VASP's command is found; what a job's own modules bring is not seen from here."""
    from unimat.materials.relax.vasp.inputs import vasp_command

    try:
        command = vasp_command(settings)
    except UserError as error:
        found = problem(f"VASP of {name}", error)
        return Finding(found.name, f"{found.text} on this node", f"{found.remedy}, here and in the jobs")
    if STARTS_ONE.search(command):
        remedy = "say how many: srun --overlap --ntasks=32 vasp_std"
        return Finding(f"VASP of {name}", f"{command!r} starts one task: the job hides SLURM_NTASKS from srun", remedy)
    program = shutil.which(shlex.split(command)[0])
    return Finding(f"VASP of {name}", f"{command} ({program} on this node; jobs see what this shell exports)")


def potentials_finding(name: str, settings: Any, elements: set[str] | None) -> Finding:
    """Whether every element of a set has a POTCAR file; of a set that is not made yet, which elements have none."""
    from pymatgen.io.vasp.sets import MPRelaxSet

    from unimat.materials.relax.vasp import inputs as vasp_inputs

    title = f"potentials of {name}"
    try:
        vasp_inputs.check_potentials_folder()
    except UserError as error:
        return problem(title, error)
    names = {**MPRelaxSet.CONFIG["POTCAR"], **settings.potcars}
    folder = vasp_inputs.SETTINGS[vasp_inputs.FOLDER_VARIABLE]
    wanted = sorted(elements if elements is not None else names)
    missing = [symbol for symbol in wanted if symbol not in names or not _has_file(names[symbol], folder)]
    text = f"{len(wanted) - len(missing)} of {len(wanted)} elements in {folder}"
    if not missing:
        return Finding(title, text)
    listed = ", ".join(f"{symbol} ({names.get(symbol, 'no name')})" for symbol in missing[:8])
    text += f", without {listed}{' and more' if len(missing) > 8 else ''}"
    if elements is None and len(missing) < len(wanted):
        return Finding(title, f"{text}; the set is not made yet, its elements are not known")
    return Finding(title, text, "add the files under POT_GGA_PAW_PBE, or name others in relax.vasp.potcars")


def _has_file(potential: str, folder: str) -> bool:
    """Whether pymatgen would find the potential: POTCAR.NAME or NAME/POTCAR, zipped or not."""
    root = Path(folder).expanduser() / "POT_GGA_PAW_PBE"
    names = (f"POTCAR.{potential}", f"{potential}/POTCAR")
    return any((root / f"{name}{ending}").is_file() for name in names for ending in ("", ".gz", ".bz2", ".xz", ".Z"))


def elements_of(run: str, name: str, work: Path) -> set[str] | None:
    """Symbols in a set's crystal table; None if there is none yet."""
    from unimat import crystal_table
    from unimat.periodic_table import SYMBOLS

    path = work / "results" / run / "sets" / name / "crystals.parquet"
    if not path.is_file():
        return None
    numbers = {int(number) for crystal in crystal_table.read(path) for number in crystal.atomic_numbers}
    return {SYMBOLS[number - 1] for number in numbers}


def disk_finding(name: str, settings: Any, running: int, work: Path) -> Finding:
    """Room for the raw files of crystals that run at the same time, and for what is kept of as many finished ones."""
    there = next(path for path in (work.resolve(), *work.resolve().parents) if path.exists())
    free, wanted = shutil.disk_usage(there).free, running * (RUNNING + KEPT[settings.raw_outputs])
    text = (
        f"{free / GIB:.0f} GiB free at {there}; {running} crystals at a time write about {wanted / GIB:.0f} GiB, and"
        f" {KEPT[settings.raw_outputs] / 2**20:.0f} MiB of each stay (relax.vasp.raw_outputs: {settings.raw_outputs})"
    )
    remedy = "make room, lower relax.shards, or keep less" if free < wanted else None
    return Finding(f"disk for {name}", text, remedy if os.access(there, os.W_OK) else "check who owns the folder")
