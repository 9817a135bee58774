"""Bring back what a packed run made on another machine.

--collected is the folder that run.py filled (--collect). Its checkpoint goes into the working folder --work, from where
`unimat train` goes on, and a finished model into --out. Refused: a folder of which a file is missing or damaged, a
training of other settings or other data, one that is behind --work, a set that is not among --sets or of another model.
"""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from unimat.cli._outputs import add_force, add_out_folder, add_work

if TYPE_CHECKING:
    from unimat.model.packed.collection import Collection

EXAMPLE = (
    "unimat absorb --collected collected --encoded encoded --model-settings '{\"channels\": 64}' "
    "--settings '{\"steps\": 2000}' --work work --out model"
)

logger = logging.getLogger("unimat.absorb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--collected", required=True, type=Path, metavar="DIR", help="folder that run.py filled")
    parser.add_argument("--encoded", type=Path, metavar="DIR", help="encoded dataset of the training")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="train section of the configuration")
    parser.add_argument("--model-settings", metavar="FILE_OR_JSON", help="model section of the configuration")
    add_work(parser, "working folder of the training; none may run there", by="train --work")
    add_out_folder(parser, "folder of the trained model", by="train")
    parser.add_argument("--sets", metavar="FILE_OR_JSON", help="sample sections of the sets to bring back, by name")
    add_out_folder(
        parser, "folder of sets, each in one of its name", "--sets-out", by="sample", names=(), beside=("*",)
    )
    add_force(parser)
    parser.add_argument("--model", type=Path, metavar="NPZ", help="model of the sets (default: that in --out)")


def check(args: argparse.Namespace) -> None:
    """Raise UserError if the folder of a set holds anything else."""
    from unimat.outputs import refuse_foreign
    from unimat.settings import given

    if args.sets_out and not args.force:
        for name in given(args.sets, "sets") or {"generated": {}}:
            refuse_foreign(args.sets_out / name, "sample", flag="--sets-out")


def run(args: argparse.Namespace) -> None:
    from unimat.errors import UserError
    from unimat.model.packed.collection import read_collection

    collection = read_collection(args.collected)
    if collection.training is not None and args.work is not None:
        _training(args, collection)
    if collection.sets and args.sets_out is not None:
        _sets(args, collection)
    if (collection.training is None or args.work is None) and (not collection.sets or args.sets_out is None):
        raise UserError(f"{args.collected}: nothing to bring back; give --work for a training, --sets-out for sets")


def _training(args: argparse.Namespace, collection: "Collection") -> None:
    from unimat.errors import UserError
    from unimat.model.packed.absorb import absorb_training
    from unimat.model.packed.pack import record_of
    from unimat.model.settings import TrainSettings
    from unimat.model.training.fine_tuning import model_settings_of
    from unimat.settings import load_settings

    if args.encoded is None:
        raise UserError("--work needs --encoded: whether the training is that of these crystals is checked")
    settings = load_settings(TrainSettings, args.settings, "train")
    record = record_of(args.encoded, model_settings_of(args.model_settings, settings.initial), settings)
    report = absorb_training(collection, record, args.work, args.out, args.force)
    told = "is finished" if report["finished"] else "goes on from there"
    state = "step {step} of {steps}".format(**report)
    logger.info("%s %s in %s; the training %s", state, "is" if report["brought"] else "was already", args.work, told)


def _sets(args: argparse.Namespace, collection: "Collection") -> None:
    from unimat.errors import UserError
    from unimat.model.packed.absorb import absorb_sets
    from unimat.settings import given

    model = args.model or (args.out / "model.npz" if args.out else None)
    if model is None:
        raise UserError("--sets-out needs --model: whether the sets are of this model is checked")
    sets = given(args.sets, "sets") or {"generated": {}}
    for name, report in absorb_sets(collection, sets, model, args.sets_out, args.force).items():
        found = (report["n_crystals"], report["n_requested"])
        logger.info("set %s: %d of %d sampled tensors are crystals, in %s", name, *found, args.sets_out / name)
