"""Train the diffusion model.

Reads the folder that `unimat encode` wrote; writes model.npz, history.csv, speed.csv and training.json into --out,
model.npz last. Checkpoints go to the working folder --work, and the same command continues from them after an
interruption, to the same result. Ctrl-C, SIGTERM, SIGHUP, or the setting time_limit_minutes, saves a checkpoint and
ends with exit code 75; a second Ctrl-C ends at once. A working folder of other settings is refused, naming the
setting, unless --fresh.

Over several hosts or processes, each runs this same command, --work lies where all of them see it, and process 0
writes. They find each other by themselves in a Slurm step of several tasks and on a TPU pod; elsewhere
--coordinator, --processes and --process (or UNIMAT_COORDINATOR, UNIMAT_PROCESSES, UNIMAT_PROCESS) say how.
"""

import argparse
import logging
import sys
from pathlib import Path

from unimat.cli._job import add_job_arguments, job_flags
from unimat.cli._outputs import add_force, add_out_folder, add_work

EXAMPLE = (
    "unimat train --encoded encoded --model-settings '{\"channels\": 64}' --settings '{\"steps\": 2000}' "
    "--work work --out model"
)

logger = logging.getLogger("unimat.train")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoded", required=True, type=Path, metavar="DIR", help="folder of the encoded dataset")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="train section of the configuration")
    parser.add_argument("--model-settings", metavar="FILE_OR_JSON", help="model section of the configuration")
    parser.add_argument(
        "--faithful",
        action="store_true",
        help="the paper's own form of every choice; refuses a key that contradicts it",
    )
    add_work(parser, "working folder, kept between attempts", by="train --work", required=True)
    add_out_folder(parser, "folder of the trained model", by="train", required=True)
    add_force(parser)
    parser.add_argument("--fresh", action="store_true", help="forget the working folder's checkpoints")
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from unimat.model.faithful import faithful_section
    from unimat.model.machine.distributed import connect, is_writer
    from unimat.model.machine.interruption import EXIT_CODE, Interrupted
    from unimat.model.settings import TrainSettings
    from unimat.model.training.fine_tuning import model_settings_of
    from unimat.model.training.train import train
    from unimat.settings import load_settings

    sections = {"train": args.settings, "model": args.model_settings}
    if args.faithful:
        sections = {name: faithful_section(name, source) for name, source in sections.items()}
    settings = load_settings(TrainSettings, sections["train"], "train")
    model_settings = model_settings_of(sections["model"], settings.initial)
    connect(job_flags(args))
    try:
        report = train(args.encoded, model_settings, settings, args.work, args.out, args.fresh, args.force)
    except Interrupted as stop:
        logger.warning("%s", stop)
        sys.exit(EXIT_CODE)
    if not is_writer():
        return
    logger.info(
        "trained %d parameters for %d steps on %d crystals: %s",
        report["n_parameters"],
        report["steps"],
        report["n_train"],
        ", ".join(f"{name} {report['final'][name]:.4g}" for name in ("loss", "val_loss") if name in report["final"]),
    )
