"""Publishing a trained model: its parameters as float16, and a card of what is known of it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unimat.checked_csv import rows_of
from unimat.errors import UserError
from unimat.files import sha256, write_json
from unimat.model.checkpoints import Model, read_model, write_model
from unimat.model.settings import SampleSettings
from unimat.model.shipped.lineage import how
from unimat.model.shipped.pretrained import CARD_FORMAT, CURVE_COLUMNS, card_beside
from unimat.model.shipped.rounding import agreement
from unimat.outputs import whole_folder

POINTS = 200  # of a learning curve
SAMPLING = ("sample", "sample_of_composition", "sample_of_template")
NAME = r"[a-z][a-z0-9_]*"
ABOUT_DATA = ("name", "title", "licence", "citation", "source", "crystals", "complete", "completeness")
ABOUT_TRAINING = ("steps", "n_parameters", "n_train", "n_val", "final", "settings", "versions", "speed")


def publish(
    model: str | Path,
    out: str | Path,
    name: str,
    licence: str,
    data: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
    failures: list[str] | None = None,
    check: SampleSettings | None = None,
    sampling: Mapping[str, Mapping[str, Any]] | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write `NAME.npz` and, last, `NAME.json` into the folder `out`; the card.

    Args:
        model: model.npz of a training.
        licence: of the parameters.
        data: card.json of the dataset, of which some keys are kept.
        training: training.json, for the time that it took; the model says the rest.
        result: a reproduction result, or any mapping with some of its keys (`generation`, `prediction`, ...).
        failures: known ones in words, beside those that the counts tell.
        sampling: settings with which the model is sampled where nobody says otherwise: `sample`, for given
            compositions `sample_of_composition`, from a template `sample_of_template`; None takes those of the
            crystals that `result` judges, or of the model that its training began with.
        check: crystals to draw with the model and with the published file, for the card to say how far they lie apart.
        force: as `whole_folder`.

    Raises:
        UserError: on a name that no file or command line would like, a broken model, or a training or a result of
            another model.
    """
    if not re.fullmatch(NAME, name):
        raise UserError(f"--name {name!r}: give small letters, digits and underscores, such as carbon_24")
    found, result = read_model(model), result or {}
    about = {**found.description, **_same_model(training or {}, found, "the training")}
    _same_model(result.get("training") or {}, found, "the result")
    chosen = (
        sampling or _judged_by(result) or {key: found.description[key] for key in SAMPLING if key in found.description}
    )
    sampling = {key: how(values) for key, values in chosen.items()}
    kept = {key: data[key] for key in ABOUT_DATA if data.get(key) is not None}
    own = {"pretrained": name, "licence": licence, "dataset": kept, **sampling}
    with whole_folder(out, "publish", last=f"{name}.json", force=force) as new:
        path = new / f"{name}.npz"
        write_model(path, found.params, {**found.description, **own}, half=True)
        read_model(path)  # what ships can be read
        card = {
            "format": CARD_FORMAT,
            "name": name,
            "licence": licence,
            "file": {"stored": "float16", "bytes": path.stat().st_size, "sha256": sha256(path)},
            "rounding": agreement(model, path, check) if check else None,
            "data": kept,
            "initial": found.description.get("initial"),
            "settings": {"encode": encode_settings(found), "model": about["settings"]["model"], **sampling},
            "training": {key: about[key] for key in ABOUT_TRAINING if key in about},
            "cost": _cost(result.get("training") or {}, about),
            "generation": result.get("generation"),
            "prediction": result.get("prediction"),
            "failures": list(failures or []),
            "notes": result.get("notes") or [],
            "learning_curve": result.get("learning_curve") or [],
        }
        write_json(card_beside(path), card)
    return card


def _judged_by(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """How the crystals were sampled that a result judges, and those for given compositions, where it says so."""
    free = (result.get("generation") or {}).get("settings")
    predicted = [each for each in (result.get("prediction") or {}).values() if each and each.get("sampling")]
    found = {"sample": free, "sample_of_composition": predicted[0]["sampling"] if predicted else None}
    return {key: settings for key, settings in found.items() if settings}


def _cost(found: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Time and hardware as a result says, else as the training did; null where an attempt before it is not counted."""
    speed = about.get("speed") or {}
    whole = speed.get("seconds") if speed.get("steps_in_this_process") == about.get("steps") else None
    seconds = found.get("seconds")
    return {"seconds": whole if seconds is None else seconds, "hardware": found.get("hardware") or speed.get("devices")}


def learning_curve(path: str | Path) -> list[dict[str, float | None]]:
    """Losses of a history.csv, at most `POINTS` rows in even steps and the last; nothing without such a file."""
    if not Path(path).exists():
        return []
    _, rows = rows_of(path)
    kept = rows[:: -(-len(rows) // POINTS) or 1]
    kept += rows[-1:] if rows[-1:] != kept[-1:] else []
    return [{name: float(row[name]) if row.get(name) else None for name in CURVE_COLUMNS} for row in kept]


def encode_settings(model: Model) -> dict[str, Any]:
    """The section `encode` that lays crystals out as the model wants them."""
    encoding = model.encoding
    return {
        "rows": list(encoding.grid_rows),
        "columns": list(encoding.grid_columns),
        "slots": encoding.slots,
        "max_atoms": encoding.max_atoms,
        "coordinates": encoding.coordinates,
        "lattice_lengths": encoding.lattice_lengths,
        "properties": list(encoding.properties),
    }


def _same_model(about: Mapping[str, Any], model: Model, what: str) -> Mapping[str, Any]:
    """`about`, once its numbers are found to be the model's."""
    for key in ("steps", "n_parameters", "n_train"):
        here, there = model.description.get(key), about.get(key)
        if here is not None and there is not None and here != there:
            raise UserError(f"{what} is of another model: {key} {there!r} there, {here!r} in the model.npz")
    return about
