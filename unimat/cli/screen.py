"""The best crystals of a judged set, for a dearer engine, within a budget of core-hours.

Chosen are the lowest in decomposition energy among those that converged and were judged. Writes a set into --out:
crystals.parquet, an empty rejected.parquet, core_hours.csv (the estimate for each crystal) and screen.json (what was
left out and why, counts with their denominators, and the estimate in total). Rows keep their ids. Nothing is
submitted.
"""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unimat.cli._outputs import add_force, add_out_folder

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE = """unimat screen --judged sets/generated --settings '{"per_composition": 2, "budget": 500}' \\
    --relax '{"engine": "vasp"}' --out sets/best"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--judged",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder of the judged set: stability.parquet, relaxed.parquet, and crystals.parquet for `start: initial`",
    )
    settings = "options of a set from: screen; JSON text, or a JSON or YAML file"
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help=settings)
    relax = "relax settings of the engine to come, for the estimate: JSON text, or a file"
    parser.add_argument("--relax", metavar="FILE_OR_JSON", help=relax)
    processes = "that compare crystals, for `unique` (default: 1)"
    parser.add_argument("--processes", type=int, default=1, metavar="N", help=processes)
    add_out_folder(parser, "folder for the set that was chosen", by="screen", required=True)
    add_force(parser)


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.files import write_json
    from unimat.materials.relax.settings import RelaxSettings
    from unimat.materials.screening.core_hours import core_hours, total
    from unimat.materials.screening.core_hours_table import table_text, write_csv
    from unimat.materials.screening.screen import read_judged, screened
    from unimat.materials.screening.settings import ScreenSettings
    from unimat.outputs import whole_folder
    from unimat.settings import load_settings

    settings = load_settings(ScreenSettings, args.settings, "screen")
    relax = load_settings(RelaxSettings, args.relax, "relax")
    judged = read_judged(args.judged, settings)

    def estimator(table: crystal_table.CrystalTable) -> "tuple[pd.DataFrame, dict[str, Any]]":
        frame = core_hours(table, relax, settings.estimate)
        return frame, total(frame, relax, settings.estimate)

    choice = screened(judged, settings, estimator, args.processes)
    with whole_folder(args.out, "screen", force=args.force) as new:
        crystal_table.write(choice.crystals.with_metadata(made_by="screen"), new / "crystals.parquet")
        crystal_table.write_rejected([], new / "rejected.parquet")
        write_csv(choice.estimate, new / "core_hours.csv")
        write_json(new / "screen.json", {"set": args.out.resolve().name} | choice.summary)
    log = logging.getLogger("unimat.screen")
    log.info("estimate of what was chosen\n%s", table_text(_chosen(choice.estimate), choice.summary["core_hours"]))
    for reason in choice.summary["left_out"]:
        log.info("left out: %d of %d, %s", reason["count"], reason["of"], reason["reason"])
    log.info("%d of %d crystals -> %s", len(choice.crystals), len(judged.stability), args.out)


def _chosen(estimate: "pd.DataFrame") -> "pd.DataFrame":
    return estimate[estimate["chosen"]].drop(columns="chosen")
