"""A model card as Markdown, from the JSON beside the parameters: every number on it comes from a file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from unimat.model.shipped.pretrained import sections

MODES = ("cdvae", "strict")
SIDES = ("recall", "precision")
PARTS = ("rates", "coverage", "distributions")
# Metrics whose keys do not say enough; any other is its key with spaces.
HEADINGS = {
    "coverage.cov_recall": "COV-R",
    "coverage.cov_precision": "COV-P",
    **{f"coverage.{name}_{side}": f"{name.upper()}-{side[0].upper()}" for name in ("amsd", "amcd") for side in SIDES},
    "rates.valid": "valid, structure and composition",
    "rates.valid_unique_and_novel": "valid, unique and novel",
    "distributions.n_elements": "Wasserstein, number of elements",
    "distributions.n_atoms": "Wasserstein, number of atoms",
}


def page(card: Mapping[str, Any]) -> str:
    """The whole card."""
    data = card["data"]
    parts = [
        f"# {card['name']}",
        f"A trained UniMat model, network `{card['settings']['model']['network']}`, of {title_of(card)}.",
        f"```bash\nunimat sample --pretrained {card['name']} --count 100\n```",
        "## Data",
        _table([*_about_data(data, card["training"]), *_about_initial(card.get("initial"))]),
        "## Recipe",
        f"The settings that differ from the defaults:\n\n```yaml\n{recipe(card)}```",
        *_sampling(card),
        "## Cost",
        _table(_cost(card)),
        "## Metrics",
        *_metrics(card),
        "## Known failures",
        _bullets(failures(card)) or "None is recorded.",
        *_notes(card),
        "## Licence",
        f"Parameters: {card['licence']}. Data: {data.get('licence', 'not stated')}.{_initial_licence(card)}",
    ]
    return "\n\n".join(parts) + "\n"


def title_of(card: Mapping[str, Any]) -> str:
    return str(card["data"].get("title") or card["data"].get("name") or "crystals of one's own")


def _sampling(card: Mapping[str, Any]) -> Iterator[str]:
    """How the model is sampled where nobody says otherwise."""
    settings = card["settings"]
    if not settings.get("sample"):
        return
    text = settings_text({"sample": _unlike_defaults(settings["sample"])})
    yield f"Sampled with these settings, which `--pretrained` takes where nobody gives others:\n\n```yaml\n{text}```"
    other = settings.get("sample_of_composition")
    if other and other != settings["sample"]:
        text = settings_text({"sample": _unlike_defaults(other)})
        yield f"Crystals of given compositions are sampled with these:\n\n```yaml\n{text}```"


def _unlike_defaults(sample: Mapping[str, Any]) -> dict[str, Any]:
    from unimat.model.settings import SampleSettings
    from unimat.settings import as_dict

    defaults = as_dict(SampleSettings())
    return {key: value for key, value in sample.items() if value != defaults[key]}


def recipe(card: Mapping[str, Any]) -> str:
    """The sections `encode`, `model` and `train` as YAML."""
    train = card["training"].get("settings", {}).get("train", {})
    return settings_text(sections(card) | ({"train": _young(train)} if train else {}))


def settings_text(values: Mapping[str, Any]) -> str:
    """Sections of a configuration, each setting on a line of its own."""
    lines = []
    for name, options in values.items():
        lines.append(f"{name}:" if options else f"{name}: {{}}")
        dumped = {
            key: yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n")[0]
            for key, value in options.items()
        }
        lines += [f"  {key}: {text}" for key, text in dumped.items()]
    return "\n".join(lines) + "\n"


def _young(train: Mapping[str, Any]) -> dict[str, Any]:
    from unimat.model.settings import TrainSettings
    from unimat.settings import as_dict

    defaults = as_dict(TrainSettings())
    return {key: value for key, value in train.items() if value != defaults.get(key, ...)}


def _about_data(data: Mapping[str, Any], training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("title", "citation", "licence", "source"):
        if data.get(key):
            yield key.capitalize(), str(data[key])
    if crystals := data.get("crystals"):
        yield "Crystals", ", ".join(f"{number:,} {split}" for split, number in crystals.items())
    yield "Trained on", f"{training['n_train']:,} crystals, {training['n_val']:,} for validation"
    for split, found in (data.get("completeness") or {}).items():
        if found.get("count") != found.get("of"):
            yield f"Part of the published {split} split", share(found)


def _about_initial(initial: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """The model that the training began with, and the ones before it."""
    while initial:
        yield "Starting model", f"{initial.get('name') or initial['source']}, trained on {data_of(initial)}"
        initial = initial.get("initial")


def data_of(initial: Mapping[str, Any]) -> str:
    """What a starting model was trained on and under which licence that is, in words."""
    data = initial.get("dataset") or {}
    named = data.get("title") or data.get("name")
    return f"{named} (licence: {data.get('licence') or 'not stated'})" if named else "data that its file does not name"


def _initial_licence(card: Mapping[str, Any]) -> str:
    initial = card.get("initial")
    return f" Parameters of the starting model: {initial.get('licence') or 'not stated'}." if initial else ""


def _cost(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    training, cost, file = card["training"], card.get("cost") or {}, card["file"]
    yield "Parameters", f"{training['n_parameters']:,}"
    yield "Steps", f"{training['steps']:,}"
    if cost.get("seconds") is not None:
        yield "Training time", duration(cost["seconds"])
    if cost.get("hardware"):
        yield "Hardware", str(cost["hardware"])
    generation = card.get("generation") or {}
    if generation.get("seconds") is not None and generation.get("n_requested"):
        if sampling := generation.get("settings"):
            yield "Sampling", f"{sampling['steps']} steps, sampler {sampling.get('sampler') or 'of the network'}"
        yield "Sampling time", f"{duration(generation['seconds'])} for {generation['n_requested']:,} crystals"
    yield "File", f"{file['bytes'] / 1e6:.1f} MB, {file['stored']}"
    if rounding := card.get("rounding"):
        yield "The same draws with float32 parameters", _rounding(rounding)


def _rounding(found: Mapping[str, Any]) -> str:
    same = f"{found['same_atoms']['count']:,} of {found['same_atoms']['of']:,} crystals have the same atoms"
    if not (moved := found["displacement"]):
        return same
    return f"{same}, moved by at most {moved['max']:.2g} {moved['unit']} (median {moved['median']:.2g} {moved['unit']})"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _metrics(card: Mapping[str, Any]) -> Iterator[str]:
    metrics = (card.get("generation") or {}).get("metrics") or {}
    rows = list(metric_rows(metrics))
    if rows:
        n_generated, n_rejected = metrics["n_generated"], metrics["n_rejected"]
        yield f"Of {n_generated:,} generated crystals, {n_rejected:,} of them not usable; nothing is filtered."
        yield _table(rows, ("metric", *(f"{mode} mode" for mode in MODES)))
    if predicted := list(_prediction_rows(card.get("prediction") or {})):
        yield "Structures predicted for the compositions of the test split:"
        yield _table(predicted, ("samples for each", "match rate", "RMSE of the matched"))
    if not rows and not predicted:
        yield "Nobody has judged this model's crystals yet."
    else:
        yield "In brackets: 95 % intervals."


def metric_rows(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Heading and both modes' entries of every number that a summary of `unimat metrics` has in a mode."""
    for part in PARTS:
        keys = dict.fromkeys(key for mode in MODES for key in metrics.get(mode, {}).get(part, {}))
        for key in keys:
            entries = [metrics.get(mode, {}).get(part, {}).get(key) for mode in MODES]
            yield heading(part, key), told(entries[0]), told(entries[1])


def heading(part: str, key: str) -> str:
    plain = key.replace("_", " ")
    return HEADINGS.get(f"{part}.{key}", f"Wasserstein, {plain}" if part == "distributions" else plain)


def told(entry: Any) -> str:
    """A rate with its counts, or a value, with its interval; a dash where there is none."""
    if not isinstance(entry, Mapping):
        return "–"
    if "of" in entry and "count" in entry:
        return share(entry)
    value = next((entry[key] for key in ("value", "wasserstein") if entry.get(key) is not None), None)
    if value is None:
        return "–"
    unit = f" {entry['unit']}" if entry.get("unit") else ""
    if entry.get("low") is None or entry.get("high") is None:
        return f"{value:.3f}{unit}"
    return f"{value:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]{unit}"


def share(entry: Mapping[str, Any]) -> str:
    """Such as ``9,950 of 10,000 (99.5 % [99.3, 99.6])``."""
    counts = f"{entry['count']:,} of {entry['of']:,}"
    if not entry["of"]:
        return counts
    rate = f"{100 * entry['count'] / entry['of']:.1f} %"
    if entry.get("low") is None or entry.get("high") is None:
        return f"{counts} ({rate})"
    return f"{counts} ({rate} [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}])"


def _prediction_rows(prediction: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for number, summary in prediction.items():
        if summary is None:
            continue
        found = summary.get("samples", {}).get(number, summary)
        found = found.get("all", found)  # every pair, with or without validity
        yield str(number), told(found.get("match_rate")), told(found.get("rmse"))


def _bullets(lines: Iterable[Any]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _notes(card: Mapping[str, Any]) -> list[str]:
    metrics = (card.get("generation") or {}).get("metrics") or {}
    notes = [*card.get("notes", []), *metrics.get("notes", [])]
    return ["## How to read the numbers", _bullets(notes)] if notes else []


def failures(card: Mapping[str, Any]) -> Iterator[str]:
    """What the counts say of crystals that are wrong, then what somebody wrote."""
    metrics = (card.get("generation") or {}).get("metrics") or {}
    if metrics.get("n_rejected"):
        yield f"no crystal at all: {share({'count': metrics['n_rejected'], 'of': metrics['n_generated']})} samples"
    for key, entry in metrics.get(MODES[0], {}).get("rates", {}).items():
        if key in ("structure_valid", "composition_valid") and entry["count"] < entry["of"]:
            wrong = {"count": entry["of"] - entry["count"], "of": entry["of"]}
            yield f"not {key.replace('_', ' ')} by CDVAE's rule: {share(wrong)} samples"
    yield from card.get("failures", [])


def index(cards: Sequence[Mapping[str, Any]]) -> str:
    """A table of models, one row each."""
    if not cards:
        return "No model ships yet.\n"
    rows = []
    for card in cards:
        rates = ((card.get("generation") or {}).get("metrics") or {}).get(MODES[0], {}).get("rates", {})
        valid, name = told(rates.get("structure_valid")), card["name"]
        numbers = f"{card['training']['n_parameters']:,}", f"{card['file']['bytes'] / 1e6:.1f} MB"
        rows.append(
            (f"[{name}](models/{name}.md)", title_of(card), card["settings"]["model"]["network"], *numbers, valid)
        )
    return _table(rows, ("model", "trained on", "network", "parameters", "file", "structure valid")) + "\n"


def _table(rows: Any, head: Sequence[str] = ("", "")) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in lines)
