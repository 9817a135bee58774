"""Core-hours that an engine would take for the crystals of a set, as a table; nothing is submitted.

The estimate comes from atoms, valence electrons of the potentials, irreducible k-points and spin. It is good for the
size of a bill, within a factor that the table names, and not for its digits: --rate mends it for a machine.
"""

import argparse
from pathlib import Path

EXAMPLE = """unimat estimate --crystals sets/best/crystals.parquet --relax '{"engine": "vasp"}'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, type=Path, help="crystal table of the set")
    parser.add_argument("--relax", help="relax settings of the engine: JSON text, or a JSON or YAML file")
    parser.add_argument("--settings", help="estimate settings (rate, steps): JSON text, or a JSON or YAML file")
    parser.add_argument("--out", type=Path, metavar="CSV", help="also write every crystal's row there")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.materials.core_hours import core_hours, total
    from unimat.materials.core_hours_table import table_text, write_csv
    from unimat.materials.relax.settings import RelaxSettings
    from unimat.materials.screen_settings import EstimateSettings
    from unimat.settings import load_settings

    relax = load_settings(RelaxSettings, args.relax, "relax")
    settings = load_settings(EstimateSettings, args.settings, "estimate")
    frame = core_hours(crystal_table.read(args.crystals), relax, settings)
    if args.out:
        write_csv(frame, args.out)
    print(table_text(frame, total(frame, relax, settings)))
