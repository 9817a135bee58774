"""Random symmetric structures of given compositions, as a set to relax or to compare with.

Writes crystals.parquet and an empty rejected.parquet into --out.
"""

import argparse
import logging
from pathlib import Path

EXAMPLE = """unimat airss --settings '{"elements": ["C", "Si"], "n": 100}' --out results/sic/sets/airss"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", required=True, help="airss settings: JSON text, or a JSON or YAML file")
    parser.add_argument("--out", required=True, type=Path, help="folder for crystals.parquet and rejected.parquet")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.materials.airss import random_search
    from unimat.materials.airss_settings import AirssSettings
    from unimat.settings import load_settings

    table = random_search(load_settings(AirssSettings, args.settings, "airss"))
    crystal_table.write(table, args.out / "crystals.parquet")
    crystal_table.write_rejected([], args.out / "rejected.parquet")
    logging.getLogger("unimat.airss").info("%d random structures -> %s", len(table), args.out)
