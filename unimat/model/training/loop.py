"""The loop over steps: what is looked at, saved and written down between them, and when it ends."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jax

from unimat.errors import UserError
from unimat.files import write_json
from unimat.model.machine.devices import Layout
from unimat.model.machine.distributed import any_process, is_writer
from unimat.model.machine.interruption import Interruption
from unimat.model.machine.throughput import Speed
from unimat.model.networks import Params
from unimat.model.representation.augmentation import Batch
from unimat.model.settings import TrainSettings
from unimat.model.training.history import History
from unimat.model.training.loader import Loader
from unimat.model.training.train_state import TrainState, make_schedule, no_sums
from unimat.model.training.work_folder import WorkFolder
from unimat.progress import Progress, progress

logger = logging.getLogger("unimat.train")

UNKNOWN_SPEED = {"steps_per_s": None, "crystals_per_s": None, "mfu": None}
AGREE_EVERY = 10  # steps after which the processes of a job ask each other whether to stop
WAIT_EVERY = 10  # steps that an accelerator may have waiting; a CPU has one, which may take long
BAD_BATCH = "bad_batch.json"
SHOWN = 5  # material ids in an error line


class GivenUp(Exception):
    """A validation ended early, because the run is asked to stop."""


@dataclasses.dataclass
class Trainer:
    """All that the loop works with.

    Attributes:
        step_function: (state, batch) -> state, compiled.
        validate: (parameters, whether to give up) -> mean loss, None without validation crystals. It asks the second
            between batches, and raises `GivenUp` where the answer is yes.
        flops: of one step, given its batch.
    """

    step_function: Callable[[TrainState, Batch], TrainState]
    validate: Callable[[Params, Callable[[], bool]], float | None]
    loader: Loader
    layout: Layout
    settings: TrainSettings
    folder: WorkFolder
    history: History
    flops: Callable[[Batch], float]

    def run(self, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Steps up to the last; the state after it, and how fast they went."""
        first, steps = int(state.step), self.settings.steps
        self._schedule = make_schedule(self.settings)
        self._no_sums = jax.jit(no_sums, out_shardings=self.layout.copied)
        wait_every = 1 if jax.default_backend() == "cpu" else WAIT_EVERY
        started, compiled, counted = time.monotonic(), None, first
        with (
            contextlib.closing(self.loader.batches(range(first, steps))) as batches,
            Interruption(self.settings.time_limit_minutes) as interruption,
            progress(total=steps, initial=first, desc="train", unit="step", disable=not is_writer()) as bar,
        ):
            if self._is_due(first, state):
                state = self._earlier_row(first, state, interruption, bar)
            for step, batch in enumerate(batches, first + 1):
                if compiled is None:
                    self._speed = Speed(self.settings.batch_size, self.flops(batch), self.layout.devices)
                state = self.step_function(state, batch)
                if compiled is None or step % wait_every == 0 or step == steps:
                    jax.block_until_ready(state.step)  # what is only queued must neither count nor delay a stop
                    bar.update(step - counted)
                    counted = step
                if compiled is None:
                    compiled = time.monotonic()
                    self._speed.start(step)
                state = self._after(step, state, self._asked(step, interruption), interruption, bar)
        return state, self._summary(first, (compiled or started) - started, time.monotonic() - (compiled or started))

    def _asked(self, step: int, interruption: Interruption) -> bool:
        """Whether to stop here; all processes of a job answer alike."""
        if jax.process_count() == 1:
            return interruption.asked
        return step % AGREE_EVERY == 0 and any_process(interruption.asked)

    def _is_due(self, step: int, state: TrainState) -> bool:
        """Whether an attempt before this one stopped after `step` without its row: the sums are in the state."""
        settings = self.settings
        due = step == settings.steps or step % settings.validate_every == 0 or step % settings.log_every == 0
        return bool(step) and due and float(state.sums["n"]) > 0

    def _after(
        self, step: int, state: TrainState, asked: bool, interruption: Interruption, bar: Progress
    ) -> TrainState:
        """What is due after a step; a request to stop is met before a validation, which may take minutes."""
        settings, last = self.settings, step == self.settings.steps
        row_due = last or step % settings.validate_every == 0 or step % settings.log_every == 0
        save_due = last or step % settings.checkpoint_every == 0 or asked
        if row_due or save_due:
            bad_step = int(state.bad_step)
            if bad_step >= 0:
                self._refuse(bad_step)
        if row_due and not asked:
            try:
                state = self._row(step, state, self._speed.since(step), lambda: interruption.asked, bar)
                self._speed.start(step)
            except GivenUp:
                asked = save_due = True
        if save_due:
            self.folder.save(step, state)
        if asked and (step < settings.steps or self._is_due(step, state)):
            self.folder.finish()
            interruption.stop(step, self.folder.path)
        return state

    def _earlier_row(self, step: int, state: TrainState, interruption: Interruption, bar: Progress) -> TrainState:
        """The row that an attempt before this one left out. The time limit does not end it: each attempt gets on."""
        try:
            return self._row(step, state, UNKNOWN_SPEED, lambda: interruption.signalled, bar)
        except GivenUp:
            interruption.stop(step, self.folder.path)

    def _row(
        self,
        step: int,
        state: TrainState,
        speed: Mapping[str, float | None],
        asked: Callable[[], bool],
        bar: Progress,
    ) -> TrainState:
        """Write the row of the history that is due after a step, with a validation if it is due; new sums begin.

        Raises:
            GivenUp: if `asked` says during the validation that the run is to stop; nothing is written then.
        """
        validation_due = step == self.settings.steps or step % self.settings.validate_every == 0
        alone = jax.process_count() == 1  # several validate together, and none may leave the others
        val_loss = self.validate(state.ema_params, lambda: alone and asked()) if validation_due else None
        row = self.history.add(step, state.sums, float(self._schedule(step - 1)), val_loss, speed)
        bar.set_postfix(loss=row["loss"], refresh=False)
        return dataclasses.replace(state, sums=self._no_sums())

    def _refuse(self, step: int) -> NoReturn:
        """Stop because of a step whose loss is not finite or has exploded, naming its crystals."""
        names = material_ids(self.loader, self.loader.all_rows(step - 1))
        if is_writer():
            write_json(self.folder.path / BAD_BATCH, {"step": step, "material_ids": names})
        self.folder.finish()
        more = f" and {len(names) - SHOWN} more, see {self.folder.path / BAD_BATCH}" if len(names) > SHOWN else ""
        raise UserError(
            f"the loss is not finite, or has exploded, at step {step} (crystals {', '.join(names[:SHOWN])}{more}); "
            f"{self.folder.last_good()}; lower train.learning_rate or set train.gradient_clip"
        )

    def _summary(self, first: int, compile_seconds: float, seconds: float) -> dict[str, Any]:
        done = max(self.settings.steps - first - 1, 0)
        last = self.history.speed.last()
        return {
            "compile_seconds": round(compile_seconds, 2),
            "seconds": round(seconds, 2),
            "samples_per_second": round(done * self.settings.batch_size / seconds, 1) if done else 0.0,
            "steps_in_this_process": self.settings.steps - first,
            "devices": f"{self.layout.n_devices} {self.layout.devices[0].device_kind}",
            "mfu": last.get("mfu"),
        }


def material_ids(loader: Loader, rows: Any) -> list[str]:
    """Names of the crystals in these rows of the training split."""
    shards = loader.split.shards
    names = [shard.material_ids for shard in shards]
    starts = [0]
    for shard in shards:
        starts.append(starts[-1] + len(shard))
    found = []
    for row in rows.tolist():
        index = max(i for i, start in enumerate(starts[:-1]) if start <= row)
        found.append(names[index][row - starts[index]].as_py())
    return found
