"""Training that starts from the parameters of a finished model: `train.initial`."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from unimat.errors import UserError
from unimat.model.checkpoints import read_description, read_model
from unimat.model.networks import Params
from unimat.model.representation.encoded import Encoding
from unimat.model.settings import ModelSettings, TrainSettings
from unimat.model.shipped.lineage import initial_of, lineage
from unimat.model.shipped.pretrained import FREE, model_file
from unimat.model.training.train_state import TrainState
from unimat.settings import as_dict, differences, given, load_settings

SAME = ("grid_rows", "grid_columns", "coordinates", "lattice_lengths")  # of two encodings
SAMPLING = ("sample", "sample_of_composition", "sample_of_template")
SECTION_KEYS = {"grid_rows": "rows", "grid_columns": "columns"}


@dataclasses.dataclass(frozen=True)
class Start:
    """What a training starts with.

    Attributes:
        encoding: of its dataset; that of an initial model in what the network knows by heart.
        params: of that model; None for fresh ones.
        about: what the description of the new model says of that one: `initial`, and how it is sampled.
    """

    encoding: Encoding
    params: Params | None = None
    about: dict[str, Any] = dataclasses.field(default_factory=dict)

    def state(self, fresh: TrainState) -> TrainState:
        """`fresh` with the initial model's parameters, placed as its own are; no two arrays share memory.

        Parameters that the initial model does not have stay fresh: those of templates, which begin at zero.
        """
        if self.params is None:
            return fresh
        new = {name: _merged(flatten_dict(self.params), getattr(fresh, name)) for name in ("params", "ema_params")}
        return fresh.replace(**new)  # type: ignore[attr-defined]


def _merged(known: dict[tuple[str, ...], Any], fresh: Params) -> Params:
    return unflatten_dict(
        {name: _placed(known[name], like) if name in known else like for name, like in flatten_dict(fresh).items()}
    )


def _placed(value: Any, like: jax.Array) -> jax.Array:
    return jax.make_array_from_callback(like.shape, like.sharding, np.array(value, np.float32).__getitem__)


def start_of(settings: TrainSettings, model_settings: ModelSettings, encoding: Encoding) -> Start:
    """Start of a training on crystals of `encoding`.

    An initial model keeps L, the widest cell and the standardisation of lattices and properties that it was trained
    with: what a number means to the network must not move under it.

    Raises:
        UserError: if `train.initial` is no model, or one of another network, or the crystals do not fit its grid.
    """
    if settings.initial is None:
        return Start(encoding)
    path = model_file(settings.initial)
    model = read_model(path)
    ours, theirs = (_binding(as_dict(each)) for each in (model_settings, model.settings))
    theirs["templates"] |= ours["templates"]  # a model learns of templates without being another one
    if unlike := differences(ours, theirs, "model."):
        _refuse(settings.initial, unlike, "give the model its settings")
    if unlike := unlike_encodings(encoding, model.encoding):
        _refuse(settings.initial, unlike, "encode the crystals as that model's were")
    return Start(in_terms_of(encoding, model.encoding), model.params, _about(settings.initial, path, model.description))


def _about(source: str, path: Path, description: dict[str, Any]) -> dict[str, Any]:
    known = lineage(path, description)
    sampling: dict[str, Any] = {key: known[key] for key in SAMPLING if key in known}
    return {"initial": initial_of(source, path, description), **sampling}


def _binding(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in FREE}


def _refuse(initial: str, unlike: list[str], remedy: str) -> None:
    keys = "" if initial.endswith(".npz") else f" (`unimat pretrained {initial} --sections` prints them)"
    raise UserError(f"train.initial {initial!r} does not fit: {'; '.join(unlike)}; {remedy}{keys}")


def unlike_encodings(ours: Encoding, theirs: Encoding) -> list[str]:
    """Lines that say in which ways crystals of `ours` are no input for a model of `theirs`."""
    here, there = ours.to_json(), theirs.to_json()
    for each in (here, there):
        each["properties"] = {name: of["size"] for name, of in each.get("properties", {}).items()}
    lines = []
    for key in (*SAME, "properties"):
        if here[key] != there[key] or (key == "properties" and list(here[key]) != list(there[key])):
            lines.append(f"encode.{SECTION_KEYS.get(key, key)}: {here[key]!r} here, {there[key]!r} there")
    for key in ("slots", "max_atoms", *(("cartesian_radius",) if ours.coordinates == "cartesian" else ())):
        if here[key] > there[key]:
            lines.append(f"encode.{key}: {here[key]} here, at most {there[key]} there")
    return lines


def in_terms_of(ours: Encoding, theirs: Encoding) -> Encoding:
    """`theirs`, with the counts of `ours` and the range of its lattices, in the units of `theirs`."""
    mean, std = np.array(ours.lattice_mean), np.array(ours.lattice_std)
    low, high = (
        (np.array(bound) * std + mean - np.array(theirs.lattice_mean)) / np.array(theirs.lattice_std)
        for bound in (ours.lattice_low, ours.lattice_high)
    )
    counts = {name: getattr(ours, name) for name in ("n", "n_rejected", "count_histogram")}
    return dataclasses.replace(theirs, **counts, lattice_low=tuple(low.tolist()), lattice_high=tuple(high.tolist()))


def model_settings_of(source: Any, initial: str | None) -> ModelSettings:
    """Settings of a network; keys that `source` does not give are those of the initial model, if there is one.

    Args:
        source: as of `load_settings`.
    """
    own = {} if initial is None else read_description(model_file(initial))["settings"]["model"]
    return load_settings(ModelSettings, {**own, **given(source, "model")}, "model")
