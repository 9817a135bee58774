"""Lay crystals over the periodic table as compact arrays.

Reads the crystal tables of the three splits and writes train.arrow, val.arrow, test.arrow, encoding.json and
rejected.parquet (crystals outside the grid or too large for it, with the reason) into the folder --out.
"""

import argparse
import logging

EXAMPLE = (
    "unimat encode --train dataset/train.parquet --val dataset/val.parquet --test dataset/test.parquet "
    '--settings \'{"elements": ["C", "Si"]}\' --out encoded'
)

logger = logging.getLogger("unimat.encode")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for split in ("train", "val", "test"):
        parser.add_argument(f"--{split}", required=True, metavar="PARQUET", help=f"crystal table of the {split} split")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="encode section of the configuration")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the encoded dataset")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.model.encoded import SPLITS, write_dataset
    from unimat.model.encoding import encode_dataset
    from unimat.model.settings import EncodeSettings
    from unimat.settings import load_settings

    settings = load_settings(EncodeSettings, args.settings, "encode")
    tables = {name: crystal_table.read(getattr(args, name)) for name in SPLITS}
    splits, encoding, rejected = encode_dataset(tables, settings)
    write_dataset(args.out, splits, encoding, rejected)
    total = sum(len(table) for table in tables.values())
    shape = " x ".join(map(str, encoding.tensor_shape))
    logger.info("encoded %d of %d crystals as %s tensors (L x H x W)", total - len(rejected), total, shape)
