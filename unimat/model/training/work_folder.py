"""The working folder of a training run: its settings, its history and its latest checkpoints (Orbax)."""

import json
import logging
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from unimat.errors import UserError
from unimat.files import read_json, write_json
from unimat.model.checkpoints import read_description
from unimat.model.machine.distributed import any_process, barrier, is_writer
from unimat.model.representation.encoded import Encoding
from unimat.model.settings import ModelSettings, TrainSettings
from unimat.outputs import refuse_replacing
from unimat.settings import as_dict, differences

T = TypeVar("T")

KEPT = 2
CHECKSUM = "checksum"
FULL = ("no space left", "disk quota exceeded", "resource_exhausted")  # as the system and TensorStore say it
# What may differ between two attempts at one run: when it stops and saves, and how it is laid over devices.
FREE = ("time_limit_minutes", "checkpoint_every", "fsdp", "tensorboard")

logger = logging.getLogger("unimat.checkpoints")


class WorkFolder:
    """The working folder of one training run, kept between attempts.

    It outlives interruptions; `unimat train` continues from it if the settings are the same. All processes of a job
    use it together: checkpoints are written by all, other files by process 0.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any], fresh: bool = False):
        """Open or make the folder.

        Args:
            settings: what must be equal for the run to continue.
            fresh: throw away what is there.

        Raises:
            UserError: if the folder belongs to a run of other settings, naming each setting that differs; holds files
                of the same names that no training wrote; or is another one for each process.
        """
        import orbax.checkpoint as ocp  # slow to import, and sampling does without it

        for name in ("absl", "asyncio"):
            logging.getLogger(name).addFilter(_said_once)
        self.path = Path(path).resolve()
        self._claim_together(settings, fresh)
        # Half-written checkpoints of an attempt that was killed go away here.
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, create=True, cleanup_tmp_directories=True)
        self._args = ocp.args
        self._manager = ocp.CheckpointManager(self.path / "checkpoints", options=options)
        self._hook, self._met_full_disk = sys.unraisablehook, False
        sys.unraisablehook = _without_late_writes(self._hook)

    def _claim_together(self, settings: dict[str, Any], fresh: bool) -> None:
        """Process 0 claims the folder and the others look for it; one that fails would leave the rest waiting."""
        refusal: UserError | None = None
        if is_writer():
            try:
                self._claim(settings, fresh)
            except UserError as error:
                refusal = error
        if any_process(refusal is not None):
            raise refusal or UserError(f"{self.path} is refused; see what process 0 says")
        if any_process(not (self.path / "settings.json").exists()):
            raise UserError(f"{self.path} is not the same folder on every host; give one that all of them share")

    def _claim(self, settings: dict[str, Any], fresh: bool) -> None:
        refuse_replacing(self.path, "train --work", flag="--work", otherwise="or move it")
        if fresh:
            for path in self._checkpoints():
                shutil.rmtree(path, ignore_errors=True)
        else:
            self._refuse_other_settings(settings)
        write_json(self.path / "settings.json", settings)

    def _checkpoints(self) -> list[Path]:
        """Folders of checkpoints, the half-written ones included, and of nothing else."""
        found = (self.path / "checkpoints").glob("[0-9]*")
        return [path for path in found if path.is_dir() and re.fullmatch(r"\d+(\.orbax-checkpoint-tmp.*)?", path.name)]

    def _refuse_other_settings(self, settings: dict[str, Any]) -> None:
        record = self.path / "settings.json"
        if not record.exists():
            return
        other = differences(json.loads(json.dumps(settings)), with_defaults(read_json(record)))
        if other:
            raise UserError(
                f"{self.path} holds a training run of other settings ({'; '.join(other)}); use another folder, "
                "restore the settings, or start anew with --fresh"
            )

    @property
    def latest_step(self) -> int | None:
        """Step of the last checkpoint that is wholly on disk, or on its way there."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Start to write a checkpoint, once the one before is on disk.

        Raises:
            UserError: if the disk has no room for this one, or had none for the one before.
        """
        if step == self.latest_step:
            return
        metadata = {CHECKSUM: int(checksum(state))}
        self._written(lambda: self._manager.save(step, args=self._args.StandardSave(state), custom_metadata=metadata))

    def finish(self) -> None:
        """Wait until the last checkpoint is on disk; UserError as in `save`."""
        self._written(self._manager.wait_until_finished)

    def _written(self, work: Callable[[], T]) -> T:
        """What `work` returns; of errors in storing, the full disk's becomes one line."""
        try:
            return work()
        except Exception as error:  # Orbax passes on whatever its storage raises, in a thread of its own
            if not _is_full(error):
                raise
            self._met_full_disk = True
            raise UserError(
                f"no space left for a checkpoint in {self.path}; {self.last_good()}; make room, or raise "
                "train.checkpoint_every, and run the same command again"
            ) from error

    def last_good(self) -> str:
        """Where a run that stops now would continue, in words."""
        steps = [int(path.name) for path in (self.path / "checkpoints").glob("[0-9]*") if path.name.isdecimal()]
        return f"the last good checkpoint is of step {max(steps)} in {self.path}" if steps else "no checkpoint is saved"

    def restore(self, like: Any) -> Any:
        """State of the latest checkpoint that is sound, with shapes and shardings of `like`; `like` if there is none.

        One that cannot be read, or does not hold what was saved, is moved aside with a warning that names it.

        Raises:
            UserError: if there are checkpoints and none is sound.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            fault, state = self._read(step, like)
            if fault is None:
                logger.info("continuing from step %d of %s", step, self.path)
                return state
            self._set_aside(step, fault)
        if steps:
            raise UserError(f"{self.path}: none of its checkpoints can be read; start anew with --fresh")
        return like

    def _read(self, step: int, like: Any) -> tuple[str | None, Any]:
        """What is wrong with a checkpoint, and its content."""
        try:
            state = self._manager.restore(step, args=self._args.StandardRestore(like))
            saved = (self._manager.metadata(step).custom_metadata or {}).get(CHECKSUM)
        except Exception as error:  # a broken file may show itself as nearly anything
            return f"{type(error).__name__}: {str(error).splitlines()[0][:120]}" if str(error) else repr(error), None
        if saved is not None and saved != int(checksum(state)):
            return "its numbers are not those that were saved", None
        return None if bool(all_finite(state)) else "it holds numbers that are not finite", state

    def _set_aside(self, step: int, fault: str) -> None:
        folder = self.path / "checkpoints" / str(step)
        aside = self.path / f"broken-{step}"
        logger.warning("%s is broken (%s); moved to %s, and going back one", folder, fault, aside.name)
        if is_writer():
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        barrier(f"unimat: checkpoint {step} is set aside")
        self._manager.reload()

    def close(self) -> None:
        """End, without waiting for what `finish` was not asked for; a checkpoint that fails now is logged."""
        try:
            self._manager.close()
        except Exception as error:  # the run is over already, for a reason that must not be hidden
            logger.debug("closing %s: %s", self.path, error)
        if not self._met_full_disk:  # after a full disk, writes end late
            sys.unraisablehook = self._hook


def _is_full(error: BaseException | None) -> bool:
    return any(text in str(error).lower() for text in FULL)


def _said_once(record: logging.LogRecord) -> bool:
    """Whether to log: not each array that a full disk keeps from being written, which is said in one line."""
    return not (record.exc_info and _is_full(record.exc_info[1]))


def _without_late_writes(hook: Callable[[Any], object]) -> Callable[[Any], None]:
    """`sys.unraisablehook` that is silent about writes which a full disk left on their way: they find a loop closed.

    TensorStore's threads report them so, outside of every call that could catch them.
    """

    def report(lost: Any) -> None:
        if str(lost.exc_value) != "Event loop is closed":
            hook(lost)

    return report


@jax.jit
def checksum(tree: Any) -> jax.Array:
    """A number (uint32) that any one changed word of the arrays changes, the same however they are sharded."""
    return sum((_checksum(leaf) for leaf in jax.tree.leaves(tree)), jnp.uint32(0))


def _checksum(x: jax.Array) -> jax.Array:
    # Odd factors can be inverted modulo 2^32, and integer sums know no order.
    words = jax.lax.bitcast_convert_type(x, jnp.uint32).ravel()
    return jnp.sum(words * (2 * jnp.arange(words.size, dtype=jnp.uint32) + 1), dtype=jnp.uint32)


@jax.jit
def all_finite(tree: Any) -> jax.Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def settings_of_run(encoding: Encoding, model: ModelSettings, train: TrainSettings, data: dict[str, str]) -> dict:
    """What a working folder must agree with: everything that changes the numbers."""
    recipe = {name: value for name, value in as_dict(train).items() if name not in FREE}
    return {"model": as_dict(model), "train": recipe, "encoding": encoding.to_json(), "data": data}


def refuse_other_model(out: Path, run: dict[str, Any]) -> None:
    """Raise UserError if `out` holds a finished model of another run, or files of a model that no training wrote.

    Args:
        run: of `settings_of_run`.
    """
    refuse_replacing(out, "train")
    path = out / "model.npz"
    if not path.is_file():
        return
    try:
        found = read_description(path)
        recipe = {name: value for name, value in found["settings"]["train"].items() if name not in FREE}
        theirs = {
            "model": found["settings"]["model"],
            "train": recipe,
            "encoding": found["encoding"],
            "data": found["data"],
        }
    except UserError:
        return  # nothing is lost with a file that cannot be read
    except (KeyError, AttributeError, TypeError):
        theirs = {}
    if other := differences(json.loads(json.dumps(run)), with_defaults(theirs)):
        raise UserError(
            f"{out} holds a finished model of another training ({'; '.join(other)}); give --out another folder, or say "
            "--force to replace the model"
        )


def with_defaults(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a run, with the defaults of settings that are younger than it."""
    defaults = {"model": as_dict(ModelSettings()), "train": as_dict(TrainSettings())}
    younger = {name: defaults[name] | record[name] for name in defaults.keys() & record.keys()}
    for name in FREE:
        younger.get("train", {}).pop(name, None)
    return record | younger
