"""Relax a set, or one shard of it, with an engine: CHGNet or another force field, VASP under custodian, GPAW.

Every crystal's result is kept in --work as it finishes; a run that was interrupted continues there, and sets that share
the folder compute a crystal once. Unconverged and failed crystals stay in the table with their reasons.
"""

import argparse
import logging
import os
from pathlib import Path

from unimat.cli._outputs import add_out_file, add_work

EXAMPLE = "unimat relax --crystals sets/mine/crystals.parquet --work work/mine --out-file sets/mine/relaxed.parquet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, type=Path, metavar="SET", help="the set, in any readable form")
    parser.add_argument("--shard", default="1/1", metavar="K/N", help="which part of it, as k/n (default: all)")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="relax settings: JSON text, or a JSON or YAML file")
    add_work(parser, "folder for results as they finish; kept", by="relax --work", required=True)
    cache = "folder of results that runs share: read first, added to at the end"
    add_work(parser, cache, "--cache", by="relax --work")
    add_out_file(parser, "PARQUET", "relaxed crystal table to write", old=("--out",), required=True)


def run(args: argparse.Namespace) -> None:
    from unimat.materials.relax.settings import RelaxSettings
    from unimat.settings import load_settings

    settings = load_settings(RelaxSettings, args.settings, "relax")
    # Read when numpy and torch are loaded; without it their threads spin on each other's cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    from unimat import crystal_table
    from unimat.materials.datasets.sets import crystals_of
    from unimat.materials.relax.jobs.context import labels_of
    from unimat.materials.relax.shard import relax_shard, shard_of

    table, labels = shard_of(crystals_of(args.crystals), args.shard), labels_of(args.crystals)
    shard = f"{labels['set']}-{args.shard.replace('/', 'of')}"
    relaxed = relax_shard(table, settings, args.work, shard, labels, args.cache)
    crystal_table.write(relaxed, args.out_file)
    converged = int(relaxed.column("converged").sum()) if len(relaxed) else 0
    logging.getLogger("unimat.relax").info("%d of %d crystals converged -> %s", converged, len(relaxed), args.out_file)
