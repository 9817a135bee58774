"""A run as one archive: the accelerator half of `unimat`, encoded crystals, settings, and what was trained so far."""

import dataclasses
import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import unimat
from unimat.errors import UserError
from unimat.files import existing, read_json, whole_file
from unimat.model.checkpoints import read_model
from unimat.model.packed.absorb import refuse_other
from unimat.model.packed.collection import collect_training, pieces_of, steps_of
from unimat.model.packed.contents import MIB, listing, size_of, write_archive, write_folder
from unimat.model.packed.launcher import FORMAT, MANIFEST
from unimat.model.packed.machine import requirements
from unimat.model.packed.sets import settings_of_set
from unimat.model.representation.encoded import read_encoding
from unimat.model.representation.shards import read_index
from unimat.model.settings import ModelSettings, TrainSettings
from unimat.model.shipped.pretrained import card_beside, model_file
from unimat.model.training.fine_tuning import start_of
from unimat.model.training.work_folder import settings_of_run
from unimat.outputs import whole_folder
from unimat.settings import as_dict

TRAINED_ON = ("train", "val")  # the test split stays at home: nothing that trains may look at it
ARCHIVES = (".tar", ".gz", ".tgz")
OTHER_ARCHIVES = (".xz", ".bz2", ".zst", ".zip")

logger = logging.getLogger("unimat.pack")


@dataclasses.dataclass(frozen=True)
class Packed:
    """What is to be packed.

    Attributes:
        name: of the run. model, train: its settings. sets: sample settings by the name of a set.
        encoded: folder of the encoded dataset; None: nothing is to be trained.
        work: working folder of the training, which need not be there. newest_only: of its checkpoints, one.
        trained: a model.npz to sample with.
        wheels: folder of wheels to go along.
        device: what the machine is to have, one of `machine.DEVICES`.
    """

    name: str
    model: ModelSettings
    train: TrainSettings
    sets: Mapping[str, dict[str, Any]]
    encoded: Path | None = None
    work: Path | None = None
    newest_only: bool = False
    trained: Path | None = None
    wheels: Path | None = None
    device: str = "any"


def pack(packed: Packed, out: Path, force: bool = False) -> dict[str, int]:
    """Write the archive `out` (a tar, .tar.gz, or a folder if the name has no such ending), of the same bytes for the
    same input; its bytes by part, and under `archive` in all.

    Args:
        force: as `whole_folder`.

    Raises:
        UserError: if there is neither an encoded dataset nor a model, if the dataset is not whole, or the working
            folder or the model is of other settings or other data.
    """
    if packed.encoded is None and packed.trained is None:
        raise UserError("nothing to pack: give --encoded to train, --model to sample, or both")
    if out.suffix in OTHER_ARCHIVES:
        raise UserError(f"{out} cannot be written; name a .tar, a .tar.gz, or a folder")
    with tempfile.TemporaryDirectory(prefix="unimat-pack-") as scratch:
        members = _members(packed, Path(scratch))
        members[MANIFEST] = _manifest(packed, members)
        if out.suffix in ARCHIVES:
            with whole_file(out) as unfinished:
                write_archive(members, unfinished, packed.name)
        else:
            with whole_folder(out, "pack", last=MANIFEST, complete=True, force=force) as new:
                write_folder(members, new)
        sizes: dict[str, int] = {}
        for name, source in members.items():
            part = name.split("/")[0]
            sizes[part] = sizes.get(part, 0) + size_of(source)
    return {**sizes, "archive": out.stat().st_size if out.is_file() else sum(sizes.values())}


def say_size(sizes: Mapping[str, int], out: Path, limit: float | None) -> None:
    """Log the size of an archive; a warning above the limit (MiB)."""
    parts = {name: size for name, size in sizes.items() if name != "archive" and size >= 0.05 * MIB}
    shown = ", ".join(f"{name} {size / MIB:.1f}" for name, size in sorted(parts.items(), key=lambda item: -item[1]))
    total = sizes["archive"] / MIB
    remedies = {
        "name it .tar.gz": out.suffix == ".tar",
        "leave wheels out": "wheels" in sizes,
        "say --newest-only": "start" in sizes,
    }
    logger.info("%s: %.1f MiB (%s)", out, total, shown or "all of it small")
    if limit is not None and total > limit:
        remedy = " or ".join(words for words, helps in remedies.items() if helps) or "a smaller model has smaller files"
        logger.warning("%s has %.1f MiB, above --limit %g; %s", out, total, limit, remedy)


def record_of(encoded: Path, model: ModelSettings, train: TrainSettings) -> dict[str, Any]:
    """What a working folder of this training must agree with, as it stands there."""
    data = {split: read_index(encoded, split).content for split in TRAINED_ON}
    encoding = start_of(train, model, read_encoding(encoded)).encoding
    return json.loads(json.dumps(settings_of_run(encoding, model, train, data)))


def _members(packed: Packed, scratch: Path) -> dict[str, Path | bytes]:
    members: dict[str, Path | bytes] = {"run.py": Path(__file__).with_name("run.py"), **_code()}
    model = packed.trained or (model_file(packed.train.initial) if packed.encoded and packed.train.initial else None)
    sets = {name: settings_of_set(dict(values), name, model) for name, values in packed.sets.items()}
    chosen = {name: as_dict(settings) for name, settings in sets.items()}
    for name, settings in sets.items():
        if settings.compositions:
            members[f"compositions/{name}.csv"] = existing(settings.compositions)
            chosen[name]["compositions"] = f"compositions/{name}.csv"
    if packed.encoded:
        members |= {**_encoded(packed.encoded), **_initial(packed.train)}
    if packed.trained:
        read_model(packed.trained)
        members["trained/model.npz"] = packed.trained
    if packed.wheels:
        members |= {f"wheels/{path.name}": path for path in existing(packed.wheels).glob("*.whl")}
    members |= _checkpoints(packed, scratch)
    settings_file = {"model": as_dict(packed.model), "train": as_dict(packed.train), "sets": chosen}
    return members | {"settings.json": _json(settings_file)}


def _code() -> dict[str, Path | bytes]:
    """The accelerator half, and what tells Python its version."""
    package = Path(unimat.__file__).parent
    found = [path for path in package.glob("*.py") if path.name != "__main__.py"]
    found += [path for path in (package / "model").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    about = ["Metadata-Version: 2.1", "Name: unimat", f"Version: {unimat.__version__}", "License: Apache-2.0"]
    about += [f"Requires-Dist: {line}" for line in requirements()]
    metadata = f"code/unimat-{unimat.__version__}.dist-info/METADATA"
    return {
        **{f"code/unimat/{path.relative_to(package).as_posix()}": path for path in found},
        metadata: ("\n".join(about) + "\n").encode(),
    }


def _encoded(folder: Path) -> dict[str, Path | bytes]:
    members: dict[str, Path | bytes] = {"encoded/encoding.json": folder / "encoding.json"}
    for split in TRAINED_ON:
        for shard in read_index(folder, split).files:
            name, path = f"{split}/{shard.name}", folder / split / shard.name
            if listing({name: existing(path)})[name]["sha256"] != shard.sha256:
                raise UserError(f"{path} is not the file that encoding.json lists; run `unimat encode` again")
            members[f"encoded/{name}"] = path
    return members


def _initial(settings: TrainSettings) -> dict[str, Path | bytes]:
    """The model that the training starts from, where the same name finds it again."""
    name = settings.initial
    if name is None:
        return {}
    path = model_file(name)
    if not name.endswith(".npz"):
        return {f"initial/{name}.npz": path, f"initial/{name}.json": card_beside(path)}
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"train.initial {name!r} has no place in an archive; give a path below the current folder")
    files = [file for file in (path, card_beside(path)) if file.exists()]
    return {f"initial/{Path(name).with_suffix(file.suffix).as_posix()}": file for file in files}


def _checkpoints(packed: Packed, scratch: Path) -> dict[str, Path | bytes]:
    """What was trained so far, in the form of a collection."""
    if packed.encoded is None or packed.work is None or not steps_of(packed.work):
        return {}
    expected, found = record_of(packed.encoded, packed.model, packed.train), read_json(packed.work / "settings.json")
    refuse_other(expected, found, f"{packed.work} holds a training")
    pieces = pieces_of(packed.work)
    collect_training(packed.work, scratch, packed.train.steps, pieces, packed.newest_only)
    return {f"start/{path.name}": path for path in scratch.iterdir() if path.is_file()}


def _manifest(packed: Packed, members: Mapping[str, Path | bytes]) -> bytes:
    about = {
        "format": FORMAT,
        "name": packed.name,
        "unimat": unimat.__version__,
        "device": packed.device,
        "requirements": requirements(),
        "files": listing(members),
    }
    return _json(about)


def _json(values: Any) -> bytes:
    return (json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
