"""The pages about models that ship: one that lists them, and a card for each, from unimat/pretrained/*.json."""

import functools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unimat.files import read_json
from unimat.model.shipped import model_card, pretrained

FOLDER: Path = pretrained.SHIPPED
INTRODUCTION = textwrap.dedent(
    """\
    # Model cards

    Trained models that are part of the package; how to use them, train on from them and ship others is on the page
    [Shipped models](pretrained.md). A card says what a model was trained on, by which recipe and at what cost, how its
    crystals were judged, what it gets wrong, and under which licence its parameters are. Structure validity is that of
    CDVAE's rule, over everything that was generated, unfiltered.

    """
)


def models() -> str:
    """The list."""
    return INTRODUCTION + model_card.index([read_json(path) for path in _files()])


def cards() -> dict[str, Callable[[], str]]:
    """What makes the page of each card, by the model's name."""
    return {path.stem: functools.partial(_card, path) for path in _files()}


def _card(path: Path) -> str:
    card: dict[str, Any] = read_json(path)
    return f"{model_card.page(card)}\n[All models](../models.md)\n"


def _files() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))
