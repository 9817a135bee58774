"""Molecular dynamics (NVT) of the best crystals of a set: do they hold at a temperature?

Takes the converged crystals of lowest decomposition energy. A run that was interrupted goes on at its last restart
point in --work, a longer one at the end of a shorter one. Writes a row for each crystal (drift of the energies,
displacements, whether the crystal is still there, or why it could not be run) and, with --summary, the counts and the
curves of the figures.
"""

import argparse
import logging
import os
from pathlib import Path

from unimat.cli._outputs import add_out_file, add_work

EXAMPLE = (
    "unimat md --crystals sets/mine/relaxed.parquet --stability sets/mine/stability.parquet "
    "--settings md.yaml --work work/md --out-file sets/mine/dynamics.parquet --summary sets/mine/dynamics.json"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--crystals",
        required=True,
        type=Path,
        metavar="TABLE",
        help="the set, in any form; relaxed, where the best are chosen",
    )
    stability = "stability.parquet of the same set, which says what is best"
    parser.add_argument("--stability", type=Path, metavar="PARQUET", help=stability)
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="md settings: JSON text, or a JSON or YAML file")
    add_work(parser, "folder for restart points and trajectories; kept", by="md --work", required=True)
    add_out_file(parser, "PARQUET", "table to write", old=("--out",), required=True)
    add_out_file(parser, "JSON", "counts and curves to write", "--summary")


def run(args: argparse.Namespace) -> None:
    from unimat.materials.dynamics.settings import MdSettings
    from unimat.settings import load_settings

    settings = load_settings(MdSettings, args.settings, "md")
    # Read when numpy and torch are loaded; without it their threads spin on each other's cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    from unimat import crystal_table
    from unimat.files import write_json
    from unimat.materials.datasets.sets import crystals_of
    from unimat.materials.dynamics.choose import RANKED_BY, best
    from unimat.materials.dynamics.engine import make_md_engine
    from unimat.materials.dynamics.table import dynamics
    from unimat.materials.stability.judged import read_stability

    stability = read_stability(args.stability, ("material_id", RANKED_BY)) if args.stability else None
    chosen = best(crystals_of(args.crystals), stability, settings.take)
    table, summary = dynamics(chosen, make_md_engine(settings), settings, args.work, args.out_file.parent)
    crystal_table.write(table, args.out_file)
    if args.summary:
        write_json(args.summary, summary)
    logging.getLogger("unimat.md").info(
        "%d of %d crystals ran, %d kept their structure -> %s",
        summary["ran"]["count"], summary["n"], summary["kept"]["count"], args.out_file,
    )  # fmt: skip
