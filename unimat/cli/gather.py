"""Join the relaxed tables of a set's shards into one, in the set's order, and count what became of them."""

import argparse
import logging
from pathlib import Path

from unimat.cli._outputs import add_out_file

EXAMPLE = (
    "unimat gather --shards relax/1of2.parquet relax/2of2.parquet --like crystals.parquet "
    "--out-file relaxed.parquet --summary relaxed.json"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    shards, like = "relaxed tables of the shards", "the set that was relaxed, for order and completeness"
    parser.add_argument("--shards", required=True, nargs="+", type=Path, metavar="TABLE", help=shards)
    parser.add_argument("--like", required=True, type=Path, metavar="SET", help=like)
    add_out_file(parser, "PARQUET", "joined table to write", old=("--out",), required=True)
    add_out_file(parser, "JSON", "counts to write", "--summary")
    parser.add_argument("--set", metavar="NAME", help="name of the set (default: the folder of --like)")


def run(args: argparse.Namespace) -> None:
    from unimat import crystal_table
    from unimat.files import write_json
    from unimat.materials.datasets.sets import crystals_of, set_name
    from unimat.materials.relax.gather import gather_shards, relaxation_summary

    shards = [crystal_table.read(path) for path in args.shards]
    table = gather_shards(shards, crystals_of(args.like))
    summary = relaxation_summary(table, args.set or set_name(args.like)) if args.summary else None
    crystal_table.write(table, args.out_file)
    if summary:
        write_json(args.summary, summary)
    logging.getLogger("unimat.gather").info("%d crystals of %d shards -> %s", len(table), len(shards), args.out_file)
