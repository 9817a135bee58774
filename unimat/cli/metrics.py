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
from typing import TYPE_CHECKING, Any

from unimat.cli._outputs import add_out_file, add_work

if TYPE_CHECKING:
    import pyarrow as pa

    from unimat.crystal_table import CrystalTable, Rejected
    from unimat.materials.metrics.settings import MetricsSettings

EXAMPLE = (
    "unimat metrics --crystals DiffCSP_mp_20.pt --reference mp_20/test.feather --processes 2 --cache work/metrics"
    " --out-file metrics.json --verdicts verdicts.parquet"
)

log = logging.getLogger("unimat.metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    read: Any = {"type": Path, "metavar": "CRYSTALS"}
    parser.add_argument("--crystals", required=True, help="the set to judge, in any readable form", **read)
    rejected = "its rejected table, if it is a crystal table; these rows count, too"
    parser.add_argument("--rejected", type=Path, metavar="PARQUET", help=rejected)
    parser.add_argument("--reference", required=True, help="crystals to compare with, usually the test split", **read)
    known = "crystals that make one not novel, usually the training split; again for each further table"
    parser.add_argument("--known", action="append", default=[], help=known, **read)
    parser.add_argument("--set", dest="name", metavar="NAME", help="name of the set (default: name of the file)")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="settings: a JSON or YAML file, or JSON text")
    add_out_file(parser, "JSON", "summary to write", old=("--out",))
    add_out_file(parser, "PARQUET", "table to write, one row per crystal", "--verdicts")
    add_out_file(parser, "CSV", "the same table, to look at", "--verdicts-csv", columns=("structure_valid_strict",))
    add_work(
        parser, "folder that keeps what was computed: the second call takes seconds", "--cache", by="metrics --cache"
    )
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
    known = {str(path): _read(path, processes)[0] for path in args.known}

    from unimat import parquet
    from unimat.files import write_json
    from unimat.materials.metrics.evaluate import evaluate
    from unimat.materials.metrics.table_text import table_text

    name = args.name or args.crystals.stem
    metrics = evaluate(name, crystals, reference, known, rejected, settings, processes, args.cache)
    if args.verdicts:
        parquet.write(metrics.verdicts, args.verdicts)
    if args.verdicts_csv:
        _write_csv(metrics.verdicts, args.verdicts_csv)
    if args.out_file:
        write_json(args.out_file, metrics.summary)
    print(table_text(metrics.summary))


def _settings(args: argparse.Namespace) -> "MetricsSettings":
    from unimat.errors import UserError
    from unimat.materials.metrics.settings import MetricsSettings
    from unimat.settings import load_settings

    settings = load_settings(MetricsSettings, args.settings, "metrics settings")
    if args.max_seconds is None:
        return settings
    try:
        return dataclasses.replace(settings, max_seconds=args.max_seconds)
    except ValueError as error:
        raise UserError(f"--max-seconds: {error}") from error


def _read(path: Path, processes: int, rejected: Path | None = None) -> "tuple[CrystalTable, list[Rejected]]":
    """Crystals of a crystal table or of any other readable form, and those that are none."""
    from unimat import crystal_table
    from unimat.materials.datasets.sets import read_set

    table, none = read_set(path, processes)
    return table, [*none, *(crystal_table.read_rejected(rejected) if rejected else [])]


def _write_csv(table: "pa.Table", path: Path) -> None:
    from unimat import csv_cells
    from unimat.files import whole_file

    with whole_file(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as stream:
        columns = [column.to_pylist() for column in table.columns]
        csv_cells.write_rows(stream, table.column_names, zip(*columns, strict=True))
