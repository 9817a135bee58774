"""One calculation of a crystal (relax 1, relax 2, static) in a folder of its own, where it is taken up again.

A stage is finished if custodian's log says so and VASP's files are those of a converged calculation: it is then read
and never computed again. A stage that was cut off starts anew from the last structure that it wrote; the files of the
attempt before are kept beside it (`relax_1.attempt_1`).
"""

import contextlib
import copy
import dataclasses
import datetime
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import atomate2
import numpy as np
from atomate2.vasp.jobs.base import get_vasp_task_document
from atomate2.vasp.run import DEFAULT_HANDLERS
from custodian.vasp.handlers import FrozenJobErrorHandler, WalltimeHandler
from monty.io import zopen
from pymatgen.core import Structure
from pymatgen.io.vasp.inputs import Poscar

from unimat.errors import UserError
from unimat.materials.relax.jobs.context import labelled
from unimat.materials.relax.jobs.run import JobFailed, run
from unimat.materials.relax.settings import VaspSettings
from unimat.materials.relax.vasp import custodian_log
from unimat.materials.relax.wall_time import OutOfTime, seconds_left

log = logging.getLogger("unimat.relax")

STATIC = "static"
PASSED_ON = ("WAVECAR", "CHGCAR")  # what the next stage starts from, where it was written
NO_SPACE = ("No space left on device", "Disk quota exceeded", "File too large")
ATTEMPTS = 2  # of a stage whose outputs are cut short or whose process failed, each from the last structure


class StageFailed(Exception):
    """A calculation failed for good; the text says in which stage and why."""


@dataclasses.dataclass(frozen=True)
class StageResult:
    """Attributes: energies in eV per cell (of the last and the first ionic step), largest force in eV/Å, ionic steps,
    run type and Hubbard U."""

    structure: Structure
    energy: float
    first_energy: float
    fmax: float
    n_steps: int
    parameters: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One of the calculations: its name, which is its folder's, and atomate2's maker of its job."""

    name: str
    maker: Any
    handlers: ClassVar[Any] = DEFAULT_HANDLERS  # custodian's, of this kind of calculation

    def finished(self, folder: Path) -> Any:
        """What came out of the stage in `folder`; None unless it came to a good end."""
        return read_finished(folder)

    def outcome(self, folder: Path, document: Any) -> Any:
        """What came out of a calculation that has just ended in `folder`, with atomate2's document of it."""
        return stage_result(document)

    def start(self, folder: Path, structure: Structure) -> Structure:
        """Where the stage starts: the last structure of an attempt that was cut off, or `structure`."""
        return structure if self.name == STATIC else last_structure(folder, structure)

    def result(self, folder: Path, structure: Structure, previous: Path | None, settings: VaspSettings) -> Any:
        """What comes out of the stage: read from `folder` if it is finished there, computed otherwise.

        Args:
            structure: where it starts, unless `folder` holds a later structure of a stage that was cut off.
            previous: folder of the stage before, whose density and magnetic moments are passed on.

        Raises:
            StageFailed: if custodian gave up, or twice in a row the outputs were cut short.
            OutOfTime: if the job's time is over.
            UserError: if the disk is full.
        """
        for attempt in range(1, ATTEMPTS + 1):
            if (finished := self.finished(folder)) is not None:
                return finished
            left = _time_left(folder, settings)
            start = self.start(folder, structure)
            set_aside(folder)
            try:
                [document] = self._run(folder, start, previous, settings, left)
                # A relaxation that was told to stop has fewer steps than NSW, and passes for converged.
                _raise_if_of_the_machine(folder, custodian_log.read_log(folder), "")
                return self.outcome(folder, document)
            except JobFailed as error:
                runs = custodian_log.read_log(folder)
                _raise_if_of_the_machine(folder, runs, str(error))
                reason, again = _why(runs, str(error))
                if not again or attempt == ATTEMPTS:
                    raise StageFailed(f"{self.name} failed, {reason}") from error
                log.warning("%s: %s; tried once more", folder, reason)
        raise AssertionError("the loop returns or raises")

    def _run(
        self, folder: Path, structure: Structure, previous: Path | None, settings: VaspSettings, left: float | None
    ) -> list[Any]:
        maker = copy.deepcopy(self.maker)
        maker.run_vasp_kwargs = {**maker.run_vasp_kwargs, "handlers": self._handlers(settings, left)}
        if previous is not None:
            written = [name for name in PASSED_ON if any(previous.glob(f"{name}*"))]
            maker.copy_vasp_kwargs = {**maker.copy_vasp_kwargs, "additional_vasp_files": tuple(written)}
        job = maker.make(structure, prev_dir=None if previous is None else str(previous))
        with _zipping("atomate" if settings.raw_outputs != "keep" else False), labelled(stage=self.name):
            return run(job, folder)

    def _handlers(self, settings: VaspSettings, left: float | None) -> list[Any]:
        """atomate2's handlers, with our patience; under Slurm one more, which stops VASP in time."""
        handlers: list[Any] = [
            FrozenJobErrorHandler(timeout=settings.hang_timeout) if isinstance(each, FrozenJobErrorHandler) else each
            for each in copy.deepcopy(self.handlers)  # they count errors, and choose the next remedy by the count
        ]
        if left is not None:
            # A static calculation is one ionic step long, so it is stopped after an electronic one.
            watch = WalltimeHandler(int(left), int(settings.wall_time_margin), electronic_step_stop=self.name == STATIC)
            watch.start_time = datetime.datetime.now()
            handlers.append(watch)
        return handlers


def read_finished(folder: Path) -> StageResult | None:
    """Result of the stage in `folder`; None unless it came to a good end."""
    if not custodian_log.ended_well(custodian_log.read_log(folder)):
        return None
    try:
        document = get_vasp_task_document(folder)
    except Exception as error:  # whatever a torn file makes of a parser
        log.warning("%s is computed again, its files cannot be read (%s)", folder, error)
        return None
    return stage_result(document) if document.state == "successful" else None


def last_structure(folder: Path, otherwise: Structure) -> Structure:
    """Structure that a relaxation reached before it was cut off, in `folder` or the latest attempt before it that wrote
    one; `otherwise` if none did."""
    folders = [folder, *reversed(attempts(folder))]
    for path in [each / name for each in folders for name in ("CONTCAR", "CONTCAR.gz")]:
        try:
            found = Poscar.from_file(path, check_for_potcar=False).structure
        except Exception:  # missing, empty or torn: it is only a better start
            continue
        if found.composition == otherwise.composition and np.isfinite(found.volume) and found.is_valid():
            if found.species == otherwise.species and "magmom" in otherwise.site_properties:
                found.add_site_property("magmom", otherwise.site_properties["magmom"])
            return found
    return otherwise


def _time_left(folder: Path, settings: VaspSettings) -> float | None:
    """Seconds until Slurm ends the job, None without such an end; OutOfTime if they are too few."""
    left = seconds_left()
    if left is not None and left < settings.wall_time_margin:
        raise OutOfTime(f"{max(left, 0):.0f} s are left of the job, too few for {folder}; run again to go on there")
    return left


def set_aside(folder: Path) -> None:
    """Rename what is left of an earlier attempt, so that nothing of it is taken for new."""
    if folder.is_dir() and any(folder.iterdir()):
        number = len(attempts(folder)) + 1
        folder.rename(folder.with_name(f"{folder.name}.attempt_{number}"))


def attempts(folder: Path) -> list[Path]:
    """Folders of earlier attempts, in their order."""
    found = folder.parent.glob(f"{folder.name}.attempt_*")
    return sorted(found, key=lambda path: int(path.name.rpartition("_")[2]))


def first_energy(folder: Path, otherwise: float) -> float:
    """Energy of the structure that the stage was given, eV per cell.

    A stage that was cut off went on from a later structure: the first step of its first attempt counts, and `otherwise`
    without an attempt that got so far.
    """
    for path in [each / name for each in attempts(folder) for name in ("OSZICAR", "OSZICAR.gz")]:
        try:
            with zopen(path, "rt", encoding="utf-8") as stream:
                steps = (re.search(r"E0=\s*(\S+)", str(line)) for line in stream)
                return next(float(step[1]) for step in steps if step)
        except (OSError, EOFError, ValueError, StopIteration):  # missing or torn, or no step was finished
            continue
    return otherwise


def stage_result(document: Any) -> StageResult:
    """What is used of emmet's document of one calculation."""
    steps = document.calcs_reversed[0].output.ionic_steps
    return StageResult(
        structure=document.output.structure,
        energy=float(document.output.energy),
        first_energy=float(steps[0].e_0_energy),
        fmax=float(np.linalg.norm(document.output.forces, axis=1).max()),
        n_steps=len(steps),
        parameters={
            "run_type": str(getattr(document.run_type, "value", document.run_type)),
            "hubbards": dict(document.input.hubbards or {}),
        },
    )


def _raise_if_of_the_machine(folder: Path, runs: Any, message: str) -> None:
    """Raise what ends the whole shard: no time or no space, neither of which is the crystal's fault."""
    if custodian_log.out_of_time(runs):
        raise OutOfTime(f"the job's time is nearly over, VASP was stopped in {folder}; run again to go on there")
    told = folder / "std_err.txt"
    text = message + (told.read_text(errors="replace") if told.is_file() else "")
    if any(sign in text for sign in NO_SPACE):
        raise UserError(f"the disk of {folder} is full; free some space and run again, finished crystals are kept")


def _why(runs: Any, message: str) -> tuple[str, bool]:
    """Reason of a failure, and whether another try may help: not of errors that custodian knows and gave up on."""
    last = runs[-1] if runs else {}
    errors = ", ".join(f"{each['error']} ({each['count']}x)" for each in custodian_log.mended([("", runs)]))
    if last.get("handler"):
        return f"custodian has no remedy: {errors}", False
    if any(last.get(flag) for flag in ("max_errors", "max_errors_per_job", "max_errors_per_handler")):
        return f"custodian gave up after too many errors: {errors}", False
    if last.get("validator"):
        return f"outputs are cut short: {last['validator'].get('@class')}", True
    if last.get("nonzero_return_code"):
        return f"VASP ended with an error: {message}", True
    return f"calculation failed: {message}", False


@contextlib.contextmanager
def _zipping(setting: Any) -> Iterator[None]:
    """atomate2 compresses VASP's files as `setting` says; it has no argument for it."""
    before = atomate2.SETTINGS.VASP_ZIP_FILES
    atomate2.SETTINGS.VASP_ZIP_FILES = setting
    try:
        yield
    finally:
        atomate2.SETTINGS.VASP_ZIP_FILES = before
