"""Sets that are sampled on another machine: within a time limit, collected finished or not, continued the next time."""

import dataclasses
import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from unimat.errors import UserError
from unimat.files import existing, sha256
from unimat.model.checkpoints import Model, read_description
from unimat.model.machine.interruption import Interrupted
from unimat.model.packed.collection import Collection, listed
from unimat.model.packed.contents import read_tar, write_tar
from unimat.model.packed.deadline import interrupting
from unimat.model.sampling.sampled_sets import FILES, UNFINISHED, sample_into
from unimat.model.settings import SampleSettings
from unimat.model.shipped.lineage import lineage, sampling_of
from unimat.settings import as_dict, load_settings

logger = logging.getLogger("unimat.packed")


def settings_of_set(values: dict[str, Any], name: str, model: Path | None = None) -> SampleSettings:
    """Settings of a set; what `values` leaves open is as the file `model` says, if it is one that says so."""
    about = {} if model is None else lineage(model, read_description(model))
    return load_settings(SampleSettings, {**sampling_of(about, values), **values}, f"sets.{name}")


def place_of(name: str) -> str:
    """Where a collection keeps the files of a finished set."""
    return f"sets/{name}"


def fingerprint(model: Model) -> str:
    """SHA-256 of a model's settings, encoding and parameters."""
    about = [as_dict(model.settings), model.encoding.to_json()]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for path, value in jax.tree_util.tree_leaves_with_path(model.params):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def comparable(settings: SampleSettings) -> dict[str, Any]:
    """What decides a set: the size of batches does not, and a list of compositions by its SHA-256, wherever it lies."""
    values = as_dict(settings)
    del values["batch_size"]
    return values | {"compositions": sha256(existing(settings.compositions)) if settings.compositions else None}


def sample_set(model: Model, name: str, settings: SampleSettings, place: Path, seconds: float | None) -> bool:
    """Sample a set into the folder `place`; whether it is finished, rather than out of time."""
    try:
        with interrupting(seconds):
            report = sample_into(model, settings, place, force=True)
    except Interrupted as stop:
        logger.warning("set %r: %s, with %d batches done", name, stop, len(_batches(place)))
        return False
    logger.info("set %r: %d of %d sampled tensors are crystals", name, report["n_crystals"], report["n_requested"])
    return True


def collect_set(place: Path, out: Path, name: str, settings: SampleSettings, model: Model, finished: bool) -> None:
    """Put a set into the collection `out`: its files, or an archive of the batches that are done."""
    known = listed(out)
    old = known.sets.get(name, {}).get("files", [])
    known = known.without(old)
    known = dataclasses.replace(known, sets={key: value for key, value in known.sets.items() if key != name})
    known.write()  # before its files are written over
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".collecting.", dir=out) as scratch:
        files = _finished(place, Path(scratch), name) if finished else _unfinished(place, Path(scratch), name)
        record = {
            "settings": comparable(settings),
            "model": fingerprint(model),
            "finished": finished,
            "files": list(files),
        }
        collection = known.add(files)
    dataclasses.replace(collection, sets=collection.sets | {name: record}).write()


def continue_set(collection: Collection, name: str, place: Path) -> None:
    """Put the batches of an unfinished set where `sample_into` looks for them."""
    record = collection.sets.get(name)
    if record is None or record["finished"]:
        return
    place.mkdir(parents=True, exist_ok=True)
    with read_tar([collection.folder / file for file in record["files"]]) as archive:
        for member in archive:
            if not (place / member.name).exists():
                archive.extract(member, place, filter="data")


def _finished(place: Path, scratch: Path, name: str) -> dict[str, Path]:
    for file in FILES:
        shutil.copyfile(place / file, scratch / file)
    return {f"{place_of(name)}/{file}": scratch / file for file in FILES}


def _unfinished(place: Path, scratch: Path, name: str) -> dict[str, Path]:
    batches = _batches(place)
    files = {str(path.relative_to(place)): path for batch in batches for path in batch.rglob("*") if path.is_file()}
    if not files:
        raise UserError(f"set {name!r}: no batch is finished; give more minutes, or a smaller sample.batch_size")
    archive = scratch / f"set-{name}.tar"
    with archive.open("wb") as stream:
        write_tar(files, stream)
    return {archive.name: archive}


def _batches(place: Path) -> list[Path]:
    return sorted(path.parent for path in place.glob(f"{UNFINISHED}/part-*/tally.json"))
