"""The configuration as settings: sections, the sheet of sets, and what only the settings classes can check."""

import csv
import dataclasses
import re
from pathlib import Path

import yaml

from unimat.errors import UserError
from unimat.materials.datasets import DATASETS
from unimat.materials.ingest_settings import ConvertSettings, IngestSettings
from unimat.materials.metrics_settings import MetricsSettings
from unimat.materials.prediction_settings import PredictionSettings
from unimat.materials.airss_settings import AirssSettings
from unimat.materials.dynamics.settings import MdSettings
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.screen_settings import ScreenSettings
from unimat.materials.stability_settings import CompareSettings, HullSettings
from unimat.model.faithful import faithful_sections
from unimat.model.lineage import datasets_of
from unimat.model.pretrained import card_beside, card_of, contradictions, model_file, parameters_of
from unimat.model.settings import (
    EncodeSettings,
    ModelSettings,
    SampleSettings,
    TrainSettings,
)
from unimat.report.settings import ReportSettings
from unimat.reproduction.settings import ReproductionSettings
from unimat.settings import load_settings

SETTINGS = {
    "dataset": IngestSettings,
    "encode": EncodeSettings,
    "model": ModelSettings,
    "train": TrainSettings,
    "sample": SampleSettings,
    "convert": ConvertSettings,  # no section: options of a set from a file
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


def plain(value):
    """`value` with 1e-4 as the number that YAML 1.1 takes for text, and without empty sections."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    return value


def options_of(values, section, overrides):
    """Options of a section that its settings class knows; the workflow's own keys (sets, shards, ...) are left out."""
    fields = {field.name for field in dataclasses.fields(SETTINGS[section])}
    seed = {"seed": values["seed"]} if "seed" in values else {}
    options = seed | values.get(section, {}) | overrides
    return {key: value for key, value in options.items() if key in fields - {"mirror", "files"}}


def read_sheet(path):
    """Mapping of sets from a tab-separated sheet; an empty cell is an option that is not given."""
    if not Path(path).is_file():
        stop(f"sets: no sheet {path!r}; give a tab-separated file with columns set and from, or a mapping")
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    if not rows or not {"set", "from"} <= rows[0].keys():
        stop(f"sets: {path} needs a header line with the columns set and from, and a row for each set")
    names = [row["set"] for row in rows]
    if len(set(names)) < len(names):
        stop(f"sets: {path} names {max(names, key=names.count)!r} twice; names must differ")
    return {row.pop("set"): {key: yaml.safe_load(cell) for key, cell in row.items() if cell and key} for row in rows}


def check_sections(values):
    """Settings of every section by name; each class checks what a schema cannot say."""
    try:
        for name in sets_from("sample"):
            load_settings(SampleSettings, options_of(values, "sample", values["sets"][name]), f"sets.{name}")
        for name in sets_from("airss"):
            load_settings(AirssSettings, options_of(values, "airss", values["sets"][name]), f"sets.{name}")
        for name in sets_from("screen"):
            load_settings(ScreenSettings, options_of(values, "screen", values["sets"][name]), f"sets.{name}")
        return {
            name: load_settings(kind, options_of(values, name, {}), name)
            for name, kind in SETTINGS.items()
            if name in values or name != "airss"
        }
    except UserError as error:
        stop(error)


def fill_faithful():
    """Put the paper's form into the configuration."""
    try:
        config.update(faithful_sections(config))
    except UserError as error:
        stop(error)


def read_configuration():
    """Settings of every section, once everything that can be checked without running anything is checked."""
    for section in [name for name, value in config.items() if value is None]:
        del config[section]
    if isinstance(config.get("sets"), str):
        config["sets"] = read_sheet(config["sets"])
    config.update(plain(config))
    check_schema(config)
    if config.get("faithful"):
        fill_faithful()
    settings = check_sections(config)
    check_names(settings)
    return settings
