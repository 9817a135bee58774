"""What is known of a file of parameters beside the parameters: name, data, licence, how it is sampled, its beginning.

A file that `unimat publish` wrote says so itself, in its description; of the models that ship, the card beside them
does. Imports no JAX.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unimat.files import read_json
from unimat.model.shipped.pretrained import CARD_FORMAT, card_beside

MEMBER = "description.npy"  # of the archive that a model.npz is
KEYS = ("pretrained", "licence", "dataset", "sample", "sample_of_composition", "sample_of_template", "initial")
OF_DATASET = ("name", "title", "licence", "citation", "source")
# Settings that say how a model is best sampled; the others say what somebody wants of it.
HOW = ("steps", "gamma", "clip", "sampler", "churn", "churn_noise", "anti_annealing")


def of_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of `KEYS`, as far as it does."""
    settings = card.get("settings") or {}
    found = {
        "pretrained": card.get("name"),
        "licence": card.get("licence"),
        "dataset": card.get("data"),
        "sample": settings.get("sample"),
        "sample_of_composition": settings.get("sample_of_composition"),
        "sample_of_template": settings.get("sample_of_template"),
        "initial": card.get("initial"),
    }
    return {key: value for key, value in found.items() if value}


def lineage(path: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """What the description of the file `path`, and what lies beside it, say of `KEYS`, as far as they do.

    Beside a published model lies its card, and in the folder of a run the dataset's.
    """
    own = {key: description[key] for key in KEYS if description.get(key)}
    folder = path.absolute().parent
    of_run = folder.parent / "dataset/card.json"
    dataset = {"dataset": read_json(of_run)} if folder.name == "model" and of_run.exists() else {}
    card = read_json(card_beside(path)) if card_beside(path).exists() else {}
    published = isinstance(card, dict) and card.get("format") == CARD_FORMAT
    return dataset | (of_card(card) if published else {}) | own


def datasets_of(path: Path) -> list[str]:
    """Names of the datasets that the model of a file, and those that it began with, were trained on; newest first.

    A file that is no model names none: who reads the parameters says so.
    """
    try:
        with zipfile.ZipFile(path) as members:
            description = json.loads(_array(members.read(MEMBER)))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        description = {}
    about: Mapping[str, Any] | None = lineage(path, description)
    names = []
    while about:
        names.append((about.get("dataset") or {}).get("name"))
        about = about.get("initial")
    return [name for name in dict.fromkeys(names) if name]


def initial_of(source: str, path: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """What a training says of the model that it starts from, whose file is `path`; null where nothing is known.

    Args:
        source: as the settings name it.
    """
    found = lineage(path, description)
    return {
        "source": source,
        "name": found.get("pretrained"),
        **{key: found.get(key) for key in ("licence", "dataset", "initial")},
    }


def sampling_of(about: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Sampling settings of a model that somebody's own leave open; none of another sampler's.

    Args:
        about: `lineage` of the model.
        given: settings that somebody wrote.
    """
    chosen = dict(about.get("sample") or {})
    if given.get("composition") or given.get("compositions"):
        chosen |= about.get("sample_of_composition") or {}
    if given.get("templates") and given.get("start") == "template":
        chosen |= about.get("sample_of_template") or {}
    elif given.get("templates"):
        chosen |= about.get("sample_of_composition") or {}
    if given.get("sampler") not in (None, chosen.get("sampler")):
        return {}
    return {key: chosen[key] for key in HOW if key in chosen and key not in given}


def how(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `HOW` among others."""
    return {key: settings[key] for key in HOW if key in settings}


def told(archive: bytes, card: Mapping[str, Any]) -> bytes:
    """The bytes of a model.npz with what its card says and its description does not; the same bytes where it does."""
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        description = json.loads(_array(members.read(MEMBER)))
        more = {key: value for key, value in of_card(card).items() if not description.get(key)}
        if not more:
            return archive
        return _with_description(members, {**description, **more})


def _with_description(members: zipfile.ZipFile, description: Mapping[str, Any]) -> bytes:
    import numpy as np

    text, new = io.BytesIO(), io.BytesIO()
    np.save(text, np.frombuffer(json.dumps(description, allow_nan=False).encode(), np.uint8))
    with zipfile.ZipFile(new, "w") as out:
        for info in members.infolist():
            data = text.getvalue() if info.filename == MEMBER else members.read(info)
            out.writestr(zipfile.ZipInfo(info.filename, info.date_time), data, info.compress_type)
    return new.getvalue()


def _array(member: bytes) -> bytes:
    import numpy as np

    return np.load(io.BytesIO(member), allow_pickle=False).tobytes()
