"""Read a dataset's crystals, check and reduce them, split them, and describe what came of it on a data card.

Writes train.parquet, val.parquet, test.parquet, rejected.parquet, card.json and card.html into --out.
"""

import argparse
import logging
from pathlib import Path

EXAMPLE = """unimat ingest --settings '{"name": "carbon_24"}' --files resources/carbon_24 --out results/c/dataset"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", help="dataset settings: JSON text, or a JSON or YAML file")
    parser.add_argument("--files", type=Path, help="folder that `unimat fetch` filled; not for custom datasets")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes")
    parser.add_argument("--out", required=True, type=Path, help="folder for the tables and the card")


def run(args: argparse.Namespace) -> None:
    from unimat.files import write_json, write_text
    from unimat.materials.data_card import data_card, distributions
    from unimat.materials.data_card_page import card_page
    from unimat.materials.ingest import ingest
    from unimat.materials.ingest_settings import IngestSettings
    from unimat.materials.sources import plan_of
    from unimat.settings import load_settings

    settings = load_settings(IngestSettings, args.settings, "dataset")
    plan = plan_of(settings, args.files)
    ingested = ingest(plan, settings, args.out, max(1, args.processes))
    values = {split: distributions(path) for split, path in ingested.tables.items()}
    card = data_card(plan, ingested, settings, values)
    write_json(args.out / "card.json", card)
    write_text(args.out / "card.html", card_page(card, values))
    counts = ", ".join(f"{split} {n}" for split, n in ingested.n.items())
    n_rejected, n_read = len(ingested.rejected), sum(ingested.n_read.values())
    logging.getLogger("unimat.ingest").info(
        "%d of %d rows accepted (%s), %d rejected -> %s", n_read - n_rejected, n_read, counts, n_rejected, args.out
    )
