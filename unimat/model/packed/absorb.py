"""Bringing back what a packed run made, where it belongs to the run that is here and is further than that."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.files import read_json, sha256, write_json
from unimat.model.checkpoints import read_model
from unimat.model.packed.collection import Collection, install_training, steps_of
from unimat.model.packed.sets import FILES, comparable, fingerprint, place_of, settings_of_set
from unimat.model.training.work_folder import with_defaults
from unimat.outputs import whole_folder
from unimat.settings import differences

SHOWN = 3  # settings that differ, in an error line
OUTPUTS = ("history.csv", "training.json", "model.npz")  # of a training, in the order that they are written

logger = logging.getLogger("unimat.packed")


def absorb_training(
    collection: Collection, expected: Mapping[str, Any], work: Path, out: Path | None = None, force: bool = False
) -> dict[str, Any]:
    """Bring the training back: its checkpoints into `work`, and its outputs into `out` if it is finished.

    A training that `work` has already is left as it is. None may be going on there.

    Args:
        expected: settings of the run that it should be (`work_folder.settings_of_run`).
        force: as `whole_folder`.

    Returns:
        `step` of `steps`, `brought` (whether there was anything new), `finished`.

    Raises:
        UserError: if the collection holds no training, one of other settings or other data, or one that is behind
            that of `work`.
    """
    training = collection.training
    if training is None:
        raise UserError(f"{collection.folder} holds no training, only {', '.join(collection.sets) or 'nothing'}")
    refuse_other(expected, training["settings"], f"{collection.folder} is a training")
    if (work / "settings.json").exists():
        refuse_other(expected, read_json(work / "settings.json"), f"{work} holds a training")
    here = (steps_of(work) or [0])[0]
    if collection.step < here:
        raise UserError(
            f"{collection.folder} is of step {collection.step}, behind the checkpoint of step {here} in {work}; "
            "pack anew from there, or remove that checkpoint to go back"
        )
    if collection.step > here:
        install_training(collection, work)
    if training["finished"] and out is not None:
        copy({name: collection.folder / name for name in OUTPUTS}, out, "train", OUTPUTS[-1], force)
    return {key: training[key] for key in ("step", "steps", "finished")} | {"brought": collection.step > here}


def absorb_sets(
    collection: Collection, sets: Mapping[str, Mapping[str, Any]], model: Path, place: Path, force: bool = False
) -> dict[str, Any]:
    """Bring finished sets back into `place`/NAME; their reports by name.

    Args:
        sets: sample settings of the sets that belong to the run, by name. model: that of the run.
        force: as `whole_folder`.

    Raises:
        UserError: if a set is not one of the run, or was made with other settings or by another model.
    """
    reports = {}
    for name, found in collection.sets.items():
        if name not in sets:
            raise UserError(f"{collection.folder} holds the set {name!r}, and the run samples {', '.join(sets)}")
        ours = comparable(settings_of_set(dict(sets[name]), name, model))
        refuse_other(ours, found["settings"], f"{collection.folder} holds the set {name!r}")
        if found["model"] != fingerprint(read_model(model)):
            raise UserError(f"{collection.folder}: set {name!r} was sampled by another model than {model}; sample anew")
        if not found["finished"]:
            logger.warning("set %r is unfinished: sample there again, with this folder for --collect", name)
            continue
        folder = collection.folder / place_of(name)
        copy({file: folder / file for file in FILES}, place / name, "sample", FILES[-1], force)
        reports[name] = read_json(place / name / "sampling.json")
    return reports


def refuse_other(expected: Mapping[str, Any], found: Mapping[str, Any], what: str) -> None:
    """Raise UserError if the settings or the data of a run are not those expected, naming what differs."""
    other = differences(dict(expected), with_defaults(dict(found)))
    if other:
        more = f"; and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
        data = all(line.startswith(("data.", "encoding.")) for line in other)
        raise UserError(f"{what} of other {'data' if data else 'settings'} ({'; '.join(other[:SHOWN])}{more})")


def copy(files: Mapping[str, Path], folder: Path, by: str, last: str, force: bool) -> None:
    """Copy files by name into a folder of the command `by`, all or nothing.

    Those that are there already stay: newer files would be worked through again.
    """
    with whole_folder(folder, by, last=last, force=force) as new:
        for name, source in files.items():
            target = folder / name
            if not (target.is_file() and sha256(source) == sha256(target)):
                shutil.copyfile(source, new / name)


def append_pieces(training_json: Path, pieces: list[dict[str, Any]]) -> None:
    """Say in `training.json` what was trained where."""
    write_json(training_json, {**read_json(training_json), "pieces": pieces})
