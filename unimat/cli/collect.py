"""Read the results of flows from a job store: the relaxed table that `unimat relax` would make.

What is found goes into --work, where `unimat relax` finds it too. A crystal whose jobs have not all ended well is a row
with the reason; run it again later, and only those are looked for.
"""

import argparse
import logging
import os
from pathlib import Path

from unimat.cli._outputs import add_out_file, add_work

EXAMPLE = (
    "unimat collect --crystals sets/mine/crystals.parquet --settings relax.yaml --store project.yaml "
    "--work work/mine --out-file sets/mine/relaxed.parquet"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crystals", required=True, type=Path, metavar="SET", help="the set, in any readable form")
    parser.add_argument(
        "--settings", metavar="FILE_OR_JSON", help="relax settings that the flows were made with: JSON text, or a file"
    )
    parser.add_argument(
        "--store",
        metavar="STORE",
        help="job store: jobflow, mongodb://user@host/database, a .yaml or .json file, or embedded, for those in"
        " --work (default: the environment variable UNIMAT_JOB_STORE, or `store` of the settings)",
    )
    add_work(parser, "folder for results as they are found; kept", by="relax --work", required=True)
    add_out_file(parser, "PARQUET", "relaxed crystal table to write", old=("--out",), required=True)


def run(args: argparse.Namespace) -> None:
    from unimat.materials.relax.settings import RelaxSettings
    from unimat.settings import load_settings

    settings = load_settings(RelaxSettings, args.settings, "relax")
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    from unimat import crystal_table
    from unimat.materials.datasets.sets import crystals_of
    from unimat.materials.relax.flows.collect import collect, stores_to_read
    from unimat.materials.relax.jobs.context import labels_of

    table, stores = crystals_of(args.crystals), stores_to_read(args.store, settings.store, args.work)
    relaxed = collect(table, settings, stores, args.work, f"{labels_of(args.crystals)['set']}-collected")
    crystal_table.write(relaxed, args.out_file)
    converged = int(relaxed.column("converged").sum()) if len(relaxed) else 0
    logging.getLogger("unimat.collect").info(
        "%d of %d crystals converged -> %s", converged, len(relaxed), args.out_file
    )
