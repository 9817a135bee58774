"""Turn crystals of any readable form into a crystal table, or a crystal table into files for other programs.

Crystals that cannot be used, or that the form cannot hold, are counted, and listed with reasons in --rejected (default:
beside a crystal table that is written). The structures are kept as they are: no reduction, and no check beyond what
makes a crystal.
"""

import argparse
import logging
from pathlib import Path

EXAMPLE = "unimat convert my_cifs/ sets/mine/crystals.parquet"
FORMS = ("parquet", "cif", "poscar", "extxyz", "csv", "cdvae", "mattergen", "lemat", "optimade")
NAMED = 10  # unusable crystals that the log names where no table lists them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help="file or folder of crystals, of any readable form")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help=".parquet, .extxyz, .csv, .pt, .json or .zip file, or folder of CIF files"
    )
    parser.add_argument("--to", choices=FORMS, help="form, if not by OUT's name")
    parser.add_argument("--settings", help="names of columns: JSON text, or a JSON or YAML file")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes (default: 1)")
    parser.add_argument("--rejected", type=Path, help="rejected table to write")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.materials.ingest import read_crystals
    from unimat.materials.ingest_settings import ConvertSettings
    from unimat.materials.writers import form_of, write_as
    from unimat.settings import load_settings

    logger = logging.getLogger("unimat.convert")
    form = args.to or form_of(args.out)
    settings = load_settings(ConvertSettings, args.settings, "convert")
    table, rejected = read_crystals(args.source, settings, max(1, args.processes))
    n = len(table) + len(rejected)
    if form == "parquet":
        table = table.with_metadata(n_requested=n)  # the denominator of every rate of this set
    rejected += write_as(table, args.out, form)
    listed = args.rejected or (args.out.parent / "rejected.parquet" if form == "parquet" else None)
    if listed:
        crystal_table.write_rejected(rejected, listed)
    for row in [] if listed else rejected[:NAMED]:
        logger.warning("%s is left out: %s, %s", row.material_id, row.reason, row.detail)
    if not listed and len(rejected) > NAMED:
        logger.warning("and %d more; --rejected lists them", len(rejected) - NAMED)
    logger.info("%d of %d crystals -> %s (%s)", n - len(rejected), n, args.out, form)
