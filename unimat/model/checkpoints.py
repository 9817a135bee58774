"""A finished model in one file, `model.npz`. Checkpoints of a run that goes on: `unimat.model.work_folder`."""

import contextlib
import dataclasses
import json
import zipfile
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from unimat import __version__
from unimat.errors import UserError
from unimat.files import existing, whole_file
from unimat.model import networks
from unimat.model.encoded import Encoding
from unimat.model.networks import Network, Params
from unimat.model.settings import ModelSettings
from unimat.settings import load_settings

FORMAT = 1
DESCRIPTION = "description"
REMEDY = "train again, or give the model.npz that `unimat train` wrote"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


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


def write_model(path: str | Path, params: Params, description: dict[str, Any], half: bool = False) -> None:
    """Write `model.npz`, whole or not at all: one array per parameter and the description as JSON bytes.

    Args:
        half: store float16, compressed, for models that ship; see `halved`.
    """
    arrays = {"/".join(key): np.asarray(value, np.float32) for key, value in flatten_dict(params).items()}
    text = json.dumps({"format": FORMAT, **description}, allow_nan=False)
    save: Any = np.savez
    if half:
        arrays, save = {name: halved(value) for name, value in arrays.items()}, np.savez_compressed
    with whole_file(path) as unfinished, unfinished.open("wb") as stream:
        save(stream, **{DESCRIPTION: np.frombuffer(text.encode(), np.uint8)}, **arrays)


def halved(value: np.ndarray) -> np.ndarray:
    """`value` as float16; as it is where that overflows, or would change whole numbers, such as counts."""
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    counts = np.array_equal(value, np.round(value)) and not np.array_equal(half, value)
    return value if counts or not np.array_equal(np.isfinite(half), np.isfinite(value)) else half


def read_model(path: str | Path) -> Model:
    """Model of a file that `write_model` wrote.

    Raises:
        UserError: if the file is missing, broken, not a UniMat model, or does not fit its own settings.
    """
    with _opened(path) as archive:
        description = _description(archive, path)
        arrays = {name: archive[name].astype(np.float32) for name in archive.files if name != DESCRIPTION}
    settings = load_settings(ModelSettings, description["settings"]["model"], f"{path}: model")
    encoding = Encoding.from_json(description["encoding"])
    network = networks.build(settings, encoding)
    params = unflatten_dict({tuple(name.split("/")): value for name, value in arrays.items()})
    _check_shapes(network, params, path)
    return Model(settings, encoding, network, params, description)


def read_description(path: str | Path) -> dict[str, Any]:
    """The description alone; UserError as `read_model`."""
    with _opened(path) as archive:
        return _description(archive, path)


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """The archive, what is wrong with its bytes told in one line."""
    if Path(path).is_dir():
        raise UserError(f"{path} is a folder; give the model.npz in it, or --pretrained with a name for one that ships")
    try:
        with np.load(existing(path), allow_pickle=False) as archive:
            yield archive
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise UserError(f"{path} is not a readable model.npz (truncated?); {REMEDY}") from error
    except TypeError as error:  # numpy gives a bare array for a lone .npy file
        raise UserError(f"{path} is a single numpy array, not a model.npz; {REMEDY}") from error


def _description(archive: Any, path: str | Path) -> dict[str, Any]:
    try:
        description = json.loads(archive[DESCRIPTION].tobytes())
        found = description["format"]
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} holds no description of a UniMat model; {REMEDY}") from error
    if found != FORMAT:
        raise UserError(f"{path} has model format {found!r}, this version reads {FORMAT}; {REMEDY}")
    return description


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
