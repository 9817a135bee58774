"""Generate crystals with a trained model.

Writes crystals.parquet, rejected.parquet (tensors that decode to no crystal, with the reason) and sampling.json
into --out. Crystal i depends on the seed and on i alone.
"""

import argparse
import logging

EXAMPLE = "unimat sample --model model/model.npz --settings '{\"n\": 200}' --out sets/generated"

logger = logging.getLogger("unimat.sample")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="NPZ", help="model.npz of `unimat train`")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="sample section of the configuration")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the generated set")


def run(args: argparse.Namespace) -> None:
    from pathlib import Path

    from unimat import crystal_table
    from unimat.files import write_json
    from unimat.model.checkpoints import read_model
    from unimat.model.sampling import sample
    from unimat.model.settings import SampleSettings
    from unimat.settings import load_settings

    settings = load_settings(SampleSettings, args.settings, "sample")
    table, rejected, report = sample(read_model(args.model), settings)
    out = Path(args.out)
    crystal_table.write_rejected(rejected, out / "rejected.parquet")
    write_json(out / "sampling.json", report)
    crystal_table.write(table, out / "crystals.parquet")
    logger.info("%d of %d sampled tensors are crystals", len(table), settings.n)
