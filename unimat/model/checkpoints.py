"""Checkpoints: of a training run in its working folder (Orbax), and of a finished model (`model.npz`)."""

import dataclasses
import json
import logging
import shutil
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from unimat import __version__
from unimat.errors import UserError
from unimat.files import existing, read_json, write_json, written_whole
from unimat.model import networks
from unimat.model.encoded import Encoding
from unimat.model.networks import Network, Params
from unimat.model.settings import ModelSettings
from unimat.settings import as_dict, differences, load_settings

FORMAT = 1
DESCRIPTION = "description"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
KEPT = 2

logger = logging.getLogger("unimat.checkpoints")


def versions() -> dict[str, str]:
    """Version of `unimat` and of each package that shapes its numbers."""
    return {"unimat": __version__, **{name: version(name) for name in PACKAGES}}


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained model with all that sampling needs.

    Attributes:
        params: float32, averaged over training (EMA).
        description: the JSON of the file: settings, encoding, step, versions.
    """

    settings: ModelSettings
    encoding: Encoding
    network: Network
    params: Params
    description: dict[str, Any]


def write_model(path: str | Path, params: Params, description: dict[str, Any]) -> None:
    """Write `model.npz`, whole or not at all: one array per parameter and the description as JSON bytes."""
    arrays = {"/".join(key): np.asarray(value, np.float32) for key, value in flatten_dict(params).items()}
    text = json.dumps({"format": FORMAT, **description}, allow_nan=False)
    with written_whole(path) as unfinished, unfinished.open("wb") as stream:
        np.savez(stream, **{DESCRIPTION: np.frombuffer(text.encode(), np.uint8)}, **arrays)  # type: ignore[arg-type]


def read_model(path: str | Path) -> Model:
    """Model of a file that `write_model` wrote.

    Raises:
        UserError: if the file is missing, broken, not a UniMat model, or does not fit its own settings.
    """
    remedy = "train again, or give the model.npz that `unimat train` wrote"
    try:
        with np.load(existing(path), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise UserError(f"{path} is not a readable model.npz (truncated?); {remedy}") from error
    except TypeError as error:  # numpy gives a bare array for a lone .npy file
        raise UserError(f"{path} is a single numpy array, not a model.npz; {remedy}") from error
    try:
        description = json.loads(arrays.pop(DESCRIPTION).tobytes())
        found = description["format"]
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} holds no description of a UniMat model; {remedy}") from error
    if found != FORMAT:
        raise UserError(f"{path} has model format {found!r}, this version reads {FORMAT}; {remedy}")
    settings = load_settings(ModelSettings, description["settings"]["model"], f"{path}: model")
    encoding = Encoding.from_json(description["encoding"])
    network = networks.build(settings, encoding)
    params = unflatten_dict({tuple(name.split("/")): value for name, value in arrays.items()})
    _check_shapes(network, params, path)
    return Model(settings, encoding, network, params, description)


def _check_shapes(network: Network, params: Params, path: str | Path) -> None:
    wanted = flatten_dict(jax.eval_shape(lambda key: network.init(key=key), jax.random.key(0)))
    found = flatten_dict(params)
    for name in sorted(wanted.keys() | found.keys()):
        here = tuple(found[name].shape) if name in found else "nothing"
        there = tuple(wanted[name].shape) if name in wanted else "nothing"
        if here != there:
            where = "/".join(name)
            raise UserError(
                f"{path}: parameter {where} has shape {here}, its network wants {there}: the checkpoint of another "
                "model or version; train again"
            )


class WorkFolder:
    """The working folder of one training run: its settings, its history and its latest checkpoints.

    It outlives interruptions; `unimat train` continues from it if the settings are the same.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any], fresh: bool = False):
        """Open or make the folder.

        Args:
            settings: what must be equal for the run to continue.
            fresh: throw away what is there.

        Raises:
            UserError: if the folder belongs to a run of other settings, naming each setting that differs.
        """
        import orbax.checkpoint as ocp  # slow to import, and sampling does without it

        self.path = Path(path).resolve()
        if fresh:
            shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
            (self.path / "settings.json").unlink(missing_ok=True)
        self._refuse_other_settings(settings)
        write_json(self.path / "settings.json", settings)
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, create=True)
        self._args = ocp.args
        self._manager = ocp.CheckpointManager(self.path / "checkpoints", options=options)

    def _refuse_other_settings(self, settings: dict[str, Any]) -> None:
        record = self.path / "settings.json"
        if not record.exists():
            return
        other = differences(json.loads(json.dumps(settings)), read_json(record))
        if other:
            raise UserError(
                f"{self.path} holds a training run of other settings ({'; '.join(other)}); use another folder, "
                "restore the settings, or start anew with --fresh"
            )

    @property
    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        if step != self.latest_step:
            self._manager.save(step, args=self._args.StandardSave(state))

    def restore(self, like: Any) -> Any:
        """State of the latest checkpoint, of the shapes of `like`; `like` itself if there is none."""
        step = self.latest_step
        if step is None:
            return like
        try:
            state = self._manager.restore(step, args=self._args.StandardRestore(like))
        except (ValueError, OSError, KeyError) as error:
            folder = self.path / "checkpoints" / str(step)
            raise UserError(
                f"{folder} cannot be restored ({type(error).__name__}); delete it to go back one"
            ) from error
        logger.info("continuing from step %d of %s", step, self.path)
        return state

    def close(self) -> None:
        """Wait until the last checkpoint is on disk."""
        self._manager.close()


def settings_of_run(encoding: Encoding, model: ModelSettings, train: Any, data: dict[str, str]) -> dict[str, Any]:
    """What a working folder must agree with: everything that changes the numbers."""
    recipe = as_dict(train)
    for name in ("time_limit_minutes", "checkpoint_every"):
        del recipe[name]
    return {"model": as_dict(model), "train": recipe, "encoding": encoding.to_json(), "data": data}
