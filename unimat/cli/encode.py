"""Lay crystals over the periodic table as compact arrays.

Streams the crystal tables of the three splits into the folder --out: shards of compact arrays under train/, val/ and
test/, rejected.parquet (crystals outside the grid or too large for it, with the reason) and, last, encoding.json, which
lists the shards. Tables of any size fit: only one part of them is in memory.
"""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_force, add_out_folder

EXAMPLE = (
    "unimat encode --train dataset/train.parquet --val dataset/val.parquet --test dataset/test.parquet "
    '--settings \'{"elements": ["C", "Si"]}\' --out encoded'
)

logger = logging.getLogger("unimat.encode")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for split in ("train", "val", "test"):
        of = f"the {split} split, in any readable form"
        parser.add_argument(f"--{split}", required=True, type=Path, metavar="SET", help=of)
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="encode section of the configuration")
    parser.add_argument(
        "--faithful",
        action="store_true",
        help="the paper's own form of every choice; refuses a key that contradicts it",
    )
    add_out_folder(parser, "folder of the encoded dataset", by="encode", required=True)
    add_force(parser)
    parser.add_argument("--shard-rows", type=int, metavar="N", help="crystals of a shard; changes no result")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_stream
    from unimat.materials.datasets.sets import crystals_of, is_crystal_table
    from unimat.model.faithful import faithful_section
    from unimat.model.representation.encode_stream import encode_dataset
    from unimat.model.representation.encoded import SPLITS
    from unimat.model.representation.shards import SHARD_ROWS
    from unimat.model.settings import EncodeSettings
    from unimat.settings import load_settings

    section = faithful_section("encode", args.settings) if args.faithful else args.settings
    settings = load_settings(EncodeSettings, section, "encode")
    paths = {name: getattr(args, name) for name in SPLITS}
    # A crystal table is streamed; another form is read whole.
    others = {name: crystals_of(path) for name, path in paths.items() if not is_crystal_table(Path(path))}
    total = sum(len(others[name]) if name in others else crystal_stream.n_rows(path) for name, path in paths.items())
    tables = {name: [others[name]] if name in others else crystal_stream.batches(path) for name, path in paths.items()}
    shard_rows = SHARD_ROWS if args.shard_rows is None else args.shard_rows
    encoding = encode_dataset(tables, settings, args.out, shard_rows, total, args.force)
    shape = " x ".join(map(str, encoding.tensor_shape))
    logger.info("encoded %d of %d crystals as %s tensors (L x H x W)", total - encoding.n_rejected, total, shape)
