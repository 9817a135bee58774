"""Generate crystals with a trained model.

Writes crystals.parquet, rejected.parquet (tensors that decode to no crystal, with the reason) and sampling.json
into --out. Crystal i depends on the seed and on i alone. An interrupted command, repeated, goes on where it stopped. A
finished set is left as it is, and one of other settings is refused, unless --force.

A published model brings the settings with which it is sampled best (its card tells them); those of --settings go first.

Over several hosts or processes, each runs this same command with an --out that all of them see, and makes its share;
they find each other as those of `unimat train` do.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from unimat.cli._job import add_job_arguments, job_flags
from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = "unimat sample --model model/model.npz --composition Si4C4 --count 100 --guidance 1 --out sets/generated"

logger = logging.getLogger("unimat.sample")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model",
        type=Path,
        default=Path("model.npz"),
        metavar="NPZ",
        help="model.npz of `unimat train` (default: %(default)s)",
    )
    which.add_argument("--pretrained", metavar="NAME", help="model that ships; `unimat pretrained` lists them")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="sample section of the configuration")
    add_out_folder(parser, "folder of the generated set (default: %(default)s)", by="sample", default=Path("generated"))
    add_force(parser)
    asked = parser.add_argument_group("what to make", "each goes before the same key of --settings")
    asked.add_argument("--count", type=int, metavar="N", help="crystals; with --compositions, of each without a count")
    asked.add_argument("--composition", metavar="FORMULA", help="atoms of the cell, e.g. Li4Fe4P4O16")
    asked.add_argument("--compositions", type=Path, metavar="CSV", help="columns formula and, if wanted, count")
    asked.add_argument(
        "--templates",
        type=Path,
        metavar="SET",
        help="crystal table: one crystal for each of its structures, which the model is shown",
    )
    asked.add_argument(
        "--start", choices=("noise", "template"), help="where crystals with a template begin (default: noise)"
    )
    asked.add_argument("--chemical-system", metavar="SYMBOLS", help="elements that should occur, e.g. Si-C")
    asked.add_argument(
        "--property",
        action="append",
        type=_property,
        metavar="NAME=VALUE",
        help="value asked for, in the unit of the dataset; several times for several; a vector as 0.1,0.2",
    )
    asked.add_argument("--guidance", type=float, metavar="OMEGA", help="weight of what is asked for, Equation 2")
    add_job_arguments(parser)


def _property(text: str) -> tuple[str, float | list[float]]:
    name, _, value = text.partition("=")
    try:
        numbers = [float(number) for number in value.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, e.g. band_gap=1.5") from None
    return name, numbers if len(numbers) > 1 else numbers[0]


def overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Keys of the sample section that flags stand for."""
    given = {
        "n": args.count,
        "composition": args.composition,
        "compositions": str(args.compositions) if args.compositions else None,
        "templates": str(args.templates) if args.templates else None,
        "start": args.start,
        "chemical_system": args.chemical_system,
        "properties": dict(args.property) if args.property else None,
        "guidance": args.guidance,
    }
    return {key: value for key, value in given.items() if value is not None}


def with_the_models(asked: dict[str, Any], path: Path, description: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, and the model's own sampling settings for what was left open; the log tells both."""
    from unimat.model.shipped.lineage import how, lineage, sampling_of

    about = lineage(path, description)
    chosen = sampling_of(about, asked)
    if chosen:
        logger.info("sampling settings of the model %s: %s", about.get("pretrained") or path, _told(chosen))
    if said := how(asked):
        logger.info("sampling settings as given: %s", _told(said))
    return {**chosen, **asked}


def _told(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def run(args: argparse.Namespace) -> None:
    from unimat.model.checkpoints import read_model
    from unimat.model.machine.distributed import connect, is_writer
    from unimat.model.sampling.sampled_sets import sample_into
    from unimat.model.settings import SampleSettings
    from unimat.model.shipped.pretrained import parameters_of
    from unimat.settings import given, load_settings

    asked = {**given(args.settings, "sample"), **overrides(args)}
    load_settings(SampleSettings, asked, "sample")  # before the model is read
    path = Path(parameters_of(args.pretrained) if args.pretrained else args.model)
    connect(job_flags(args))
    model = read_model(path)
    settings = load_settings(SampleSettings, with_the_models(asked, path, model.description), "sample")
    report = sample_into(model, settings, args.out, args.force)
    if not is_writer():
        return
    logger.info("%d of %d sampled tensors are crystals", report["n_crystals"], report["n_requested"])
    for name, found in report.get("obeyed", {}).items():
        if name != "by_composition":
            logger.info("%s: %d of %d", name.replace("_", " "), found["count"], found["of"])
    tables, cifs = args.out / "crystals.parquet", args.out.with_name(f"{args.out.resolve().name}_cifs")
    logger.info("crystals: %s; counts: %s", tables, args.out / "sampling.json")
    if report["n_rejected"]:
        logger.info("tensors that are no crystals, with the reason: %s", args.out / "rejected.parquet")
    logger.info("CIF files of them: unimat convert %s %s", tables, cifs)
