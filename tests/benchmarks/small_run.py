"""A run of a few alloys in which every kind of file occurs that the product writes and reads again.

Relaxations and dynamics are those of ASE's effective medium theory, which knows seven metals and takes milliseconds.
"""

import contextlib
import csv
import io
import json
import logging
from pathlib import Path
from unittest import mock

from pymatgen.core import Lattice, Structure

from unimat import cli

EMT = {
    "engine": "ase",
    "force_field": {"calculator": "ase.calculators.emt.EMT", "functional": "none", "corrections": "none"},
}
RELAX = json.dumps({**EMT, "fmax": 0.1, "max_steps": 20})
MD = json.dumps({**EMT, "take": 1, "min_length": 3.0, "duration": 0.06, "sample_every": 5, "restart_every": 10})
MODEL = json.dumps(
    {"channels": 8, "multipliers": [1], "blocks": 1, "head_dim": 8, "attention": "joint", "conditions": ["composition"]}
)
STEPS = {"steps": 4, "warmup_steps": 2, "log_every": 1, "validate_every": 2, "checkpoint_every": 2}
TRAIN = json.dumps({"batch_size": 4, "validation_crystals": 2, **STEPS})
SAMPLE = json.dumps({"n": 6, "steps": 2, "batch_size": 2, "seed": 1})
FORMULAS = json.dumps({"n": 1, "steps": 2, "batch_size": 2})
HULL = json.dumps({"reference": {"set": "a"}})
METALS = {"Cu": 3.61, "Ag": 4.09, "Au": 4.08, "Ni": 3.52, "Pd": 3.89, "Pt": 3.92, "Al": 4.05}
ENCODE = json.dumps({"elements": list(METALS)})
CORNERS = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]


def alloys() -> dict[str, list[Structure]]:
    """The seven metals and A3B alloys to train on, and AB alloys in two other splits."""
    names = list(METALS)
    pairs = [(one, names[(at + 1) % 7]) for at, one in enumerate(names)]
    elements = [Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [one], [[0, 0, 0]]) for one, a in METALS.items()]
    cubic = [Structure(Lattice.cubic((3 * METALS[a] + METALS[b]) / 4), [b, a, a, a], CORNERS) for a, b in pairs]
    layers = [Structure(Lattice.cubic((METALS[a] + METALS[b]) / 2), [a, a, b, b], CORNERS) for a, b in pairs]
    return {"train": elements + cubic, "val": layers[:4] + elements[:3], "test": layers[4:]}


# What each command reads and writes, under a prefix: none where the run is made, another folder where it is made again.
COMMANDS: dict[str, list[str]] = {
    "ingest": ["ingest", "--settings", json.dumps({"name": "carbon_24"}), "--files", "fetched", "--out", "{0}dataset"],
    "encode": [
        *("encode", "--train", "dataset/train.parquet", "--val", "dataset/val.parquet"),
        *("--test", "dataset/test.parquet", "--settings", ENCODE, "--out", "{0}encoded"),
    ],
    "train": [
        *("train", "--encoded", "encoded", "--settings", TRAIN, "--model-settings", MODEL),
        *("--work", "work/train", "--out", "{0}model"),
    ],
    "compositions": ["compositions", "--crystals", "dataset/test.parquet", "--out-file", "{0}compositions.csv"],
    "sample": ["sample", "--model", "model/model.npz", "--settings", SAMPLE, "--out", "{0}sets/generated"],
    "sample again": ["sample", "--model", "model/model.npz", "--settings", SAMPLE, "--out", "unfinished"],
    "sample compositions": [
        *("sample", "--model", "model/model.npz", "--settings", FORMULAS, "--compositions", "compositions.csv"),
        *("--out", "{0}sets/asked"),
    ],
    "select": ["select", "--crystals", "dataset/val.parquet", "--out", "{0}sets/b"],
    "gather": [
        *("gather", "--shards", "shards/b-1.parquet", "shards/b-2.parquet", "--like", "sets/b/crystals.parquet"),
        *("--out-file", "{0}sets/b/relaxed.parquet", "--summary", "{0}sets/b/relaxed.json"),
    ],
    "reference": ["reference", "--settings", HULL, "--relaxed", "a=sets/a/relaxed.parquet", "--out", "{0}hull"],
    "hull": [
        *("hull", "--relaxed", "sets/b/relaxed.parquet", "--reference", "hull/reference.parquet", "--set", "b"),
        *("--known", "dataset/train.parquet", "--cache", "work/cache", "--out", "{0}sets/b"),
    ],
    "compare": [
        *("compare", "--a", "sets/a", "--b", "sets/b"),
        *("--out-file", "{0}compare/a_vs_b.json", "--pairs", "{0}compare/a_vs_b.parquet"),
    ],
    "agreement": ["agreement", "--a", "sets/b", "--b", "sets/b", "--out", "{0}sets/b"],
    "screen": ["screen", "--judged", "sets/b", "--out", "{0}sets/best"],
    "metrics": [
        *("metrics", "--crystals", "sets/b/crystals.parquet", "--rejected", "sets/b/rejected.parquet"),
        *("--reference", "dataset/test.parquet", "--known", "dataset/train.parquet", "--set", "b"),
        *("--cache", "work/cache", "--out-file", "{0}sets/b/metrics.json", "--verdicts", "{0}sets/b/verdicts.parquet"),
    ],
    "match": [
        *("match", "--crystals", "sets/b/crystals.parquet", "--truths", "dataset/val.parquet", "--set", "b"),
        *("--out-file", "{0}sets/b/prediction.json", "--pairs", "{0}sets/b/prediction.parquet"),
    ],
    "md": [
        *("md", "--crystals", "sets/b/relaxed.parquet", "--stability", "sets/b/stability.parquet", "--settings", MD),
        *("--work", "work/md", "--out-file", "{0}sets/b/dynamics.parquet", "--summary", "{0}sets/b/dynamics.json"),
    ],
    "report": ["report", "--run-dir", ".", "--out-file", "{0}report.html", "--headline", "{0}headline.json"],
}
for _name in ("a", "b"):
    for _k in (1, 2):
        COMMANDS[f"relax {_name}-{_k}"] = [
            *("relax", "--crystals", f"sets/{_name}/crystals.parquet", "--shard", f"{_k}/2", "--settings", RELAX),
            *("--work", "work/relax", "--cache", "work/relaxed", "--out-file", f"{{0}}shards/{_name}-{_k}.parquet"),
        ]


def command(words: list[str]) -> tuple[int, str]:
    """Exit code of a command, and what it said; any error but an exit goes on."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger("unimat").addHandler(handler)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = cli.main(words)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        logging.getLogger("unimat").removeHandler(handler)
    return code, said.getvalue()


def call(name: str, prefix: str = "") -> tuple[int, str]:
    """Exit code of one of `COMMANDS`, and what it said."""
    return command(words_of(name, prefix))


def words_of(name: str, prefix: str = "") -> list[str]:
    """The words of one of `COMMANDS`."""
    return [word.format(prefix) if word.startswith("{0}") else word for word in COMMANDS[name]]


def build() -> None:
    """Make the run in the working directory."""
    for split, crystals in alloys().items():
        with Path(f"{split}.csv").open("w", newline="", encoding="utf-8") as stream:
            rows = [(f"{split}-{row}", -3.0, crystal.to(fmt="cif")) for row, crystal in enumerate(crystals)]
            csv.writer(stream).writerows([("material_id", "energy_per_atom", "cif"), *rows])
    given = [word for split in ("train", "val", "test") for word in ("--file", f"{split}={split}.csv")]
    _done(["fetch", "--dataset", "carbon_24", "--out", "fetched", *given])
    for name in ("ingest", "encode", "train", "compositions", "sample", "sample compositions"):
        _done(name)
    interrupted = mock.patch("unimat.model.sampling.sampled_sets.crystal_stream.writing", side_effect=KeyboardInterrupt)
    with interrupted, contextlib.suppress(KeyboardInterrupt):
        call("sample again")
    for name, other in (("b", "val"), ("a", "train")):
        _done(
            [
                word.replace("dataset/val", f"dataset/{other}").replace("{0}sets/b", f"sets/{name}")
                for word in COMMANDS["select"]
            ]
        )
        _done(f"relax {name}-1")
        _done(f"relax {name}-2")
        _done(_of(name, "gather"))
    _done("reference")
    for name in ("b", "a"):
        _done(_of(name, "hull"))
    for name in ("compare", "agreement", "screen", "metrics", "match", "md", "report"):
        _done(name)


def _of(name: str, command: str) -> list[str]:
    """The words of a command for another set than b."""
    words = [
        word.replace("{0}", "").replace("sets/b", f"sets/{name}").replace("shards/b", f"shards/{name}")
        for word in COMMANDS[command]
    ]
    return [name if word == "b" else word for word in words]


def _done(words: str | list[str]) -> None:
    """Run a command that must succeed."""
    code, said = call(words) if isinstance(words, str) else command(words)
    if code:
        raise RuntimeError(f"{words}: exit code {code}\n{said}")
