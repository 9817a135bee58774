"""A finished model in one file, `model.npz`. Checkpoints of a run that goes on: `unimat.model.training.work_folder`."""

import dataclasses
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from unimat import __version__, npz
from unimat.errors import UserError
from unimat.files import whole_file
from unimat.model import networks
from unimat.model.networks import Network, Params
from unimat.model.representation.encoded import Encoding
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
    arrays = _arrays(path)
    description = _description(arrays, path)
    arrays = {name: array.astype(np.float32) for name, array in arrays.items() if name != DESCRIPTION}
    settings = load_settings(ModelSettings, description["settings"]["model"], f"{path}: model")
    encoding = Encoding.from_json(description["encoding"])
    network = networks.build(settings, encoding)
    params = unflatten_dict({tuple(name.split("/")): value for name, value in arrays.items()})
    _check_shapes(network, params, path)
    return Model(settings, encoding, network, params, description)


def read_description(path: str | Path) -> dict[str, Any]:
    """The description alone; UserError as `read_model`."""
    return _description(_arrays(path), path)


def _arrays(path: str | Path) -> dict[str, np.ndarray]:
    if Path(path).is_dir():
        raise UserError(f"{path} is a folder; give the model.npz in it, or --pretrained with a name for one that ships")
    return npz.read(path, "model.npz", REMEDY)


def _description(arrays: Mapping[str, np.ndarray], path: str | Path) -> dict[str, Any]:
    try:
        description = json.loads(arrays[DESCRIPTION].tobytes())
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
