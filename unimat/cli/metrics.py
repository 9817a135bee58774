"""Validity, coverage, distributions, uniqueness and novelty of a set of crystals.

Every rate is a share of everything generated, the rejected included. The rules are those of CDVAE's
evaluation, so that the numbers stand beside published ones; what is ours is named as such.
"""

import argparse
import logging
from typing import Any

EXAMPLE = (
    "unimat metrics --crystals sets/generated/crystals.parquet --rejected sets/generated/rejected.parquet"
    " --reference dataset/test.parquet --known dataset/train.parquet --set generated"
    " --out metrics.json --verdicts verdicts.parquet"
)

log = logging.getLogger("unimat.metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, help="crystal table of the set to judge")
    parser.add_argument("--rejected", help="its rejected table; its rows count in the denominators")
    parser.add_argument("--reference", required=True, help="crystal table to compare with, usually the test split")
    parser.add_argument("--known", help="crystal table that makes a crystal not novel, usually the training split")
    parser.add_argument("--set", required=True, dest="name", help="name of the set")
    parser.add_argument("--settings", help="settings: a JSON or YAML file, or JSON text")
    parser.add_argument("--out", required=True, help="summary to write, JSON")
    parser.add_argument("--verdicts", required=True, help="table to write, one row per crystal, Parquet")
    parser.add_argument("--cache", help="folder that keeps fingerprints between calls")
    parser.add_argument("--processes", type=int, default=1, help="processes for the fingerprints (default: 1)")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.materials.metrics_settings import MetricsSettings
    from unimat.settings import load_settings

    settings = load_settings(MetricsSettings, args.settings, "metrics settings")
    crystals, reference = crystal_table.read(args.crystals), crystal_table.read(args.reference)
    known = crystal_table.read(args.known) if args.known else None
    n_rejected = len(crystal_table.read_rejected(args.rejected)) if args.rejected else 0

    import pyarrow.parquet as pq

    from unimat.files import write_json, written_whole
    from unimat.materials.metrics.evaluate import evaluate

    metrics = evaluate(
        args.name, crystals, reference, known, n_rejected, settings, processes=args.processes, cache=args.cache
    )
    with written_whole(args.verdicts) as unfinished:
        pq.write_table(metrics.verdicts, unfinished, compression="zstd")
    write_json(args.out, metrics.summary)
    log.info("%s", summary_line(metrics.summary))


def summary_line(summary: dict[str, Any]) -> str:
    """One line of counts, e.g. ``generated: valid 41 of 48, unique 40 of 48``."""
    names = ("valid", "unique", "novel")
    found = {name: summary["rates"][name] for name in names if summary["rates"][name]}
    parts = [f"{name} {each['count']} of {each['of']}" for name, each in found.items()]
    for name in ("recall", "precision"):
        each = summary["coverage"][f"cov_{name}"]
        parts.append(f"coverage {name} {each['count']} of {each['of']}")
    return f"{summary['set']}: {', '.join(parts)}"
