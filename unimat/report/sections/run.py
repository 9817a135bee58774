"""What was run: dataset, rejected rows, model, training, engine, versions."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from unimat import __version__
from unimat.crystal_table import Rejected
from unimat.errors import REJECTION_REASONS
from unimat.report.blocks import Block, Facts, Missing, Section, Table, Text, drawn
from unimat.report.figures import LOSSES, loss_figure
from unimat.report.known import data_words, seen_before
from unimat.report.quantities import Share, dig, energy_label, number, share
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections.candidates import origins, substituted


def what_was_run(run: RunFiles, page: Path) -> Section:
    """Facts of the run; `page` is where the report will stand, for the link to the data card."""
    blocks: list[Block] = [Facts(_dataset(run, page) + _model(run) + origins(run) + _judging(run))]
    blocks += _rejected(run)
    if run.card is None:
        blocks.append(Missing("No data card: dataset/card.json is not there; `unimat ingest` makes it."))
    return Section("run", "What was run", "", blocks)


def training(run: RunFiles) -> Section:
    """The loss curve."""
    blocks: list[Block] = []
    figures = {}
    if run.history is None or (figure := loss_figure(run.history)) is None:
        why = "model/history.csv is not there" if run.history is None else "model/history.csv names no loss"
        blocks.append(Missing(f"No loss curve: {why}; `unimat train` makes it."))
    else:
        figures["loss"] = figure
        caption = "Loss against training step. " + _last_losses(run.history)
        blocks.append(drawn(figure, "loss", "Line chart of training and validation loss against step", caption))
    return Section("training", "Training", "", blocks, figures)


def _dataset(run: RunFiles, page: Path) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    card = run.card or {}
    title = card.get("title") or card.get("name")
    if title:
        rows.append(("Dataset", str(title)))
    if card.get("source") and card["source"] != title:
        rows.append(("Source", str(card["source"])))
    if run.split_sizes:
        total = sum(run.split_sizes.values())
        parts = ", ".join(f"{count:,} {split}" for split, count in run.split_sizes.items())
        rows.append(("Crystals used", f"{total:,}: {parts}"))
    for key, label in (("licence", "Licence"), ("citation", "Citation")):
        if card.get(key):
            rows.append((label, str(card[key])))
    if (run.folder / "dataset/card.html").exists():
        address = Path(os.path.relpath(run.folder / "dataset/card.html", page.parent)).as_posix()
        rows.append(("Data card", ("card.html", address)))
    if run.encoding:
        grid = [len(run.encoding.get(key) or []) for key in ("grid_rows", "grid_columns")]
        text = f"{grid[0]} × {grid[1]} cells of the periodic table, L = {run.encoding.get('slots')} atoms per element"
        rows.append(("Representation", f"{text}, {run.encoding.get('coordinates', '')} coordinates".rstrip()))
    return rows


def _model(run: RunFiles) -> list[tuple[str, Any]]:
    facts = run.training
    if facts is None:
        return [("Model", "none: model/training.json is not there")]
    rows: list[tuple[str, Any]] = []
    parameters = dig(facts, "n_parameters", "parameters", "n_params", "parameter_count")
    network = dig(facts, "network")
    if isinstance(parameters, int):
        rows.append(("Model", f"{network + ', ' if isinstance(network, str) else ''}{parameters:,} parameters"))
    steps, batch = dig(facts, "steps", "n_steps", "step"), dig(facts, "batch_size")
    if isinstance(steps, int):
        rows.append(("Training", f"{steps:,} steps" + (f" of {batch:,} crystals" if isinstance(batch, int) else "")))
    rows += _starting_models(run)
    rows += [(f"Sampling of {each.name}", _sampling(each)) for each in run.sets.values() if each.sampling]
    return [*rows, ("Seeds", _seeds(run))]


def _starting_models(run: RunFiles) -> list[tuple[str, Any]]:
    """The model that was taken or begun with, its licence and its data, and so on back."""
    rows = []
    for index, each in enumerate(seen_before(run)):
        label = "Trained elsewhere" if index == 0 and (run.training or {}).get("pretrained") else "Starting model"
        licence = each["licence"] or "not stated"
        rows.append((label, f"{each['name']} (licence: {licence}), trained on {data_words(each)}"))
    return rows


def _sampling(one: SetFiles) -> str:
    settings = (one.sampling or {}).get("settings") or {}
    parts = [f"{number(one.n_generated)} crystals"]
    if settings.get("steps") is not None:
        parts.append(f"{number(settings['steps'])} denoising steps")
    if border := share((one.sampling or {}).get("near_null_border")):
        parts.append(f"{border} slots decoded near the border between atom and null (fewer is better)")
    return ", ".join(parts)


def _seeds(run: RunFiles) -> str:
    seeds = [("training", dig(run.training, "seed"))]
    seeds += [(f"sampling of {each.name}", dig(each.sampling, "seed")) for each in run.sets.values() if each.sampling]
    for summary in (each.summary for each in run.comparisons):
        seeds.append(
            (f"bootstrap of {summary.get('a')} against {summary.get('b')}", dig(summary.get("bootstrap"), "seed"))
        )
    named = [f"{what} {seed}" for what, seed in seeds if seed is not None]
    return ", ".join(named) or "none recorded"


def _judging(run: RunFiles) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    engines = []
    for each in run.sets.values():
        if each.relaxed is not None:
            energy_type = each.relaxed.metadata.get("energy_type") or dig(each.relaxation, "engine")
            engines.append(energy_label(energy_type, full=True))
    if engines:
        rows.append(("Energies", " – ".join(dict.fromkeys(engines))))
    if run.reference is not None:
        about = f"{run.reference.name}: {len(run.reference.entries):,} phases"
        about += f", energies by {energy_label(run.reference.energy_type)}"
        rows.append(("Hull reference", about + (f" – {run.reference.source}" if run.reference.source else "")))
    rows.append(("Versions", ", ".join(f"{name} {version}" for name, version in versions(run).items())))
    return rows


def versions(run: RunFiles) -> dict[str, str]:
    """Versions that the stages recorded, and our own."""
    found: dict[str, str] = {}
    sources: list[Any] = [run.training, run.reference_summary]
    for each in run.sets.values():
        sources += [each.sampling, each.metrics, each.relaxation, each.stability_summary]
    for source in sources:
        recorded = dig(source, "versions")
        if isinstance(recorded, dict):
            found.update({str(name): str(version) for name, version in recorded.items()})
    return {"unimat": found.pop("unimat", __version__), **dict(sorted(found.items()))}


def _rejected(run: RunFiles) -> list[Block]:
    blocks: list[Block] = []
    kept = sum(run.split_sizes.values())
    at_ingest = run.rejected_at_ingest
    if at_ingest is None:
        blocks.append(Missing("No list of rejected rows: dataset/rejected.parquet is not there."))
    else:
        blocks += _rejected_table(at_ingest, kept + len(at_ingest), "rows of the source that ingestion refused")
    if run.rejected_at_encoding is not None:
        blocks += _rejected_table(run.rejected_at_encoding, kept, "crystals that encoding refused")
    for each in run.sets.values():
        if each.sampling is not None and each.n_generated is not None:
            what = f"draws of the set {each.name} that decoded to no usable crystal"
            blocks += _rejected_table(each.rejected, each.n_generated, what)
    for each in substituted(run):
        what = f"candidates of the set {each.name} that there are none of"
        blocks += _rejected_table(each.rejected, each.n_generated or 0, what)
    return blocks


def _rejected_table(rejected: list[Rejected], of: int, what: str) -> list[Block]:
    if not rejected:
        return [Text(f"No {what}: {Share(0, of)}.")]
    reasons = Counter(row.reason for row in rejected)
    rows = [
        [reason, REJECTION_REASONS.get(reason, ""), str(Share(count, of))]
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    caption = f"{what[0].upper()}{what[1:]}: {Share(len(rejected), of)}"
    return [Table(caption, ("Reason", "Meaning", "Count"), rows, text_columns=(0, 1))]


def _last_losses(history: pd.DataFrame) -> str:
    parts = []
    for name, label in LOSSES.items():
        values = history.reindex(columns=["step", name]).dropna()
        if len(values):
            last = values.iloc[-1]
            parts.append(f"{label} {number(float(last[name]))} at step {int(last['step']):,}")
    return f"Last values: {'; '.join(parts)}."
