"""Write down the numbers of a run for the page of reproduced numbers, and pictures of it.

Reads a run's folder: data card, training, metrics of the unconditional set, and predictions (`unimat match`) if there
are any. Writes RUN.json, RUN_crystals.svg (samples beside test crystals, drawn by lot) and RUN_loss.svg into --out; RUN
is the folder's name. A page made from several such files is `python docs/generate.py reproduction`.
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = "unimat reproduction --run-dir results/perov_5 --benchmarks benchmarks --out docs/reproduction"

log = logging.getLogger("unimat.reproduction")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    run_dir = "folder of the run, e.g. results/perov_5"
    parser.add_argument("--run-dir", required=True, type=Path, metavar="DIR", help=run_dir)
    settings = "reproduction settings: JSON text, or a JSON or YAML file"
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help=settings)
    config = "YAML or JSON file of the run's configuration"
    parser.add_argument("--config", type=Path, metavar="FILE", help=config)
    benchmarks = "Snakemake's folder of benchmarks, for times of the stages"
    parser.add_argument("--benchmarks", type=Path, metavar="DIR", help=benchmarks)
    add_out_folder(
        parser,
        "folder for the JSON file and the pictures",
        by="reproduction",
        names=_files,
        beside=("*.json", "*_crystals.svg", "*_loss.svg"),
        required=True,
    )
    add_force(parser)


def _files(args: argparse.Namespace) -> list[str]:
    run = args.run_dir.resolve().name
    return [f"{run}.json", f"{run}_crystals.svg", f"{run}_loss.svg"]


def run(args: argparse.Namespace) -> None:
    from unimat.files import write_json, write_text
    from unimat.outputs import whole_folder
    from unimat.report.run_files import read_config, read_run
    from unimat.report.stages import read_jobs
    from unimat.reproduction.pictures import crystals_picture, loss_picture
    from unimat.reproduction.result import result
    from unimat.reproduction.settings import ReproductionSettings
    from unimat.settings import load_settings

    settings = load_settings(ReproductionSettings, args.settings, "reproduction")
    files = read_run(args.run_dir)
    config = read_config(args.config) if args.config else None
    jobs = read_jobs(args.benchmarks, files.name)[0] if args.benchmarks else []
    found = result(files, settings, config, jobs)
    one = files.sets[settings.set]
    crystals = crystals_picture(files, one, settings.pictures, settings.seed)
    with whole_folder(args.out, "reproduction", last=f"{files.name}.json", force=args.force) as new:
        write_text(new / f"{files.name}_loss.svg", loss_picture(files))
        write_text(new / f"{files.name}_crystals.svg", crystals)
        write_json(new / f"{files.name}.json", found)
    for each in found["incomplete"]:
        log.warning("%s is a partial reproduction: %s", files.name, each)
    log.info("numbers of %s, %d notes -> %s", files.name, len(found["notes"]), args.out)
