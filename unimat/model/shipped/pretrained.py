"""Trained models that ship, or that a group shares: parameters and a card each. Imports no JAX.

`NAME.npz` and `NAME.json` lie side by side in this package, or in the folders that UNIMAT_PRETRAINED names.
"""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unimat.checked_csv import FILES
from unimat.errors import UserError
from unimat.files import existing, read_json, sha256, write_json, write_text
from unimat.model.settings import EncodeSettings, ModelSettings
from unimat.outputs import whole_folder
from unimat.periodic_table import Grid, grid_of_elements
from unimat.settings import as_dict, load_settings

VARIABLE = "UNIMAT_PRETRAINED"  # further folders, searched before the package's
SHIPPED = Path(__file__).parents[2] / "pretrained"
CARD_FORMAT = 1
# What of a model's settings changes neither its parameters nor what they mean.
FREE = ("dropout", "remat", "compute_dtype", "max_rejected")
CURVE_COLUMNS = ("step", "loss", "val_loss")


def folders() -> list[Path]:
    """Where models lie, in the order in which they are looked for."""
    named = [Path(name).expanduser() for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    return [*named, SHIPPED]


def names(where: Sequence[Path] | None = None) -> list[str]:
    """Names of the models that are there: those with parameters and a card."""
    found = {path.stem for folder in where or folders() for path in folder.glob("*.npz") if card_beside(path).exists()}
    return sorted(found)


def parameters_of(name: str) -> Path:
    """The model.npz of that name.

    Raises:
        UserError: if there is none, with the names that there are.
    """
    for folder in folders():
        path = folder / f"{name}.npz"
        if path.exists() and card_beside(path).exists():
            return path
    known = ", ".join(names()) or f"none (set {VARIABLE} to a folder of published models)"
    raise UserError(f"no trained model {name!r}; there are: {known}")


def model_file(source: str) -> Path:
    """The file that a path ending in .npz is, or that the name of a shipped model stands for.

    Raises:
        UserError: if there is no such file, or no such model.
    """
    return existing(source) if source.endswith(".npz") else parameters_of(source)


def card_beside(path: Path) -> Path:
    return path.with_suffix(".json")


def card_of(source: str) -> dict[str, Any]:
    """Card of a shipped model by its name, or of a published file by its path.

    Raises:
        UserError: if there is none, or it is of another format.
    """
    path = card_beside(model_file(source))
    card = read_json(path)
    if not isinstance(card, dict) or card.get("format") != CARD_FORMAT:
        raise UserError(f"{path} is no model card of format {CARD_FORMAT}; write it again with `unimat publish`")
    return card


def sections(card: Mapping[str, Any]) -> dict[str, Any]:
    """Sections `encode` and `model` of a configuration that fit the model, less what the defaults say."""
    return {name: _changed(kind, card["settings"][name]) for name, kind in _KINDS.items()}


_KINDS: dict[str, Any] = {"encode": EncodeSettings, "model": ModelSettings}


def _changed(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    defaults = as_dict(kind())
    return {key: value for key, value in values.items() if value != defaults.get(key)}


def contradictions(card: Mapping[str, Any], section: str, given: Mapping[str, Any]) -> list[str]:
    """Lines such as ``encode.slots: 8 here, 24 there`` for what a section of a configuration says otherwise.

    Args:
        section: `encode` or `model`.
        given: keys of it that somebody wrote; the others are the model's.

    Raises:
        UserError: on a key or value that no such section has.
    """
    ours = as_dict(load_settings(_KINDS[section], dict(given), section))
    theirs = as_dict(_KINDS[section]()) | card["settings"][section]  # a key may be younger than the card
    keys = set(given) - set(FREE)
    if section == "encode":
        keys, ours = _said_of_grid(keys, ours, theirs["max_atoms"])
    return [
        f"{section}.{key}: {ours[key]!r} here, {theirs[key]!r} there"
        for key in sorted(keys)
        if ours[key] != theirs[key]
    ]


def _said_of_grid(keys: set[str], encode: dict[str, Any], most: int) -> tuple[set[str], dict[str, Any]]:
    """Keys to compare and their values: elements as rows and columns, and limits only where they bind."""
    if keys & {"elements", "rows", "columns"}:
        keys = (keys | {"rows", "columns"}) - {"elements"}
        grid = grid_of_elements(encode["elements"]) if encode["elements"] else Grid()
        rows, columns = encode["rows"] or grid.rows, encode["columns"] or grid.columns
        encode = encode | {"rows": list(rows), "columns": list(columns)}
    free = {key for key in ("slots", "max_atoms") if encode[key] is None}
    return keys - free - ({"max_atoms"} if (encode["max_atoms"] or 0) >= most else set()), encode


def copy_into(name: str, out: str | Path, force: bool = False) -> None:
    """Write what a training would: `training.json`, `history.csv` of the card's learning curve and, last, `model.npz`.

    The file says then what the card says of its data, licence and sampling.

    Args:
        force: as `whole_folder`.

    Raises:
        UserError: as `card_of` and `whole_folder`; if the parameters are not those that the card speaks of.
    """
    from unimat.model.shipped.lineage import of_card, told

    path, card = model_file(name), card_of(name)
    if sha256(path) != (card.get("file") or {}).get("sha256", sha256(path)):
        raise UserError(f"{path} is not the file that its card speaks of (its SHA-256 is another); get both again")
    about = {key: value for key, value in of_card(card).items() if key in ("licence", "dataset", "initial")}
    text = io.StringIO()
    writer = csv.DictWriter(text, CURVE_COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "step": int(row["step"])} for row in card.get("learning_curve") or [])
    with whole_folder(out, "pretrained", last="model.npz", force=force) as new:
        write_text(new / "history.csv", text.getvalue())
        files = {"history.csv": sha256(new / "history.csv")}
        write_json(new / "training.json", {**card["training"], "pretrained": card["name"], **about, FILES: files})
        (new / "model.npz").write_bytes(told(path.read_bytes(), card))
