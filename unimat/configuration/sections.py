"""Sections of a configuration, and the settings class of each, in which its defaults stand."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from unimat.materials.datasets.settings import ConvertSettings, IngestSettings
from unimat.materials.dynamics.settings import MdSettings
from unimat.materials.metrics.settings import MetricsSettings
from unimat.materials.prediction.settings import PredictionSettings
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.screening.settings import ScreenSettings
from unimat.materials.search.random_search.settings import AirssSettings
from unimat.materials.search.settings import SubstitutionSettings
from unimat.materials.stability.settings import CompareSettings, HullSettings
from unimat.model.settings import EncodeSettings, ModelSettings, SampleSettings, TrainSettings
from unimat.report.settings import ReportSettings
from unimat.reproduction.settings import ReproductionSettings

SETTINGS: dict[str, Any] = {
    "dataset": IngestSettings,
    "encode": EncodeSettings,
    "model": ModelSettings,
    "train": TrainSettings,
    "sample": SampleSettings,
    "convert": ConvertSettings,  # no section: options of a set from a file
    "substitution": SubstitutionSettings,
    "airss": AirssSettings,
    "screen": ScreenSettings,  # no section: options of a set chosen from a judged one
    "metrics": MetricsSettings,
    "match": PredictionSettings,
    "relax": RelaxSettings,
    "hull": HullSettings,
    "md": MdSettings,
    "compare": CompareSettings,
    "report": ReportSettings,
    "reproduction": ReproductionSettings,
}
SECTIONS = {name: each for name, each in SETTINGS.items() if name not in ("convert", "screen")}  # those of a file
# What a set's options go before those of, by its origin.
SECTION_OF_ORIGIN = {
    "sample": "sample",
    "substitution": "substitution",
    "airss": "airss",
    "screen": "screen",
    "file": "convert",
}
OF_FETCH = {"mirror", "files"}  # where the same files are from: no settings of ingestion
OF_THE_MACHINE = ("require_accelerator",)  # keys that say nothing of the run


def options_of(values: Mapping[str, Any], section: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Options of a section that its settings class knows; the workflow's own keys (sets, shards, ...) are left out.

    Args:
        values: the whole configuration.
        overrides: what goes before them.
    """
    fields = {field.name for field in dataclasses.fields(SETTINGS[section])}
    seed = {"seed": values["seed"]} if "seed" in values else {}
    options = seed | (values.get(section) or {}) | dict(overrides or {})
    return {key: value for key, value in options.items() if key in fields - OF_FETCH}
