"""The page of reproduced numbers, from docs/reproduction/*.json (`unimat reproduction`) and published values."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unimat.report.published_figures import (
    DIFFCSP,
    HARDWARE,
    PEERS,
    PREDICTIONS,
    PROXIES,
    SIZES,
    SOURCE,
    TRAINING,
    Proxy,
)
from unimat.report.quantities import MISSING, number, share
from unimat.report.sections.beside_paper import AVERAGES, DATASETS, DISTANCES, OURS, RATES
from unimat.report.sections.cost import duration

FOLDER = Path(__file__).parent / "reproduction"
MODES = ("cdvae", "strict")
Run = Mapping[str, Any]

INTRODUCTION = textwrap.dedent(
    f"""\
    # Reproduction

    Tables 1 and 5 of the paper ({SOURCE}), and the prediction of test crystals from their compositions, with our rows
    beside the published ones. Our numbers come from result files, which are linked where they stand; none is typed in.

    ```bash
    snakemake reproduction -c2 --configfile config/reproduction/perov_5.yaml
    python docs/generate.py reproduction
    ```

    The first trains, generates, judges and writes `RUN.json` and two pictures; the second writes this page. There are
    configurations for Carbon-24 and MP-20, too.

    A model that was trained elsewhere is judged alike: `snakemake encode` with the configuration, put its `model.npz`,
    `training.json`, `history.csv` and `speed.csv` into `results/RUN/model/`, then the first command above, which trains
    nothing where a model lies already. Runs with `ablation` in their section `reproduction` stand in a table of their
    own.

    How to read the tables:

    - Rates of ours stand with their counts. The denominator is everything that was generated (of COV-R the test split),
      tensors that are no crystal included; nothing is filtered. Published rates stand as printed, without counts.
    - Each run has two rows: `cdvae` computes what CDVAE's scripts compute, and compares with published values; `strict`
      mends their definitions ([Metrics](metrics.md) says how).
    - A row in *italics* is a partial one: less data, fewer crystals or fewer compositions than the published protocol.
      What it lacks is listed below its tables, with all else that differs.
    - Validation losses of the compact runs of the ablation hold a tenth of the loss of compositions (nats), too, which
      training losses leave out.
    - Of models that were trained twice (their notes say which), steps, time and training losses are those of both
      trainings, put one behind the other. Validation losses of the first held that of compositions, too, and are left
      out.
    - Settings were chosen by the numbers of validation splits. Test splits have judged earlier models, too; where one
      had judged the same model before a choice, the notes of the run say so.
    """
)
NO_RUNS = "\nNo run has been written down yet: what follows are the published values alone.\n"
ABOUT_DISTANCES = (
    "Distances of distributions are Wasserstein's; that of energies is by CDVAE's own predictor in published rows."
)
ABOUT_ABLATION = """
## Ablation

Runs of one dataset that differ in the settings named (what most of them share is left out), by CDVAE's definitions.
They are small: they compare forms at about equal cost, and say little of how good a model can become.
"""
ABLATED = {
    **{key: RATES[key] for key in ("structure_valid", "cov_recall", "cov_precision")},
    **{key: AVERAGES[key] for key in ("amsd_recall", "amsd_precision")},
    "density": f"distance, {DISTANCES['density']}",
}
PREDICTED = ("match rate, 1 sample", "RMSE")
RULE = (
    "StructureMatcher with stol 0.5, ltol 0.3 and an angle tolerance of 10 degrees; RMSE of the matched, in units of "
    "(volume per atom)^(1/3). `all` counts every pair; `valid` only pairs in which both pass CDVAE's rules of "
    f"validity, as DiffCSP's script for one sample does ({DIFFCSP}), and `valid sample` those of a valid sample, as "
    "its script for several does. Published rates are by such scripts. METRe and cRMSE: [Matching](matching.md)."
)


def reproduction(folder: Path = FOLDER) -> str:
    """The page, from every RUN.json in `folder`."""
    runs = read_runs(folder)
    parts = [INTRODUCTION, *([] if runs else [NO_RUNS]), *_what_was_run(runs)]
    for dataset, title in DATASETS.items():
        parts += _dataset(title, dataset, [each for each in runs if each["dataset"] == dataset])
    for dataset in dict.fromkeys(each["dataset"] for each in runs if each["dataset"] not in DATASETS):
        parts += _dataset(str(dataset), str(dataset), [each for each in runs if each["dataset"] == dataset])
    return "".join([*parts, *_ablation(runs)])


def read_runs(folder: Path) -> list[Run]:
    """Result files by name; those of an ablation last."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda each: (each["ablation"] is not None, each["run"]))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


def printed(rate: float) -> str:
    """A published rate with as many digits as its paper prints."""
    return f"{100 * rate:.4g} %"


def error(value: float | None) -> str:
    """A root mean square displacement, as papers print it."""
    return MISSING if value is None else f"{value:.4f}"


def name_of(run: Run) -> str:
    """The run's name as a link to its result file, in italics where it is a partial one."""
    link = f"[{run['run']}](reproduction/{run['run']}.json)"
    return f"*{link}*" if run["incomplete"] else link


def seconds(value: float | None) -> str:
    return "not recorded" if value is None else duration(value)


def _what_was_run(runs: Sequence[Run]) -> Iterator[str]:
    yield "\n## The runs\n\n"
    if runs:
        yield table(
            ("run", "dataset", "network", "parameters", "trained on", "steps", "batch", "training", "on"),
            [_run_row(each) for each in runs],
        )
    batch, steps = TRAINING["batch_size"], TRAINING["steps"]
    yield f"\nThe paper: {steps:,} steps of {batch} crystals of the whole training splits on {HARDWARE}.\n"


def _run_row(run: Run) -> list[Any]:
    training = run["training"]
    published = ((run["data"].get("completeness") or {}).get("train") or {}).get("of")
    trained_on = f"{number(training['n_train'])} crystals" + (f" (published: {published:,})" if published else "")
    batch = ((training.get("settings") or {}).get("train") or {}).get("batch_size")
    numbers = [number(training["n_parameters"]), trained_on, number(training["steps"]), number(batch)]
    return [
        name_of(run),
        run["dataset"],
        run["network"],
        *numbers,
        seconds(training["seconds"]),
        training["hardware"] or MISSING,
    ]


def _dataset(title: str, dataset: str, runs: Sequence[Run]) -> Iterator[str]:
    yield f"\n## {title}\n\n"
    papers = {f"{name}, paper": row for name, row in PROXIES.get(dataset, {}).items()}
    papers |= {f"{name}, paper": row for name, row in SIZES.get(dataset, {}).items()}
    papers |= {f"{name} ({DIFFCSP})": row for name, row in PEERS.get(dataset, {}).items()}
    full = [each for each in runs if each["ablation"] is None]
    yield from _tables_1_and_5(papers, full)
    yield from _predictions(dataset, full)
    for run in full:
        yield from _about(run)


def _tables_1_and_5(papers: Mapping[str, Proxy], runs: Sequence[Run]) -> Iterator[str]:
    rows = {name: _paper(row) for name, row in papers.items()}
    rows |= {f"{name_of(run)}, `{mode}`": _ours(run, mode) for run in runs for mode in MODES}
    n = len(RATES) + len(DISTANCES)
    head = [*RATES.values(), *(f"distance, {each}" for each in DISTANCES.values())]
    yield f"### Table 1: CDVAE's metrics\n\n{ABOUT_DISTANCES}\n\n"
    yield table(("model", *head), [[name, *cells[:n]] for name, cells in rows.items()])
    yield "\n### Table 5: average minimum distances of fingerprints\n\n"
    with_any = [[name, *cells[n:]] for name, cells in rows.items() if set(cells[n:]) != {MISSING}]
    yield table(("model", *AVERAGES.values()), with_any)


def _paper(row: Proxy) -> list[str]:
    rates = [getattr(row, key) for key in RATES]
    others = [getattr(row, key) for key in (*DISTANCES, *AVERAGES)]
    return [*(MISSING if each is None else printed(each) for each in rates), *(number(each, 4) for each in others)]


def _ours(run: Run, mode: str) -> list[str]:
    found = run["generation"]["metrics"].get(mode) or {}
    rates = {**(found.get("rates") or {}), **(found.get("coverage") or {})}
    told = [str(share(rates.get(key)) or MISSING) for key in RATES]
    distances = [((found.get("distributions") or {}).get(OURS[key]) or {}).get("wasserstein") for key in DISTANCES]
    averages = [(rates.get(key) or {}).get("value") for key in AVERAGES]
    return [*told, *(number(each) for each in (*distances, *averages))]


def _predictions(dataset: str, runs: Sequence[Run]) -> Iterator[str]:
    published = PREDICTIONS.get(dataset, ())
    ours = [row for run in runs for n, found in (run["prediction"] or {}).items() for row in _predicted(run, n, found)]
    rows = [
        [
            f"{each.model} ({each.source})",
            each.samples,
            "published",
            printed(each.match_rate),
            error(each.rmse),
            MISSING,
        ]
        for each in published
    ]
    if not rows and not ours:
        return
    yield f"\n### Structures of the test split's compositions\n\n{RULE}\n\n"
    by_samples = sorted([*rows, *ours], key=lambda row: row[1])
    yield table(("model", "samples", "pairs", "match rate", "RMSE", "cRMSE"), by_samples)


def _predicted(run: Run, n: str, found: Mapping[str, Any]) -> Iterator[list[Any]]:
    gates = {"all": "all", "valid": "valid", "valid_sample": "valid sample"}
    parts = {words: found[gate] for gate, words in gates.items() if gate in found}
    if found.get("metre"):
        parts["METRe"] = found["metre"]
    for words, part in parts.items():
        errors = [error(part[key]["value"]) for key in ("rmse", "crmse")]
        yield [name_of(run), int(n), words, str(share(part["match_rate"]) or MISSING), *errors]


def _about(run: Run) -> Iterator[str]:
    """What sets a run apart, what its stages took, its learning curve and pictures."""
    name = run["run"]
    yield f"\n### {name}\n\n"
    for each in run["notes"]:
        yield f"- {each}\n"
    yield f"- Time: {_times(run)}.\n"
    yield f"- Sampling: {_sampling(run)}.\n"
    if run["seconds"]:
        spent = ", ".join(f"{job} {seconds(each)}" for job, each in run["seconds"].items())
        yield f"- Last attempt of each job, wall clock: {spent}.\n"
    if run["command"]:
        yield f"- Made by `{run['command']}`.\n"
    yield f"\n![Training and validation loss of {name}](reproduction/{name}_loss.svg)\n"
    yield f"\n![Samples of {name} below crystals of the test split](reproduction/{name}_crystals.svg)\n"
    yield "\nSamples drawn by lot, not chosen, each below the test crystal that it stands for.\n"


def _times(run: Run) -> str:
    parts = [f"training: {seconds(run['training']['seconds'])}"]
    n, spent = run["generation"]["n_requested"], run["generation"]["seconds"]
    parts.append(f"{number(n)} crystals: {seconds(spent)}")
    for k, found in (run["prediction"] or {}).items():
        if found["seconds"] is not None:
            asked = f"{k} {'sample' if k == '1' else 'samples'} of {found['n_truths']:,} compositions"
            parts.append(f"{asked}: {seconds(found['seconds'])}")
    return "; ".join(parts)


def _sampling(run: Run) -> str:
    settings = run["generation"]["settings"] or {}
    words = [f"{settings['steps']:,} steps"] if settings.get("steps") else []
    words += [str(settings["sampler"])] if settings.get("sampler") else []
    refused = f"{number(run['generation']['n_rejected'])} of {number(run['generation']['n_requested'])} are no crystals"
    return ", ".join([*words, refused])


def _ablation(runs: Sequence[Run]) -> Iterator[str]:
    """Runs with a tag, by dataset, with the settings in which they differ from one another."""
    tagged = [each for each in runs if each["ablation"] is not None]
    if not tagged:
        return
    yield ABOUT_ABLATION
    for dataset in dict.fromkeys(each["dataset"] for each in tagged):
        group = [each for each in tagged if each["dataset"] == dataset]
        predicted = any(each["prediction"] for each in group)
        yield f"\n### {DATASETS.get(dataset, dataset)}: what a setting changes\n\n"
        yield table(
            ("run", "changes", "settings", "training", *ABLATED.values(), *(PREDICTED if predicted else ())),
            [_ablation_row(each, group, predicted) for each in group],
        )


def _ablation_row(run: Run, group: Sequence[Run], predicted: bool) -> list[Any]:
    own = ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in _differing(run, group).items()) or MISSING
    cells = dict(zip((*RATES, *DISTANCES, *AVERAGES), _ours(run, "cdvae"), strict=True))
    training = f"{number(run['training']['steps'])} steps, {seconds(run['training']['seconds'])}"
    found = ((run["prediction"] or {}).get("1") or {}).get("all") or {}
    matched = [str(share(found.get("match_rate")) or MISSING), error((found.get("rmse") or {}).get("value"))]
    judged = [cells[key] for key in ABLATED]
    return [name_of(run), run["ablation"], own, training, *judged, *(matched if predicted else ())]


def _differing(run: Run, group: Sequence[Run]) -> dict[str, Any]:
    """Settings of a run, by dotted key, that most of the group do not share; None where it has no such setting."""
    flat = {each["run"]: _flat(each["training"].get("settings") or {}) for each in group}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    values = {key: [json.dumps(settings.get(key)) for settings in flat.values()] for key in keys}
    own = flat[run["run"]]
    return {key: own.get(key) for key in keys if 2 * values[key].count(json.dumps(own.get(key))) <= len(group)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
