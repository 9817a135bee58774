"""Training and sampling with an unpacked archive, and collecting what they make."""

import contextlib
import dataclasses
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import read_json, write_json
from unimat.model.checkpoints import read_model, versions
from unimat.model.machine.interruption import EXIT_CODE, Interrupted
from unimat.model.packed import sets
from unimat.model.packed.absorb import OUTPUTS, append_pieces, refuse_other
from unimat.model.packed.collection import (
    PIECES,
    Collection,
    collect_training,
    install_training,
    listed,
    pieces_of,
    read_collection,
    steps_of,
)
from unimat.model.packed.deadline import interrupting
from unimat.model.packed.launcher import Options
from unimat.model.packed.pack import record_of
from unimat.model.settings import ModelSettings, TrainSettings
from unimat.model.shipped.pretrained import VARIABLE
from unimat.model.training.train import train as train_run
from unimat.settings import as_dict, given, load_settings

logger = logging.getLogger("unimat.packed")


def train(folder: Path, options: Options) -> int:
    """Train in `folder`/work for as long as the options give; the exit code."""
    model, settings = _training_settings(folder, options)
    work, out = folder / "work", folder / "model"
    if (folder / "initial").is_dir():  # train.initial, a name or a relative path, is to be found there
        os.environ[VARIABLE] = str(folder / "initial")
        os.chdir(folder / "initial")
    _start_from(folder, options.collect, record_of(folder / "encoded", model, settings), work)
    started = time.monotonic()
    before, first = pieces_of(work), (steps_of(work) or [0])[0]

    def collect() -> None:
        step = (steps_of(work) or [0])[0]
        seconds = round(time.monotonic() - started, 1)
        now = {"from_step": first, "to_step": step, "seconds": seconds, "device": options.device}
        pieces = [*before, {**now, "versions": versions()}] if step > first else before
        if step > listed(options.collect).step:
            write_json(work / PIECES, {"pieces": pieces})
            collect_training(work, options.collect, settings.steps, pieces, options.newest_only, options.largest)
            logger.info("step %d of %d is in %s", step, settings.steps, options.collect)

    def trained() -> bool:
        return settings.steps in steps_of(work)

    try:
        with _collecting(collect, work, options.every), interrupting(options.seconds, trained):
            train_run(folder / "encoded", model, settings, work, out)
    except Interrupted:
        reached = (steps_of(work) or [0])[0]
        logger.warning("stopped after step %d of %d; the same command goes on", reached, settings.steps)
        return EXIT_CODE
    finally:
        collect()
    append_pieces(out / "training.json", pieces_of(work))
    collect_model(out, options.collect)
    logger.info("finished: the model is in %s", options.collect)
    return 0


def _training_settings(folder: Path, options: Options) -> tuple[ModelSettings, TrainSettings]:
    if not (folder / "encoded").is_dir():
        raise UserError("this archive has no encoded crystals to train on; pack it with --encoded")
    values = read_json(folder / "settings.json")
    settings = load_settings(TrainSettings, values["train"], "train")
    changes: dict[str, Any] = {}
    if options.seconds is not None:  # which are counted here, and that of another machine means nothing
        changes["time_limit_minutes"] = None
    if options.checkpoint_every is not None:
        changes["checkpoint_every"] = options.checkpoint_every
    changed = load_settings(TrainSettings, {**as_dict(settings), **changes}, "train")
    return load_settings(ModelSettings, values["model"], "model"), changed


def _start_from(folder: Path, collected: Path, record: dict[str, Any], work: Path) -> None:
    """Go on from whatever is furthest: the working folder, what was packed, or what was collected before."""
    known = [read_collection(place) for place in (folder / "start", collected) if (place / "collection.json").exists()]
    for collection in [each for each in known if each.training]:
        refuse_other(record, collection.training["settings"], f"{collection.folder} is a training")  # type: ignore[index]
        if collection.step > (steps_of(work) or [0])[0]:
            install_training(collection, work)
            logger.info("going on from step %d of %s", collection.step, collection.folder)


@contextlib.contextmanager
def _collecting(collect: Callable[[], None], work: Path, minutes: float) -> Iterator[None]:
    """Collect every so many minutes while the block runs, whenever there is a new checkpoint."""
    over = threading.Event()

    def watch() -> None:
        last = steps_of(work)
        while not over.wait(60 * minutes):
            if (now := steps_of(work)) != last:
                last = now
                try:
                    collect()
                except (OSError, UserError) as error:  # the training is worth more than a copy of it
                    logger.warning("not collected: %s", error)

    thread = threading.Thread(target=watch, name="collect", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def collect_model(model: Path, out: Path) -> None:
    """Add the outputs of a finished training to its collection."""
    known = listed(out)
    assert known.training is not None
    with tempfile.TemporaryDirectory(prefix=".collecting.", dir=out) as scratch:
        for name in OUTPUTS:
            shutil.copyfile(model / name, Path(scratch) / name)
        collection = known.add({name: Path(scratch) / name for name in OUTPUTS})
    dataclasses.replace(collection, training={**known.training, "finished": True}).write()


def sample(folder: Path, options: Options) -> int:
    """Sample the packed sets with the model trained here, or the one packed; the exit code."""
    model = read_model(_model_of(folder, options.collect))
    started, hash_of_model = time.monotonic(), sets.fingerprint(model)
    for name, settings in _chosen_sets(folder, options).items():
        place = folder / "sets" / name
        collection = _collected(options.collect)
        found = collection.sets.get(name)
        same = found is not None and found["model"] == hash_of_model and found["settings"] == sets.comparable(settings)
        if same and collection.sets[name]["finished"]:
            logger.info("set %r is in %s already", name, options.collect)
            continue
        if same:
            sets.continue_set(collection, name, place)
        left = None if options.seconds is None else options.seconds - (time.monotonic() - started)
        finished = sets.sample_set(model, name, settings, place, left)
        sets.collect_set(place, options.collect, name, settings, model, finished)
        if not finished:
            return EXIT_CODE
    return 0


def _collected(folder: Path) -> Collection:
    return read_collection(folder) if (folder / "collection.json").exists() else Collection(folder)


def _model_of(folder: Path, collected: Path) -> Path:
    """The trained model: of this folder, of what was collected, or none."""
    for path in (folder / "model/model.npz", collected / "model.npz", folder / "trained/model.npz"):
        if path.exists():
            return path
    raise UserError("there is no trained model here; finish `run.py train`, or pack with --model")


def _chosen_sets(folder: Path, options: Options) -> dict[str, Any]:
    packed = read_json(folder / "settings.json")["sets"]
    if options.set is not None and options.set not in packed:
        raise UserError(f"no set {options.set!r} is packed; there are {', '.join(packed)}")
    chosen = {}
    for name in [options.set] if options.set else packed:
        values = dict(packed[name])
        if values["compositions"]:
            values["compositions"] = str(folder / values["compositions"])
        if options.settings:
            values |= given(options.settings, "sample")
        if options.count is not None:
            values["n"] = options.count
        chosen[name] = sets.settings_of_set(values, name)
    return chosen
