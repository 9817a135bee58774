"""Read a dataset's crystals, check and reduce them, split them, and describe what came of it on a data card.

Writes train.parquet, val.parquet, test.parquet, rejected.parquet, card.json and card.html into --out.
"""

import argparse
import collections
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = """unimat ingest --settings '{"name": "carbon_24"}' --files resources/carbon_24 --out results/c/dataset"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    settings = "dataset settings: JSON text, or a JSON or YAML file"
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help=settings)
    parser.add_argument(
        "--files", type=Path, metavar="DIR", help="folder that `unimat fetch` filled; not for custom datasets"
    )
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes")
    add_out_folder(parser, "folder for the tables and the card", by="ingest", required=True)
    add_force(parser)


def run(args: argparse.Namespace) -> None:
    from unimat.files import write_json, write_text
    from unimat.materials.datasets.data_card import data_card, distributions
    from unimat.materials.datasets.data_card_page import card_page
    from unimat.materials.datasets.ingest import ingest
    from unimat.materials.datasets.settings import IngestSettings
    from unimat.materials.datasets.sources import plan_of
    from unimat.outputs import whole_folder
    from unimat.settings import load_settings

    settings = load_settings(IngestSettings, args.settings, "dataset")
    plan = plan_of(settings, args.files)
    with whole_folder(args.out, "ingest", last="train.parquet", force=args.force) as new:
        ingested = ingest(plan, settings, new, max(1, args.processes))
        values = {split: distributions(path) for split, path in ingested.tables.items()}
        card = data_card(plan, ingested, settings, values)
        write_json(new / "card.json", card)
        write_text(new / "card.html", card_page(card, values))
    counts = ", ".join(f"{split} {n}" for split, n in ingested.n.items())
    n_rejected, n_read = len(ingested.rejected), sum(ingested.n_read.values())
    log = logging.getLogger("unimat.ingest")
    log.info(
        "%d of %d rows accepted (%s), %d rejected -> %s", n_read - n_rejected, n_read, counts, n_rejected, args.out
    )
    if n_rejected:
        reasons = collections.Counter(row.reason for row in ingested.rejected).most_common()
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons)
        log.warning("%d of %d rows rejected (%.0f %%): %s", n_rejected, n_read, 100 * n_rejected / n_read, listed)
