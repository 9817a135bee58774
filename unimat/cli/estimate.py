"""Core-hours that an engine would take for the crystals of a set, as a table; nothing is submitted.

The estimate comes from atoms, valence electrons of the potentials, irreducible k-points and spin. It is good for the
size of a bill, within a factor that the table names, and not for its digits: --rate mends it for a machine.
"""

import argparse
from pathlib import Path

from unimat.cli._outputs import add_out_file

EXAMPLE = """unimat estimate --crystals sets/best/crystals.parquet --relax '{"engine": "vasp"}'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, type=Path, metavar="SET", help="the set, in any readable form")
    relax = "relax settings of the engine: JSON text, or a JSON or YAML file"
    parser.add_argument("--relax", metavar="FILE_OR_JSON", help=relax)
    settings = "estimate settings (rate, steps): JSON text, or a JSON or YAML file"
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help=settings)
    add_out_file(
        parser, "CSV", "also write every crystal's row there", old=("--out",), columns=("material_id", "core_hours")
    )


def run(args: argparse.Namespace) -> None:
    from unimat.materials.datasets.sets import crystals_of
    from unimat.materials.relax.settings import RelaxSettings
    from unimat.materials.screening.core_hours import core_hours, total
    from unimat.materials.screening.core_hours_table import table_text, write_csv
    from unimat.materials.screening.settings import EstimateSettings
    from unimat.settings import load_settings

    relax = load_settings(RelaxSettings, args.relax, "relax")
    settings = load_settings(EstimateSettings, args.settings, "estimate")
    frame = core_hours(crystals_of(args.crystals), relax, settings)
    if args.out_file:
        write_csv(frame, args.out_file)
    print(table_text(frame, total(frame, relax, settings)))
