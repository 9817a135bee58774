"""The loop over steps: what is looked at, saved and written down between them, and when it ends."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any, NoReturn

import jax

from unimat.errors import UserError
from unimat.files import write_json
from unimat.model.augmentation import Batch
from unimat.model.devices import Layout
from unimat.model.distributed import any_process, is_writer
from unimat.model.history import History
from unimat.model.interruption import Interruption
from unimat.model.loader import Loader
from unimat.model.networks import Params
from unimat.model.settings import TrainSettings
from unimat.model.throughput import Speed
from unimat.model.train_state import TrainState, make_schedule, no_sums
from unimat.model.work_folder import WorkFolder
from unimat.progress import tqdm

logger = logging.getLogger("unimat.train")

AGREE_EVERY = 10  # steps after which the processes of a job ask each other whether to stop
BAD_BATCH = "bad_batch.json"
SHOWN = 5  # material ids in an error line


@dataclasses.dataclass
class Trainer:
    """All that the loop works with.

    Attributes:
        step_function: (state, batch) -> state, compiled.
        validate: parameters -> mean loss, None without validation crystals.
        flops: of one step, given its batch.
    """

    step_function: Callable[[TrainState, Batch], TrainState]
    validate: Callable[[Params], float | None]
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
        started, compiled = time.monotonic(), None
        with (
            contextlib.closing(self.loader.batches(range(first, steps))) as batches,
            Interruption(self.settings.time_limit_minutes) as interruption,
            tqdm(
                total=steps, initial=first, desc="train", unit="step", mininterval=1.0, disable=not is_writer()
            ) as bar,
        ):
            for step, batch in enumerate(batches, first + 1):
                if compiled is None:
                    self._speed = Speed(self.settings.batch_size, self.flops(batch), self.layout.devices)
                state = self.step_function(state, batch)
                if compiled is None:
                    jax.block_until_ready(state.step)
                    compiled = time.monotonic()
                    self._speed.start(step)
                asked = self._asked(step, interruption)
                state = self._after(step, state, asked, bar)
                bar.update()
                if asked and step < steps:
                    self.folder.finish()
                    interruption.stop(step, self.folder.path)
        return state, self._summary(first, (compiled or started) - started, time.monotonic() - (compiled or started))

    def _asked(self, step: int, interruption: Interruption) -> bool:
        """Whether to stop here; all processes of a job answer alike."""
        if jax.process_count() == 1:
            return interruption.asked
        return step % AGREE_EVERY == 0 and any_process(interruption.asked)

    def _after(self, step: int, state: TrainState, asked: bool, bar: tqdm) -> TrainState:
        """What is due after a step."""
        settings, last = self.settings, step == self.settings.steps
        validation_due = last or step % settings.validate_every == 0
        save_due = last or step % settings.checkpoint_every == 0 or asked
        row_due = validation_due or step % settings.log_every == 0
        if row_due or save_due:
            bad_step = int(state.bad_step)
            if bad_step >= 0:
                self._refuse(bad_step)
        if row_due:
            speed = self._speed.since(step)  # before the validation, which is not training
            val_loss = self.validate(state.ema_params) if validation_due else None
            row = self.history.add(step, state.sums, float(self._schedule(step - 1)), val_loss, speed)
            state = dataclasses.replace(state, sums=self._no_sums())
            bar.set_postfix(loss=row["loss"], refresh=False)
            self._speed.start(step)
        if save_due:
            self.folder.save(step, state)
        return state

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
