"""Random structures of given compositions in the manner of AIRSS, as a set to relax or to compare with.

Symmetric random structures (PyXtal) at random volumes, atoms pushed apart as soft spheres (JAX). Writes
crystals.parquet, and into rejected.parquet the structures that could not be made, with the reason, into --out.
"""

import argparse
import logging
from collections import Counter
from pathlib import Path

EXAMPLE = """unimat airss --settings '{"compositions": ["Si4C4", "SiC3"]}' --out results/sic/sets/airss"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", required=True, help="airss settings: JSON text, or a JSON or YAML file")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes (default: 1)")
    parser.add_argument("--out", required=True, type=Path, help="folder for crystals.parquet and rejected.parquet")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.materials.airss import random_search
    from unimat.materials.airss_settings import AirssSettings
    from unimat.settings import load_settings

    logger = logging.getLogger("unimat.airss")
    settings = load_settings(AirssSettings, args.settings, "airss")
    table, rejected = random_search(settings, max(1, args.processes))
    crystal_table.write_rejected(rejected, args.out / "rejected.parquet")
    crystal_table.write(table, args.out / "crystals.parquet")
    logger.info("%d of %d random structures -> %s", len(table), len(table) + len(rejected), args.out)
    for reason, count in Counter(row.reason for row in rejected).items():
        logger.warning("%d structures could not be made: %s", count, reason)
