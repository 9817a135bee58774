"""Judge a set of crystals: validity, coverage, distributions, uniqueness and novelty.

Any readable file will do: a .pt of CDVAE or DiffCSP, CIF files in a folder or a .zip, extxyz, CSV, JSON, or a crystal
table. Every number comes in two modes. `cdvae` is the evaluation that papers quote, to the letter, its draws seeded.
`strict` is what it should have been: own images, one partner for both cut-offs, whole sets, current oxidation states.
Rates are shares of everything generated, the rejected included. docs/metrics.md defines every number.
"""

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from unimat.crystal_table import CrystalTable, Rejected
    from unimat.materials.metrics_settings import MetricsSettings

EXAMPLE = (
    "unimat metrics --crystals DiffCSP_mp_20.pt --reference mp_20/test.feather --processes 2 --cache work/metrics"
    " --out metrics.json --verdicts verdicts.parquet"
)

log = logging.getLogger("unimat.metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, help="the set to judge: crystal table, or any readable form")
    parser.add_argument("--rejected", help="its rejected table, if it is a crystal table; these rows count, too")
    parser.add_argument("--reference", required=True, help="crystals to compare with, usually the test split")
    parser.add_argument(
        "--known",
        action="append",
        default=[],
        help="crystals that make one not novel, usually the training split; again for each further table",
    )
    parser.add_argument("--set", dest="name", help="name of the set (default: name of the file)")
    parser.add_argument("--settings", help="settings: a JSON or YAML file, or JSON text")
    parser.add_argument("--out", help="summary to write, JSON")
    parser.add_argument("--verdicts", help="table to write, one row per crystal, Parquet")
    parser.add_argument("--verdicts-csv", help="the same table as CSV, to look at")
    parser.add_argument("--cache", help="folder that keeps what was computed: the second call takes seconds")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes (default: 1)")
    parser.add_argument("--max-seconds", type=float, metavar="S", help="limit for one crystal (default: 60)")


def run(args: argparse.Namespace) -> None:
    settings, processes = _settings(args), max(1, args.processes)
    crystals, rejected = _read(args.crystals, processes, args.rejected)
    reference, lost = _read(args.reference, processes)
    if lost:
        log.warning(
            "%d rows of %s are no crystals (%s, ...); the rest is compared with",
            len(lost),
            args.reference,
            lost[0].reason,
        )
    known = {path: _read(path, processes)[0] for path in args.known}

    from unimat import parquet
    from unimat.files import write_json
    from unimat.materials.metrics.evaluate import evaluate
    from unimat.materials.metrics.table_text import table_text

    name = args.name or Path(args.crystals).stem
    metrics = evaluate(name, crystals, reference, known, rejected, settings, processes, args.cache)
    if args.verdicts:
        parquet.write(metrics.verdicts, args.verdicts)
    if args.verdicts_csv:
        _write_csv(metrics.verdicts, args.verdicts_csv)
    if args.out:
        write_json(args.out, metrics.summary)
    print(table_text(metrics.summary))


def _settings(args: argparse.Namespace) -> "MetricsSettings":
    from unimat.errors import UserError
    from unimat.materials.metrics_settings import MetricsSettings
    from unimat.settings import load_settings

    settings = load_settings(MetricsSettings, args.settings, "metrics settings")
    if args.max_seconds is None:
        return settings
    try:
        return dataclasses.replace(settings, max_seconds=args.max_seconds)
    except ValueError as error:
        raise UserError(f"--max-seconds: {error}") from error


def _read(path: str, processes: int, rejected: str | None = None) -> "tuple[CrystalTable, list[Rejected]]":
    """Crystals of a crystal table or of any other readable form, and those that are none."""
    from unimat import crystal_table

    if rejected or Path(path).suffix == ".parquet":
        return crystal_table.read(path), crystal_table.read_rejected(rejected) if rejected else []
    from unimat.materials.ingest import read_crystals

    return read_crystals(Path(path), None, processes)


def _write_csv(table: "pa.Table", path: str) -> None:
    import pyarrow.csv

    from unimat.files import written_whole

    with written_whole(path) as unfinished:
        pyarrow.csv.write_csv(table, unfinished)
