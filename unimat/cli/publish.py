"""Make a file to share of a trained model, and its card.

Writes NAME.npz (parameters as float16, half the size) and NAME.json (the card) into --out. The .npz is a model.npz as
any other: `unimat sample --model NAME.npz` draws from it, and `--pretrained NAME` does if UNIMAT_PRETRAINED names the
folder. Numbers on the card come from the files given here: the model's own description, the dataset's card.json, and
what was measured of its crystals, either a result of `docs/reproduction/` or the metrics.json of a generated set.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = (
    "unimat publish --model results/mine/model/model.npz --training results/mine/model/training.json "
    "--data-card results/mine/dataset/card.json --metrics results/mine/sets/generated/metrics.json "
    "--licence 'CC BY 4.0' --name mine --out published"
)

logger = logging.getLogger("unimat.publish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, metavar="NPZ", help="model.npz of `unimat train`")
    parser.add_argument("--name", required=True, metavar="NAME", help="small letters, digits and underscores")
    parser.add_argument("--licence", required=True, metavar="TEXT", help="licence of the parameters, e.g. Apache-2.0")
    add_out_folder(
        parser,
        "folder for NAME.npz and NAME.json",
        by="publish",
        names=_files,
        beside=("*.npz", "*.json"),
        required=True,
    )
    add_force(parser)
    parser.add_argument(
        "--training",
        type=Path,
        metavar="JSON",
        help="training.json, for the time it took; the losses are of history.csv beside it",
    )
    parser.add_argument(
        "--data-card",
        type=Path,
        metavar="JSON",
        help="card.json of `unimat ingest`; without it, the published dataset that --result names",
    )
    judged = parser.add_mutually_exclusive_group()
    judged.add_argument("--result", type=Path, metavar="JSON", help="reproduction result of the run")
    metrics = "metrics.json of a set that the model generated"
    judged.add_argument("--metrics", type=Path, metavar="JSON", help=metrics)
    parser.add_argument(
        "--check",
        type=int,
        default=32,
        metavar="N",
        help="crystals to draw with float32 and with float16, for the card to compare (default: %(default)s; 0: none)",
    )
    parser.add_argument(
        "--sample",
        metavar="FILE_OR_JSON",
        help="sampling settings of the model, which `unimat sample` takes where nobody gives others (default: those of "
        "the judged crystals, in sampling.json beside --metrics or in --result)",
    )
    parser.add_argument(
        "--sample-composition", metavar="FILE_OR_JSON", help="the same for crystals of given compositions"
    )
    parser.add_argument(
        "--sample-template", metavar="FILE_OR_JSON", help="the same for crystals that start at a template"
    )
    parser.add_argument(
        "--failure", action="append", metavar="TEXT", help="a known failure, in words; several times for several"
    )


def _files(args: argparse.Namespace) -> list[str]:
    return [f"{args.name}.npz", f"{args.name}.json"]


def run(args: argparse.Namespace) -> None:
    from unimat.files import read_json
    from unimat.model.settings import SampleSettings
    from unimat.model.shipped.publishing import learning_curve, publish
    from unimat.settings import as_dict, load_settings

    training = read_json(args.training) if args.training else None
    result = read_json(args.result) if args.result else {}
    if args.metrics:
        beside = Path(args.metrics).with_name("sampling.json")
        settings = read_json(beside).get("settings") if beside.exists() else None
        result = {"generation": {"metrics": read_json(args.metrics), "settings": settings}}
    if args.training and not result.get("learning_curve"):
        result["learning_curve"] = learning_curve(args.training.with_name("history.csv"))
    data = read_json(args.data_card) if args.data_card else published_dataset(result)
    check = load_settings(SampleSettings, {"n": args.check}, "--check") if args.check else None
    sampling = {
        name: as_dict(load_settings(SampleSettings, text, f"--{name}"))
        for name, text in (
            ("sample", args.sample),
            ("sample_of_composition", args.sample_composition),
            ("sample_of_template", args.sample_template),
        )
        if text
    }
    card = publish(
        args.model, args.out, args.name, args.licence, data, training, result, args.failure, check, sampling, args.force
    )
    logger.info("%s/%s.npz: %d bytes, sha256 %s", args.out, args.name, card["file"]["bytes"], card["file"]["sha256"])


def published_dataset(result: dict[str, Any]) -> dict[str, Any]:
    """What is known of the published dataset that a result names, under the keys of a data card."""
    from unimat.errors import UserError
    from unimat.materials.datasets.known import DATASETS

    name, found = result.get("dataset"), result.get("data") or {}
    if name not in DATASETS:
        raise UserError("--data-card is missing: what was the model trained on? Give card.json of `unimat ingest`")
    known = {key: getattr(DATASETS[name], key) for key in ("name", "title", "licence", "citation", "homepage")}
    return {**known, "source": known["homepage"], **{key: each for key, each in found.items() if each is not None}}
