"""Random structures of given compositions in the manner of AIRSS, as a set to relax or to compare with.

Symmetric random structures (PyXtal) at random volumes, atoms pushed apart as soft spheres (JAX). Writes
crystals.parquet, and into rejected.parquet the structures that could not be made, with the reason, into --out.
"""

import argparse
import logging
from collections import Counter

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = """unimat airss --settings '{"compositions": ["Si4C4", "SiC3"]}' --out results/sic/sets/airss"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings", required=True, metavar="FILE_OR_JSON", help="airss settings: JSON text, or a JSON or YAML file"
    )
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes (default: 1)")
    add_out_folder(parser, "folder for crystals.parquet and rejected.parquet", by="airss", required=True)
    add_force(parser)


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.materials.search.random_search.airss import random_search
    from unimat.materials.search.random_search.settings import AirssSettings
    from unimat.outputs import whole_folder
    from unimat.settings import load_settings

    logger = logging.getLogger("unimat.airss")
    settings = load_settings(AirssSettings, args.settings, "airss")
    table, rejected = random_search(settings, max(1, args.processes))
    with whole_folder(args.out, "airss", force=args.force) as new:
        crystal_table.write_rejected(rejected, new / "rejected.parquet")
        crystal_table.write(table.with_metadata(made_by="airss"), new / "crystals.parquet")
    logger.info("%d of %d random structures -> %s", len(table), len(table) + len(rejected), args.out)
    for reason, count in Counter(row.reason for row in rejected).items():
        logger.warning("%d structures could not be made: %s", count, reason)
