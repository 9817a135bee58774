"""What the model saw before, and which crystals novelty was judged against, in words."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unimat.materials.stability.summary import novelty_judged
from unimat.report.run_files import RunFiles, SetFiles

SPLITS = {"train": "training", "val": "validation", "test": "test"}


def novelty_judged_after(one: SetFiles) -> bool:
    """Whether novelty was judged of the relaxed crystals."""
    return one.stability is not None and novelty_judged(one.stability)


def known_crystals(run: RunFiles, one: SetFiles | None, generated: bool = False) -> str:
    """Such as ``the training split``, or ``the training split and the training split of perov_5``.

    Args:
        generated: of the crystals as generated, whatever was judged after relaxation.
    """
    tables = ((one and one.metrics) or {}).get("known") or [] if generated else known_tables(one)
    named = [_named(each, run) for each in tables]
    return " and ".join(dict.fromkeys(named)) or "the training split"


def known_tables(one: SetFiles | None) -> list[dict[str, Any]]:
    """Path, name, source, split and number of crystals of each table that novelty was judged against.

    Those after relaxation, where there was one. Empty where the files do not say, as those of older versions.
    """
    if one is None:
        return []
    after = ((one.stability_summary or {}).get("novelty") or {}).get("known_tables")
    return after or (one.metrics or {}).get("known") or []


def seen_before(run: RunFiles) -> list[dict[str, Any]]:
    """Models that this run's began with: name, licence and dataset (name, title, licence ...) of each, newest first.

    The first one is the run's own model where it was trained elsewhere (`pretrained`).
    """
    return list(_seen_before(run.training or {}))


def _seen_before(training: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if training.get("pretrained"):
        yield {"name": training["pretrained"], **{key: training.get(key) for key in ("licence", "dataset")}}
    initial = training.get("initial")
    while isinstance(initial, Mapping):
        name = initial.get("name") or initial.get("source")
        yield {"name": name, **{key: initial.get(key) for key in ("licence", "dataset")}}
        initial = initial.get("initial")


def not_judged_against(run: RunFiles, one: SetFiles | None) -> list[str]:
    """Data of the models of `seen_before` that no known table is of, in words; those nobody knows of, too."""
    known = {_identity(each) for each in known_tables(one) or [run.card or {}]}
    models = seen_before(run)
    return list(dict.fromkeys(data_words(each) for each in models if _identity(each["dataset"] or {}) not in known))


def data_words(model: Mapping[str, Any]) -> str:
    """Such as ``Perov-5: ABX3 perovskites (licence: MIT)``."""
    dataset = model.get("dataset") or {}
    named = dataset.get("title") or dataset.get("name")
    if not named:
        return f"data that the file of {model['name']} does not name"
    return f"{named} (licence: {dataset.get('licence') or 'not stated'})"


def _identity(dataset: Mapping[str, Any]) -> tuple[Any, Any]:
    """Name of a published dataset; of somebody's own, which are all called custom, the source as well."""
    name = dataset.get("name")
    return name, dataset.get("source") if name in (None, "custom") else None


def _told(table: Mapping[str, Any]) -> str:
    return str(table.get("source") if table.get("name") == "custom" else table.get("name"))


def _named(table: Mapping[str, Any], run: RunFiles) -> str:
    name, split = table.get("name"), table.get("split")
    if split in SPLITS:
        own = run.card or {}
        of = "" if not name or _identity(table) == _identity(own) else f" of {_told(table)}"
        return f"the {SPLITS[split]} split{of}"
    return str(name or Path(str(table.get("path"))).name)
