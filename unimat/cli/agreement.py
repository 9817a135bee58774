"""How often the verdicts of one engine held under another, for crystals of the same ids.

Stable and metastable verdicts that held, in both directions with their denominators; differences of decomposition
energies; rank correlation within compositions; relaxed structures that are the same or not. Writes agreement.json and
agreement.parquet (one row per crystal) into --out.
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = "unimat agreement --a sets/generated --b sets/best --out sets/best"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    files = "stability.parquet, stability.json and relaxed.parquet"
    parser.add_argument("--a", required=True, type=Path, metavar="DIR", help=f"folder of the set judged first: {files}")
    parser.add_argument(
        "--b", required=True, type=Path, metavar="DIR", help="folder of the set judged again, by another engine"
    )
    add_out_folder(parser, "folder for agreement.json and agreement.parquet", by="agreement", required=True)
    add_force(parser)


def run(args: argparse.Namespace) -> None:
    from unimat import parquet
    from unimat.files import write_json
    from unimat.materials.screening.agreement import agreement, matched, read_side
    from unimat.outputs import whole_folder

    a, b = read_side(args.a), read_side(args.b)
    frame = matched(a, b)
    numbers = agreement(frame, a, b)
    with whole_folder(args.out, "agreement", last="agreement.json", force=args.force) as new:
        parquet.write_frame(frame, new / "agreement.parquet")
        write_json(new / "agreement.json", numbers)
    held = numbers["held"]["stable"]
    logging.getLogger("unimat.agreement").info(
        "%d of %d stable by %s are stable by %s", held["count"], held["of"], numbers["a"]["by"], numbers["b"]["by"]
    )
